"""What Keras runs on: the engine's devices, CPU threads and number format."""

from __future__ import annotations

import contextlib
from typing import Any

import keras

from bnao.backends.keras.engine import ENGINE
from bnao.config.settings import MachineConfig
from bnao.errors import BackendError

if ENGINE == "tensorflow":
    import tensorflow as tf
else:
    import jax


def devices() -> list[str]:
    """Return the devices that ``--device`` can name here, such as cpu and gpu:0."""
    if ENGINE == "tensorflow":
        found = [f"{device.device_type.lower()}:{device.name.rpartition(':')[2]}" for device in _logical_devices()]
    else:
        found = [f"{device.platform}:{device.id}" for device in [*jax.devices(), *jax.devices("cpu")]]
    return list(dict.fromkeys("cpu" if name == "cpu:0" else name for name in found))


def _logical_devices() -> list[Any]:
    return [device for device in tf.config.list_logical_devices() if device.device_type in ("CPU", "GPU", "TPU")]


def device_of(config: MachineConfig) -> str:
    """Return the device the settings name, as Keras names it; ``auto`` takes a GPU if there is one. ``cuda`` is gpu:0.

    Raises:
        BackendError: there is no such device here.
    """
    here = devices()
    if config.device == "auto":
        return next((name for name in here if not name.startswith("cpu")), "cpu:0")
    wanted = config.device.replace("cuda", "gpu")
    wanted = f"{wanted}:0" if wanted == "gpu" else wanted
    if wanted not in here:
        raise BackendError(f"no device {config.device!r} here; there is auto, {', '.join(here)}")
    return "cpu:0" if wanted == "cpu" else wanted


class Machine:
    """Where and how a network computes.

    Attributes:
        device: as Keras names it.
        policy: Keras' dtype policy; weights and updates are float32 in each.
    """

    def __init__(self, config: MachineConfig) -> None:
        if config.compile:
            raise BackendError("--compile is for backend 'torch'; backend 'keras' compiles what it runs anyway")
        if config.threads is not None:
            _set_threads(config.threads)
        self.device = device_of(config)
        self.policy = "mixed_bfloat16" if config.precision == "bfloat16" else "float32"

    def scope(self) -> contextlib.AbstractContextManager[object]:
        """Where arrays are made and computed with."""
        scope: contextlib.AbstractContextManager[object] = keras.device(self.device)
        return scope


def _set_threads(threads: int) -> None:
    if ENGINE != "tensorflow":
        raise BackendError(
            "--threads cannot be set with JAX as Keras' engine; limit the process instead, "
            "such as by: taskset --cpu-list 0"
        )
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        if not tf.config.threading.get_inter_op_parallelism_threads():
            tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        if tf.config.threading.get_intra_op_parallelism_threads() != threads:
            raise BackendError(
                f"--threads {threads} comes too late: TensorFlow runs already, with "
                f"{tf.config.threading.get_intra_op_parallelism_threads() or 'a number of its own choice'}"
            ) from None
