"""A supernet in ``fit`` in spaces that have no graph of all architectures: each step is run operation by operation."""

import numpy as np
import pytest

from bnao.backends import load
from bnao.config.settings import NetworkConfig
from bnao.errors import BackendError
from bnao.streams import stream

try:
    load("keras")
except BackendError as error:
    pytest.skip(str(error), allow_module_level=True)

import keras

from bnao.backends.keras import PathSGD, Supernet

B = 8
# cells of one state, and of two whose output is a concatenation
NETWORKS = {
    "nas-bench-201": NetworkConfig(space="nas-bench-201", channels=4, cells=1, image=(8, 8, 3), classes=4),
    "darts": NetworkConfig(space="darts", channels=2, cells=1, nodes=1, image=(8, 8, 3), classes=4),
}


def compiled(space):
    supernet = Supernet(NETWORKS[space])
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
