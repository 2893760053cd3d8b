"""Make an .npz for ``--data`` out of CIFAR-10 kept as JPEGs.

The input is an .npz with
    header    uint8, the bytes with which every one of the JPEG files begins, stored once
    data      uint8, the remaining bytes of all files, one after the other
    offsets   shape (n + 1,); file i's bytes are data[offsets[i]:offsets[i + 1]]
    labels    shape (n,), 0 .. 9
    n_train   how many of the images, from the first on, are train images; the others are test images
and the output one with x_train, y_train, x_test, y_test (uint8) and classes, as ``bnao search --data`` reads it.
JPEG is lossy: results differ a little from those on the official CIFAR-10.

    python scripts/cifar10_jpeg_to_npz.py IN.npz OUT.npz
"""

import argparse
import io
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def read_jpegs(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8], int]:
    """All images, shape (n, 32, 32, 3), their labels, and how many of them are train images."""
    with np.load(path, allow_pickle=False) as archive:
        header, data = archive["header"].tobytes(), archive["data"].tobytes()
        offsets, labels = archive["offsets"].tolist(), archive["labels"]
        n_train = int(archive["n_train"])
    images = np.empty((len(labels), 32, 32, 3), np.uint8)
    for index, (start, stop) in enumerate(pairwise(offsets)):
        with Image.open(io.BytesIO(header + data[start:stop])) as image:
            images[index] = np.asarray(image.convert("RGB"))
    return images, labels.astype(np.uint8), n_train


def main() -> None:
    """Read, convert, write beside the output and rename."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("source", type=Path, metavar="IN.npz", help="CIFAR-10 as JPEGs")
    parser.add_argument("target", type=Path, metavar="OUT.npz", help="the .npz to write")
    arguments = parser.parse_args()
    try:
        images, labels, n_train = read_jpegs(arguments.source)
    except (OSError, KeyError, ValueError, EOFError) as error:
        parser.exit(1, f"{parser.prog}: cannot read {arguments.source}: {error}\n")
    whole = arguments.target.with_name(f"{arguments.target.name}.part")
    try:
        with whole.open("wb") as file:
            np.savez_compressed(
                file,
                x_train=images[:n_train],
                y_train=labels[:n_train],
                x_test=images[n_train:],
                y_test=labels[n_train:],
                classes=np.array(CLASSES),
            )
        os.replace(whole, arguments.target)
    except OSError as error:
        whole.unlink(missing_ok=True)
        parser.exit(1, f"{parser.prog}: cannot write {arguments.target}: {error}\n")
    print(f"{arguments.target}: {n_train:,} train and {len(labels) - n_train:,} test images")


if __name__ == "__main__":
    main()
