"""A supernet in ``fit`` in spaces beside ``nao``: of cells of one state, and where each operation runs by itself."""

import numpy as np
import pytest
from attrs import evolve

from bnao.backends import load
from bnao.config.settings import NetworkConfig, SearchConfig, TrainingConfig
from bnao.errors import BackendError
from bnao.network.stacked import stacks_of
from bnao.network.state import without_momenta
from bnao.space.spaces import space_named
from bnao.streams import stream
from bnao.testing import small_dataset
from bnao.training.steps import supernet_steps

try:
    load("keras")
except BackendError as error:
    pytest.skip(str(error), allow_module_level=True)

import keras

from bnao.backends.keras import ENGINE, PathSGD, Supernet
from bnao.backends.keras.forward import Forward
from bnao.backends.keras.stacks import used_of_fixed_edges
from bnao.backends.keras.used import used_slots

if ENGINE == "tensorflow":
    import tensorflow as tf

only_tensorflow = pytest.mark.skipif(ENGINE != "tensorflow", reason="TensorFlow's graphs")

B = 8
# cells of one state, and of two whose output is a concatenation
NETWORKS = {
    "nas-bench-201": NetworkConfig(space="nas-bench-201", channels=4, cells=1, image=(8, 8, 3), classes=4),
    "darts": NetworkConfig(space="darts", channels=2, cells=1, nodes=1, image=(8, 8, 3), classes=4),
}


def compiled(space, network=None):
    supernet = Supernet(network or NETWORKS[space])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    supernet.compile(PathSGD(supernet, learning_rate=0.1), loss, metrics=["accuracy"])
    return supernet


def fit(model, **options):
    """Train two steps an epoch, validated on the same images."""
    (genotype,) = model.space.random_genotypes(1, stream(0, "keras fit"))
    images = stream(0, "keras fit").standard_normal((2 * B, 8, 8, 3)).astype(np.float32)
    inputs, labels = {"image": images, "arch": model.arch_of(genotype, 2 * B)}, (np.arange(2 * B) % 4).astype(np.int32)
    options = {"batch_size": B, "shuffle": False, "verbose": 0, "validation_data": (inputs, labels), **options}
    return model.fit(inputs, labels, **options)


@pytest.mark.parametrize("space", NETWORKS)
def test_callbacks_stop_it_lower_its_rate_restore_its_best_weights_and_keep_its_file(space, tmp_path):
    model, states = compiled(space), []
    callbacks = [
        keras.callbacks.ModelCheckpoint(tmp_path / "supernet.keras"),
        # nothing is ever better by 100 than before: the first epoch is the best
        keras.callbacks.ReduceLROnPlateau(monitor="loss", min_delta=100, patience=1, factor=0.5),
        keras.callbacks.EarlyStopping(min_delta=100, patience=2, restore_best_weights=True),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: states.append(model.state())),
    ]

    history = fit(model, epochs=9, callbacks=callbacks).history

    assert history["learning_rate"] == pytest.approx([0.1, 0.1, 0.05])
    assert all((value == states[0][name]).all() for name, value in model.state().items())
    assert any((value != states[1][name]).any() for name, value in model.state().items())
    other = keras.saving.load_model(tmp_path / "supernet.keras")
    assert all((value == states[2][name]).all() for name, value in other.state().items())
    momenta = zip(model.optimizer.momenta, other.optimizer.momenta, strict=True)
    assert all((np.asarray(one) == np.asarray(two)).all() for one, two in momenta)
    assert np.isfinite(fit(other, epochs=1).history["loss"]).all()


@only_tensorflow
@pytest.mark.parametrize("share_over", ["edge", "node", "cell"])
def test_an_architecture_of_fixed_edges_that_is_data_uses_the_slots_of_one_that_is_known(share_over):
    network = evolve(NETWORKS["nas-bench-201"], share_over=share_over)
    space, kinds = space_named("nas-bench-201", 3), {}
    for at, stack in enumerate(stacks_of(network).values()):
        kinds.setdefault((stack.kind, stack.operations, stack.name.partition(".")[0]), (stack, at))
    none, conv = (space.operations.index(name) for name in ("none", "nor_conv_3x3"))
    sources = [source for _, source in space.places]
    # nothing reaches the last node; it alone has edges; the first node is not read
    rows = [[none] * 6, [none, none, none, conv, none, none], [conv, conv, none, none, none, conv]]
    dead = space.decode(np.array([list(zip(sources, row, strict=True)) for row in rows]))

    for genotype in [*dead, *space.random_genotypes(8, stream(0, "keras fit"))]:
        arch = keras.ops.convert_to_tensor(space.encode([genotype])[0].astype(np.int32))
        used = used_slots(network, genotype)
        for stack, at in kinds.values():
            found = keras.ops.convert_to_numpy(used_of_fixed_edges(network, arch, stack))
            assert found.tolist() == used[at].tolist(), (stack.name, str(genotype))


@only_tensorflow
def test_one_graph_moves_what_a_search_moves_of_every_architecture(monkeypatch):
    traced = []
    original = Forward.__call__
    monkeypatch.setattr(Forward, "__call__", lambda self, *a: traced.append(1) or original(self, *a))
    training = TrainingConfig(batch_size=B, learning_rate=0.1, learning_rate_end=0.1, drop_path_keep=1.0)
    network = evolve(NETWORKS["nas-bench-201"], image=(12, 12, 3))
    config = SearchConfig(network=network, training=training)
    searched = load("keras").supernet(config, small_dataset())
    genotypes = space_named("nas-bench-201", 3).random_genotypes(6, stream(0, "keras fit"))
    steps = list(supernet_steps(config, small_dataset(), searched.network, genotypes, np.arange(6), 0, 0))
    model = compiled("nas-bench-201", network)

    inputs = {
        "image": np.concatenate([step.images for step in steps]),
        "arch": np.concatenate([model.arch_of(step.genotype, B) for step in steps]),
    }
    labels = np.concatenate([step.labels for step in steps])
    model.fit(inputs, labels, batch_size=B, shuffle=False, verbose=0)

    assert 1 <= len(traced) <= 3
    list(searched.train(genotypes, np.arange(6), round_index=0))
    state = without_momenta(searched.state())
    assert all(np.allclose(value, state[name], rtol=0, atol=1e-6) for name, value in model.state().items())
    wrong = {name: values[:B].copy() for name, values in inputs.items()}
    wrong["arch"][:, 2] = 1  # the second edge reads the first state
    with pytest.raises(tf.errors.InvalidArgumentError, match="it has no such source or operation"):
        model.fit(wrong, labels[:B], batch_size=B, verbose=0)


@only_tensorflow
def test_tensorboard_gets_the_losses_of_an_epoch(tmp_path):
    pytest.importorskip("tensorboard", reason="needs TensorBoard")

    fit(compiled("nas-bench-201"), epochs=1, callbacks=[keras.callbacks.TensorBoard(tmp_path)])

    for part, names in (
        ("train", (b"epoch_loss", b"epoch_accuracy", b"epoch_learning_rate")),
        ("validation", (b"epoch_loss",)),
    ):
        (file,) = (tmp_path / part).glob("events.out.tfevents.*")
        assert all(name in file.read_bytes() for name in names)


def test_a_fit_that_crashed_goes_on_from_its_backup_bit_for_bit(tmp_path):
    class Crash(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise RuntimeError("crashed")

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    model, resumed = compiled("nas-bench-201"), compiled("nas-bench-201")
    fit(model, epochs=2)
    with pytest.raises(RuntimeError, match="crashed"):
        fit(compiled("nas-bench-201"), epochs=2, callbacks=[backup(), Crash()])

    history = fit(resumed, epochs=2, callbacks=[backup()])

    assert history.epoch == [1]
    assert all((value == model.state()[name]).all() for name, value in resumed.state().items())
