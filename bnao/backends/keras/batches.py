"""The sampler in an ordinary Keras ``fit``: an architecture beside each batch of any dataset (Sec. 4, Eq. 3).

Keras is not asked for the step a batch is for, since it does not say: ``fit`` shuffles the order of a dataset's
batches unless told otherwise, and with workers of its own under JAX it trains first on what it had read ahead before
training. So the batches come in an order of their own, read ahead by workers of their own, and each whole epoch moves
the draws on by its length.
"""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

import keras
import numpy as np
from attrs import evolve, frozen
from numpy.typing import ArrayLike, NDArray

from bnao.backends import check_alone, hint
from bnao.errors import BackendError, DataError, GenotypeError
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace
from bnao.streams import epoch_order

if TYPE_CHECKING:
    import tensorflow

# keras.utils.PyDataset's own
_AHEAD = 10

# steps whose architectures tf.data asks for at once; what they are does not depend on it
_BLOCK = 1024

# what Keras reads, and does not train on, to learn what a batch looks like: one batch, or two where it reads ahead
_LOOKED_AT = 2


class Sampler(Protocol):
    """Whatever says who is trained at a step; those of ``bnao.sampler`` do."""

    @property
    def items(self) -> Sequence[Any]:
        """What is drawn."""

    def draw(self, n: int, start: int = 0) -> NDArray[np.int64]:
        """Return the indices of the items drawn at steps start .. start + n - 1, shape (n,): a function of the step."""


class BalancedBatches(keras.utils.PyDataset):
    """A dataset with an architecture beside each batch: ``({"image": x, "arch": arch}, y)``, to be given to ``fit``.

    Paper: Sec. 4. The e-th epoch's batch b is trained with the architecture of step ``start + e x length + b``, which
    the sampler draws: with any number of workers, and whatever ``shuffle`` says in ``fit``, which has no effect. The
    epochs of one object go on from each other, over several ``fit`` too; for a ``fit`` with ``initial_epoch`` give a
    new one ``start=initial_epoch * len(batches)``.

    "arch" is int32, shape (b, ...), with b equal rows: the drawn item's encoding, as often as the batch has images
    (a strategy splits a batch by rows). If x is a dictionary, "arch" joins it under its names. Labels and sample
    weights stay as they are.

    Leave ``steps_per_epoch`` out: an epoch is the dataset's length. An epoch that ends early does not count, and its
    steps come again; ``evaluate`` counts as an epoch, so give it an object of its own. Of a dataset of a single
    batch, JAX takes the first step to build a model that has not been trained before. Outside an epoch
    ``batches[b]`` is what step b of the next one gets.

    Args:
        x: a ``keras.utils.PyDataset`` of a known length; or an array of images (n, ...), or a dictionary of arrays.
        y: for arrays, the labels (n, ...).
        sample_weight: for arrays, a weight for each, shape (n,).
        sampler: whose ``draw`` decides; ``ProportionalSampler`` draws by Eq. 3.
        encoding: what the model reads of an item: a SearchSpace, if the items are its genotypes (as
            ``SearchSpace.encode``, flattened: (length,)); or whole numbers, one row for each item, shape (items, ...).
            If None, the items themselves are whole numbers or rows of them. Single numbers are rows of one.
        batch_size: for arrays, images of a batch; the last batch may be smaller.
        start: the first step.
        seed: of the order of the data; the architectures have the sampler's.
        shuffle: visit the arrays' rows, or the dataset's batches, in another order each epoch.
        workers, use_multiprocessing, max_queue_size: as for ``keras.utils.PyDataset``; if None, the wrapped
            dataset's.

    Raises:
        DataError: no batches, an unknown length, arrays of different lengths, an encoding that is not one row of
            whole numbers for each item, or, at a batch, an x that cannot take an "arch".
        GenotypeError: a genotype of another space.

    >>> from bnao import ProportionalSampler
    >>> sampler = ProportionalSampler([[0, 1], [2, 3]], sizes=[1, 3], seed=0)
    >>> batches = BalancedBatches(np.zeros((5, 8, 8, 1)), np.zeros(5), sampler=sampler, batch_size=2)
    >>> inputs, labels = batches[2]
    >>> inputs["image"].shape, inputs["arch"].tolist() == [sampler.items[sampler.draw(3)[2]]], labels.tolist()
    ((1, 8, 8, 1), True, [0.0])
    """

    def __init__(
        self,
        x: Any,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        sampler: Sampler,
        encoding: SearchSpace | ArrayLike | None = None,
        batch_size: int = 32,
        start: int = 0,
        seed: int = 0,
        shuffle: bool = True,
        workers: int | None = None,
        use_multiprocessing: bool | None = None,
        max_queue_size: int | None = None,
    ) -> None:
        super().__init__(workers=1)  # what Keras knows of; the workers are this object's own
        self.sampler = sampler
        self._archs = _Archs(sampler, encoding)
        self._source = _source(x, y, sample_weight, batch_size)
        self._length = _length(self._source)
        if start < 0:
            raise DataError(f"start is {start}; the first step must be >= 0")
        self._seed, self._shuffle = seed, shuffle
        self._reading = _Reading(
            _first(workers, getattr(x, "workers", 1)),
            _first(use_multiprocessing, getattr(x, "use_multiprocessing", False)),
            _first(max_queue_size, getattr(x, "max_queue_size", _AHEAD)),
        )
        self._next = start  # the first step of the epoch that is to come, or is under way
        self._epoch: Iterator[Any] | None = None
        self._given = 0  # batches of it that Keras has
        self._ended_early = False
        self._lock = threading.Lock()  # TensorFlow reads in a thread

    def __len__(self) -> int:
        """Batches of an epoch."""
        return self._length

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Within an epoch the next batch, whichever is asked for; else batch ``index`` of the next epoch."""
        if not 0 <= index < self._length:
            raise IndexError(f"no batch {index}; there are {self._length}")
        with self._lock:
            batch = next(self._epoch, None) if self._epoch else None
            if batch is not None:
                self._given += 1
                return batch
        return next(self._batches([index], _Reading()))

    def on_epoch_begin(self) -> None:
        """Keras begins an epoch, or looks at a batch to build a model."""
        with self._lock:
            self._close()
            if isinstance(self._source, keras.utils.PyDataset):
                self._source.on_epoch_begin()
            self._epoch = self._batches(range(self._length), self._reading)

    def on_epoch_end(self) -> None:
        """Keras ends an epoch. If it was a whole one, the draws move on."""
        with self._lock:
            if self._epoch is None:  # Keras calls this before the first epoch as well
                return
            given = self._given
            self._close()
            if given == self._length:
                self._next += self._length
                self._ended_early = False
                if isinstance(self._source, keras.utils.PyDataset):
                    self._source.on_epoch_end()
            elif given > _LOOKED_AT:
                if self._ended_early:
                    warnings.warn(
                        f"two epochs in a row ended after {given} of {self._length} batches, so their steps come "
                        f"again; leave out steps_per_epoch",
                        stacklevel=2,
                    )
                self._ended_early = True

    def _close(self) -> None:
        if self._epoch is not None:
            self._epoch.close()
        self._epoch, self._given = None, 0

    def _batches(self, places: Sequence[int], reading: _Reading) -> Iterator[tuple[Any, ...]]:
        """The batches at these places of the epoch at ``_next``, each with its architecture."""
        source, order = self._source, np.arange(self._length)
        if self._shuffle:
            number = self._next // self._length
            if isinstance(source, _Arrays):
                source = evolve(source, rows=epoch_order(self._seed, "order", number, len(source.rows)))
            else:
                order = epoch_order(self._seed, "order", number, self._length)
        archs = self._archs.of(self._next, self._length)
        batches = reading(source, order[places].tolist())
        for place, batch in zip(places, batches, strict=True):
            yield _beside(batch, lambda n, arch=archs[place]: np.repeat(arch[None], n, axis=0))


def balanced(
    dataset: tensorflow.data.Dataset,
    sampler: Sampler,
    *,
    encoding: SearchSpace | ArrayLike | None = None,
    start: int = 0,
) -> tensorflow.data.Dataset:
    """A ``tf.data.Dataset`` of batches with an architecture beside each, as ``BalancedBatches`` gives them.

    The dataset is repeated without end and so must be trained with ``fit(..., steps_per_epoch=...)``: Keras would
    begin a finite one anew each epoch, and the draws with it. Batch i, counted over all epochs of a ``fit``, has the
    architecture of step ``start + i``. Shuffle, augment and batch before, prefetch after.

    Args:
        dataset: batches x, (x, y) or (x, y, sample weights); x a tensor (b, ...) or a dictionary of them.
        sampler, encoding: as for ``BalancedBatches``.
        start: the first step; for a ``fit`` that goes on, ``initial_epoch * steps_per_epoch``.

    Raises:
        BackendError: TensorFlow is not installed, or PyTorch is loaded.
        DataError: an empty dataset, an x that cannot take an "arch", or an encoding as for ``BalancedBatches``.

    >>> import pytest
    >>> tf = pytest.importorskip("tensorflow")
    >>> from bnao import ProportionalSampler
    >>> sampler = ProportionalSampler([10, 20], sizes=[1, 3], seed=0)
    >>> dataset = tf.data.Dataset.from_tensor_slices((np.zeros((6, 8, 8, 1)), np.zeros(6))).batch(2)
    >>> archs = [inputs["arch"].tolist() for inputs, labels in balanced(dataset, sampler).take(4).as_numpy_iterator()]
    >>> archs == [[[sampler.items[index]]] * 2 for index in sampler.draw(4)]
    True
    """
    if find_spec("tensorflow") is None:
        raise BackendError(f"a tf.data.Dataset needs TensorFlow, which is not installed; try: {hint('keras')}")
    check_alone("tensorflow", "torch")
    import tensorflow as tf

    archs = _Archs(sampler, encoding)
    if start < 0:
        raise DataError(f"start is {start}; the first step must be >= 0")
    if not isinstance(dataset, tf.data.Dataset):
        raise DataError(f"dataset is a {type(dataset).__name__}; it must be a tf.data.Dataset (or see BalancedBatches)")
    if int(dataset.cardinality()) == 0:
        raise DataError("the dataset has no batches; there must be at least one")

    def block(first: Any) -> Any:
        rows = tf.numpy_function(lambda step: archs.of(int(step), _BLOCK), [first], tf.int32, stateful=False)
        return tf.ensure_shape(rows, (_BLOCK, *archs.shape))

    def beside(batch: Any, arch: Any) -> tuple[Any, ...]:
        return _beside(batch, lambda n: tf.repeat(arch[None], n, axis=0), length=lambda leaf: tf.shape(leaf)[0])

    drawn = tf.data.Dataset.counter(start, _BLOCK).map(block).unbatch()
    # not rewritten by autograph, which would wrap our errors in its own
    return tf.data.Dataset.zip((dataset.repeat(), drawn)).map(tf.autograph.experimental.do_not_convert(beside))


class _Archs:
    """The architectures of steps, as a model reads them: (steps, *shape) int32."""

    def __init__(self, sampler: Sampler, encoding: SearchSpace | ArrayLike | None) -> None:
        self._sampler = sampler
        self._table = _encoded(sampler.items, encoding)
        self.shape = self._table.shape[1:]

    def of(self, start: int, steps: int) -> NDArray[np.int32]:
        drawn = np.asarray(self._sampler.draw(steps, start))
        if drawn.shape != (steps,) or drawn.dtype.kind not in "iu":
            raise DataError(
                f"the sampler's draw({steps}, {start}) gave shape {drawn.shape} of {drawn.dtype}; it must give "
                f"{steps} indices of items"
            )
        if steps and not 0 <= drawn.min() <= drawn.max() < len(self._table):
            raise DataError(f"the sampler drew an item of index {drawn.max()}; there are {len(self._table)}")
        return self._table[drawn]


def _encoded(items: Sequence[Any], encoding: SearchSpace | ArrayLike | None) -> NDArray[np.int32]:
    """One row of whole numbers for each item: shape (items, ...), two dimensions or more."""
    if isinstance(encoding, SearchSpace):
        strangers = [index for index, item in enumerate(items) if not isinstance(item, Genotype)]
        if strangers:
            raise GenotypeError(f"item {strangers[0]} is not a genotype; give encoding a row of whole numbers an item")
        return encoding.encode(items).reshape(len(items), encoding.length).astype(np.int32)
    what = "the items, without an encoding," if encoding is None else "encoding"
    try:
        table = np.asarray(list(items) if encoding is None else encoding)
    except ValueError:
        raise DataError(f"{what} has rows of different lengths; all must have the same") from None
    if table.dtype.kind not in "iu":
        raise DataError(
            f"{what} must be whole numbers, one row for each item, and not {table.dtype}; for genotypes give "
            f"encoding their SearchSpace"
        )
    if table.ndim == 0 or len(table) != len(items):
        raise DataError(f"{what} has shape {table.shape}, but there are {len(items)} items; each needs one row")
    if table.size and (table.min() < -(2**31) or table.max() >= 2**31):
        raise DataError(f"{what} must fit 32 bits; the largest is {table.max()} and the smallest {table.min()}")
    return (table[:, None] if table.ndim == 1 else table).astype(np.int32)


def _beside(batch: Any, arch: Callable[[Any], Any], length: Callable[[Any], Any] = len) -> tuple[Any, ...]:
    """A batch of Keras with ``arch(b)`` among its inputs, where b is the number of its rows."""
    x, *others = batch if isinstance(batch, tuple | list) else (batch,)
    inputs = dict(x) if isinstance(x, Mapping) else {"image": x}
    if "arch" in inputs:
        raise DataError('x has an "arch" already; its place is for the drawn one')
    leaves = keras.tree.flatten(inputs)
    try:
        rows = {leaf.shape[0] for leaf in leaves}
    except (AttributeError, IndexError):  # a number, or an array of one
        rows = set()
    if not rows or isinstance(x, tuple | list):
        raise DataError(
            f"a batch's x is a {type(x).__name__}; it must be an array of shape (batch, ...), or a dictionary of such"
        )
    if len(rows) > 1 and None not in rows:  # within tf.data a batch's rows may be unknown
        raise DataError(f"a batch's x has arrays of {' and '.join(map(str, sorted(rows)))} rows; all must have as many")
    return ({**inputs, "arch": arch(length(leaves[0]))}, *others)


@frozen(eq=False)
class _Arrays:
    """Arrays as batches, their rows in the order of ``rows``."""

    arrays: tuple[Any, ...]
    rows: NDArray[np.int64]
    batch_size: int

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, index: int) -> Any:
        rows = self.rows[index * self.batch_size : (index + 1) * self.batch_size]
        return keras.tree.map_structure(lambda array: array[rows], self.arrays)


def _source(x: Any, y: Any, sample_weight: Any, batch_size: int) -> keras.utils.PyDataset | _Arrays:
    if isinstance(x, keras.utils.PyDataset):
        if y is not None or sample_weight is not None:
            raise DataError("y and sample_weight are for arrays; a PyDataset's batches have their own")
        return x
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
    return _Arrays(arrays, np.arange(*sizes[0]), batch_size)


def _length(source: keras.utils.PyDataset | _Arrays) -> int:
    try:
        length = source.num_batches if isinstance(source, keras.utils.PyDataset) else len(source)
    except NotImplementedError:
        length = None
    if length is None:
        raise DataError("the dataset's length is not known; give it __len__, the number of batches of an epoch")
    if length < 1:
        raise DataError("the dataset has no batches; there must be at least one")
    return int(length)


def _first(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value


@frozen
class _Reading:
    """How batches are read: one by one, or ahead by workers, always in the order asked for."""

    workers: int = 0
    processes: bool = False
    ahead: int = _AHEAD

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
