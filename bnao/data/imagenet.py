"""ImageNet: images too many for memory, read from disk while a network trains (Sec. 5.4; docs/training.md).

What a step sees is a function of the seed and the step, however many processes read it.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from attrs import field, frozen
from numpy.typing import DTypeLike, NDArray

from bnao.config.settings import STREAMED, DataConfig, NetworkConfig
from bnao.data.dataset import (
    Batch,
    LabelledImages,
    TestBatch,
    batch_places,
    description,
    fewer_train_images,
    load_dataset,
    scale_and_offset,
)
from bnao.data.decoding import Augmentation, Decoders, Finish, Task, copied
from bnao.data.folders import Part, class_folders
from bnao.errors import ConfigError, DataError

log = logging.getLogger(__name__)

#: height and width that ImageNet's images are shown at where nothing else is said
IMAGE_SIZE = 224

# of ImageNet's images by channel, in units where white is 1
_MEAN = np.array([0.485, 0.456, 0.406])
_STD = np.array([0.229, 0.224, 0.225])

#: the most processes that read where nothing else is said, each of which takes some 50 MB
MOST_WORKERS = 16

# places of the images of a batch in their part, and how they are changed
_Wanted = tuple[NDArray[np.int64], Augmentation | None]

# of a task: a batch's images are shared out, and its first are there soon
_IMAGES_AT_ONCE = 32
# tasks that wait for each process, beside the batch that is waited for
_TASKS_AHEAD = 2


@frozen(eq=False, slots=False)
class StreamedDataset:
    """Labelled images on disk that a stand-alone network is trained and tested on; see ``LabelledImages``.

    Attributes:
        name: how a report calls it.
        train, test: its files.
        size: height and width that they are resized to.
        workers: processes that read them; 0: the one that trains does.
        skips: whether files that cannot be read are left out; else the first one is the end.
        unreadable: those that were, and why.
    """

    name: str
    train: Part = field(repr=False)
    test: Part = field(repr=False)
    size: int = IMAGE_SIZE
    workers: int = 0
    skips: bool = False
    unreadable: dict[str, str] = field(factory=dict, repr=False)

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.train.class_names)

    @property
    def class_names(self) -> tuple[str, ...]:
        """One for each class: the folders' names."""
        return tuple(self.train.class_names)

    @property
    def mean(self) -> NDArray[np.float64]:
        """ImageNet's mean of each channel, in units where white is 1."""
        return _MEAN.copy()

    @property
    def std(self) -> NDArray[np.float64]:
        """ImageNet's standard deviation of each channel, in units where white is 1."""
        return _STD.copy()

    @property
    def image(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image as it is shown."""
        return self.size, self.size, 3

    @property
    def n_train(self) -> int:
        """Images to train on."""
        return len(self.train.labels)

    @property
    def tells_top5(self) -> bool:
        """Of five classes or fewer the first five are all."""
        return self.classes > 5

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change with any file's name, class or part, and with the size; not with pixels."""
        digest = hashlib.blake2b(str(self.size).encode(), digest_size=16)
        for part in (self.train, self.test):
            digest.update(
                "\0".join([str(len(part.names)), *part.class_names, *part.names]).encode(errors="surrogateescape")
            )
            digest.update(np.ascontiguousarray(part.labels).data)
        return digest.hexdigest()

    def describe(self) -> str:
        """Return a one-line description: the sizes of the parts and of the images, and the number of classes."""
        parts = {"train": len(self.train.labels), "test": len(self.test.labels)}
        return description(self.name, parts, " x ".join(map(str, self.image)), self.classes)

    def network(self, config: NetworkConfig) -> NetworkConfig:
        """Return the network's settings with these classes and this image filled in."""
        return attrs.evolve(config, classes=self.classes, image=self.image)

    def joined(self) -> StreamedDataset:
        """Return itself: it has no dev part."""
        return self

    @cached_property
    def _scale_and_offset(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return scale_and_offset(_MEAN, _STD, self.image)

    def _normalised_into(self, pixels: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
        scale, offset = self._scale_and_offset
        np.multiply(pixels, scale, out=out, dtype=np.float32)
        out -= offset

    def normalised(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Normalise images (n, height, width, channels), 0..255, to (x / 255 - mean) / std of ImageNet."""
        result = np.empty(images.shape, np.float32)
        self._normalised_into(images, result)
        return result

    def train_batches(
        self, steps: range, batch_size: int, seed: int, config: DataConfig
    ) -> Generator[Batch, None, None]:
        """Yield the batches of these training steps, read ahead; unreadable images make a batch smaller."""

        def wanted() -> Iterator[_Wanted]:
            for step in steps:
                places = batch_places(self.n_train, step, batch_size, seed)
                yield places, Augmentation(seed, step, len(places), config.flip, config.jitter, config.hue)

        for images, labels in self._read(self.train, wanted(), batch_size, np.float32, self._normalised_into):
            if not len(labels):
                raise self._nothing_left("a batch")
            yield images, labels

    def test_batches(self, batch_size: int) -> Generator[TestBatch, None, None]:
        """Yield the centre crops of the test images in batches, without those that cannot be read."""
        n = len(self.test.labels)
        wanted = ((np.arange(start, min(start + batch_size, n)), None) for start in range(0, n, batch_size))
        read = 0
        for images, labels in self._read(self.test, wanted, batch_size, np.uint8, copied):
            read += len(labels)
            if len(labels):
                yield images, labels
        if not read:
            raise self._nothing_left("the test")

    def _read(
        self, part: Part, wanted: Iterable[_Wanted], batch_size: int, dtype: DTypeLike, finish: Finish
    ) -> Generator[tuple[NDArray[Any], NDArray[np.int64]], None, None]:
        """Yield the requested batches in order while later ones are being read."""
        ahead = math.ceil(_TASKS_AHEAD * self.workers * _IMAGES_AT_ONCE / batch_size)
        waiting: deque[Callable[[], tuple[NDArray[Any], NDArray[np.int64]]]] = deque()
        with Decoders(self.workers) as decoders:
            for places, augmentation in wanted:
                images = np.empty((len(places), *self.image), dtype)
                waiting.append(self._begun(part, places, augmentation, images, decoders, finish))
                if len(waiting) > ahead:
                    yield waiting.popleft()()
            while waiting:
                yield waiting.popleft()()

    def _begun(
        self,
        part: Part,
        places: NDArray[np.int64],
        augmentation: Augmentation | None,
        images: NDArray[Any],
        decoders: Decoders,
        finish: Finish,
    ) -> Callable[[], tuple[NDArray[Any], NDArray[np.int64]]]:
        """Begin to read a batch; return a function that waits for its images and labels."""
        paths = [part.path(place) for place in places.tolist()]
        tasks = []
        for first in range(0, len(paths), _IMAGES_AT_ONCE):
            some = slice(first, first + _IMAGES_AT_ONCE)
            task = Task(paths[some], self.size, first, augmentation)
            tasks.append((first, decoders.begun(task, images[some], finish)))

        def ended() -> tuple[NDArray[Any], NDArray[np.int64]]:
            found = np.ones(len(paths), bool)
            for first, wait in tasks:
                for place, reason in wait().items():
                    self._leave_out(paths[first + place], reason)
                    found[first + place] = False
            labels = part.labels[places]
            return (images, labels) if found.all() else (images[found], labels[found])

        return ended

    def _nothing_left(self, what: str) -> DataError:
        reason = next(iter(self.unreadable.values()))
        return DataError(f"no image of {what} can be read; the first of {len(self.unreadable):,} files: {reason}")

    def _leave_out(self, path: str, reason: str) -> None:
        """Take note of a file that cannot be read, if that is not the end."""
        if not self.skips:
            raise DataError(f"{reason}; --unreadable skip leaves such files out")
        if path not in self.unreadable:
            self.unreadable[path] = reason
            log.warning("left out: %s", reason)


def stream_dataset(config: DataConfig, workers: int | None = None) -> StreamedDataset:
    """Return the images of a folder with train/ and val/ (or test/), of which only the names are read by now.

    Args:
        config: data_dir is the folder; image_size, train_images and unreadable are kept.
        workers: processes that read images, 0 for none; None: one a CPU, but not too many.

    Raises:
        ConfigError: an augmentation that images from disk do not have.
        DataError: no folder, or one that does not hold what it must.
    """
    if config.crop != "resized" or config.cutout:
        raise ConfigError(
            f"crop is {config.crop} and cutout {config.cutout}; {config.dataset} is trained on random resized "
            f"crops without cutout: --crop resized --cutout 0, or --preset imagenet"
        )
    if config.data_dir is None:
        raise DataError(
            f"{config.dataset} cannot be downloaded: image-net.org requires registration; name the folder that "
            f"holds it with --data-dir: train/<class>/*.JPEG and val/<class>/*.JPEG"
        )
    root = Path(config.data_dir).expanduser()
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; --data-dir must hold train/<class>/*.JPEG and val/<class>/*.JPEG")
    try:
        train, test = class_folders(root, "test" if (root / "test").is_dir() and not (root / "val").is_dir() else "val")
    except OSError as error:
        raise DataError(f"cannot read {error.filename}: {error.strerror}") from None
    untested = np.flatnonzero(np.bincount(test.labels, minlength=len(test.class_names)) == 0)
    if len(untested):
        log.warning(
            "%s has no images of %d of %d classes, such as %s; they are not tested",
            test.folder, len(untested), len(test.class_names), test.class_names[untested[0]],
        )  # fmt: skip
    if config.train_images is not None:
        train = train.only(fewer_train_images(config.dataset, train.labels, config.train_images))
    return StreamedDataset(
        config.dataset,
        train,
        test,
        IMAGE_SIZE if config.image_size is None else config.image_size,
        min(_cpus(), MOST_WORKERS) if workers is None else workers,
        config.unreadable == "skip",
    )


def _cpus() -> int:
    """Return the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def stand_alone_images(config: DataConfig, workers: int | None = None) -> LabelledImages:
    """Return the images that the settings name, for stand-alone training: in memory, or streamed from disk.

    Args:
        config: where they come from.
        workers: see ``stream_dataset``.

    Raises:
        ConfigError, DataError: as for ``stream_dataset`` and ``bnao.load_dataset``.

    >>> stand_alone_images(DataConfig(dataset="fashion-mnist", image_size=14)).describe()
    'fashion-mnist: 3,000 train, 1,000 test images of 14 x 14 x 1, 10 classes'
    """
    if config.data is None and config.dataset in STREAMED:
        return stream_dataset(config, workers)
    return load_dataset(config, dev=False)
