"""Small images, in memory and on disk, that a small network learns in seconds: what tests train on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bnao.data.dataset import Dataset
from bnao.streams import stream


def learnable_images(n: int, part: str, size: int = 12, channels: int = 3, classes: int = 4) -> tuple[Any, Any]:
    """Return noisy images whose class is their bright part: uint8 (n, size, size, channels), and labels."""
    rng = stream(0, f"images {part}")
    labels = rng.permutation(np.arange(n) % classes)
    images = rng.integers(0, 120, (n, size, size, channels))
    half = size // 2
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label) % 4, 2)
        image[row * half : (row + 1) * half, column * half : (column + 1) * half] += 100
    return images.astype(np.uint8), labels.astype(np.int64)


def small_dataset() -> Dataset:
    """Return a data set of 12 x 12 images in four classes that a small network learns in seconds."""
    (x, y), (x_dev, y_dev), (x_test, y_test) = (
        learnable_images(n, part) for n, part in ((160, "train"), (64, "dev"), (64, "test"))
    )
    names = ("upper left", "upper right", "lower left", "lower right")
    return Dataset(
        name="corners", x_train=x, y_train=y, x_dev=x_dev, y_dev=y_dev, x_test=x_test, y_test=y_test, class_names=names
    )


def save_images(root: Path, size: int = 40, classes: int = 4) -> Path:
    """Return the folder, with 32 such images in train/ and 8 in val/, as ``--dataset imagenet`` has them."""
    from PIL import Image

    for part, n in (("train", 32), ("val", 8)):
        for number, (image, label) in enumerate(zip(*learnable_images(n, part, size, classes=classes), strict=True)):
            folder = root / part / f"class {label}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{number}.jpeg", quality=95)
    return root
