"""Images as NumPy arrays with a fixed train/dev/test split, and the augmented batches of a training.

Paper: Sec. 5; the split, the augmentation and the cutout are SPEC section 8's. Images stay uint8 in memory and
are normalised and augmented as whole batches. Where they come from is in ``bnao.datasets``.
"""

from __future__ import annotations

import hashlib
from functools import cached_property, lru_cache

import attrs
import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from bnao.augment import augmented, jittered
from bnao.config import DataConfig, NetworkConfig
from bnao.datasets import read_images
from bnao.errors import DataError
from bnao.images import checked_part, size_text
from bnao.streams import epoch_order, stream

# squares of this many uint8 values summed stay far below 2**32
_IMAGES_A_SUM = 4096


@frozen(eq=False, slots=False)
class Dataset:
    """Labelled images in three parts: to train on, to score on (dev), and to test the final networks on.

    Args:
        name: how a report calls it.
        x_train, x_dev, x_test: uint8, shape (n, height, width, channels), 1 or 3 channels; dev may be empty.
        y_train, y_dev, y_test: whole numbers, shape (n,), 0 .. classes - 1.
        class_names: one for each class.

    Raises:
        DataError: arrays of another type or shape, or labels out of range.

    >>> images, labels = np.zeros((4, 8, 8, 3), np.uint8), np.array([0, 1, 0, 1])
    >>> dataset = Dataset("black", images, labels, images[:2], labels[:2], images, labels, ("a", "b"))
    >>> dataset.describe()
    'black: 4 train, 2 dev, 4 test images of 8 x 8 x 3, 2 classes'
    """

    name: str
    x_train: NDArray[np.uint8] = field(repr=False)
    y_train: NDArray[np.int64] = field(repr=False)
    x_dev: NDArray[np.uint8] = field(repr=False)
    y_dev: NDArray[np.int64] = field(repr=False)
    x_test: NDArray[np.uint8] = field(repr=False)
    y_test: NDArray[np.int64] = field(repr=False)
    class_names: tuple[str, ...]

    def __attrs_post_init__(self) -> None:
        for part in ("train", "dev", "test"):
            x, y = checked_part(
                f"data set {self.name!r}", part, getattr(self, f"x_{part}"), getattr(self, f"y_{part}"), self.classes
            )
            if x.shape[1:] != self.x_train.shape[1:]:
                raise DataError(
                    f"data set {self.name!r}: x_{part} has images of {size_text(x)}, x_train of "
                    f"{size_text(self.x_train)}; they must be the same"
                )
            object.__setattr__(self, f"x_{part}", x)
            object.__setattr__(self, f"y_{part}", y)

    @property
    def classes(self) -> int:
        """How many classes there are to tell apart."""
        return len(self.class_names)

    @property
    def image(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        height, width, channels = self.x_train.shape[1:]
        return height, width, channels

    def describe(self) -> str:
        """One line for people: the parts' sizes, the images' and the number of classes."""
        parts = [
            f"{len(labels):,} {part}"
            for part, labels in (("train", self.y_train), ("dev", self.y_dev), ("test", self.y_test))
            if len(labels)
        ]
        return f"{self.name}: {', '.join(parts)} images of {size_text(self.x_train)}, {self.classes} classes"

    @cached_property
    def _moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        shape = self.image
        sums, squares = np.zeros(shape, np.uint64), np.zeros(shape, np.uint64)
        for start in range(0, len(self.x_train), _IMAGES_A_SUM):
            images = self.x_train[start : start + _IMAGES_A_SUM]
            sums += images.sum(axis=0, dtype=np.uint32)
            squares += np.square(images, dtype=np.uint16).sum(axis=0, dtype=np.uint32)  # 255**2 fits 16 bits
        pixels = self.x_train.size // shape[2]
        mean = sums.sum(axis=(0, 1)) / pixels
        variance = np.maximum(squares.sum(axis=(0, 1)) / pixels - mean**2, 0)
        return mean / 255, np.sqrt(variance) / 255

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean of each channel over the train part, in units where white is 1; shape (channels,)."""
        return self._moments[0].copy()

    @property
    def std(self) -> NDArray[np.float64]:
        """Standard deviation of each channel over the train part, in units where white is 1; shape (channels,)."""
        return self._moments[1].copy()

    @cached_property
    def _scale_and_offset(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        mean, std = self._moments
        std = np.where(std > 0, std, 1.0)  # a channel of one value becomes 0, not NaN
        # one value for each pixel, so that NumPy's inner loop runs over an image and not over its channels
        scale = np.broadcast_to(1 / (255 * std), self.image)
        return scale.astype(np.float32), (scale * 255 * mean).astype(np.float32)

    def normalised(self, images: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
        """Images of shape (n, height, width, channels), 0..255, as (x / 255 - mean) / std of the train part."""
        scale, offset = self._scale_and_offset
        result = np.multiply(images, scale, dtype=np.float32)
        result -= offset
        return result

    def network(self, config: NetworkConfig) -> NetworkConfig:
        """The network's settings with these classes and this image filled in.

        Raises:
            ConfigError: the images are too small for the network.
        """
        return attrs.evolve(config, classes=self.classes, image=self.image)

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change with any pixel, label or part; equal data have equal ones."""
        digest = hashlib.blake2b(digest_size=16)
        for array in (self.x_train, self.y_train, self.x_dev, self.y_dev, self.x_test, self.y_test):
            digest.update(f"{array.dtype.name}{array.shape}".encode())
            digest.update(array.data if array.size else b"")
        return digest.hexdigest()

    def joined(self) -> Dataset:
        """The same images with the dev part added to the train part, for the training of chosen genotypes.

        What ``dev_images`` left out of the dev part is in neither; ``load_dataset(..., dev=False)`` keeps all.
        """
        return attrs.evolve(
            self,
            x_train=np.concatenate([self.x_train, self.x_dev]),
            y_train=np.concatenate([self.y_train, self.y_dev]),
            x_dev=self.x_dev[:0],
            y_dev=self.y_dev[:0],
        )


def load_dataset(config: DataConfig, *, seed: int = 0, dev: bool = True) -> Dataset:
    """The data set the settings name, shown at their size and split by their shares.

    Each part holds the same share of each class, to within one image; of every class at least one image is left
    to train on. Images keep their order within a part.

    Args:
        config: the source, the size and the parts; ``config.data`` goes before ``config.dataset``.
        seed: decides the split. Scores are comparable only over one split, so it is not the search's seed
            unless the caller makes it so.
        dev: whether a dev part is split off; without, it is empty and the train part holds all.

    Raises:
        DataError: the data are absent, damaged, incomplete, or too few for the parts asked for.

    >>> load_dataset(DataConfig(dataset="fashion-mnist", image_size=14, dev_share=0.2)).describe()
    'fashion-mnist: 2,400 train, 600 dev, 1,000 test images of 14 x 14 x 1, 10 classes'
    """
    images = read_images(config)
    labels = images.y_train
    train, held = np.arange(len(labels)), np.arange(0)
    classes = len(images.class_names)
    if config.train_images is not None:
        _check_amount(images.name, "train_images", config.train_images, len(train), "train images", classes)
        train, _ = _stratified(labels, config.train_images, stream(seed, "train images"), least=1)
    if dev:
        wanted = round(config.dev_share * len(train))
        if wanted < classes or len(train) - wanted < classes:
            raise DataError(
                f"{images.name}: dev_share {config.dev_share:g} of {len(train):,} train images leaves {wanted:,} for "
                f"the dev part and {len(train) - wanted:,} to train on; both need at least one image for each of the "
                f"{classes} classes"
            )
        chosen, others = _stratified(labels[train], wanted, stream(seed, "split"), spare=1)
        train, held = train[others], train[chosen]
        if config.dev_images is not None:
            _check_amount(images.name, "dev_images", config.dev_images, len(held), "dev images", classes)
            held = held[_stratified(labels[held], config.dev_images, stream(seed, "dev images"))[0]]
    return Dataset(
        images.name,
        images.x_train[train],
        labels[train],
        images.x_train[held],
        labels[held],
        images.x_test,
        images.y_test,
        images.class_names,
    )


def _check_amount(name: str, setting: str, wanted: int, there: int, what: str, classes: int) -> None:
    if not classes <= wanted <= there:
        raise DataError(
            f"{name}: {setting} is {wanted:,}; it can be {classes:,} (one image a class) to {there:,} (all {what})"
        )


def _stratified(
    labels: NDArray[np.int64], total: int, rng: np.random.Generator, *, least: int = 0, spare: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """So many random places with the same share of each class, and all other places; both in ascending order.

    Of each class at least ``least`` are taken and ``spare`` left, where it has so many.
    """
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]  # by class, at random within each
    counts = np.bincount(labels)
    taken = _apportioned(counts, total, np.minimum(least, counts), np.maximum(counts - spare, 0))
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    chosen = rank < np.repeat(taken, counts)
    return np.sort(order[chosen]), np.sort(order[~chosen])


def _apportioned(
    counts: NDArray[np.int64], total: int, least: NDArray[np.int64], most: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Whole numbers in the shares of ``counts`` that sum to the total: the largest remainders are rounded up."""
    exact = counts * (total / counts.sum())
    whole: NDArray[np.int64] = np.clip(np.floor(exact).astype(np.int64), least, most)
    while (missing := total - int(whole.sum())) != 0:
        way = 1 if missing > 0 else -1
        free = np.flatnonzero(whole < most if way > 0 else whole > least)
        nearest = free[np.argsort(way * (whole - exact)[free], kind="stable")]
        whole[nearest[: abs(missing)]] += way
    return whole


def epoch_batches(n: int, batch_size: int) -> int:
    """Steps of an epoch: its whole batches, at least one; what is left over waits for another epoch's order.

    >>> epoch_batches(1000, 64), epoch_batches(10, 64)
    (15, 1)
    """
    return max(1, n // batch_size)


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, n: int) -> NDArray[np.int64]:
    return epoch_order(seed, "order", epoch, n)


def train_batch(
    dataset: Dataset, step: int, batch_size: int, seed: int, config: DataConfig
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The batch of a training step, normalised and augmented: a function of the seed and the step alone.

    Args:
        dataset: its train part is used.
        step: counts from 0 over the whole training; each epoch visits the images in its own order.
        batch_size: images of a batch; all, if there are fewer.
        seed: decides orders and augmentations.
        config: crop, pad, flip, cutout and jitter.

    Returns:
        Images of shape (batch, height, width, channels), C-contiguous, and labels of shape (batch,).
    """
    n = len(dataset.y_train)
    batch_size = min(batch_size, n)
    epoch, place = divmod(step, epoch_batches(n, batch_size))
    chosen = _order(seed, epoch, n)[place * batch_size : (place + 1) * batch_size]
    images = jittered(dataset.x_train[chosen], config.jitter, seed, step)
    return augmented(dataset.normalised(images), config, seed, step), dataset.y_train[chosen]
