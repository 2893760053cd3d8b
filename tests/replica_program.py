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
from attrs import evolve

from bnao import ProportionalSampler, SearchConfig, load_backend
from bnao.backends.keras import BalancedBatches
from bnao.config.settings import NetworkConfig, TrainingConfig
from bnao.errors import BackendError
from bnao.protocols import Mixture, Pass
from bnao.space.mixture import mixture_shape
from bnao.space.spaces import space_named
from bnao.streams import stream
from bnao.testing import small_dataset
from bnao.training.steps import supernet_steps

if engine != "jax":
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})  # as in conftest.py

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


# JAX compiles a cell of nao for longer
SPACE, NODES = ("nas-bench-201", 3) if engine == "jax" else ("nao", 1)
NETWORK = NetworkConfig(space=SPACE, channels=4, cells=1, nodes=NODES)
TRAINING = TrainingConfig(batch_size=16, learning_rate=0.1, drop_path_keep=0.7)


def searched(scope, halves):
    """What three of bnao's own steps found, and logits after them; each of one pass, or of one for each half."""
    config = SearchConfig(network=NETWORK, training=TRAINING)
    genotypes = space_named(SPACE, NODES).random_genotypes(3, stream(0, "replicas"))
    with scope():
        shared = load_backend("keras").supernet(config, small_dataset())
        losses = []
        for step in supernet_steps(config, small_dataset(), shared.network, genotypes, np.arange(3), 0, 0):
            whole = Pass(step.genotype, step.images, step.labels, step.masks)
            outcomes = shared.supernet.step(halves_of(whole) if halves else [whole], step.rate)
            losses.append(float(np.mean([outcome.loss for outcome in outcomes])))
        logits = shared.logits(genotypes[0], small_dataset().x_test)
        return {
            "devices": devices_of(shared.supernet.net),
            "losses": losses,
            "weights": [np.asarray(value).ravel().tolist() for value in shared.state().values()],
            "logits": logits.tolist(),
        }


def halves_of(one):
    first, second = (slice(8), slice(8, 16))
    return [
        evolve(one, images=one.images[rows], labels=one.labels[rows], masks=one.masks[..., rows], weight=0.5)
        for rows in (first, second)
    ]


found = [fitted(contextlib.nullcontext)]
steps = [searched(contextlib.nullcontext, halves=engine != "jax")]
if engine == "jax":
    scope = contextlib.nullcontext
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=keras.distribution.list_devices()))
else:
    scope = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope
found.append(fitted(scope))
steps.append(searched(scope, halves=False))


def refused(make, scope=scope):
    try:
        with scope():
            make()
    except BackendError as error:
        return str(error)
    return ""


def supernet():
    return load_backend("keras").supernet(SearchConfig(network=NETWORK), small_dataset())


def step_of_a_mixture():
    space = space_named(SPACE, NODES)
    one = Pass(Mixture(np.ones(mixture_shape(space))), np.zeros((4, 12, 12, 3), np.float32), np.zeros(4, np.int64))
    supernet().supernet.step([one], 0.1)


if engine == "jax":
    mesh = keras.distribution.DeviceMesh((1, 2), ("batch", "model"), keras.distribution.list_devices())
    layouts = keras.distribution.LayoutMap(mesh)
    keras.distribution.set_distribution(keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch"))
    errors = [refused(supernet)]
else:
    errors = [refused(supernet, tf.distribute.OneDeviceStrategy("CPU:0").scope), refused(step_of_a_mixture)]
print(json.dumps({"fits": found, "steps": steps, "refused": errors}))
