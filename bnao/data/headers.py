"""Headers of the arrays in an .npz, read before anything is unpacked: a small file may claim to be enormous."""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from typing import IO

import numpy as np
from numpy.lib import format as npy

from bnao.data.checks import check_memory
from bnao.errors import DataError

#: bytes that an archive may hold unpacked: so many for each of its own, beside a fixed allowance
_EXPANSION = 100
_ALLOWANCE = 1 << 28

# what reading a damaged header may end in
_DAMAGE = (
    ValueError,
    SyntaxError,
    tokenize.TokenError,
    OSError,
    EOFError,
    zlib.error,
    zipfile.BadZipFile,
    RuntimeError,
)
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def check_headers(archive: zipfile.ZipFile, where: str) -> None:
    """Refuse arrays whose headers cannot be true, or that would fill the memory.

    Args:
        archive: of .npy files.
        where: how an error calls it.

    Raises:
        DataError: a header is not one, has an impossible shape or another size than the file's, or all is more than a
            set of images can be; the array is named.
    """
    members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
    packed = sum(member.compress_size for member in members)
    unpacked = sum(member.file_size for member in members)
    if unpacked > _ALLOWANCE + _EXPANSION * packed:
        raise DataError(
            f"{where} would unpack to {unpacked / 2**20:,.0f} MiB, {unpacked / max(1, packed):,.0f} times its size; "
            f"images do not compress so well: it is damaged, or made to fill the memory"
        )
    check_memory(unpacked, f"{where}: its arrays")
    for member in members:
        name = member.filename.removesuffix(".npy")
        try:
            with archive.open(member) as file:
                shape, dtype = _header(file)
                held = member.file_size - file.tell()
        except _DAMAGE as error:
            raise DataError(f"{where}: {name} cannot be read, the file is damaged: {error}") from None
        if dtype.hasobject:
            continue  # refused by its own name where it is read
        # Python's whole numbers, which do not overflow
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != held:
            raise DataError(
                f"{where}: {name} cannot be read, the file is damaged: its header says shape "
                f"{'x'.join(map(str, shape))[:60]} of {dtype}, and {held:,} bytes follow"
            )


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    version = npy.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"its format is {version[0]}.{version[1]}")
    shape, _, dtype = _HEADERS[version](file)
    return shape, dtype
