"""What batches are read from: arrays, a dataset of batches by index, or whatever yields batches in its own order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.errors import DataError

#: batches that workers read ahead; keras.utils.PyDataset's own number
AHEAD = 10

#: what Keras reads, and does not train on, to learn what a batch looks like: one batch, or two where it reads ahead
LOOKED_AT = 2


@frozen(eq=False)
class Arrays:
    """Arrays as batches, their rows in the order of ``rows``."""

    arrays: tuple[Any, ...]
    rows: NDArray[np.int64]
    batch_size: int

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, index: int) -> Any:
        rows = self.rows[index * self.batch_size : (index + 1) * self.batch_size]
        return keras.tree.map_structure(lambda array: array[rows], self.arrays)


class Stream:
    """Batches of an iterable in its own order, over and over; those that were only looked at come again."""

    def __init__(self, batches: Iterable[Any]) -> None:
        self._batches, self._reading = batches, iter(())
        self._held: deque[Any] = deque()

    @property
    def length(self) -> int | None:
        """Batches of a pass; None if it does not say."""
        try:
            return len(self._batches)
        except TypeError:  # it has no length, or that of an iterable without one
            return None

    def ahead(self, index: int) -> Any:
        """Return the batch that comes after so many others, without taking it."""
        while len(self._held) <= index:
            self._held.append(self._read())
        return self._held[index]

    def take(self, n: int) -> Iterator[Any]:
        """Yield the next n batches. If closed after no more than Keras looks at, these will come again."""
        looked_at: list[Any] = []
        try:
            for given in range(1, n + 1):
                batch = self._held.popleft() if self._held else self._read()
                looked_at = [] if given > LOOKED_AT or given == n else [*looked_at, batch]
                yield batch
        finally:
            self._held.extendleft(reversed(looked_at))

    def _read(self) -> Any:
        for _ in range(2):
            for batch in self._reading:
                return _as_batch(batch)
            self._reading = iter(self._batches)
        raise DataError(
            f"the {type(self._batches).__name__} has no more batches; give one without end, or something that can be "
            f"iterated again"
        )


@frozen(eq=False)
class Indexed:
    """Batches by index, of something that is no ``keras.utils.PyDataset``."""

    batches: Any

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Any:
        return _as_batch(self.batches[index])


def _as_batch(given: Any) -> Any:
    """Return a batch in NumPy arrays, such as of tensors on a CPU.

    Raises:
        DataError: it is no batch but one of its rows.
    """
    leaves = [leaf for leaf in keras.tree.flatten(given) if leaf is not None]
    shapes = [tuple(getattr(leaf, "shape", ())) for leaf in leaves]
    if not leaves or () in shapes or len({shape[0] for shape in shapes}) > 1:
        raise DataError(
            f"x is not batched: its elements have shapes {', '.join(map(str, shapes))}, and each must begin with the "
            f"batch"
        )
    return keras.tree.map_structure(lambda leaf: np.asarray(leaf) if hasattr(leaf, "__array__") else leaf, given)


#: what batches are read from
Source = keras.utils.PyDataset | Arrays | Indexed | Stream


def source_of(x: Any, y: Any, sample_weight: Any, batch_size: int) -> Source:
    """Return what a user gave as batches.

    Raises:
        DataError: it is a tf.data.Dataset, or arrays that do not belong together.
    """
    if hasattr(x, "element_spec") and hasattr(x, "cardinality"):
        raise DataError("x is a tf.data.Dataset; bnao.backends.keras.balanced puts architectures beside its batches")
    whole = hasattr(x, "__array__") or isinstance(x, Mapping | list | tuple)
    batches = isinstance(x, keras.utils.PyDataset) or (
        not whole and (hasattr(x, "__iter__") or (hasattr(x, "__getitem__") and hasattr(x, "__len__")))
    )
    if not batches:
        return _arrays(x, y, sample_weight, batch_size)
    if y is not None or sample_weight is not None:
        raise DataError(f"y and sample_weight are for arrays; a {type(x).__name__}'s batches have their own")
    if isinstance(x, keras.utils.PyDataset):
        return x
    return Indexed(x) if hasattr(x, "__getitem__") and hasattr(x, "__len__") else Stream(x)


def _arrays(x: Any, y: Any, sample_weight: Any, batch_size: int) -> Arrays:
    if y is None and sample_weight is not None:
        raise DataError("sample_weight needs y")
    if batch_size < 1:
        raise DataError(f"batch_size is {batch_size}; it must be >= 1")
    given = {"y": y, "sample_weight": sample_weight}
    arrays = (x, *(value for value in given.values() if value is not None))
    arrays = keras.tree.map_structure(np.asarray, arrays)
    sizes = [array.shape[:1] for array in keras.tree.flatten(arrays)]
    if not sizes or () in sizes or len(set(sizes)) > 1:
        counts = " and ".join(str(*size) if size else "no" for size in sizes)
        raise DataError(f"x, y and sample_weight have {counts} rows; all must be arrays of as many")
    return Arrays(arrays, np.arange(*sizes[0]), batch_size)


def length_of(source: Source, steps_per_epoch: int | None) -> int:
    """Return the number of batches of a pass; of a stream that does not say it, of an epoch.

    Raises:
        DataError: it is not known, or 0.
    """
    length: int | None
    if isinstance(source, Stream):
        length = source.length if steps_per_epoch is None else steps_per_epoch
        if length is None:
            raise DataError("the number of batches of x is not known; give steps_per_epoch, the batches of an epoch")
        return length if steps_per_epoch is not None else _at_least_one(length)
    try:
        length = source.num_batches if isinstance(source, keras.utils.PyDataset) else len(source)
    except NotImplementedError:
        length = None
    if length is None:
        raise DataError("the dataset's length is not known; give it __len__, the number of batches of an epoch")
    return _at_least_one(int(length))


def _at_least_one(length: int) -> int:
    if length < 1:
        raise DataError("the dataset has no batches; there must be at least one")
    return length


@frozen
class Reading:
    """How batches are read: one by one, or ahead by workers, always in the order asked for."""

    workers: int = 0
    processes: bool = False
    ahead: int = AHEAD

    def __call__(self, source: Any, order: Iterable[int]) -> Iterator[Any]:
        if self.workers < 1 or (self.workers == 1 and not self.processes):
            yield from (source[index] for index in order)
            return
        waiting: deque[Any] = deque()
        with self._pool(source) as pool:
            try:
                read = _read if self.processes else source.__getitem__
                for index in order:
                    waiting.append(pool.submit(read, index))
                    if len(waiting) > self.ahead:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:  # reached early where Keras ends an epoch early
                for each in waiting:
                    each.cancel()

    def _pool(self, source: Any) -> Executor:
        if self.processes:  # new ones each epoch, since a dataset may change itself at an epoch's end
            return ProcessPoolExecutor(self.workers, initializer=_hold, initargs=(source,))
        return ThreadPoolExecutor(self.workers)


def _hold(source: Any) -> None:
    """Keep what a worker's process reads: sent once, not with every index."""
    global _held
    _held = source


def _read(index: int) -> Any:
    return _held[index]
