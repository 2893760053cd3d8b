"""The devices among which a step's batch is divided: those of a distribution of Keras (JAX), or a TensorFlow strategy.

Under JAX a program is one over all devices: norms see the whole batch, and a step is that of one device but for the
order of sums. Under TensorFlow each replica normalises its own rows, and gradients are averaged, weighted by rows.
Scores are made of whole batches in both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from bnao.backends.keras.engine import ENGINE
from bnao.backends.keras.operations import Tensor
from bnao.errors import BackendError
from bnao.protocols import Architecture, Mixture

if ENGINE == "tensorflow":
    import tensorflow as tf


def check_devices() -> None:
    """Check that bnao's own step can be divided as the strategy or distribution says that is set, if one is.

    Raises:
        BackendError: it cannot.
    """
    if ENGINE == "tensorflow" and tf.distribute.has_strategy():
        chosen, known = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy
    elif ENGINE == "jax" and keras.distribution.distribution() is not None:
        chosen, known = keras.distribution.distribution(), keras.distribution.DataParallel
    else:
        return
    if not isinstance(chosen, known):
        raise BackendError(
            f"{type(chosen).__name__} is set; bnao's own step in Keras is divided by {known.__name__} alone, or take "
            "backend torch and --across batch"
        )


def replicas() -> tuple[str, ...]:
    """Return the devices that a TensorFlow strategy divides a batch among; none without one."""
    if ENGINE != "tensorflow" or not tf.distribute.has_strategy():
        return ()
    return tuple(tf.distribute.get_strategy().extended.worker_devices)


def divided(array: Any, axis: int = 0) -> Any:
    """Return an array of a batch with its images divided among the devices of a distribution of Keras, if one is set.

    Args:
        array: of NumPy.
        axis: which one counts the images.
    """
    distribution = keras.distribution.distribution() if ENGINE == "jax" else None
    if distribution is None or array.shape[axis] % distribution.num_model_replicas:
        return array
    axes: list[str | None] = [None] * array.ndim
    axes[axis] = distribution.batch_dim_name
    return keras.distribution.distribute_tensor(array, keras.distribution.TensorLayout(axes, distribution.device_mesh))


def check_is_a_path(architecture: Architecture, devices: Sequence[str]) -> None:
    """Check that a pass can be divided among TensorFlow's replicas, if there are any.

    Raises:
        BackendError: it is of a mixture.
    """
    if devices and isinstance(architecture, Mixture):
        raise BackendError("a MirroredStrategy divides the steps of paths, and not of mixtures; search without it")


#: a path's loss, logits and gradients, of the arrays, images, targets, architecture and masks
Gradients = Callable[..., tuple[Tensor, Tensor, list[Tensor]]]


def by_rows(function: Gradients, devices: Sequence[str]) -> Gradients:
    """Return the function computed by TensorFlow's replicas, each for its rows; losses and gradients are averaged."""

    def computed(
        values: Sequence[Tensor], images: Tensor, targets: Tensor, arch: Any, masks: Tensor | None
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        b, found, shares = images.shape[0], [], []
        for device, rows in zip(devices, np.array_split(np.arange(b), len(devices)), strict=True):
            if len(rows):
                own = slice(rows[0], rows[-1] + 1)
                with tf.device(device):
                    of_rows = None if masks is None else masks[..., own]
                    found.append(function(values, images[own], targets[own], arch, of_rows))
                shares.append(len(rows) / b)
        losses, logits, gradients = zip(*found, strict=True)
        return (
            _mean(losses, shares),
            tf.concat(logits, 0),
            [_mean(each, shares) for each in zip(*gradients, strict=True)],
        )

    return computed


def _mean(values: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    return tf.add_n([share * tf.convert_to_tensor(value) for value, share in zip(values, shares, strict=True)])
