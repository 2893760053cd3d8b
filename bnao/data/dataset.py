"""Images as NumPy arrays with a fixed train/dev/test split, and the augmented batches of a training.

Paper: Sec. 5; docs/training.md describes split, augmentation and cutout. Images stay uint8 in memory and are normalised
and augmented as whole batches. ``bnao.data.sources`` reads them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping
from functools import cached_property, lru_cache
from typing import Protocol

import attrs
import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from bnao.config.settings import DataConfig, NetworkConfig
from bnao.data.augment import Part, augmented, jittered
from bnao.data.checks import checked_part, size_text
from bnao.data.sources import read_images
from bnao.errors import DataError
from bnao.streams import epoch_order, stream

#: images of shape (n, height, width, channels) and their labels (n,)
Batch = tuple[NDArray[np.float32], NDArray[np.int64]]
TestBatch = tuple[NDArray[np.uint8], NDArray[np.int64]]

# squares of this many uint8 values summed stay far below 2**32
_IMAGES_A_SUM = 4096


class LabelledImages(Protocol):
    """Images to train and test a stand-alone network on, in memory (``Dataset``) or on disk (``imagenet.py``)."""

    @property
    def classes(self) -> int:
        """The number of classes."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """One for each class."""
        ...

    @property
    def image(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        ...

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean of each channel, in units where white is 1; shape (channels,)."""
        ...

    @property
    def std(self) -> NDArray[np.float64]:
        """Likewise their standard deviation."""
        ...

    @property
    def n_train(self) -> int:
        """Images to train on."""
        ...

    @property
    def tells_top5(self) -> bool:
        """Whether the top-5 error is reported as well."""
        ...

    @property
    def unreadable(self) -> Mapping[str, str]:
        """The files that were left out so far, and why."""
        ...

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that tell these images from others."""
        ...

    def describe(self) -> str:
        """Return a one-line description."""
        ...

    def network(self, config: NetworkConfig) -> NetworkConfig:
        """Return the network's settings with these classes and this image filled in."""
        ...

    def joined(self) -> LabelledImages:
        """Return the same images, all but those to test on in the train part."""
        ...

    def normalised(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Normalise images of shape (n, height, width, channels), 0..255, as networks take them."""
        ...

    def train_batches(
        self, steps: range, batch_size: int, seed: int, config: DataConfig
    ) -> Generator[Batch, None, None]:
        """Return the batches of these training steps, each as ``train_batch`` says; closing ends all that was begun."""
        ...

    def test_batches(self, batch_size: int) -> Generator[TestBatch, None, None]:
        """Return all images to test on with their labels, as many at once as a backend takes."""
        ...


@frozen(eq=False, slots=False)
class Dataset:
    """Labelled images in three parts: to train on, to score on (dev), and to test the final networks on.

    Args:
        name: how a report calls it.
        x_train, x_dev, x_test: uint8, shape (n, height, width, channels), 1 or 3 channels; dev may be empty.
        y_train, y_dev, y_test: whole numbers, shape (n,), 0 .. classes - 1.
        class_names: one for each class.
        unreadable: the source's files that were left out, and why.

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
    unreadable: Mapping[str, str] = field(factory=dict, repr=False)

    #: in memory are small sets, whose top-1 error alone is reported
    tells_top5 = False

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
        """The number of classes."""
        return len(self.class_names)

    @property
    def image(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        height, width, channels = self.x_train.shape[1:]
        return height, width, channels

    @property
    def n_train(self) -> int:
        """Images to train on."""
        return len(self.y_train)

    def describe(self) -> str:
        """Return a one-line description: the sizes of the parts and of the images, and the number of classes."""
        parts = {"train": len(self.y_train), "dev": len(self.y_dev), "test": len(self.y_test)}
        return description(self.name, parts, size_text(self.x_train), self.classes)

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
        return scale_and_offset(mean, np.where(std > 0, std, 1.0), self.image)  # a channel of one value: 0, not NaN

    def normalised(self, images: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalise images (n, height, width, channels), 0..255, to (x / 255 - mean) / std of the train part."""
        scale, offset = self._scale_and_offset
        result = np.multiply(images, scale, dtype=np.float32)
        result -= offset
        return result

    @property
    def black(self) -> NDArray[np.float32]:
        """The value of a black pixel after normalisation, shape (channels,)."""
        black: NDArray[np.float32] = -self._scale_and_offset[1][0, 0]
        return black

    def network(self, config: NetworkConfig) -> NetworkConfig:
        """Return the network's settings with these classes and this image filled in.

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
        """Return the same images with the dev part added to the train part, for the training of chosen genotypes.

        What ``dev_images`` left out of the dev part is in neither; ``load_dataset(..., dev=False)`` keeps all.
        """
        return attrs.evolve(
            self,
            x_train=np.concatenate([self.x_train, self.x_dev]),
            y_train=np.concatenate([self.y_train, self.y_dev]),
            x_dev=self.x_dev[:0],
            y_dev=self.y_dev[:0],
        )

    def halved(self, seed: int) -> tuple[Dataset, Dataset]:
        """Return the same images with one half of the train part each, normalised as with all of it.

        Each half holds the same share of each class, to within one image.

        Raises:
            DataError: a half would have less than one image for each class.
        """
        n = len(self.y_train)
        if n // 2 < self.classes:
            raise DataError(
                f"{self.name}: half of {n:,} train images are {n // 2:,}; both halves need at least one image for each "
                f"of the {self.classes} classes"
            )
        halves = _stratified(self.y_train, (n + 1) // 2, stream(seed, "halves"))
        made = [attrs.evolve(self, x_train=self.x_train[half], y_train=self.y_train[half]) for half in halves]
        for half in made:
            half.__dict__["_moments"] = self._moments  # cached, so that both are normalised as the dev images are
        return made[0], made[1]

    def train_batches(
        self, steps: range, batch_size: int, seed: int, config: DataConfig
    ) -> Generator[Batch, None, None]:
        """Yield the batches of these training steps; see ``train_batch``."""
        for step in steps:
            yield train_batch(self, step, batch_size, seed, config)

    def test_batches(self, batch_size: int) -> Generator[TestBatch, None, None]:
        """Yield the whole test part at once; a backend splits images in memory as it needs."""
        yield self.x_test, self.y_test


def description(name: str, parts: Mapping[str, int], size: str, classes: int) -> str:
    """Return a data set in one line; parts without images are left out.

    >>> description("black", {"train": 1200, "dev": 0, "test": 7}, "8 x 8 x 3", 2)
    'black: 1,200 train, 7 test images of 8 x 8 x 3, 2 classes'
    """
    counts = ", ".join(f"{n:,} {part}" for part, n in parts.items() if n)
    return f"{name}: {counts} images of {size}, {classes} classes"


def scale_and_offset(
    mean: NDArray[np.float64], std: NDArray[np.float64], image: tuple[int, int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the scale of pixels 0..255, and the offset to subtract after it, for mean 0 and deviation 1.

    Args:
        mean, std: of each channel, in units where white is 1.
        image: (height, width, channels), the shape of both results.
    """
    # one value for each pixel, so that NumPy's inner loop runs over an image and not over its channels
    scale = np.broadcast_to(1 / (255 * std), image)
    return scale.astype(np.float32), (scale * 255 * mean).astype(np.float32)


def load_dataset(config: DataConfig, *, dev: bool = True) -> Dataset:
    """Return the data set the settings name, resized and split by their shares.

    Each part holds the same share of each class, to within one image; of every class at least one image is left
    to train on. Images keep their order within a part.

    Args:
        config: the source, the size and the parts; ``config.data`` goes before ``config.dataset``. Which images are
            the dev part is decided by ``config.split_seed``, not by a search's seed: scores are comparable over one
            split only. Which are the ``train_images`` it does not decide.
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
        train = fewer_train_images(images.name, labels, config.train_images)
    if dev:
        wanted = round(config.dev_share * len(train))
        if wanted < classes or len(train) - wanted < classes:
            raise DataError(
                f"{images.name}: dev_share {config.dev_share:g} of {len(train):,} train images leaves {wanted:,} for "
                f"the dev part and {len(train) - wanted:,} to train on; both need at least one image for each of the "
                f"{classes} classes"
            )
        chosen, others = _stratified(labels[train], wanted, stream(config.split_seed, "split"), spare=1)
        train, held = train[others], train[chosen]
        if config.dev_images is not None:
            _check_amount(images.name, "dev_images", config.dev_images, len(held), "dev images", classes)
            rng = stream(config.split_seed, "dev images")
            held = held[_stratified(labels[held], config.dev_images, rng)[0]]
    return Dataset(
        images.name,
        images.x_train[train],
        labels[train],
        images.x_train[held],
        labels[held],
        images.x_test,
        images.y_test,
        images.class_names,
        images.unreadable,
    )


def fewer_train_images(name: str, labels: NDArray[np.int64], wanted: int) -> NDArray[np.int64]:
    """Return the places of so many of the train images, the same share of each class and at least one.

    Raises:
        DataError: there are fewer, or more classes.
    """
    _check_amount(name, "train_images", wanted, len(labels), "train images", int(labels.max()) + 1)
    return _stratified(labels, wanted, stream(0, "train images"), least=1)[0]


def _check_amount(name: str, setting: str, wanted: int, there: int, what: str, classes: int) -> None:
    if not classes <= wanted <= there:
        raise DataError(
            f"{name}: {setting} is {wanted:,}; it can be {classes:,} (one image per class) to {there:,} (all {what})"
        )


def _stratified(
    labels: NDArray[np.int64], total: int, rng: np.random.Generator, *, least: int = 0, spare: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return random places with the same share of each class, and all others; both in ascending order.

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
    """Return integers in proportion to ``counts`` with this sum: the largest remainders are rounded up."""
    exact = counts * (total / counts.sum())
    whole: NDArray[np.int64] = np.clip(np.floor(exact).astype(np.int64), least, most)
    while (missing := total - int(whole.sum())) != 0:
        way = 1 if missing > 0 else -1
        free = np.flatnonzero(whole < most if way > 0 else whole > least)
        nearest = free[np.argsort(way * (whole - exact)[free], kind="stable")]
        whole[nearest[: abs(missing)]] += way
    return whole


def epoch_batches(n: int, batch_size: int) -> int:
    """Return the steps of an epoch: its whole batches, at least one; the remaining images are left out.

    >>> epoch_batches(1000, 64), epoch_batches(10, 64)
    (15, 1)
    """
    return max(1, n // batch_size)


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, n: int) -> NDArray[np.int64]:
    return epoch_order(seed, "order", epoch, n)


def batch_places(n: int, step: int, batch_size: int, seed: int) -> NDArray[np.int64]:
    """Return the places of a training step's images among n: each epoch visits all of them in its own order.

    >>> sorted(np.concatenate([batch_places(6, step, 3, seed=0) for step in (2, 3)]).tolist())
    [0, 1, 2, 3, 4, 5]
    """
    batch_size = min(batch_size, n)
    epoch, place = divmod(step, epoch_batches(n, batch_size))
    return _order(seed, epoch, n)[place * batch_size : (place + 1) * batch_size]


def train_batch(
    dataset: Dataset, step: int, batch_size: int, seed: int, config: DataConfig, rows: slice | None = None
) -> Batch:
    """Return the batch of a training step, normalised and augmented: a function of the seed and the step alone.

    Args:
        dataset: its train part is used.
        step: counts from 0 over the whole training; each epoch visits the images in its own order.
        batch_size: images of a batch; all, if there are fewer.
        seed: decides orders and augmentations.
        config: crop, pad, pad_with, flip, cutout, jitter and hue.
        rows: whose images alone are wanted, of consecutive rows; the others stay 0. None: all.

    Returns:
        Images of shape (batch, height, width, channels), C-contiguous, and labels of shape (batch,).
    """
    chosen = batch_places(dataset.n_train, step, batch_size, seed)
    labels = dataset.y_train[chosen]
    if rows is None or rows == slice(0, len(chosen)):
        return augmented_batch(dataset, dataset.x_train[chosen], step, seed, config), labels
    images = np.zeros((len(chosen), *dataset.x_train.shape[1:]), np.float32)
    if rows.start < rows.stop:
        part = len(chosen), rows
        images[rows] = augmented_batch(dataset, dataset.x_train[chosen[rows]], step, seed, config, part)
    return images, labels


def augmented_batch(
    dataset: Dataset,
    images: NDArray[np.uint8],
    step: int,
    seed: int,
    config: DataConfig,
    part: Part | None = None,
) -> NDArray[np.float32]:
    """Return images (n, height, width, channels), 0..255, normalised and augmented: by seed, step and n alone.

    With ``part`` they are rows of a larger batch, which are what they are in it.
    """
    changed = jittered(images, config.jitter, seed, step, hue=config.hue, part=part)
    return augmented(dataset.normalised(changed), config, seed, step, black=dataset.black, part=part)
