"""Image files in a folder for each class: which there are, and how one is opened."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.data.checks import MOST_CLASSES
from bnao.errors import DataError
from bnao.files import check_regular

if TYPE_CHECKING:
    from PIL import Image

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
#: of pixels alone, whatever a file's suffix; left out are those that are programs (EPS) or call others to decode them
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
#: size in bytes of the largest image file that is read
MOST_BYTES = 1 << 30
_DEEP_MODES = ("I", "F")  # Pillow's names of what has more than 8 bits per channel begin so
# what a damaged image may end in: a cut stream, a wrong checksum, a header that is not one
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    SyntaxError,
    LookupError,
    TypeError,
    ArithmeticError,
    struct.error,
    zlib.error,
    MemoryError,
    RuntimeError,
)


@frozen(eq=False)
class Part:
    """The image files of one part of a data set, class by class and by name within a class.

    Attributes:
        folder: holds a folder for each class.
        class_names: theirs, by label.
        names: of the files, n of them.
        labels: shape (n,).
    """

    folder: Path
    class_names: Sequence[str]
    names: Sequence[str]
    labels: NDArray[np.int64]

    def path(self, index: int) -> str:
        """Return the path of a file."""
        return os.path.join(self.folder, self.class_names[self.labels[index]], self.names[index])

    def only(self, places: NDArray[np.int64]) -> Part:
        """Return some of the files."""
        names = [self.names[place] for place in places.tolist()]
        return Part(self.folder, self.class_names, names, self.labels[places])


def class_folders(root: Path, test: str = "test") -> tuple[Part, Part]:
    """Return the image files of train/ and of the part to test on, of which nothing but the names is read.

    The classes are the folders in train/, in alphabetical order; files without an image's suffix and hidden ones are
    passed over.

    Args:
        root: holds both parts.
        test: the other part's folder.

    Raises:
        DataError: a part or its images are missing, or the classes of both do not fit.
        OSError: a folder cannot be read.
    """
    for part in ("train", test):
        if not (root / part).is_dir():
            raise DataError(f"{root} has no folder {part}/; it needs train/ and {test}/ with a folder for each class")
    names = _folders(root / "train")
    if not 2 <= len(names) <= MOST_CLASSES:
        raise DataError(f"{root / 'train'} has {len(names)} class folders; there can be 2 to {MOST_CLASSES}")
    tested = _folders(root / test)
    for name in tested:
        if name not in names:
            raise DataError(
                f"labels out of range: there is {root / test / name}, but {root / 'train'} has no class {name!r}; "
                f"it has {', '.join(names[:10])}{', ...' * (len(names) > 10)}"
            )
    if not tested and _files(root / test):
        raise DataError(f"{root / test} holds images but no folders; sort them into a folder for each class of train/")
    train = [_files(root / "train" / name) for name in names]
    if not all(train):
        empty = [name for name, files in zip(names, train, strict=True) if not files]
        more = f", as do {len(empty) - 1} more class folders" if len(empty) > 1 else ""
        raise DataError(
            f"{root / 'train' / empty[0]} holds no image ({', '.join(IMAGE_SUFFIXES)}){more}; each class needs some to "
            f"train on"
        )
    held = [_files(root / test / name) if name in tested else [] for name in names]
    if not any(held):
        raise DataError(f"{root / test} holds no image; both parts need images")
    return _part(root / "train", names, train), _part(root / test, names, held)


def _part(folder: Path, class_names: Sequence[str], files: Sequence[Sequence[str]]) -> Part:
    labels = np.repeat(np.arange(len(class_names)), [len(of_class) for of_class in files])
    return Part(folder, class_names, [name for of_class in files for name in of_class], labels)


def _folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.name[0] != "." and entry.is_dir())


def _files(folder: Path) -> list[str]:
    """Return the sorted names of the image files."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    return sorted(name for name in names if name[0] != "." and name.lower().endswith(IMAGE_SUFFIXES))


@contextmanager
def opened(path: str) -> Iterator[Image.Image]:
    """Yield the file as an image of 8 bits per channel; read from it within the context.

    Raises:
        DataError: it cannot be read as one; the file is named.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        check_regular(path, MOST_BYTES)
        with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning):
            file = Image.open(path, formats=FORMATS)
        with file as image:
            if image.mode.startswith(_DEEP_MODES):
                raise DataError(f"{path} has more than 8 bits per channel (mode {image.mode}); save it with 8")
            yield image
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(
            f"{path} cannot be read as an image: it is damaged, or of another format than {', '.join(FORMATS)}"
        ) from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise DataError(f"{path} cannot be read as an image: it has more pixels than any that is trained on") from None
    except _DAMAGE as error:
        raise DataError(f"{path} cannot be read as an image: {error}") from None
