"""A trained network as a Keras model of standard layers, which loads where bnao is not installed."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from bnao.backends.keras.engine import traced
from bnao.backends.keras.operations import EPS, MOMENTUM, Tensor, to_numpy
from bnao.backends.keras.standalone import Network
from bnao.network.stacked import to_keras
from bnao.network.trained import ABOUT_FILE, Trained
from bnao.network.walk import logits
from bnao.protocols import Exporter, Logits


class _Layers:
    """The layers of ``bnao.network.walk`` as Keras'; a state is (b, height, width, channels)."""

    def __init__(self, trained: Trained) -> None:
        self._weights = trained.weights
        #: arrays of each layer that has any, in Keras' order and layout
        self.held: list[tuple[layers.Layer, list[NDArray[np.float32]]]] = []

    def _holding(self, layer: layers.Layer, *values: NDArray[np.float32]) -> layers.Layer:
        self.held.append((layer, list(values)))
        return layer

    def convolution(
        self,
        x: Tensor,
        name: str,
        channels: int,
        kernel: tuple[int, int],
        *,
        stride: tuple[int, int] = (1, 1),
        dilation: int = 1,
        depthwise: bool = False,
    ) -> Tensor:
        strided = max(stride) > 1
        given = {"use_bias": False, "padding": "same", "dilation_rate": dilation, "name": name}
        if strided and dilation == 1:
            # Keras' own padding of strided convolutions is another than PyTorch's
            given |= {"strides": stride, "padding": "valid"}
            if max(kernel) > 1:
                x = layers.ZeroPadding2D((kernel[0] // 2, kernel[1] // 2))(x)
        layer = layers.DepthwiseConv2D(kernel, **given) if depthwise else layers.Conv2D(channels, kernel, **given)
        x = self._holding(layer, self._weights[name].transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0)))(x)
        # which Keras cannot both do at once
        return _every_second(x) if strided and dilation > 1 else x

    def norm(self, x: Tensor, name: str) -> Tensor:
        layer = layers.BatchNormalization(epsilon=EPS, momentum=1 - MOMENTUM, name=name)
        return self._holding(layer, *(self._weights[f"{name}.{p}"] for p in ("scale", "shift", "mean", "variance")))(x)

    def relu(self, x: Tensor) -> Tensor:
        return layers.ReLU()(x)

    def average_pool(self, x: Tensor, kernel: int, stride: int) -> Tensor:
        x = layers.AveragePooling2D(kernel, 1, "same")(x)  # which does not count the padding
        return x if stride == 1 else _every_second(x)

    def max_pool(self, x: Tensor, kernel: int, stride: int) -> Tensor:
        x = layers.MaxPooling2D(kernel, 1, "same")(x)
        return x if stride == 1 else _every_second(x)

    def quarter(self, x: Tensor) -> Tensor:
        return layers.AveragePooling2D(2, 2, "same")(x)

    def shifted(self, x: Tensor) -> Tensor:
        return layers.Cropping2D(((1, 0), (1, 0)))(layers.ZeroPadding2D(((0, 1), (0, 1)))(x))

    def zeros(self, x: Tensor, stride: int) -> Tensor:
        return layers.Rescaling(0.0)(x if stride == 1 else _every_second(x))

    def total(self, states: Sequence[Tensor]) -> Tensor:
        return layers.Add()(list(states))

    def joined(self, states: Sequence[Tensor]) -> Tensor:
        return layers.Concatenate()(list(states))

    def normalised(self, images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
        return layers.Normalization(mean=list(mean), variance=[each**2 for each in std], name="normalised")(images)

    def linear(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        features = layers.GlobalAveragePooling2D()(x)
        return self._holding(layers.Dense(len(bias), name=name), weight.T, bias)(features)


def _every_second(x: Tensor) -> Tensor:
    """Return every second pixel, the first among them."""
    return layers.MaxPooling2D(1, 2, "valid")(x)


def model(trained: Trained) -> keras.Model:
    """Logits (b, classes) of images (b, height, width, channels), float32 in 0..1, which it normalises itself."""
    images = keras.Input(trained.network.image, name="images")
    made = _Layers(trained)
    built = keras.Model(images, logits(trained.architecture(), made, images))
    for layer, values in made.held:
        layer.set_weights(values)
    return built


def write(trained: Trained, path: Path) -> None:
    """Write the model as a .keras file, with genotype, normalisation and class names as a member bnao.json."""
    model(trained).save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(ABOUT_FILE, trained.about_json())


def read(path: Path) -> Logits:
    """Return what the model of a .keras file computes."""
    loaded = keras.saving.load_model(path, compile=False)

    def logits_of(images: NDArray[np.float32]) -> NDArray[np.float32]:
        return to_numpy(loaded(images, training=False))

    return logits_of


def network_logits(trained: Trained) -> Logits:
    """Return what bnao's own network computes."""
    network = Network(trained.live, trained.network, "float32", auxiliary=False)
    weights, statistics = (
        {name: ops.convert_to_tensor(to_keras(name, trained.weights[name]), "float32") for name in shapes}
        for shapes in (network.shapes, network.statistics)
    )
    computed = traced(lambda weights, statistics, images: network(weights, statistics, images)[0])
    return lambda images: to_numpy(computed(weights, statistics, trained.normalised(images)))


EXPORTERS = {"keras": Exporter((".keras",), write, read, channels_first=False)}
