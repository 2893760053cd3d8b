"""The sampler beside the batches of a ``tf.data.Dataset`` (Sec. 4, Eq. 3)."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from bnao.backends import check_alone, hint
from bnao.backends.keras.batches import Archs, Sampler, beside_batch
from bnao.errors import BackendError, DataError
from bnao.space.spaces import SearchSpace

if TYPE_CHECKING:
    import tensorflow

# steps whose architectures tf.data asks for at once; what they are does not depend on it
_BLOCK = 1024


def balanced(
    dataset: tensorflow.data.Dataset,
    sampler: Sampler,
    *,
    encoding: SearchSpace | ArrayLike | None = None,
    start: int = 0,
    endless: bool = False,
) -> tensorflow.data.Dataset:
    """A ``tf.data.Dataset`` of batches with an architecture beside each, as ``BalancedBatches`` gives them.

    It has as many batches as the dataset, and each time it is read through, the draws move on by as many steps, over
    the epochs of a ``fit`` and over several of them: batch i, counted over all epochs, has the architecture of step
    ``start + i``. What is read in part, as for a model to be built, does not count. An endless one is for
    ``fit(..., steps_per_epoch=...)``; its draws begin at ``start`` whenever it is read anew, as each ``fit`` does.
    Shuffle, cache, augment and batch before, prefetch after: a ``cache`` after it would repeat the architectures of the
    first epoch. And give ``fit`` ``shuffle=False``, or Keras warns that it does
    not shuffle a ``tf.data.Dataset``.

    Args:
        dataset: batches x, (x, y) or (x, y, sample weights); x a tensor (b, ...), or a dictionary or tuple of them;
            such as ``keras.utils.image_dataset_from_directory`` gives them.
        sampler, encoding: as for ``BalancedBatches``.
        start: the first step; for a ``fit`` that goes on, ``initial_epoch`` times the batches of an epoch.
        endless: repeat the dataset without end.

    Raises:
        BackendError: TensorFlow is not installed, or PyTorch is loaded.
        DataError: a dataset that is empty, not batched, or of an unknown number of batches and not to be endless; an x
            that cannot take an "arch"; an encoding as for ``BalancedBatches``.

    >>> import pytest
    >>> tf = pytest.importorskip("tensorflow")
    >>> from bnao import ProportionalSampler
    >>> sampler = ProportionalSampler([10, 20], sizes=[1, 3], seed=0)
    >>> dataset = tf.data.Dataset.from_tensor_slices((np.zeros((6, 8, 8, 1)), np.zeros(6))).batch(2)
    >>> batches = balanced(dataset, sampler)
    >>> archs = [inputs["arch"].tolist() for epoch in range(2) for inputs, labels in batches.as_numpy_iterator()]
    >>> archs == [[[sampler.items[index]]] * 2 for index in sampler.draw(6)]
    True
    """
    if find_spec("tensorflow") is None:
        raise BackendError(f"a tf.data.Dataset needs TensorFlow, which is not installed; try: {hint('keras')}")
    check_alone("tensorflow", "torch")
    import tensorflow as tf

    archs = Archs(sampler, encoding)
    if start < 0:
        raise DataError(f"start is {start}; the first step must be >= 0")
    if not isinstance(dataset, tf.data.Dataset):
        raise DataError(f"dataset is a {type(dataset).__name__}; it must be a tf.data.Dataset (or see BalancedBatches)")
    _check_batched(dataset.element_spec)
    length = int(dataset.cardinality())
    if length == 0:
        raise DataError("the dataset has no batches; there must be at least one")
    endless = endless or length == tf.data.INFINITE_CARDINALITY
    if length == tf.data.UNKNOWN_CARDINALITY and not endless:
        raise DataError(
            "the dataset does not know its number of batches; tell it, by "
            "dataset.apply(tf.data.experimental.assert_cardinality(n)), or make it endless=True and give fit "
            "steps_per_epoch"
        )

    def drawn_from(first: Any) -> tensorflow.data.Dataset:
        return tf.data.Dataset.counter(first, _BLOCK).map(block).unbatch()

    def block(first: Any) -> Any:
        rows = tf.numpy_function(lambda step: archs.of(int(step), _BLOCK), [first], tf.int32, stateful=False)
        return tf.ensure_shape(rows, (_BLOCK, *archs.shape))

    def beside(batch: Any, arch: Any) -> tuple[Any, ...]:
        return beside_batch(batch, lambda n: tf.repeat(arch[None], n, axis=0), length=lambda leaf: tf.shape(leaf)[0])

    # not rewritten by autograph, which would wrap our errors in its own
    as_it_is = tf.autograph.experimental.do_not_convert
    if endless:
        return tf.data.Dataset.zip((dataset.repeat(), drawn_from(start))).map(as_it_is(beside))
    passes = _Passes(start, length)

    def counted(index: Any, batch: Any) -> Any:
        with tf.control_dependencies([tf.numpy_function(passes.count, [index], tf.int64)]):
            return tf.nest.map_structure(tf.identity, batch)

    # asked at the beginning of each reading
    drawn = tf.data.Dataset.range(1).flat_map(lambda _: drawn_from(tf.numpy_function(passes.first, [], tf.int64)))
    zipped = tf.data.Dataset.zip((dataset, drawn)).map(as_it_is(beside)).enumerate().map(as_it_is(counted))
    return zipped.apply(tf.data.experimental.assert_cardinality(length))


def _check_batched(spec: Any) -> None:
    """Raise DataError if a tf.data.Dataset's elements are no batches, as far as their shapes tell."""
    shapes = [tuple(leaf.shape) for leaf in keras.tree.flatten(spec)]
    rows = {shape[0] for shape in shapes if shape and shape[0] is not None}
    if () in shapes or len(rows) > 1:
        raise DataError(
            f"the dataset is not batched: its elements have shapes {', '.join(map(str, shapes))}, and each must begin "
            f"with the batch; give balanced dataset.batch(...)"
        )


class _Passes:
    """Where the draws of a finite dataset begin, each time that it is read."""

    def __init__(self, start: int, length: int) -> None:
        self._next, self._length = start, length

    def first(self) -> np.int64:
        return np.int64(self._next)

    def count(self, index: np.int64) -> np.int64:
        if index + 1 == self._length:
            self._next += self._length
        return index
