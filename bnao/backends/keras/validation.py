"""Validation of a supernet in an ordinary Keras ``fit``: the same architectures, on the same images, each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bnao.backends.keras.batches import beside_batch, encode_items
from bnao.errors import DataError
from bnao.space.spaces import SearchSpace


class ArchitectureValidation(keras.callbacks.Callback):
    """Evaluates a supernet at each epoch's end with a fixed list of architectures.

    Each is evaluated on all of the data, and the epoch's logs get the mean over the architectures of every metric, as
    ``val_<metric>``, and their standard deviation, as ``val_<metric>_spread``. Data for ``validation_data`` whose
    architectures are drawn would compare other architectures each epoch, and early stopping would follow the draw.

    Stand it before the callbacks that read its values: ``callbacks=[ArchitectureValidation(...), EarlyStopping()]``.

    Args:
        x: images (n, ...), or a dictionary, tuple or list of arrays.
        y: labels (n, ...).
        items: the architectures, at least one.
        encoding: what the model reads of an item, as for ``BalancedBatches``.
        batch_size: images of a batch. A supernet normalises by the batch, so it is a part of what is measured.

    Attributes:
        latest: for each architecture the metrics of the latest epoch, by name.

    Raises:
        DataError: no items, or an encoding as for ``BalancedBatches``.

    >>> callback = ArchitectureValidation(np.zeros((4, 2)), np.zeros(4), items=[10, 20])
    >>> callback.latest
    []
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        *,
        items: Sequence[Any],
        encoding: SearchSpace | ArrayLike | None = None,
        batch_size: int = 32,
    ) -> None:
        super().__init__()
        if not len(items):
            raise DataError("items are none; there must be at least one architecture to validate")
        self._archs = encode_items(items, encoding)
        self._data, self._batch_size = (x, keras.tree.map_structure(np.asarray, y)), batch_size
        self.latest: list[dict[str, float]] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Evaluate each architecture, and put mean and spread among the epoch's logs."""
        self.latest = [self._evaluated(arch) for arch in self._archs]
        for name in self.latest[0] if logs is not None else ():
            values = [found[name] for found in self.latest]
            logs |= {f"val_{name}": float(np.mean(values)), f"val_{name}_spread": float(np.std(values))}

    def _evaluated(self, arch: NDArray[np.int32]) -> dict[str, float]:
        inputs, labels = beside_batch(self._data, lambda n: np.repeat(arch[None], n, axis=0))
        found = self.model.evaluate(inputs, labels, batch_size=self._batch_size, verbose=0, return_dict=True)
        return {name: float(value) for name, value in found.items()}
