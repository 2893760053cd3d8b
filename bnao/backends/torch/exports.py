"""A trained network in PyTorch's own formats: a program with its state_dict, and a Python file with its weights."""

from __future__ import annotations

import importlib.util
import json
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bnao.backends.torch import plain
from bnao.backends.torch.source import source
from bnao.backends.torch.standalone import Network
from bnao.backends.torch.supernet import images_of
from bnao.errors import BackendError, ExportError
from bnao.network.state import read_weights, to_bytes
from bnao.network.state_dict import IMAGE, NAMES, torch_name
from bnao.network.trained import ABOUT_FILE, Trained
from bnao.protocols import Exporter, Logits
from bnao.space.operations import own_operation

_WEIGHTS = ".safetensors"


def network_logits(trained: Trained) -> Logits:
    """Return what bnao's own network computes."""
    network = Network(trained.live, trained.network, seed=0)
    network.layers.load(trained.weights)

    @torch.inference_mode()
    def logits(images: NDArray[np.float32]) -> NDArray[np.float32]:
        return network(images_of(trained.normalised(images), network.device))[0].numpy()

    return logits


def _state_dict(network: nn.Module, trained: Trained) -> dict[str, Tensor]:
    weights = {torch_name(name): torch.from_numpy(np.array(value)) for name, value in trained.weights.items()}
    normalisation = {name: tensor for name, tensor in network.state_dict().items() if name.startswith(IMAGE)}
    return {**weights, **normalisation}


def _check_plain(trained: Trained) -> None:
    """Raise ExportError for an operation that ``plain.py`` does not have."""
    edges = {edge.operation for cell in trained.live.cells for node in cell.nodes for edge in node.edges}
    own = sorted(operation for operation in edges if own_operation(operation))
    if own:
        raise ExportError(
            f"operation {own[0]!r} is of another package, which a file that needs PyTorch alone cannot have; --to onnx "
            f"and --to keras can"
        )


def _plain_network(trained: Trained) -> plain.Network:
    _check_plain(trained)
    network = plain.Network(trained.architecture())
    network.load_state_dict(_state_dict(network, trained))
    return network.eval()


def _write_weights(network: nn.Module, trained: Trained, path: Path) -> None:
    """Write the state_dict, the same bytes in every format."""
    state = {name: tensor.numpy() for name, tensor in _state_dict(network, trained).items()}
    path.with_suffix(_WEIGHTS).write_bytes(to_bytes(state, {**trained.about(), "names": NAMES}))


# --- a program


def write_program(trained: Trained, path: Path) -> None:
    """Write what ``torch.export.load`` reads, with a batch of any size, and beside it the state_dict.

    Genotype, normalisation and class names are an extra file of it, bnao.json.

    Raises:
        BackendError: this PyTorch would put a pickle into it.
    """
    network = _plain_network(trained)
    height, width, channels = trained.network.image
    images = torch.rand(2, channels, height, width)  # of a batch of one the size would be taken as fixed
    program = torch.export.export(network, (images,), dynamic_shapes={"images": {0: torch.export.Dim("batch")}})
    program.example_inputs = None  # which would be pickled
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    torch.export.save(program, path, extra_files={ABOUT_FILE: trained.about_json()})
    if _holds_pickle(path):
        raise BackendError(
            f"PyTorch {torch.__version__} pickles the weights of a program; --to torch needs a newer one"
        )
    _write_weights(network, trained, path)


def _holds_pickle(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.filename.endswith(".pt") and member.file_size:
                return True
            if member.filename.endswith("_config.json"):
                payloads = json.loads(archive.read(member)).get("config", {})
                if any(payload.get("use_pickle") for payload in payloads.values()):
                    return True
    return False


def read_program(path: Path) -> Logits:
    """Return what the program computes; its weights and those beside it must be the same.

    Raises:
        ExportError: they are not.
    """
    program = torch.export.load(path)
    for name, value in read_weights(path.with_suffix(_WEIGHTS))[0].items():
        if not np.array_equal(program.state_dict[name].detach().numpy(), value):
            raise ExportError(f"{path} and the weights beside it differ in {name}")
    return _logits_of(program.module())


# --- a Python file


def write_source(trained: Trained, path: Path) -> None:
    """Write a Python file that builds the network with PyTorch alone, and beside it the weights that it loads."""
    _check_plain(trained)
    path.write_text(source(trained), encoding="utf-8")
    _write_weights(plain.Network(trained.architecture()), trained, path)


def read_source(path: Path) -> Logits:
    """Return what the network of the file computes with the weights beside it."""
    return _logits_of(_imported(path).Network().load(path.with_suffix(_WEIGHTS)).eval())


def _imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"bnao exported {path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _logits_of(network: nn.Module) -> Logits:
    @torch.no_grad()
    def logits(images: NDArray[np.float32]) -> NDArray[np.float32]:
        return network(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()

    return logits


EXPORTERS = {
    "torch": Exporter((".pt2", _WEIGHTS), write_program, read_program, channels_first=True),
    "python": Exporter((".py", _WEIGHTS), write_source, read_source, channels_first=True),
}
