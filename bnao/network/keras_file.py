"""A .keras file read without Keras: an archive of JSON, and of arrays in HDF5."""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.config.settings import NetworkConfig
from bnao.errors import BackendError, BnaoError, WeightsError
from bnao.files import MOST_JSON, MOST_WEIGHTS, check_regular, parse_json
from bnao.network.parameters import supernet_shapes
from bnao.network.stacked import stacks_of
from bnao.network.state import check_state
from bnao.network.trained import ABOUT_FILE

SUFFIX = ".keras"
_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"


@frozen(eq=False)
class KerasFile:
    """The content of a .keras file.

    Attributes:
        path: the file.
        kind: the name of the model's class.
        config: what the model's ``get_config`` returned.
        about: what bnao's export says of it; None in another file.
        weights: its arrays, a whole HDF5 file.
    """

    path: Path
    kind: str
    config: dict[str, Any]
    about: Any
    weights: bytes = attrs.field(repr=False)

    def arrays(self, names: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return arrays by their paths in the file, such as ``layers/dense/vars/0``.

        Raises:
            BackendError: the package h5py, which Keras brings along, is absent.
            WeightsError: one is not there.
        """
        try:
            import h5py
        except ImportError as error:
            raise BackendError(f".keras files need h5py ({error}); try: pip install 'bnao[keras]'") from None
        with understanding(self.path), h5py.File(io.BytesIO(self.weights), "r") as file:
            return [np.asarray(file[name][()], np.float32) for name in names]


@contextlib.contextmanager
def understanding(path: Path) -> Iterator[None]:
    """Raise WeightsError, with the file's name, for what shows that it is not what it should be."""
    try:
        yield
    except BnaoError:
        raise
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError, IndexError, NotImplementedError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise WeightsError(f"{path} is not a complete .keras file of a network: {reason}") from None


def read_keras(path: Path) -> KerasFile:
    """Read a .keras file.

    Raises:
        WeightsError: it is not a whole one.
    """
    with understanding(path):
        check_regular(path, MOST_WEIGHTS)
        with zipfile.ZipFile(path) as archive:
            about = None
            if ABOUT_FILE in archive.namelist():
                about = parse_json(_member(archive, ABOUT_FILE, MOST_JSON))
            model = parse_json(_member(archive, _CONFIG, MOST_JSON))
            weights = _member(archive, _WEIGHTS, MOST_WEIGHTS)
        return KerasFile(path, str(model["class_name"]), dict(model["config"]), about, weights)


def read_supernet(path: Path) -> tuple[NetworkConfig, dict[str, NDArray[np.float32]]]:
    """Read the network and weights of a ``bnao.backends.keras.Supernet`` that was saved.

    Returns:
        Its network, and its parameters by canonical name.

    Raises:
        BackendError: the package h5py is absent.
        WeightsError: it is not a whole .keras file of a supernet.
    """
    file = read_keras(path)
    with understanding(path):
        if file.kind != "Supernet" or "network" not in file.config:
            raise WeightsError(f"{path} holds a {file.kind}; it must be a bnao.backends.keras.Supernet that was saved")
        settings = file.config["network"]
        network = NetworkConfig(**{**settings, "image": tuple(settings["image"])})
        stacks = list(stacks_of(network).values())
        arrays = file.arrays([f"vars/{index}" for index in range(len(stacks))])
        state: dict[str, NDArray[np.float32]] = {}
        for each, array in zip(stacks, arrays, strict=True):
            state |= each.parameters(array)
    check_state(state, supernet_shapes(network), str(path))
    return network, state


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Return a member's content, which its checksum is held against."""
    size = archive.getinfo(name).file_size
    if size > most:
        raise ValueError(f"{name} has {size:,} bytes, and at most {most:,} are read")
    return archive.read(name)
