"""Files that are read whole or refused: regular ones of a bounded size, with a checksum in those that bnao writes.

One rule for every kind of file: behind the word ``sha256`` stand 64 hexadecimal digits, the SHA-256 of the file's own
bytes with zeros in place of these digits. A file without it, as earlier versions wrote, is read without the check.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

#: largest size in bytes of a file of settings, of JSON, of a table or list of genotypes, and of weights
MOST_SETTINGS = 1 << 16
MOST_JSON = 1 << 29
MOST_TABLE = 1 << 29
MOST_WEIGHTS = 1 << 36

#: what a file says of its checksum while its bytes are hashed
NO_CHECKSUM = "0" * 64

# as JSON, as JSON within a text of JSON, and as TOML
_CHECKSUM = re.compile(rb'sha256\\?"?(?:: | = )\\?"([0-9a-f]{64})\\?"')
# what is left of a checksum where the word before it or one of its digits was damaged, and where it would stand
_DIGITS = re.compile(rb"[0-9a-f]{33}")
_BEGINNING = 200
_AT_ONCE = 1 << 20
# what may be a number beyond any float
_LARGE_NUMBER = re.compile(rb"[0-9]{300}|[0-9][eE]\+?[0-9]{3}")


def check_regular(path: str | Path, most: int) -> int:
    """Return the size of a file in bytes, without opening it.

    Args:
        path: the file.
        most: bytes it may have.

    Raises:
        OSError: there is no such file, it is none that ends (a pipe, a device), or it is larger.
    """
    try:
        status = os.stat(path)
    except ValueError as error:  # a NUL in the name
        raise OSError(errno.EINVAL, str(error), str(path)) from None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file but a pipe or a device", str(path))
    if status.st_size > most:
        raise OSError(errno.EFBIG, f"it has {status.st_size:,} bytes, and at most {most:,} are read", str(path))
    return status.st_size


def read_regular(path: str | Path, most: int) -> bytes:
    """Return the content of a regular file of bounded size.

    Raises:
        OSError: as ``check_regular``, or it cannot be read.
    """
    size = check_regular(path, most)
    with open(path, "rb") as file:
        return file.read(size)


def parse_json(text: str | bytes, *, finite: bool = True) -> Any:
    """Return what a JSON text says.

    Args:
        text: the text.
        finite: whether NaN and infinities, which JSON does not know and Python writes, are refused.

    Raises:
        ValueError: it is not JSON, is nested too deeply, or has a number that is not finite or too long.

    >>> parse_json('{"a": [1, 2.5]}')
    {'a': [1, 2.5]}
    >>> parse_json("[" * 100_000)
    Traceback (most recent call last):
        ...
    ValueError: its brackets are nested too deeply
    >>> parse_json("[NaN]")
    Traceback (most recent call last):
        ...
    ValueError: it has the number NaN, and JSON has finite ones alone
    """
    # hooks take time with every number, and next to no file has one of these
    large = _LARGE_NUMBER.search(_bytes(text)) is not None
    whole, real = (_whole_number, _number) if large else (None, None)
    try:
        return json.loads(text, parse_constant=_refuse_constant if finite else None, parse_int=whole, parse_float=real)
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None


def _bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text


def _refuse_constant(text: str) -> float:
    raise ValueError(f"it has the number {text}, and JSON has finite ones alone")


def _whole_number(digits: str) -> int:
    if len(digits) > 300:  # beyond any float, which it may have to become
        raise ValueError(f"it has a number of {len(digits)} digits")
    return int(digits)


def _number(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"it has the number {text[:40]}, which is beyond any float")
    return number


def with_checksum(content: bytes) -> bytes:
    """Return content with its checksum in place of ``NO_CHECKSUM``, where it says ``sha256``.

    >>> made = with_checksum(b'{"sha256": "' + NO_CHECKSUM.encode() + b'", "seed": 1}')
    >>> is_intact(made), is_intact(made.replace(b"1}", b"2}")), is_intact(b'{"seed": 1}')
    (True, False, None)
    """
    place = _CHECKSUM.search(content)
    if place is None:
        raise ValueError("the content has no place for a checksum")
    digits = hashlib.sha256(content).hexdigest().encode()
    return b"".join((memoryview(content)[: place.start(1)], digits, memoryview(content)[place.end(1) :]))


def is_intact(content: bytes) -> bool | None:
    """Return whether content has the checksum that stands in it; None if none does."""
    place = _CHECKSUM.search(content)
    if place is None:
        return False if _DIGITS.search(content, 0, _BEGINNING) else None
    hashed = hashlib.sha256(memoryview(content)[: place.start(1)])
    hashed.update(NO_CHECKSUM.encode())
    hashed.update(memoryview(content)[place.end(1) :])
    return hashed.hexdigest().encode() == place[1]


def file_is_intact(path: str | Path, *, head: int) -> bool | None:
    """Return whether a file has the checksum that stands in it, reading a part at a time; None if none does.

    Args:
        path: the file.
        head: bytes at its beginning in which the checksum stands.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        first = file.read(head)
        place = _CHECKSUM.search(first)
        if place is None:
            return False if _DIGITS.search(first, 0, _BEGINNING) else None
        hashed = hashlib.sha256(first[: place.start(1)])
        hashed.update(NO_CHECKSUM.encode())
        hashed.update(first[place.end(1) :])
        while part := file.read(_AT_ONCE):
            hashed.update(part)
    return hashed.hexdigest().encode() == place[1]
