"""Reads pickles of plain data without running anything that they name.

A pickle may name any function of any module, and Python's own reader calls it. This reader admits a handful of names,
puts a function or class of its own in the place of each, and refuses a file that names anything else. What comes out
is dicts, lists, tuples, sets, texts and numbers. Four wrappings are known: a bare pickle, a pickle compressed by bzip2,
and both of PyTorch's file formats (a zip archive, and before version 1.6 a row of pickles).
"""

import bz2
import collections
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

#: the first pickle of a file that PyTorch wrote before version 1.6 (torch/serialization.py, MAGIC_NUMBER)
MAGIC = 0x1950A86A20F9469CFC6C

#: NumPy's names of plain numbers: kind and bytes
DTYPES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")


class Left:
    """What stands in the place of a tensor: nothing can be done with it."""


class _Dtype:
    """A NumPy type of plain numbers, as pickles make one: by its name, then by its state with the byte order."""

    def __init__(self, name: str, *_: object) -> None:
        if name not in DTYPES:
            raise pickle.UnpicklingError(f"it holds numbers of the type {str(name)[:20]!r}")
        self.name, self.order = name, "="

    def __setstate__(self, state: tuple[object, ...]) -> None:
        self.order = {"<": "<", ">": ">"}.get(str(state[1]), "=")


def _number(dtype: _Dtype, data: bytes) -> float:
    """Return a NumPy number as a number of Python."""
    number: float = np.frombuffer(data, np.dtype(dtype.order + dtype.name), count=1)[0].item()
    return number


def _latin(text: str, encoding: str) -> bytes:
    """Return the bytes that pickles of protocol 2 keep as a text."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes a text as {str(encoding)[:20]!r}")
    return text.encode("latin1")


def _left(*_: object) -> Left:
    return Left()


def _plain_dict(*_: object) -> dict[object, object]:
    """Return an empty dict in the place of a defaultdict, whose function for missing keys is dropped."""
    return {}


ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "defaultdict"): _plain_dict,
    ("_codecs", "encode"): _latin,
    ("numpy", "dtype"): _Dtype,
    ("torch._utils", "_rebuild_tensor"): _left,
    ("torch._utils", "_rebuild_tensor_v2"): _left,
    **{(module, "scalar"): _number for module in ("numpy.core.multiarray", "numpy._core.multiarray")},
    # Python 3 writes these, and protocol 2 their names in Python 2
    **{
        (module, kind.__name__): kind for module in ("builtins", "__builtin__") for kind in (set, frozenset, list, dict)
    },
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        if (module, name) in ADMITTED:
            return ADMITTED[module, name]
        if module == "torch" and name.endswith("Storage"):
            return _left
        raise pickle.UnpicklingError(f"it names {module}.{name}, which plain data has no need of; nothing was run")

    def persistent_load(self, pid: object) -> Left:
        return Left()


def read(path: Path) -> Any:
    """Return what a file of plain data holds.

    Raises:
        ValueError: damaged, or it names something that is not admitted.
        OSError: it cannot be opened.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(0)
            if start.startswith(b"BZh"):
                with bz2.open(file) as unpacked:
                    return _read(unpacked)
            if start == b"PK\x03\x04":
                with zipfile.ZipFile(file) as archive:
                    member = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
                    if member is None:
                        raise ValueError("a zip archive without a data.pkl; PyTorch's files have one")
                    with archive.open(member) as unpacked:
                        return _read(unpacked)
            return _read(file)
    except FileNotFoundError:
        raise
    except EOFError:
        raise ValueError("it ends too early") from None
    except Exception as error:  # damaged pickles raise almost anything (documentation of pickle.UnpicklingError)
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(str(error) or type(error).__name__) from None


def _read(file: IO[bytes]) -> Any:
    content = _Unpickler(file).load()
    if not isinstance(content, int) or content != MAGIC:
        return content
    _Unpickler(file).load()  # the format's number
    _Unpickler(file).load()  # the machine's byte order
    return _Unpickler(file).load()
