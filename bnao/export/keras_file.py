"""A trained network read without Keras from the .keras file that ``bnao export`` wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from bnao.errors import WeightsError
from bnao.network.keras_file import KerasFile, read_keras, understanding
from bnao.network.trained import ABOUT_FILE, Trained, trained_of

# of a layer of each of Keras' classes: the last parts of its parameters' names, and how axes are put in order
_NORM = ("scale", "shift", "mean", "variance")
_HELD: Mapping[str, tuple[tuple[str, tuple[int, ...]], ...]] = {
    "Conv2D": (("", (3, 2, 0, 1)),),
    "DepthwiseConv2D": (("", (2, 3, 0, 1)),),
    "BatchNormalization": tuple((f".{part}", (0,)) for part in _NORM),
    "Dense": ((".weight", (1, 0)), (".bias", (0,))),
}


def read(path: Path) -> Trained:
    """Read the network of a .keras file that bnao wrote.

    Raises:
        BackendError: the package h5py, which Keras brings along, is absent.
        WeightsError: it is not a whole .keras file, or is not one of bnao's networks.
    """
    file = read_keras(path)
    if file.about is None:
        raise WeightsError(
            f"{path} has no {ABOUT_FILE}, so it does not say which trained network it is of; give a .keras file that "
            f"bnao export wrote"
        )
    with understanding(path):
        held = list(_held(file))
        arrays = file.arrays([place for _, place, _ in held])
        state = {
            name: np.ascontiguousarray(array.transpose(axes))
            for (name, _, axes), array in zip(held, arrays, strict=True)
        }
    return trained_of(state, file.about if isinstance(file.about, dict) else {}, str(path), whole=False)


def _held(file: KerasFile) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """For each parameter its canonical name, its place in the file (by class, and number within it) and its axes."""
    seen: dict[str, int] = {}
    for layer in file.config["layers"]:
        kind = str(layer["class_name"])
        number = seen.get(kind, 0)
        seen[kind] = number + 1
        group = snake_case(kind) + (f"_{number}" if number else "")
        for index, (part, axes) in enumerate(_HELD.get(kind, ())):
            yield f"{layer['config']['name']}{part}", f"layers/{group}/vars/{index}", axes


def snake_case(name: str) -> str:
    """Return a class's name as Keras names its layers.

    >>> snake_case("Conv2D"), snake_case("DepthwiseConv2D"), snake_case("BatchNormalization")
    ('conv2d', 'depthwise_conv2d', 'batch_normalization')
    """
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()
