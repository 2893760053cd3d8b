"""A trained network as an ONNX file: written node by node, read back, and run; needs the package onnx alone to write.

Initialisers have the names of bnao's parameters and are not folded, so that the file is weights too.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnao.errors import BackendError, WeightsError
from bnao.files import MOST_WEIGHTS, NO_CHECKSUM, is_intact, parse_json, read_regular, with_checksum
from bnao.network.trained import Trained, trained_of
from bnao.network.walk import logits
from bnao.protocols import Exporter, Logits
from bnao.run import DAMAGED

#: old enough for the runtimes in use, new enough for all operators here; ONNX 1.12
OPSET, IR_VERSION = 17, 8

IMAGES, LOGITS = "images", "logits"

_ABOUT = "bnao"
#: of the metadata, beside the above: a JSON list, for programs that look for no more
_CLASS_NAMES = "class_names"
_EPSILON = 1e-5
_MEAN, _STD = "image_mean", "image_std"


def package(name: str) -> ModuleType:
    """Return a package that ONNX files need.

    Raises:
        BackendError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        needed = name.partition(".")[0]
        raise BackendError(f"ONNX files need {needed} ({error}); try: pip install 'bnao[onnx]'") from None


class _Graph:
    """The layers of ``bnao.network.walk`` as nodes of an ONNX graph; a state is the name of a value."""

    def __init__(self, trained: Trained) -> None:
        self._helper = package("onnx.helper")
        self._weights = trained.weights
        self.nodes: list[Any] = []
        self.initializers: dict[str, NDArray[Any]] = {}

    def _node(self, operator: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """Add a node; its output has the name given, or one by the operator and its number."""
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(self._helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def _held(self, name: str, value: NDArray[Any] | None = None) -> str:
        self.initializers[name] = self._weights[name] if value is None else value
        return name

    def convolution(
        self,
        x: str,
        name: str,
        channels: int,
        kernel: tuple[int, int],
        *,
        stride: tuple[int, int] = (1, 1),
        dilation: int = 1,
        depthwise: bool = False,
    ) -> str:
        half = [dilation * (side // 2) for side in kernel]
        return self._node(
            "Conv",
            [x, self._held(name)],
            f"{name}.output",
            kernel_shape=list(kernel),
            strides=list(stride),
            pads=half + half,
            dilations=[dilation, dilation],
            group=channels if depthwise else 1,
        )

    def norm(self, x: str, name: str) -> str:
        held = [self._held(f"{name}.{part}") for part in ("scale", "shift", "mean", "variance")]
        return self._node("BatchNormalization", [x, *held], f"{name}.output", epsilon=_EPSILON)

    def relu(self, x: str) -> str:
        return self._node("Relu", [x])

    def average_pool(self, x: str, kernel: int, stride: int) -> str:
        return self._node("AveragePool", [x], count_include_pad=0, **_window(kernel, stride))

    def max_pool(self, x: str, kernel: int, stride: int) -> str:
        return self._node("MaxPool", [x], **_window(kernel, stride))

    def quarter(self, x: str) -> str:
        # of an odd size it pads at the end, and does not count that
        return self._node(
            "AveragePool", [x], count_include_pad=0, auto_pad="SAME_UPPER", kernel_shape=[2, 2], strides=[2, 2]
        )

    def shifted(self, x: str) -> str:
        pads = self._held("shift.pads", np.array([0, 0, 0, 0, 0, 0, 1, 1]))
        starts = self._held("shift.starts", np.array([1, 1]))
        ends = self._held("shift.ends", np.array([np.iinfo(np.int64).max] * 2))
        axes = self._held("shift.axes", np.array([2, 3]))
        return self._node("Slice", [self._node("Pad", [x, pads]), starts, ends, axes])

    def zeros(self, x: str, stride: int) -> str:
        strided = self._node("MaxPool", [x], kernel_shape=[1, 1], strides=[stride, stride])
        return self._node("ConstantOfShape", [self._node("Shape", [strided])])

    def total(self, states: Sequence[str]) -> str:
        first, *others = states
        for other in others:
            first = self._node("Add", [first, other])
        return first

    def joined(self, states: Sequence[str]) -> str:
        return self._node("Concat", list(states), axis=1)

    def normalised(self, images: str, mean: Sequence[float], std: Sequence[float]) -> str:
        shape = (-1, 1, 1)
        centred = self._node("Sub", [images, self._held(_MEAN, np.array(mean, np.float32).reshape(shape))])
        return self._node("Div", [centred, self._held(_STD, np.array(std, np.float32).reshape(shape))])

    def linear(self, x: str, name: str) -> str:
        features = self._node("Flatten", [self._node("GlobalAveragePool", [x])])
        held = [self._held(f"{name}.{part}") for part in ("weight", "bias")]
        return self._node("Gemm", [features, *held], LOGITS, transB=1)


def _window(kernel: int, stride: int) -> dict[str, Any]:
    before, behind = (kernel - 1) // 2, kernel // 2
    return {
        "kernel_shape": [kernel, kernel],
        "strides": [stride, stride],
        "pads": [before, before, behind, behind],
    }


def write(trained: Trained, path: Path) -> None:
    """Write the network into an ONNX file: logits (batch, classes) of images (batch, channels, height, width), 0..1.

    Raises:
        BackendError: the package onnx is absent.
    """
    helper, arrays = package("onnx.helper"), package("onnx.numpy_helper")
    graph = _Graph(trained)
    logits(trained.architecture(), graph, IMAGES)
    height, width, channels = trained.network.image
    float32 = helper.np_dtype_to_tensor_dtype(np.dtype(np.float32))
    made = helper.make_graph(
        graph.nodes,
        "network",
        [helper.make_tensor_value_info(IMAGES, float32, ["batch", channels, height, width])],
        [helper.make_tensor_value_info(LOGITS, float32, ["batch", trained.network.classes])],
        [arrays.from_array(value, name) for name, value in graph.initializers.items()],
        doc_string=str(trained.genotype),
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(
        made, opset_imports=[opset], ir_version=IR_VERSION, producer_name="bnao", producer_version=version("bnao")
    )
    about = json.dumps({"sha256": NO_CHECKSUM, **trained.about()})
    helper.set_model_props(model, {_ABOUT: about, _CLASS_NAMES: json.dumps(trained.class_names)})
    package("onnx.checker").check_model(model, full_check=True)
    path.write_bytes(with_checksum(model.SerializeToString(deterministic=True)))


def read(path: Path) -> Trained:
    """Read the network of an ONNX file that bnao wrote.

    Raises:
        BackendError: the package onnx is absent.
        WeightsError: it is not a complete ONNX file, is damaged, or is not one of bnao's.
    """
    onnx, arrays = package("onnx"), package("onnx.numpy_helper")
    try:
        content = read_regular(path, MOST_WEIGHTS)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}") from None
    unreadable = package("google.protobuf.message").DecodeError
    try:
        model = onnx.load_model_from_string(content)
        about = {entry.key: entry.value for entry in model.metadata_props}
        state = {entry.name: arrays.to_array(entry) for entry in model.graph.initializer}
        says = parse_json(about.get(_ABOUT, "{}"))
    except (unreadable, ValueError, TypeError) as error:
        raise WeightsError(f"{path} is not a complete ONNX file: {' '.join(str(error).split())}") from None
    if is_intact(content) is False:
        raise WeightsError(f"{path} {DAMAGED}; bring back a copy of it, or export the network again")
    own = {name: value for name, value in state.items() if not name.startswith(("shift.", _MEAN, _STD))}
    return trained_of(own, says if isinstance(says, dict) else {}, str(path), whole=False)


def session(path: Path, threads: int | None = None) -> Logits:
    """Return a function from images (n, height, width, channels), 0..1, to the logits of onnxruntime.

    Args:
        path: of the file.
        threads: of the CPU; None: onnxruntime decides.

    Raises:
        BackendError: onnxruntime is absent.
    """
    runtime = package("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    if threads is not None:
        options.intra_op_num_threads = threads
    running = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def logits_of(images: NDArray[np.float32]) -> NDArray[np.float32]:
        (result,) = running.run([LOGITS], {IMAGES: np.ascontiguousarray(images.transpose(0, 3, 1, 2))})
        return np.asarray(result)

    return logits_of


EXPORTER = Exporter((".onnx",), write, session, channels_first=True)
