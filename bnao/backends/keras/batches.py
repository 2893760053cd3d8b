"""The sampler in an ordinary Keras training: any user's batches, each with the architecture that it trains (Eq. 3).

Nothing here knows bnao's networks: an architecture is a row of whole numbers, and what they mean is the model's.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bnao.backends.keras.engine import ENGINE
from bnao.errors import BackendError, DataError
from bnao.sampler import ProportionalSampler
from bnao.streams import epoch_order

if TYPE_CHECKING:
    import tensorflow as tf

log = logging.getLogger("bnao")

#: the model's input that holds the architecture, beside "image" or what the user's own batches name
ARCH = "arch"

# draws made at once
_BLOCK = 1024


def encoded(sampler: ProportionalSampler[Any], encoding: ArrayLike) -> NDArray[np.int32]:
    """A row of whole numbers for each of a sampler's items: shape (n, length).

    Raises:
        DataError: not one row for each item, or numbers that are not whole.
    """
    rows = np.asarray(encoding)
    if rows.ndim < 1 or len(rows) != len(sampler.items):
        raise DataError(f"encoding has shape {rows.shape}; the sampler's {len(sampler.items)} items need a row each")
    if rows.dtype.kind not in "iu":
        raise DataError(f"encoding holds {rows.dtype}; architectures are rows of whole numbers")
    return rows.reshape(len(rows), -1).astype(np.int32)


class ArrayBatches(keras.utils.PyDataset):
    """Arrays in batches, in an order of its own for each epoch; what is left over waits for another epoch.

    Args:
        x, y: the same number of inputs and targets.
        batch_size: of a batch; all, if there are fewer.
        seed: decides the orders.
        **options: of ``keras.utils.PyDataset``: workers, use_multiprocessing, max_queue_size.

    Raises:
        DataError: there are none, or not as many targets as inputs.
    """

    def __init__(self, x: NDArray[Any], y: NDArray[Any], batch_size: int = 64, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        if not len(x) or len(x) != len(y):
            raise DataError(f"{len(x)} inputs and {len(y)} targets; both must be the same, and at least one")
        self._x, self._y, self._seed = x, y, seed
        self._batch = min(batch_size, len(x))
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._x) // self._batch

    def __getitem__(self, index: int) -> tuple[NDArray[Any], NDArray[Any]]:
        order = epoch_order(self._seed, "order", self.epoch, len(self._x))
        chosen = order[index * self._batch : (index + 1) * self._batch]
        return self._x[chosen], self._y[chosen]

    def on_epoch_end(self) -> None:
        """Another order."""
        self.epoch += 1


class BalancedBatches(keras.utils.PyDataset):
    """A user's batches, each with the architecture drawn for its step beside the inputs.

    A batch (x, y) becomes ({"image": x, "arch": arch}, y), and of inputs that have names already a copy gets "arch".
    arch is int32 of shape (b, length), the drawn item's row b times: strategies split a batch by rows. The draw is a
    function of the sampler's seed and of the step, epoch x length + index, whatever workers do, and draws go on from
    one ``fit`` to the next.

    Keras draws the order of batches itself unless it is told not to: ``fit(..., shuffle=False)``. Each epoch must be
    one pass, so leave ``steps_per_epoch`` alone. Under JAX batches are made without workers: Keras looks at a batch
    before it trains, and puts what workers made meanwhile in front of the first epoch. It does the same within a
    ``tf.distribute`` strategy; ``balanced`` is for those.

    Args:
        batches: a PyDataset, or anything with a length that gives (x, y) or (x, y, weights) by index.
        sampler: who is trained at each step, such as a ``bnao.ProportionalSampler``.
        encoding: a row of whole numbers for each of its items, such as ``space.encode(genotypes)``.
        start: the step of the first batch, for a training that goes on.
        **options: of ``keras.utils.PyDataset``: workers, use_multiprocessing, max_queue_size.

    Raises:
        DataError: no batches, or not a row of whole numbers for each item.

    >>> sampler = ProportionalSampler(["small", "large"], sizes=[1, 3])
    >>> batches = BalancedBatches(ArrayBatches(np.zeros((8, 2)), np.zeros(8), batch_size=4), sampler, [[0], [1]])
    >>> inputs, y = batches[1]
    >>> inputs["image"].shape, inputs["arch"].shape, bool((inputs["arch"] == sampler.draw(1, start=1)).all())
    ((4, 2), (4, 1), True)
    """

    def __init__(
        self,
        batches: Sequence[Any] | keras.utils.PyDataset,
        sampler: ProportionalSampler[Any],
        encoding: ArrayLike,
        start: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if not len(batches):
            raise DataError("there are no batches; a training needs at least one")
        self._batches, self._sampler, self._start = batches, sampler, start
        self._rows = encoded(sampler, encoding)
        if ENGINE == "jax" and (self.workers > 1 or self.use_multiprocessing):
            log.warning("warning: under JAX batches are made without workers; see BalancedBatches")
            self.workers, self.use_multiprocessing = 1, False
        self._epoch = 0
        # batches made since the epoch began, in whatever process
        self._made = multiprocessing.Value("q")
        self._drawn: tuple[int, NDArray[np.int64]] = -1, np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        with self._made.get_lock():
            self._made.value += 1
        x, *others = self._batches[index]
        inputs = dict(x) if isinstance(x, Mapping) else {"image": x}
        row = self._rows[self._draw(self._start + self._epoch * len(self) + index)]
        inputs[ARCH] = np.repeat(row[None], len(next(iter(inputs.values()))), axis=0)
        return inputs, *others

    def _draw(self, step: int) -> int:
        block, place = divmod(step, _BLOCK)
        made, drawn = self._drawn  # one object, so that threads see the two together
        if made != block:
            drawn = self._sampler.draw(_BLOCK, start=block * _BLOCK)
            self._drawn = block, drawn
        return int(drawn[place])

    def on_epoch_begin(self) -> None:
        """Tell the user's own batches."""
        if isinstance(self._batches, keras.utils.PyDataset):
            self._batches.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """The next batches belong to the next epoch."""
        # workers have stopped; where Keras only looked at a batch, to learn its shape, this was no epoch
        whole = self._made.value >= len(self)
        self._made.value = 0
        if not whole:
            return
        self._epoch += 1
        if isinstance(self._batches, keras.utils.PyDataset):
            self._batches.on_epoch_end()


def balanced(
    dataset: tf.data.Dataset, sampler: ProportionalSampler[Any], encoding: ArrayLike, start: int = 0
) -> tf.data.Dataset:
    """The same of a ``tf.data.Dataset`` of batches; endless, so that draws go on from epoch to epoch.

    Train with ``fit(balanced(dataset, ...), steps_per_epoch=len(dataset))``.

    Args:
        dataset: gives (x, y) or (x, y, weights), batched; it is repeated for ever.
        sampler, encoding, start: as for ``BalancedBatches``.

    Raises:
        BackendError: TensorFlow is not installed.
        DataError: no batches, or not a row of whole numbers for each item.
    """
    try:
        import tensorflow as tf
    except ImportError as error:
        raise BackendError(f"tf.data needs TensorFlow ({error}); BalancedBatches does without") from None
    rows = tf.constant(encoded(sampler, encoding))
    if int(dataset.cardinality()) == 0:
        raise DataError("there are no batches; a training needs at least one")

    def block(number: NDArray[np.int64]) -> NDArray[np.int64]:
        return sampler.draw(_BLOCK, start=int(number) * _BLOCK)

    def made(number: tf.Tensor) -> tf.data.Dataset:
        drawn = tf.ensure_shape(tf.numpy_function(block, [number], tf.int64), [_BLOCK])
        return tf.data.Dataset.from_tensor_slices(drawn)

    def joined(batch: tuple[Any, ...], drawn: tf.Tensor) -> tuple[Any, ...]:
        x, *others = batch
        inputs = dict(x) if isinstance(x, Mapping) else {"image": x}
        b = tf.shape(next(iter(inputs.values())))[0]
        return {**inputs, ARCH: tf.repeat(rows[drawn][None], b, axis=0)}, *others

    first, place = divmod(start, _BLOCK)
    draws = tf.data.Dataset.counter(first).flat_map(made).skip(place)
    return tf.data.Dataset.zip(dataset.repeat(), draws).map(lambda *each: joined(each[0], each[1]))
