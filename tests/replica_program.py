"""What test_keras_replicas.py runs in a process of its own: a fit on one CPU device, and on two."""

import contextlib
import json
import os

engine = os.environ["KERAS_BACKEND"]
if engine == "jax":
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
else:
    os.environ["TF_NUM_INTEROP_THREADS"] = "2"  # with one, two replicas wait for each other for ever

import keras
import numpy as np

from bnao import ProportionalSampler, SearchConfig, load_backend
from bnao.backends.keras import BalancedBatches
from bnao.errors import BackendError
from bnao.testing import small_dataset

if engine != "jax":
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

WIDTHS = np.array([[4], [16], [64]])
sampler = ProportionalSampler(["narrow", "middle", "wide"], sizes=[4, 16, 64], seed=0)
rng = np.random.default_rng(0)
x, y = rng.normal(size=(96, 8)).astype("float32"), np.arange(96) % 2
seen = []


def note(replica, arch):
    seen.append([int(replica), sorted({int(value) for value in np.ravel(arch)}), len(arch)])
    return np.float32(0)


class Slimmable(keras.Model):
    """As in docs/keras.md; under TensorFlow each replica tells which architectures its rows have."""

    def __init__(self):
        super().__init__()
        self.hidden, self.out = keras.layers.Dense(64, "relu"), keras.layers.Dense(2)

    def call(self, inputs):
        # to build a model under a strategy, Keras shows it the mean of what the replicas have, as float32
        arch, told = keras.ops.cast(inputs["arch"], "int32"), 0.0
        if engine == "tensorflow" and not isinstance(arch, keras.KerasTensor):
            context = tf.distribute.get_replica_context()
            replica = context.replica_id_in_sync_group if context else 0
            told = tf.ensure_shape(tf.numpy_function(note, [replica, arch], tf.float32), ())
        used = keras.ops.arange(64) < arch[0, 0]
        return self.out(self.hidden(inputs["image"]) * keras.ops.cast(used, "float32")) + told


def devices_of(model):
    if engine == "jax":
        return len({each for value in model.trainable_variables for each in value.value.devices()})
    return model.distribute_strategy.num_replicas_in_sync


def fitted(scope):
    """What a fit on these devices found."""
    seen.clear()
    keras.utils.set_random_seed(0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with scope():
        model = Slimmable()
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss)
    batches = BalancedBatches(x, y, sampler=sampler, encoding=WIDTHS, batch_size=16, seed=1)
    history = model.fit(batches, epochs=2, verbose=0)
    return {
        "devices": devices_of(model),
        "losses": history.history["loss"],
        "weights": [np.asarray(value).ravel().tolist() for value in model.get_weights()],
        "seen": list(seen),
        "drawn": [int(WIDTHS[at, 0]) for at in sampler.draw(12)],
    }


found = [fitted(contextlib.nullcontext)]
if engine == "jax":
    scope = contextlib.nullcontext
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=keras.distribution.list_devices()))
else:
    scope = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope
found.append(fitted(scope))
refused = ""
try:
    with scope():
        load_backend("keras").supernet(SearchConfig(), small_dataset())
except BackendError as error:
    refused = str(error)
print(json.dumps({"fits": found, "refused": refused}))
