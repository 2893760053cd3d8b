"""The supernet as a Keras model: one graph for every architecture, in any Keras training; and against PyTorch."""

import importlib.util
import re
import subprocess
import sys
import textwrap
from functools import partial

import numpy as np
import pytest
from attrs import evolve

from bnao.backends import load
from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import SHARE_OVER, MachineConfig, NetworkConfig, SearchConfig, TrainingConfig
from bnao.errors import BackendError, ConfigError, DataError, DivergedError, GenotypeError, WeightsError
from bnao.network.parameters import operation_norms, shared_place
from bnao.network.size import supernet_parameters
from bnao.network.state import MOMENTUM, read_weights, to_bytes, without_momenta
from bnao.protocols import Pass
from bnao.space.genotype import edge_slots
from bnao.space.spaces import space_named
from bnao.strategies.inheritance import SupernetWeights, first_weights, read_shared_weights
from bnao.streams import stream
from bnao.testing import small_dataset
from bnao.training.steps import supernet_steps

try:
    load("keras")
except BackendError as error:
    pytest.skip(str(error), allow_module_level=True)

import keras
from keras import ops

from bnao.backends.keras import ENGINE, PathSGD, Supernet
from bnao.backends.keras.engine import check_engine, check_layout, value_and_gradients
from bnao.backends.keras.forward import Forward
from bnao.backends.keras.model import tell_of_the_first_step
from bnao.backends.keras.operations import scoring_norm, tensor
from bnao.backends.keras.stacks import chosen_slots
from bnao.backends.keras.used import used_slots
from bnao.network.stacked import stacks_of
from tests.backends.known_paths import logits_of

NETWORK = NetworkConfig(channels=4, cells=1, nodes=2, image=(12, 12, 3), classes=4)
CELL = NetworkConfig(space="nas-bench-201", channels=4, cells=1, image=(12, 12, 3), classes=4)
SMALL = evolve(NETWORK, nodes=1)  # its graphs take half the time to build
SPACE = space_named("nao", 2)
B = 16

only_tensorflow = pytest.mark.skipif(ENGINE != "tensorflow", reason="TensorFlow's graphs")
of_both_engines = pytest.mark.skipif(ENGINE == "jax", reason="is the same on TensorFlow; JAX compiles it for minutes")


def batch(b=B):
    images = stream(0, "keras test").standard_normal((b, 12, 12, 3)).astype(np.float32)
    return images, (np.arange(b) % 4).astype(np.int32)


def given(model, genotype, b=B):
    return {"image": batch(b)[0], "arch": model.arch_of(genotype, b)}


def compiled(model, **options):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(PathSGD(model, learning_rate=0.1), loss=loss, **options)
    return model


def pool(n, name="keras pool", network=NETWORK):
    return space_named("nao", network.nodes).random_genotypes(n, stream(0, name))


def covering():
    """Genotypes in which every node reads every state by every operation, in both kinds of cell."""
    genotypes, operations = [], len(SPACE.operations)
    for at in range(0, operations * (SPACE.inputs + SPACE.nodes - 1), SPACE.edges):
        integers = np.zeros(SPACE.shape, np.int64)
        for node in range(SPACE.nodes):
            for edge in range(SPACE.edges):
                source, operation = divmod(at + edge, operations)
                integers[:, node, edge] = source % (SPACE.inputs + node), operation % operations
        genotypes += SPACE.decode(integers)
    return genotypes


def test_the_covering_genotypes_read_every_state_by_every_operation():
    read = {
        (cell, node, edge.source, edge.operation)
        for genotype in covering()
        for cell in range(2)
        for node, each in enumerate(genotype.cell(reduction=bool(cell)).nodes)
        for edge in each.edges
    }

    states = sum(SPACE.inputs + node for node in range(SPACE.nodes))
    assert len(read) == 2 * states * len(SPACE.operations)


@pytest.fixture(scope="module")
def made():
    """A compiled model, whose graphs are built once for all tests that train it with the paper's numbers."""
    return compiled(Supernet(SMALL), metrics=["accuracy"], weighted_metrics=["accuracy"])


def begin_anew(model):
    """Return it with its first weights, no momentum and the first learning rate."""
    model.load_state(Supernet(SMALL).state())
    for momentum in model.optimizer.momenta:
        momentum.assign(ops.zeros_like(momentum))
    model.optimizer.learning_rate = 0.1
    model._initial_epoch = None  # BackupAndRestore leaves it behind
    return model


@pytest.fixture
def model(made):
    """The same, as it began."""
    return begin_anew(made)


def fit(model, inputs, labels, **options):
    """Train in order, with weights of the rows, so that one graph serves all tests."""
    weights = np.ones(len(labels), np.float32)
    options = {"batch_size": B, "shuffle": False, "verbose": 0, **options}
    return model.fit(inputs, labels, sample_weight=weights, **options)


def said_by(code):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=900, check=False
    )
    return done.stdout + done.stderr


# --- one graph


@only_tensorflow
@pytest.mark.parametrize(
    "network",
    [
        pytest.param(NETWORK, id="nao"),
        pytest.param(evolve(SMALL, share_over="node"), id="nao-shared"),
        pytest.param(CELL, id="nas-bench-201"),
        pytest.param(evolve(NETWORK, space="nasnet"), id="nasnet"),
        pytest.param(evolve(NETWORK, space="snas"), id="snas", marks=pytest.mark.slow),  # what the contract trains too
    ],
)
def test_the_graph_of_all_architectures_gives_each_ones_logits_and_gradients(network):
    import tensorflow as tf

    forward, model = Forward(network), Supernet(network)
    genotypes = covering() if network is NETWORK else model.space.random_genotypes(8, stream(0, "keras graphs"))
    values = [tensor(array) for array in model.arrays]
    images, labels = (tf.convert_to_tensor(each) for each in batch())
    shape = (5, model.space.nodes, model.space.edges, B)
    masks = tf.constant(stream(0, "masks").integers(0, 2, shape).astype(np.float32) * 2)

    def loss(values, logits_of, arch):
        return ops.mean(ops.sparse_categorical_crossentropy(labels, logits_of(values, images, arch, masks), True))

    graph = tf.function(lambda arch: value_and_gradients(loss, values, forward, arch), autograph=False)
    for genotype in genotypes:
        arch = model.arch_of(genotype).reshape(model.space.shape)
        expected, gradients = value_and_gradients(loss, values, partial(logits_of, forward), genotype)

        computed, own = graph(tf.convert_to_tensor(arch))

        assert float(computed) == pytest.approx(float(expected), rel=1e-5)
        for stack, one, other in zip(forward.stacks, own, gradients, strict=True):
            one, other = (tf.convert_to_tensor(each).numpy() for each in (one, other))
            assert np.linalg.norm(one - other) <= 1e-4 * np.linalg.norm(other) + 1e-5, (stack.name, str(genotype))
    assert graph.experimental_get_tracing_count() == 1


@only_tensorflow
def test_nothing_is_traced_again_whatever_is_drawn(model, monkeypatch):
    traced = []
    original = Forward.__call__
    monkeypatch.setattr(Forward, "__call__", lambda self, *a: traced.append(1) or original(self, *a))
    images, labels = batch()
    genotypes = pool(200, network=SMALL)
    archs = np.concatenate([model.arch_of(genotype, B) for genotype in genotypes])
    inputs = {"image": np.tile(images, (len(genotypes), 1, 1, 1)), "arch": archs}

    fit(model, inputs, np.tile(labels, len(genotypes)))
    model.predict(given(model, genotypes[0]), verbose=0)
    before = len(traced)
    for genotype in genotypes[:20]:
        model.predict(given(model, genotype), verbose=0)

    assert before <= 4  # the shapes, the step, and prediction
    assert len(traced) == before


@only_tensorflow
def test_a_search_traces_its_step_once(monkeypatch):
    calls = []
    original = Forward.__call__
    monkeypatch.setattr(Forward, "__call__", lambda self, *a: calls.append(1) or original(self, *a))
    training = TrainingConfig(batch_size=B, drop_path_keep=1.0)
    net = load("keras").supernet(SearchConfig(network=SMALL, training=training), small_dataset())
    genotypes = pool(200, network=SMALL)

    list(net.train(genotypes, np.arange(200), round_index=0))

    assert len(calls) <= 1  # none if another test of this network came first


def test_the_first_step_of_a_shape_tells_once_why_it_takes_longer(caplog):
    shape = Forward(evolve(NETWORK, channels=5))

    with caplog.at_level("INFO", "bnao"):
        for _ in range(2):
            tell_of_the_first_step(shape)

    assert [record.message.partition(" take")[0] for record in caplog.records] == [
        "The first steps build TensorFlow graphs for all that follow, and"
        if ENGINE == "tensorflow"
        else "The first step compiles one program for each shape of a cell, and"
    ]


@pytest.mark.parametrize("share_over", SHARE_OVER)
def test_an_edge_trains_the_weights_that_its_shared_name_says(share_over):
    network = evolve(NETWORK, share_over=share_over)
    stacks = [each for each in stacks_of(network).values() if each.name.startswith(("cells.0.", "cells.1."))]
    for genotype in covering()[::3]:
        (arch,) = SPACE.encode([genotype]).astype(np.int32)
        chosen = set()
        for stack in stacks:
            if stack.kind == "edge":
                slots, are = (np.asarray(each) for each in chosen_slots(network, arch, stack))
                names = (stack.names[slot] for slot in slots[are])
                chosen |= {re.sub(r"\.(depthwise|pointwise|norm|even|odd).*", "", name) for name in names}

        expected = {
            shared_place(share_over, f"cells.{index}", node, slot, edge.operation, edge.source)
            for index in range(2)
            for node, edges in enumerate(genotype.cell(reduction=index == 1).nodes)
            for slot, edge in zip(edge_slots(edges), edges.edges, strict=True)
            if "conv" in edge.operation or (edge.operation == "skip_connect" and index == 1 and edge.source < 2)
        }
        assert chosen == expected


@pytest.mark.parametrize("space", ["nao", "darts", "snas", "nasnet"])
def test_an_architecture_that_is_data_uses_the_slots_of_one_that_is_known(space):
    network = NetworkConfig(space=space, channels=4, cells=1, nodes=3, image=(12, 12, 3), classes=4)
    own, kinds = space_named(space, 3), {}
    for at, stack in enumerate(stacks_of(network).values()):
        kinds.setdefault((stack.kind, stack.reduction, stack.operations, len(stack.names)), (at, stack))
    for genotype in own.random_genotypes(6, stream(0, "keras slots")):
        (arch,) = own.encode([genotype]).astype(np.int32)
        for at, stack in kinds.values():
            used = used_slots(network, genotype)[at]
            found = np.ones(1, bool)
            if (chosen := chosen_slots(network, arch, stack)) is not None:
                slots, are = (np.asarray(each) for each in chosen)
                found = np.isin(np.arange(len(stack.names)), slots[are])
            assert found.tolist() == used.tolist(), (stack.name, str(genotype))


# --- a Keras model


def test_only_the_path_moves_in_fit_and_by_the_arithmetic_of_a_search(model):
    config = SearchConfig(
        network=SMALL, training=TrainingConfig(batch_size=B, learning_rate=0.1, learning_rate_end=0.1)
    )
    config = evolve(config, training=evolve(config.training, drop_path_keep=1.0))
    dataset = small_dataset()
    searched = load("keras").supernet(config, dataset)
    genotypes = pool(2, network=SMALL)
    steps = list(supernet_steps(config, dataset, searched.network, genotypes, np.array([0, 1]), 0, 0))
    for step in steps:
        before = model.state()

        inputs = {"image": step.images, "arch": model.arch_of(step.genotype, B)}
        fit(model, inputs, step.labels)

        moved = {name for name, value in model.state().items() if (value != before[name]).any()}
        cells = {name for name in moved if ".nodes." in name}
        assert cells == {name for name in cells if used(name, step.genotype)}
        assert {name for name in before if "nodes" in name and used(name, step.genotype)} >= cells
        assert len(cells) > 2
    list(searched.train(genotypes, np.array([0, 1]), round_index=0))
    for name, value in without_momenta(searched.state()).items():
        assert (model.state()[name] == value).all(), name


def used(name, genotype):
    """Whether a parameter of an edge is one of the genotype's."""
    parts = name.split(".")
    cell = genotype.reduction if int(parts[1]) in (1, 3) else genotype.normal
    node = cell.nodes[int(parts[3])]
    edge = node.edges[edge_slots(node).index(int(parts[5]))]
    return (edge.operation, edge.source) == (parts[6], int(parts[8]))


def test_edges_of_a_node_in_another_order_are_the_same_architecture():
    model = Supernet(SMALL)
    (genotype,) = pool(1, network=SMALL)
    arch = model.arch_of(genotype, B)
    swapped = arch.reshape(B, *model.space.shape)[:, :, :, ::-1].reshape(B, -1)

    logits = [ops.convert_to_numpy(model({"image": batch()[0], "arch": each})) for each in (arch, swapped)]

    assert (logits[0] == logits[1]).all()


def test_weights_that_keras_saves_and_loads_predict_the_same(tmp_path):
    model, (genotype,) = Supernet(SMALL), pool(1, network=SMALL)
    expected = ops.convert_to_numpy(model(given(model, genotype)))

    model.save_weights(tmp_path / "supernet.weights.h5")
    other = Supernet(SMALL, seed=3)
    other.load_weights(tmp_path / "supernet.weights.h5")

    assert (ops.convert_to_numpy(other(given(other, genotype))) == expected).all()


@of_both_engines
def test_callbacks_work_as_in_any_fit_and_a_files_training_goes_on_where_it_stopped(model, tmp_path):
    (genotype,) = pool(1, network=SMALL)
    inputs, labels = given(model, genotype), batch()[1]
    steps = int(model.optimizer.iterations)
    callbacks = [
        keras.callbacks.ModelCheckpoint(tmp_path / "supernet.keras"),
        keras.callbacks.ModelCheckpoint(tmp_path / "best.weights.h5", save_best_only=True, save_weights_only=True),
        # nothing is ever better by 100 than before
        keras.callbacks.ReduceLROnPlateau(monitor="loss", min_delta=100, patience=1, factor=0.5),
        keras.callbacks.EarlyStopping(monitor="val_accuracy", min_delta=100, patience=2),
    ]

    history = fit(
        model, inputs, labels, epochs=9, callbacks=callbacks, validation_data=(inputs, labels, np.ones(B, np.float32))
    ).history

    assert history["learning_rate"] == pytest.approx([0.1, 0.1, 0.05])
    assert history["loss"][2] < history["loss"][0]
    assert set(history) == {"learning_rate"} | {
        f"{part}{name}" for part in ("", "val_") for name in ("loss", "accuracy", "weighted_accuracy")
    }
    other = keras.saving.load_model(tmp_path / "supernet.keras")
    assert other.network == model.network
    assert all((value == model.state()[name]).all() for name, value in other.state().items())
    momenta = zip(model.optimizer.momenta, other.optimizer.momenta, strict=True)
    assert all((ops.convert_to_numpy(one) == ops.convert_to_numpy(two)).all() for one, two in momenta)
    assert int(other.optimizer.iterations) - steps == 3
    assert float(other.optimizer.learning_rate) == pytest.approx(0.05)
    other.load_weights(tmp_path / "best.weights.h5")


@of_both_engines
def test_a_fit_that_crashed_goes_on_from_its_backup_bit_for_bit(model, tmp_path):
    class Crash(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise RuntimeError("crashed")

    inputs, labels = given(model, *pool(1, network=SMALL)), batch()[1]
    fit(model, inputs, labels, epochs=3)
    expected = model.state()
    with pytest.raises(RuntimeError, match="crashed"):
        fit(begin_anew(model), inputs, labels, epochs=3, callbacks=[_backup(tmp_path), Crash()])

    history = fit(begin_anew(model), inputs, labels, epochs=3, callbacks=[_backup(tmp_path)])

    assert history.epoch == [2]
    assert all((value == expected[name]).all() for name, value in model.state().items())


def _backup(folder):
    return keras.callbacks.BackupAndRestore(folder / "backup")


@of_both_engines
def test_classes_are_weighted_and_epochs_may_be_steps(model):
    inputs, labels = given(model, *pool(1, network=SMALL)), batch()[1]
    twice = {name: np.concatenate([value, value]) for name, value in inputs.items()}
    losses = [
        begin_anew(model)
        .fit(inputs, labels, class_weight=dict.fromkeys(range(4), weight), batch_size=B, verbose=0)
        .history["loss"][0]
        for weight in (1.0, 2.0)
    ]
    steps = int(model.optimizer.iterations)

    fit(model, twice, np.tile(labels, 2), steps_per_epoch=1, epochs=2)

    assert losses[1] == pytest.approx(2 * losses[0], rel=1e-5)
    assert int(model.optimizer.iterations) - steps == 2


@of_both_engines
def test_a_file_of_an_optimizer_has_its_schedule_and_of_float16_its_scaled_loss(tmp_path):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    schedule = keras.optimizers.schedules.CosineDecay(0.1, decay_steps=4)
    model = Supernet(SMALL, dtype="mixed_float16")
    model.compile(PathSGD(learning_rate=schedule, momentum=0.8), loss)

    model.save(tmp_path / "supernet.keras")
    other = keras.saving.load_model(tmp_path / "supernet.keras")

    assert isinstance(other.optimizer, keras.optimizers.LossScaleOptimizer)
    assert other.optimizer.get_config() == model.optimizer.get_config()
    assert other.optimizer.inner_optimizer.get_config()["momentum"] == 0.8
    assert [each.optimizer.inner_optimizer._supernet() for each in (model, other)] == [model, other]


@of_both_engines
def test_a_saved_supernet_is_weights_for_scores_searches_and_trainings(tmp_path):
    for network in (SMALL, evolve(CELL, share_over="source")):
        model = Supernet(network, seed=3)
        path = tmp_path / f"{network.space}.keras"
        model.save(path)

        states = [
            read_shared_weights(path, network),
            first_weights(str(path), network),
            SupernetWeights.of(str(path), network).state,
        ]

        for state in states:
            assert state.keys() == model.state().keys()
            assert all((value == model.state()[name]).all() for name, value in state.items())
    with pytest.raises(ConfigError, match=r"nao\.keras is a supernet with channels = 4, and here channels = 8"):
        read_shared_weights(tmp_path / "nao.keras", evolve(SMALL, channels=8))
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "other.keras")
    with pytest.raises(WeightsError, match=r"other\.keras holds a Sequential; it must be a bnao\.backends\.keras\."):
        read_shared_weights(tmp_path / "other.keras", SMALL)


def test_the_summary_counts_the_parameters_of_each_cell():
    lines = []

    Supernet(SMALL, name="small").summary(print_fn=lines.append)

    counts = [int(line.split()[-1].replace(",", "")) for line in lines[1:]]
    assert lines[0] == "Supernet 'small': space nao, 1 nodes, images 12 x 12 x 3, 4 classes, float32"
    assert [line.split()[:2] for line in lines[2:4]] == [["cells.0", "normal"], ["cells.1", "reduction"]]
    assert counts[-1] == sum(counts[:-1]) == supernet_parameters(SMALL)


@only_tensorflow
def test_an_export_knows_its_inputs(monkeypatch):
    given = []
    monkeypatch.setattr(keras.Model, "export", lambda self, *arguments, **options: given.append((arguments, options)))

    Supernet(SMALL).export("supernet", verbose=False)

    ((arguments, options),) = given
    (signature,) = options["input_signature"]
    assert (arguments, options["verbose"]) == (("supernet",), False)
    assert {name: (spec.shape, spec.dtype) for name, spec in signature.items()} == {
        "image": ((None, 12, 12, 3), "float32"),
        "arch": ((None, 8), "int32"),
    }


@pytest.mark.skipif(ENGINE == "tensorflow", reason="there it is one program")
def test_a_supernet_that_is_no_one_program_is_not_exported(tmp_path):
    with pytest.raises(BackendError, match=r"space 'darts' is no one program in .*; save it, or export a genotype's"):
        Supernet(evolve(NETWORK, space="darts")).export(tmp_path / "darts")


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"image": np.zeros((2, 10, 10, 3), "float32")}, r"image has shape \(2, 10, 10, 3\); .* \(batch, 12, 12, 3\)"),
        ({"image": np.zeros((12, 12, 3), "float32")}, r"image has shape \(12, 12, 3\)"),
        (np.zeros((2, 12, 12, 3)), r'with \{"image": images, "arch": arch\}, and not with'),
        ({"images": np.zeros((2, 12, 12, 3))}, r"and not with \['arch', 'images'\]"),
    ],
)
def test_inputs_of_another_form_are_refused_with_the_right_one(inputs, told):
    model = Supernet(SMALL)
    arch = {"arch": model.arch_of(*pool(1, network=SMALL), 2)} if isinstance(inputs, dict) else {}

    with pytest.raises(DataError, match=told):
        model({**inputs, **arch} if arch else inputs)


@of_both_engines
def test_mixed_precision_gives_nearly_the_float32_logits_and_a_file_of_it_is_of_its_kind(tmp_path):
    exact, rough, (genotype,) = Supernet(SMALL), Supernet(SMALL, dtype="mixed_bfloat16"), pool(1, network=SMALL)

    logits = [ops.convert_to_numpy(model(given(model, genotype))) for model in (exact, rough)]

    assert rough.arrays[0].dtype == "float32"
    assert 0 < abs(logits[0] - logits[1]).max() < 0.15 * abs(logits[0]).max()
    rough.save(tmp_path / "rough.keras")
    other = keras.saving.load_model(tmp_path / "rough.keras")
    assert (other.name, other.compute_dtype, other.network) == (rough.name, "bfloat16", SMALL)
    assert all((value == rough.state()[name]).all() for name, value in other.state().items())
    compiled(rough).fit(given(rough, genotype), batch()[1], batch_size=B, epochs=1, verbose=0)
    assert np.isfinite(np.concatenate([value.ravel() for value in rough.state().values()])).all()


REPLICAS = """
    import os
    os.environ["TF_NUM_INTEROP_THREADS"] = "2"  # with one, two replicas wait for each other for ever
    import numpy as np
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    import keras
    from keras import ops
    from bnao.backends.keras import PathSGD, Supernet
    from bnao.backends.keras.engine import value_and_gradients
    from bnao.backends.keras.operations import tensor
    from bnao.backends.keras.optimizer import PathUpdate, clipping
    from bnao.config.settings import NetworkConfig
    from bnao.streams import stream
    from tests.backends.known_paths import logits_of

    network = NetworkConfig(channels=4, cells=1, nodes=1, image=(12, 12, 3), classes=4)
    images = stream(0, "replicas").standard_normal((16, 12, 12, 3)).astype(np.float32)
    labels = (np.arange(16) % 4).astype(np.int32)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    with strategy.scope():
        model = Supernet(network)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(PathSGD(model, learning_rate=0.1, gradient_norm=0.5), loss=loss)
    one = Supernet(network)
    genotypes = one.space.random_genotypes(2, stream(0, "replicas"))
    values = [tensor(array) for array in one.arrays]
    momenta = [ops.zeros(value.shape) for value in values]
    for genotype in genotypes:
        arch = one.arch_of(genotype).reshape(one.space.shape)
        def loss_of(values, images, labels):
            logits = logits_of(one.forward, values, images, genotype)
            return ops.mean(ops.sparse_categorical_crossentropy(labels, logits, from_logits=True))
        slices = slice(8), slice(8, 16)
        halves = [value_and_gradients(loss_of, values, images[half], labels[half])[1] for half in slices]
        gradients = [(tf.convert_to_tensor(a) + tf.convert_to_tensor(b)) / 2 for a, b in zip(*halves)]
        numbers = [tf.constant(number) for number in (0.1, 0.9, 3e-4)]
        update = PathUpdate(one.forward, arch, "path", clipping(gradients, 0.5), *numbers)
        moved = [update(*each) for each in zip(one.forward.stacks, values, momenta, gradients)]
        values, momenta = [list(each) for each in zip(*moved)]
        given = {"image": images, "arch": one.arch_of(genotype, 16)}
        model.fit(given, labels, batch_size=16, epochs=1, shuffle=False, verbose=0)
    for array, value, stack in zip(model.arrays, values, one.forward.stacks):
        parts = strategy.experimental_local_results(array.value)
        assert len(parts) == 2 and (parts[0].numpy() == parts[1].numpy()).all(), stack.name
        assert np.allclose(parts[0].numpy(), value.numpy(), rtol=1e-4, atol=1e-5), stack.name
    print("the same")
"""


@only_tensorflow
def test_two_replicas_move_the_weights_as_one_device_does_by_the_mean_of_their_gradients():
    assert "the same\n" in said_by(REPLICAS)


# --- bad input


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [(1, 9, "operation 9 does not exist"), (0, 2, "node 0 reads state 2"), (4, -1, "reads state -1")],
)
def test_an_arch_that_is_no_genotype_is_refused_with_the_reason(place, value, told):
    model, (genotype,) = Supernet(NETWORK), pool(1)
    inputs = given(model, genotype)
    inputs["arch"][:, place] = value

    with pytest.raises(GenotypeError, match=told):
        model(inputs)


def test_an_optimizer_of_no_supernet_is_refused():
    optimizer = PathSGD()
    variables = [keras.Variable(np.ones(2))]
    optimizer.build(variables)

    with pytest.raises(BackendError, match="give it one, or compile one with it"):
        optimizer.apply([np.ones(2, np.float32)], variables)


def test_an_arch_of_another_space_or_of_unequal_rows_is_refused():
    model, genotypes = Supernet(NETWORK), pool(2)
    images, _ = batch()

    with pytest.raises(GenotypeError, match=r"arch has shape \(16, 40\); .* 2 nodes is 16 whole numbers"):
        model({"image": images, "arch": np.zeros((B, 40), np.int32)})
    rows = np.concatenate([model.arch_of(genotype, B // 2) for genotype in genotypes])
    with pytest.raises(GenotypeError, match="rows that differ"):
        model({"image": images, "arch": rows})


@only_tensorflow
def test_in_a_graph_an_arch_that_is_none_stops_the_step_and_changes_nothing(model):
    import tensorflow as tf

    genotypes = pool(2, network=SMALL)
    wrong = given(model, genotypes[0])
    wrong["arch"][:, 1] = 9
    unequal = given(model, genotypes[0])
    unequal["arch"][3:] = model.arch_of(genotypes[1])
    before = model.state()

    for inputs, told in ((wrong, "it has no such source or operation"), (unequal, "rows that differ")):
        with pytest.raises(tf.errors.InvalidArgumentError, match=told):
            fit(model, inputs, batch()[1])

    assert all((value == before[name]).all() for name, value in model.state().items())


def test_weights_of_another_width_are_refused_by_name():
    with pytest.raises(WeightsError, match=r"stem.0.kernel of shape \(18, 3, 3, 3\)"):
        Supernet(NETWORK).load_state(Supernet(evolve(NETWORK, channels=6)).state())


def test_engines_and_layouts_that_bnao_does_not_know_are_refused():
    with pytest.raises(BackendError, match="'torch'; bnao has a backend of its own for it, --backend torch"):
        check_engine("torch")
    with pytest.raises(BackendError, match="'numpy'; set KERAS_BACKEND to tensorflow or jax"):
        check_engine("numpy")
    with pytest.raises(BackendError, match=r"'channels_first'; .* need 'channels_last'"):
        check_layout("channels_first")


@pytest.mark.parametrize("engine", ["torch", "numpy", "abacus"])
def test_another_engine_is_refused_in_one_line_before_keras_is_imported(engine):
    said = said_by(f"""
        import os, sys
        os.environ["KERAS_BACKEND"] = "{engine}"
        sys.argv = ["bnao", "search", "--backend", "keras"]
        from bnao.cli import main
        try:
            main()
        finally:
            print("keras" in sys.modules)
    """)

    assert f"bnao: error: Keras' engine is '{engine}'" in said
    assert "Traceback" not in said
    assert said.splitlines()[0] == "False" or said.splitlines()[-1] == "False"


@only_tensorflow
def test_an_empty_choice_of_engine_is_none():
    code = "import os; os.environ['KERAS_BACKEND'] = ''; import bnao.backends.keras as k; print('on', k.ENGINE)"

    assert "on tensorflow" in said_by(code)


def test_what_this_backend_does_not_know_is_refused_by_name():
    for machine, told in (({"compile": True}, "--compile"), ({"device": "gpu:7"}, "no device 'gpu:7' here")):
        with pytest.raises(BackendError, match=told):
            load("keras").supernet(SearchConfig(network=NETWORK, machine=MachineConfig(**machine)), small_dataset())


def test_a_loss_that_is_no_number_stops_with_step_genotype_and_rate():
    # of the graph that other tests have built
    training = TrainingConfig(batch_size=B, learning_rate=1e9, drop_path_keep=1.0)
    net = load("keras").supernet(SearchConfig(network=SMALL, training=training), small_dataset())

    with pytest.raises(DivergedError, match=r"round 1, step \d+, learning rate \S+e\+\d+, genotype \d:"):
        list(net.train(pool(1, network=SMALL), np.zeros(20, np.int64), round_index=0))


# --- PyTorch, in a process of its own


has_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch beside Keras")
# JAX compiles a cell of two nodes for a minute; test_keras_jax.py holds one against its operations one by one
COMPARED = NETWORK if ENGINE == "tensorflow" else SMALL

MIXTURES = """
    from bnao.protocols import Pass
    from bnao.space.mixture import Mixture, mixture_shape

    def of_mixtures(backend, dataset, spaces=(("nao", 2), ("nas-bench-201", 3))):
        found = {}
        for name, nodes in spaces:
            network = NetworkConfig(space=name, channels=4, cells=1, nodes=nodes, share_over="source")
            net, space = backend.supernet(SearchConfig(network=network, seed=5), dataset), space_named(name, nodes)
            weights = stream(0, "parity").random(mixture_shape(space))
            mixture = Mixture(weights * (weights > 0.3))
            images, labels = dataset.normalised(dataset.x_test[:16]), dataset.y_test[:16]
            one = Pass(mixture, images, labels, slope="all", weight=0.5)
            found[f"path {name}"] = net.logits(space.random_genotypes(1, stream(1, "parity"))[0], dataset.x_test[:16])
            found[f"mixture {name}"] = net.logits(mixture, dataset.x_test[:16])
            found[f"slope {name}"] = net.supernet.step([one], 0.1)[0].slope
            found[f"mixture {name} after a step"] = net.logits(mixture, dataset.x_test[:16])
        return found
"""

SCORES = """
    def of_scores(backend, dataset, spaces):
        found = {}
        small = stream(0, "scores").standard_normal((500, 4, 4, 3)).astype(np.float32)
        images = small.repeat(8, 1).repeat(8, 2)  # smooth, as photographs are
        for name, nodes in spaces:
            network = NetworkConfig(space=name, channels=4, cells=1, nodes=nodes)
            net = backend.supernet(SearchConfig(network=network, seed=5), dataset)
            (genotype,) = space_named(name, nodes).random_genotypes(1, stream(0, "scores"))
            found[f"scores {name}"] = net.supernet.logits(genotype, images)
        return found
"""

IN_TORCH = """
    import sys
    import numpy as np
    from attrs import evolve
    from bnao.backends import load
    from bnao.config.evaluation import EvaluateConfig
    from bnao.config.settings import NetworkConfig, SearchConfig, TrainingConfig
    from bnao.space.spaces import space_named
    from bnao.streams import stream
    from bnao.testing import small_dataset
    from bnao.network.state import read_weights, to_bytes
    exec(sys.argv.pop(1))
    exec(sys.argv.pop(1))

    folder, nodes, dataset = sys.argv[1], int(sys.argv[2]), small_dataset()
    space, network = space_named("nao", nodes), NetworkConfig(channels=4, cells=1, nodes=nodes)
    pool = space.random_genotypes(6, stream(0, "parity"))
    supernet = load("torch").supernet(SearchConfig(network=network, seed=5), dataset)
    config = evolve(EvaluateConfig(epochs=1), network=network)
    logits = {}
    if len(sys.argv) > 3:
        supernet.load_state(read_weights(folder + "/supernet-keras.safetensors")[0])
    else:
        config = evolve(config, training=evolve(config.training, batch_size=32))
    for index, genotype in enumerate(pool):
        logits[f"supernet{index}"] = supernet.logits(genotype, dataset.x_test)
        if index < 2:
            alone = load("torch").stand_alone(genotype, config, dataset, seed=5)
            name = f"{folder}/alone{index}"
            if len(sys.argv) > 3:
                alone.load_state(read_weights(f"{name}-keras.safetensors")[0])
            else:
                list(alone.train())
                open(f"{name}-torch.safetensors", "wb").write(to_bytes(alone.state()))
            logits[f"alone{index}"] = alone.logits(dataset.x_test)
    if len(sys.argv) == 3:
        list(supernet.train(pool, np.arange(3), round_index=0))
        open(folder + "/supernet-torch.safetensors", "wb").write(to_bytes(supernet.state()))
        for index, genotype in enumerate(pool):
            logits[f"supernet{index}"] = supernet.logits(genotype, dataset.x_test)
        logits |= of_mixtures(load("torch"), dataset)
        logits |= of_scores(load("torch"), dataset, (("nao", nodes), ("nas-bench-201", 3)))
    np.savez(folder + "/logits.npz", **logits)
"""


def in_torch(folder, *more):
    arguments = textwrap.dedent(MIXTURES), textwrap.dedent(SCORES), str(folder), str(COMPARED.nodes), *more
    subprocess.run([sys.executable, "-c", textwrap.dedent(IN_TORCH), *arguments], check=True, timeout=900)
    return dict(np.load(f"{folder}/logits.npz"))


@has_torch
def test_weights_trained_in_pytorch_give_the_same_logits_here(tmp_path):
    expected = in_torch(tmp_path)
    backend, dataset = load("keras"), small_dataset()
    network = evolve(COMPARED, image=(32, 32, 3), classes=10)
    net = backend.supernet(SearchConfig(network=network), dataset)
    state, _ = read_weights(tmp_path / "supernet-torch.safetensors")
    assert any(name.startswith(MOMENTUM) for name in state)

    net.load_state(state)

    config = evolve(EvaluateConfig(), network=network)
    for index, genotype in enumerate(pool(6, "parity", COMPARED)):
        logits = net.logits(genotype, dataset.x_test)
        assert abs(logits - expected[f"supernet{index}"]).max() < 1e-4
        if index < 2:
            alone = backend.stand_alone(genotype, config, dataset, seed=0)
            alone.load_state(read_weights(tmp_path / f"alone{index}-torch.safetensors")[0])
            logits = alone.logits(dataset.x_test)
            assert abs(logits - expected[f"alone{index}"]).max() < 1e-4
    names = dict(globals())
    exec(textwrap.dedent(MIXTURES), names)
    # on JAX each operation of a mixture is compiled by itself, which takes minutes for those of nao
    spaces = (("nas-bench-201", 3),) if ENGINE == "jax" else (("nao", 2), ("nas-bench-201", 3))
    for name, values in names["of_mixtures"](backend, dataset, spaces).items():
        assert abs(values - expected[name]).max() < 1e-3 * max(1, abs(values).max()), name
    exec(textwrap.dedent(SCORES), names)
    for name, values in names["of_scores"](backend, dataset, (("nao", COMPARED.nodes), ("nas-bench-201", 3))).items():
        assert len(values) == 500
        assert abs(values - expected[name]).max() < 1e-4, name


def test_norms_of_scores_are_exact_on_500_images():
    x = (stream(0, "norms").standard_normal((500, 32, 32, 3)) * [1, 2, 5] + [0, 3, 40]).astype(np.float32)
    scale, shift = np.array([1, 2, 0.5], np.float32), np.array([0, -1, 3], np.float32)
    values = x.astype(np.float64)
    expected = (values - values.mean((0, 1, 2))) / np.sqrt(values.var((0, 1, 2)) + 1e-5) * scale + shift

    found = ops.convert_to_numpy(scoring_norm(ops.convert_to_tensor(x), *map(ops.convert_to_tensor, (scale, shift))))

    assert abs(found - expected).max() < 2e-5


@has_torch
def test_weights_trained_here_give_the_same_logits_in_pytorch(tmp_path):
    backend, dataset = load("keras"), small_dataset()
    network = evolve(COMPARED, image=(32, 32, 3), classes=10)
    net = backend.supernet(SearchConfig(network=network, training=TrainingConfig(batch_size=B)), dataset)
    genotypes = pool(6, "parity", COMPARED)
    list(net.train(genotypes, np.arange(3), round_index=0))
    (tmp_path / "supernet-keras.safetensors").write_bytes(to_bytes(net.state()))
    here = {f"supernet{index}": net.logits(genotype, dataset.x_test) for index, genotype in enumerate(genotypes)}
    base = EvaluateConfig(epochs=1)
    config = evolve(base, network=network, training=evolve(base.training, batch_size=32))
    for index, genotype in enumerate(genotypes[:2]):
        alone = backend.stand_alone(genotype, config, dataset, seed=0)
        if index == 0 and ENGINE == "tensorflow":  # JAX compiles a training of nao for minutes
            list(alone.train())
        (tmp_path / f"alone{index}-keras.safetensors").write_bytes(to_bytes(alone.state()))
        here[f"alone{index}"] = alone.logits(dataset.x_test)

    there = in_torch(tmp_path, "load")

    for name, logits in here.items():
        assert abs(logits - there[name]).max() < 1e-4 * max(1.0, abs(logits).max()), name


@pytest.mark.parametrize("network", [SMALL, CELL], ids=["nao", "nas-bench-201"])
def test_norms_of_operations_that_are_not_trained_stay_as_they_begin(network):
    training = TrainingConfig(batch_size=B, norm_affine=False, weight_decay=0.01)
    net = load("keras").supernet(SearchConfig(network=network, training=training), small_dataset())
    before = {name: np.array(value) for name, value in net.state().items()}
    genotypes = space_named(network.space, network.nodes).random_genotypes(3, stream(0, "affine"))

    list(net.train(genotypes, np.arange(2), round_index=0))  # one path a step
    if network is CELL:  # and several, whose update is the same in nao; of as many images, for which all is built
        images, labels = np.zeros((B, *net.network.image), np.float32), np.arange(B) % 4
        net.supernet.step([Pass(genotype, images, labels) for genotype in genotypes], rate=0.1)

    after = net.state()
    fixed = operation_norms(net.network)
    moved = {name for name in before if (before[name] != after[name]).any()}
    assert moved and not moved & fixed
    assert not {f"momentum.{name}" for name in fixed} & after.keys()
    assert any(name.endswith("kernel") or "depthwise" in name for name in moved)
