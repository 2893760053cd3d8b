"""Checks of labelled images, whatever their source, and their resizing."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from bnao.errors import DataError

#: two reductions leave a quarter of the height and width, which should be more than one pixel
LEAST_PIXELS = 8
MOST_CLASSES = 1000

#: the arrays of a data set: what an .npz of images holds
ARRAYS = ("x_train", "y_train", "x_test", "y_test")


@frozen(eq=False)
class Images:
    """Data set as read from its source: two parts of uint8 images (n, height, width, channels) with labels.

    Files that could not be read and were left out are in ``unreadable``, with the reason.
    """

    name: str
    x_train: NDArray[np.uint8]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]
    class_names: tuple[str, ...]
    unreadable: Mapping[str, str] = field(factory=dict)


def checked_part(
    where: str, part: str, x: NDArray[Any], y: NDArray[Any], classes: int | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images as C-contiguous (n, height, width, channels) and labels as int64 of shape (n,).

    Args:
        where: the file, for the message.
        part: "train", "dev" or "test".
        x: uint8, shape (n, height, width) or (n, height, width, channels) with 1 or 3 channels.
        y: whole numbers, shape (n,) or (n, 1), each 0 .. classes - 1.
        classes: how many there are; MOST_CLASSES, if not yet known.

    Raises:
        DataError: anything else; it names the array and the place.
    """
    x_name, y_name = f"{where}: x_{part}", f"{where}: y_{part}"
    if x.dtype != np.uint8:
        hint = "; for values in 0..1: (255 * x).round().astype('uint8')" if x.dtype.kind == "f" else ""
        raise DataError(f"{x_name} is {x.dtype}; images must be uint8, 0..255{hint}")
    if x.ndim not in (3, 4):
        raise DataError(
            f"{x_name} has the shape {x.shape}; it must be (n, height, width) or (n, height, width, 1 or 3)"
        )
    if x.ndim == 3:
        x = x[..., None]
    if x.shape[3] not in (1, 3):
        hint = "; channels come last: x.transpose(0, 2, 3, 1)" if x.shape[1] in (1, 3) else ""
        raise DataError(f"{x_name} has the shape {x.shape}, that is {x.shape[3]} channels; it must have 1 or 3{hint}")
    if min(x.shape[1:3]) < 1:
        raise DataError(f"{x_name} has the shape {x.shape}; its images have no pixels")
    if y.dtype.kind not in "iu":
        raise DataError(f"{y_name} is {y.dtype}; labels must be integers from 0")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise DataError(f"{y_name} has the shape {y.shape}; it must be (n,), one label per image")
    if len(x) != len(y):
        raise DataError(f"{where}: x_{part} has {len(x):,} images but y_{part} has {len(y):,} labels")
    most = (MOST_CLASSES if classes is None else classes) - 1
    wrong = np.flatnonzero((y < 0) | (y > most))
    if len(wrong):
        known = f"at most {MOST_CLASSES} classes" if classes is None else f"{classes} classes"
        raise DataError(
            f"{where}: labels out of range: y_{part}[{wrong[0]}] is {y[wrong[0]]}; with {known} it can be 0..{most}"
        )
    return np.ascontiguousarray(x), np.ascontiguousarray(y, dtype=np.int64)


def checked_images(
    name: str, where: str, arrays: Mapping[str, NDArray[Any]], class_names: Sequence[str] | None = None
) -> Images:
    """Return a source's arrays as a data set: each part passes ``checked_part``, and both fit together.

    Args:
        name: how a report calls the data set.
        where: the file or folder, for the message.
        arrays: those named in ARRAYS.
        class_names: one for each class, if the source names them; else they are called by their numbers.

    Raises:
        DataError: an empty part, one class, a class without train images, or images of two sizes.
    """
    for array in ARRAYS:
        if arrays[array].ndim and not len(arrays[array]):
            raise DataError(f"{where}: {array} is empty; both parts need images and labels")
    x_train, y_train = checked_part(where, "train", arrays["x_train"], arrays["y_train"])
    present = np.bincount(y_train) > 0
    classes = len(present)
    if classes < 2 or present.sum() < 2:
        raise DataError(f"{where}: y_train has the one label {y_train[0]}; at least two classes are needed")
    if not present.all():
        raise DataError(
            f"{where}: labels out of range: y_train has labels up to {classes - 1}, but none is {present.argmin()}; "
            f"they must count the classes from 0 on without a gap"
        )
    if class_names is not None and len(class_names) != classes:
        raise DataError(
            f"{where} names {len(class_names)} classes, but y_train has the labels 0..{classes - 1}; "
            f"each class needs a name and train images"
        )
    x_test, y_test = checked_part(where, "test", arrays["x_test"], arrays["y_test"], classes)
    if x_train.shape[1:] != x_test.shape[1:]:
        raise DataError(
            f"{where}: x_train has images of {size_text(x_train)}, x_test of {size_text(x_test)}; they must be the same"
        )
    return Images(name, x_train, y_train, x_test, y_test, tuple(class_names or map(str, range(classes))))


def size_text(images: NDArray[np.uint8]) -> str:
    """Return the size of images (n, height, width, channels), such as ``32 x 32 x 3``."""
    return " x ".join(map(str, images.shape[1:]))


def physical_memory() -> float:
    """Return the bytes of this machine's memory; infinity where the system does not tell.

    >>> physical_memory() > 2**20
    True
    """
    known = hasattr(os, "sysconf") and {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= os.sysconf_names.keys()
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if known else math.inf


def check_memory(size: int, what: str) -> None:
    """Refuse what would not fit into the memory of this machine.

    Args:
        size: bytes.
        what: an error says has them.

    Raises:
        DataError: it is more than there is.
    """
    memory = physical_memory()
    if size > memory:
        raise DataError(
            f"{what} are {size / 2**30:,.1f} GiB, and this machine's memory has {memory / 2**30:,.1f} GiB; take fewer "
            f"or smaller ones"
        )


def resize(images: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize images of shape (n, height, width, channels) to another (height, width).

    Sizes that divide: the mean of each block of pixels, halves rounded up. Else Pillow's box filter where both
    sides shrink, and its bicubic one otherwise.

    >>> resize(np.array([[0, 1], [1, 1]], np.uint8).reshape(1, 2, 2, 1), (1, 1)).ravel().tolist()
    [1]
    """
    n, old_height, old_width, channels = images.shape
    height, width = size
    if (old_height, old_width) == size:
        return images
    result = np.empty((n, height, width, channels), np.uint8)
    if old_height % height == 0 and old_width % width == 0:
        down, across = old_height // height, old_width // width
        area = down * across
        sums = np.full(result.shape, area // 2, np.uint32)
        for row in range(down):
            for column in range(across):
                sums += images[:, row::down, column::across]
        result[...] = sums // area
        return result
    from PIL import Image

    shrinks = height <= old_height and width <= old_width
    kernel = Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC
    for image, place in zip(images, result, strict=True):
        shown = Image.fromarray(image if channels == 3 else image[..., 0]).resize((width, height), kernel)
        place[...] = np.asarray(shown).reshape(place.shape)
    return result
