"""A trained network read without Keras from the .keras file that ``bnao export`` wrote: JSON and HDF5 in an archive."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnao.backends import hint
from bnao.errors import BackendError, WeightsError
from bnao.files import MOST_JSON, MOST_WEIGHTS, check_regular, parse_json
from bnao.network.trained import ABOUT_FILE, Trained, trained_of

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"

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
        WeightsError: it is not a complete .keras file, or is not one of bnao's networks.
    """
    try:
        import h5py
    except ImportError as error:
        raise BackendError(f".keras files need h5py ({error}); try: {hint('keras')}") from None
    try:
        check_regular(path, MOST_WEIGHTS)
        with zipfile.ZipFile(path) as archive:
            if ABOUT_FILE not in archive.namelist():
                raise WeightsError(
                    f"{path} has no {ABOUT_FILE}, so it does not say which trained network it is of; give a .keras "
                    f"file that bnao export wrote"
                )
            about = parse_json(_member(archive, ABOUT_FILE, MOST_JSON))
            layers = parse_json(_member(archive, _CONFIG, MOST_JSON))["config"]["layers"]
            content = _member(archive, _WEIGHTS, MOST_WEIGHTS)
        with h5py.File(io.BytesIO(content), "r") as file:
            state = dict(_parameters(layers, file))
    except WeightsError:
        raise
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError, IndexError, NotImplementedError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise WeightsError(f"{path} is not a complete .keras file of a network: {reason}") from None
    return trained_of(state, about if isinstance(about, dict) else {}, str(path), whole=False)


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Return a member's content, which its checksum is held against."""
    size = archive.getinfo(name).file_size
    if size > most:
        raise ValueError(f"{name} has {size:,} bytes, and at most {most:,} are read")
    return archive.read(name)


def _parameters(layers: Iterable[Mapping[str, Any]], file: Any) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Return the parameters of layers by canonical name; in the file they go by class and number within it."""
    seen: dict[str, int] = {}
    for layer in layers:
        kind = str(layer["class_name"])
        number = seen.get(kind, 0)
        seen[kind] = number + 1
        group = snake_case(kind) + (f"_{number}" if number else "")
        for index, (part, axes) in enumerate(_HELD.get(kind, ())):
            value = np.asarray(file[f"layers/{group}/vars/{index}"][()], np.float32)
            yield f"{layer['config']['name']}{part}", np.ascontiguousarray(value.transpose(axes))


def snake_case(name: str) -> str:
    """Return a class's name as Keras names its layers.

    >>> snake_case("Conv2D"), snake_case("DepthwiseConv2D"), snake_case("BatchNormalization")
    ('conv2d', 'depthwise_conv2d', 'batch_normalization')
    """
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()
