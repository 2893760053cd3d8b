"""The sampler in an ordinary Keras ``fit``: an architecture beside each batch of any dataset (Sec. 4, Eq. 3).

Keras is not asked for the step a batch is for, since it does not say: ``fit`` shuffles the order of a dataset's
batches unless told otherwise, and with workers of its own under JAX it trains first on what it had read ahead before
training. So the batches come in an order of their own, read ahead by workers of their own, and each whole epoch moves
the draws on by its length.

Nor is it one reader that asks. Under a strategy TensorFlow reads ahead from the moment an iterator is made, and Keras
makes one to look at a batch and another at each epoch's end, which it never trains on: they may read a whole epoch, and
may still be reading when the next has begun. So each reader is given the epoch's batches from the first on, and what
was looked at is no epoch.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, Protocol

import keras
import numpy as np
from attrs import define, evolve
from numpy.typing import ArrayLike, NDArray

from bnao.backends.keras.sources import AHEAD, LOOKED_AT, Arrays, Reading, Stream, length_of, source_of
from bnao.errors import DataError, GenotypeError
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace
from bnao.streams import epoch_order

# epochs in a row that ended early, after no more batches than that, before they are no longer taken for such looks
_STRIKES = 2


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
    (a strategy splits a batch by rows). If x is a dictionary, "arch" joins it under its names; behind a tuple's or
    list's arrays it comes last. Labels and sample weights stay as they are.

    An epoch is a pass over the data, or ``steps_per_epoch`` batches, if they are given here (in ``fit`` they are
    refused): then each epoch goes on in the data where the one before stopped. An epoch that ends early does not
    count, and its steps come again; ``evaluate`` counts as an epoch, so give it an object of its own, or validate with
    ``ArchitectureValidation``. Outside an epoch ``batches[b]`` is what step b of the next one gets.

    Args:
        x: an array of images (n, ...), or a dictionary, tuple or list of arrays. Or batches: a
            ``keras.utils.PyDataset``; anything else with a length and an index, such as a ``grain.MapDataset``; or
            what is iterated in its own order, such as PyTorch's ``DataLoader``, a ``grain.IterDataset`` or a
            generator, over and over, with workers of its own.
        y: for arrays, the labels (n, ...).
        sample_weight: for arrays, a weight for each, shape (n,).
        sampler: whose ``draw`` decides; ``ProportionalSampler`` draws by Eq. 3.
        encoding: what the model reads of an item: a SearchSpace, if the items are its genotypes (as
            ``SearchSpace.encode``, flattened: (length,)); or whole numbers, one row for each item, shape (items, ...).
            If None, the items themselves are whole numbers or rows of them. Single numbers are rows of one.
        batch_size: for arrays, images of a batch; the last batch may be smaller.
        start: the first step; what is iterated begins anew, and the draws alone go on.
        steps_per_epoch: batches of an epoch; None: as many as the data have, if they have a length. A PyDataset's
            ``on_epoch_end`` is called at the end of the epoch in which a pass over it ends.
        seed: of the order of the data; the architectures have the sampler's.
        shuffle: visit the arrays' rows, or the dataset's batches, in another order each epoch; what is iterated has
            its own order.
        workers, use_multiprocessing, max_queue_size: as for ``keras.utils.PyDataset``; if None, the wrapped
            dataset's.

    Raises:
        DataError: no batches, an unknown length, arrays of different lengths, an encoding that is not one row of
            whole numbers for each item; at a batch, an x that cannot take an "arch", data that are not batched, or a
            generator that has ended; at an epoch's beginning, that ``fit`` was given a ``steps_per_epoch``.
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
        steps_per_epoch: int | None = None,
        seed: int = 0,
        shuffle: bool = True,
        workers: int | None = None,
        use_multiprocessing: bool | None = None,
        max_queue_size: int | None = None,
    ) -> None:
        super().__init__(workers=1)  # what Keras knows of; the workers are this object's own
        self.sampler = sampler
        self._archs = Archs(sampler, encoding)
        self._source = source_of(x, y, sample_weight, batch_size)
        self._pass = length_of(self._source, steps_per_epoch)  # batches of a pass over the data
        self._length = self._pass if steps_per_epoch is None else steps_per_epoch
        if start < 0 or self._length < 1:
            raise DataError(f"start is {start} and steps_per_epoch {self._length}; they must be >= 0 and >= 1")
        self._seed, self._shuffle = seed, shuffle
        self._reading = Reading(
            _first(workers, getattr(x, "workers", 1)),
            _first(use_multiprocessing, getattr(x, "use_multiprocessing", False)),
            _first(max_queue_size, getattr(x, "max_queue_size", AHEAD)),
        )
        self._next = start  # the first step of the epoch that is to come, or is under way
        self._epoch: dict[FrameType | None, _Read] | None = None  # by reader; None outside an epoch
        self._strikes = 0  # see _refuse_steps_per_epoch
        self._begins_anew = True
        self._lock = threading.Lock()  # TensorFlow reads in a thread

    def __repr__(self) -> str:
        return (
            f"BalancedBatches({self._length} an epoch, of {len(self.sampler.items)} items; next is step {self._next})"
        )

    def __len__(self) -> int:
        """Batches of an epoch."""
        return self._length

    @property
    def num_batches(self) -> int:
        """Batches of an epoch; Keras asks for it before it reads from the beginning."""
        self._begins_anew = True
        return self._length

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Within an epoch the next batch, whichever is asked for; else batch ``index`` of the next epoch."""
        if not 0 <= index < self._length:
            raise IndexError(f"no batch {index}; there are {self._length}")
        with self._lock:
            batch = self._read_on()
            if batch is not None:
                self._begins_anew = False
                return batch
            step = self._next + index
            if isinstance(self._source, Stream):
                return self._beside(self._source.ahead(index), self._archs.of(step, 1)[0])
        return next(self._batches(range(step, step + 1), Reading()))

    def on_epoch_begin(self) -> None:
        """Keras begins an epoch, or looks at a batch to build a model."""
        with self._lock:
            self._refuse_steps_per_epoch()
            self._close()
            if isinstance(self._source, keras.utils.PyDataset):
                self._source.on_epoch_begin()
            self._epoch = {}

    def on_epoch_end(self) -> None:
        """Keras ends an epoch. If it was a whole one, the draws move on."""
        with self._lock:
            if self._epoch is None:  # Keras calls this before the first epoch as well
                return
            given = max((each.given for each in self._epoch.values()), default=0)
            self._close()
            if _asked_by("reset"):  # a model was built, and all begins anew
                return
            if given < self._length:
                self._strikes += _STRIKES if given > LOOKED_AT else 1
                return
            self._strikes = 0
            passes = self._next // self._pass
            self._next += self._length
            if isinstance(self._source, keras.utils.PyDataset) and self._next // self._pass > passes:
                self._source.on_epoch_end()

    def _refuse_steps_per_epoch(self) -> None:
        """Raise DataError if Keras goes on reading where an epoch ended early, as it does for a ``steps_per_epoch``.

        Before each new reading, as after a look at the first batches, it asks for the number of batches.
        """
        if self._begins_anew:
            self._strikes = 0
        if self._strikes >= _STRIKES:
            raise DataError(
                f"fit ends epochs before their {self._length} batches: give steps_per_epoch to BalancedBatches "
                f"instead, whose epochs then go on from each other"
            )

    def _read_on(self) -> tuple[Any, ...] | None:
        """Return the epoch's next batch for the reader that asks; None outside an epoch, and behind its end."""
        if self._epoch is None:
            return None
        reader = _asked_by("_finite_generator")
        if reader not in self._epoch:
            steps = range(self._next, self._next + self._length)
            self._epoch[reader] = _Read(self._batches(steps, self._reading))
        return self._epoch[reader].next()

    def _close(self) -> None:
        for each in (self._epoch or {}).values():
            each.batches.close()
        self._epoch = None

    def _batches(self, steps: range, reading: Reading) -> Generator[tuple[Any, ...], None, None]:
        """The batches of these steps, each with its architecture."""
        archs = self._archs.of(steps.start, len(steps))
        for arch, batch in zip(archs, self._read(steps, reading), strict=True):
            yield self._beside(batch, arch)

    @staticmethod
    def _beside(batch: Any, arch: NDArray[np.int32]) -> tuple[Any, ...]:
        return beside_batch(batch, lambda n: np.repeat(arch[None], n, axis=0))

    def _read(self, steps: range, reading: Reading) -> Iterator[Any]:
        """The data's batches of these steps, pass by pass."""
        if isinstance(self._source, Stream):
            yield from self._source.take(len(steps))
            return
        for number in range(steps.start // self._pass, -(-steps.stop // self._pass)):
            first = number * self._pass
            places = slice(max(steps.start - first, 0), steps.stop - first)
            source, order = self._source, np.arange(self._pass)
            if self._shuffle and isinstance(source, Arrays):
                source = evolve(source, rows=epoch_order(self._seed, "order", number, len(source.rows)))
            elif self._shuffle:
                order = epoch_order(self._seed, "order", number, self._pass)
            yield from reading(source, order[places].tolist())


@define(eq=False)
class _Read:
    """An epoch's batches as one reader gets them, and how many it has."""

    batches: Generator[tuple[Any, ...], None, None]
    given: int = 0

    def next(self) -> tuple[Any, ...] | None:
        batch = next(self.batches, None)
        self.given += batch is not None
        return batch


def _asked_by(function: str) -> FrameType | None:
    """Return the call of Keras' function or generator of this name that led here; None if none did.

    Keras tells in no other way which of its readers asks for a batch, and why an epoch ends.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == function and str(frame.f_globals.get("__name__")).startswith("keras."):
            break
        frame = frame.f_back
    return frame


class Archs:
    """The architectures of steps, as a model reads them: (steps, *shape) int32."""

    def __init__(self, sampler: Sampler, encoding: SearchSpace | ArrayLike | None) -> None:
        self._sampler = sampler
        self._table = encode_items(sampler.items, encoding)
        self.shape = self._table.shape[1:]

    def of(self, start: int, steps: int) -> NDArray[np.int32]:
        """Return those of so many steps from ``start`` on."""
        drawn = np.asarray(self._sampler.draw(steps, start))
        if drawn.shape != (steps,) or drawn.dtype.kind not in "iu":
            raise DataError(
                f"the sampler's draw({steps}, {start}) gave shape {drawn.shape} of {drawn.dtype}; it must give "
                f"{steps} indices of items"
            )
        if steps and not 0 <= drawn.min() <= drawn.max() < len(self._table):
            raise DataError(f"the sampler drew an item of index {drawn.max()}; there are {len(self._table)}")
        return self._table[drawn]


def encode_items(items: Sequence[Any], encoding: SearchSpace | ArrayLike | None) -> NDArray[np.int32]:
    """Return one row of whole numbers for each item: shape (items, ...), two dimensions or more."""
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


def beside_batch(batch: Any, arch: Callable[[Any], Any], length: Callable[[Any], Any] = len) -> tuple[Any, ...]:
    """Return a batch of Keras with ``arch(b)`` among its inputs, where b is the number of its rows."""
    x, *others = batch if isinstance(batch, tuple | list) else (batch,)
    if isinstance(x, Mapping) and "arch" in x:
        raise DataError('x has an "arch" already; its place is for the drawn one')
    leaves = keras.tree.flatten(x)
    try:
        rows = {leaf.shape[0] for leaf in leaves}
    except (AttributeError, IndexError):  # a number, or an array of one
        rows = set()
    if not rows:
        raise DataError(
            f"a batch's x is a {type(x).__name__}; it must be an array of shape (batch, ...), or a dictionary, "
            f"tuple or list of such"
        )
    if len(rows) > 1 and None not in rows:  # within tf.data a batch's rows may be unknown
        raise DataError(f"a batch's x has arrays of {' and '.join(map(str, sorted(rows)))} rows; all must have as many")
    return (_with_arch(x, arch(length(leaves[0]))), *others)


def _with_arch(x: Any, arch: Any) -> Any:
    """Return a batch's inputs with its architecture: by name, or behind those that have none."""
    if isinstance(x, list):
        return [*x, arch]
    if isinstance(x, tuple):
        return (*x, arch)
    return {**(x if isinstance(x, Mapping) else {"image": x}), "arch": arch}


def _first(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value
