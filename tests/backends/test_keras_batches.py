"""The sampler in an ordinary Keras fit: what is trained, in order, is what the sampler draws."""

import os
import pathlib
import re
import subprocess
import sys
import textwrap
from importlib.util import find_spec

import numpy as np
import pytest

from bnao import SPACES, BudgetSampler, NetworkConfig, ProportionalSampler
from bnao.backends import load
from bnao.errors import BackendError, DataError, GenotypeError

try:
    load("keras")
except BackendError as error:
    pytest.skip(str(error), allow_module_level=True)

import keras
from keras import ops
from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter  # what reads a PyDataset in fit

from bnao.backends.keras import ENGINE, ArchitectureValidation, BalancedBatches, Supernet, balanced

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
ITEMS = [100, 200, 300, 400]
BATCHES = 7
needs_tensorflow = pytest.mark.skipif(find_spec("tensorflow") is None, reason="needs TensorFlow")


class Log(keras.layers.Layer):
    """Keeps the first value of each batch it is called with, compiled or not."""

    def build(self, shape):
        self.values = self.add_weight((100,), "zeros", "int32", trainable=False)
        self.count = self.add_weight((), "zeros", "int32", trainable=False)

    def call(self, inputs):
        values, count = ops.convert_to_tensor(self.values), ops.convert_to_tensor(self.count)
        self.values.assign(ops.where(ops.arange(100) == count, ops.cast(inputs[0, 0], "int32"), values))
        self.count.assign(count + 1)
        return inputs


class Logged(keras.Model):
    """Keeps the architecture, and the image, of each step it is trained for."""

    def __init__(self):
        super().__init__()
        self.archs, self.images, self.dense = Log(), Log(), keras.layers.Dense(1)
        self.compile("sgd", "mse")

    def call(self, inputs):
        arch = ops.cast(self.archs(inputs["arch"]), "float32")
        return self.dense(self.images(inputs["image"])) + 0 * arch

    def trained(self, log):
        return np.asarray(log.values)[: int(log.count)].tolist()


class Images(keras.utils.PyDataset):
    """Batch b of epoch e is filled with 10 e + b; the epoch is what the dataset itself counts."""

    def __init__(self, **options):
        super().__init__(**options)
        self.epoch = 0

    def __len__(self):
        return BATCHES

    def __getitem__(self, index):
        return np.full((2, 1), 10 * self.epoch + index, "float32"), np.zeros((2, 1), "float32")

    def on_epoch_end(self):
        self.epoch += 1


@pytest.fixture
def sampler():
    return ProportionalSampler(ITEMS, sizes=[1, 2, 3, 4], seed=5)


def drawn(sampler, n, start=0):
    return [sampler.items[index] for index in sampler.draw(n, start)]


READERS = [
    {"workers": 0},
    {"workers": 2},
    {"workers": 4, "max_queue_size": 2},
    {"workers": 2, "use_multiprocessing": True},
]


@pytest.mark.filterwarnings("ignore:os.fork")  # JAX warns of any, Keras' own too
@pytest.mark.parametrize("options", READERS, ids=str)
def test_a_training_sees_the_samplers_draws_in_order_over_epochs_and_fits(sampler, options):
    model, batches = Logged(), BalancedBatches(Images(**options), sampler=sampler, shuffle=False)

    model.fit(batches, epochs=2, verbose=0)
    model.fit(batches, epochs=1, verbose=0)

    assert model.trained(model.archs) == drawn(sampler, 3 * BATCHES)
    assert model.trained(model.images) == [10 * epoch + index for epoch in range(3) for index in range(BATCHES)]


def test_a_training_that_goes_on_with_initial_epoch_has_the_later_draws(sampler):
    model, batches = Logged(), BalancedBatches(Images(), sampler=sampler, start=3 * BATCHES)

    model.fit(batches, initial_epoch=3, epochs=5, verbose=0)

    assert model.trained(model.archs) == drawn(sampler, 2 * BATCHES, start=3 * BATCHES)


def test_validation_between_the_epochs_does_not_move_the_draws(sampler):
    model, batches = Logged(), BalancedBatches(Images(), sampler=sampler)
    validated = BalancedBatches(Images(), sampler=ProportionalSampler([-1], [1]))

    model.fit(batches, epochs=2, validation_data=validated, verbose=0)

    assert [arch for arch in model.trained(model.archs) if arch != -1] == drawn(sampler, 2 * BATCHES)


def test_readers_that_keras_has_given_up_take_no_batch_of_an_epoch(sampler):
    """As under a strategy of TensorFlow, which reads ahead of an epoch's beginning what is not trained on."""
    batches = BalancedBatches(Images(), sampler=sampler, shuffle=False)
    adapter = PyDatasetAdapter(batches)
    given_up = adapter._get_iterator()
    next(given_up)
    adapter.on_epoch_begin()
    reader, archs = adapter._get_iterator(), []

    for _ in range(BATCHES):
        next(given_up, None)
        inputs, _ = next(reader)
        archs.append(inputs["arch"][0, 0])
    adapter.on_epoch_end()

    assert archs == drawn(sampler, BATCHES)
    assert batches[0][0]["arch"][0, 0] == drawn(sampler, 1, start=BATCHES)[0]


def test_what_is_read_to_build_a_model_is_no_epoch_even_if_it_is_all_there_is(sampler):
    model, batches = Logged(), BalancedBatches(np.ones((2, 1), "float32"), np.ones((2, 1)), sampler=sampler)
    assert len(batches) == 1

    model.fit(batches, epochs=3, verbose=0)

    assert model.trained(model.archs) == drawn(sampler, 3)


def test_shuffling_visits_everything_once_an_epoch_in_an_order_of_the_seed(sampler):
    def orders(**options):
        batches, seen = BalancedBatches(np.arange(21.0)[:, None], sampler=sampler, batch_size=4, **options), []
        for _ in range(2):
            batches.on_epoch_begin()
            seen.append(np.concatenate([inputs["image"][:, 0] for (inputs,) in batches]).tolist())
            batches.on_epoch_end()
        return seen

    first, second = orders(seed=1)

    assert sorted(first) == sorted(second) == list(range(21))
    assert first != second
    assert orders(seed=1, workers=3) == [first, second] != orders(seed=2)
    assert orders(seed=1, start=6)[0] == second
    assert orders(shuffle=False)[1] == list(range(21))


def test_steps_per_epoch_of_the_batches_go_on_where_the_epoch_before_stopped(sampler):
    model, batches = Logged(), BalancedBatches(Images(), sampler=sampler, steps_per_epoch=3, shuffle=False)

    model.fit(batches, epochs=4, verbose=0)
    model.fit(batches, epochs=1, verbose=0)

    assert model.trained(model.archs) == drawn(sampler, 15)
    # the data are told of a pass at the end of the epoch in which it ends
    assert model.trained(model.images) == [*range(7), 0, 1, *range(12, 17), 10]


def test_epochs_longer_than_the_data_pass_over_them_again(sampler):
    batches = BalancedBatches(np.arange(4.0)[:, None], sampler=sampler, batch_size=2, steps_per_epoch=6, seed=3)

    batches.on_epoch_begin()
    seen = np.concatenate([inputs["image"][:, 0] for (inputs,) in batches]).reshape(3, 4)

    assert np.sort(seen).tolist() == [[0, 1, 2, 3]] * 3


@pytest.mark.parametrize("steps", [2, 4])
def test_steps_per_epoch_of_fit_are_refused_and_told_where_they_belong(sampler, steps):
    model, batches = Logged(), BalancedBatches(np.zeros((40, 1)), np.zeros((40, 1)), sampler=sampler, batch_size=1)

    with pytest.raises(DataError, match="fit ends epochs before their 40 batches: give steps_per_epoch to Balanced"):
        model.fit(batches, epochs=5, steps_per_epoch=steps, verbose=0)


def test_an_epoch_that_a_callback_ends_early_comes_again_in_the_next_fit(sampler):
    x = np.zeros((40, 1), "float32")  # TensorFlow reads some ahead
    model, batches = Logged(), BalancedBatches(x, x, sampler=sampler, batch_size=1)

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 3

    model.fit(batches, epochs=1, callbacks=[Stop()], verbose=0)
    model.fit(batches, epochs=1, verbose=0)

    assert model.trained(model.archs) == drawn(sampler, 4) + drawn(sampler, 40)


def test_fixed_architectures_are_validated_each_epoch_and_early_stopping_reads_their_mean(sampler):
    class Scaled(keras.Model):
        def __init__(self):
            super().__init__()
            self.compile(keras.optimizers.SGD(0.0), "mse", metrics=["mae"])
            self.w = self.add_weight((), "ones")

        def call(self, inputs):
            return inputs["image"] * ops.cast(inputs["arch"], "float32") * self.w

    x, y = np.ones((6, 1), "float32"), np.zeros((6, 1), "float32")
    validation = ArchitectureValidation(x, y, items=[1, 3], batch_size=4)
    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=1)
    batches = BalancedBatches(x, y, sampler=sampler, batch_size=2)

    history = Scaled().fit(batches, epochs=5, callbacks=[validation, stop], verbose=0).history

    # losses are 1 and 9, absolute errors 1 and 3; nothing is learned, so the second epoch is the last
    assert history["val_loss"] == [5, 5]
    assert history["val_loss_spread"] == [4, 4]
    assert history["val_mae"] == [2, 2]
    assert [found["loss"] for found in validation.latest] == [1, 9]
    assert repr(batches) == "BalancedBatches(3 an epoch, of 4 items; next is step 6)"


def test_a_validation_of_no_architecture_is_refused():
    with pytest.raises(DataError, match="at least one architecture to validate"):
        ArchitectureValidation(np.zeros((2, 1)), np.zeros(2), items=[])


def test_a_batch_asked_for_outside_an_epoch_is_the_next_ones(sampler):
    batches = BalancedBatches(Images(), sampler=sampler, start=BATCHES)

    assert [batches[index][0]["arch"][0, 0] for index in (6, 0)] == [
        drawn(sampler, 1, BATCHES + step)[0] for step in (6, 0)
    ]
    with pytest.raises(IndexError, match="no batch 7; there are 7"):
        batches[7]


def test_an_error_of_the_dataset_reaches_the_caller_from_a_worker(sampler):
    class Broken(Images):
        def __getitem__(self, index):
            raise OSError("no such image")

    batches = BalancedBatches(Broken(workers=2), sampler=sampler)
    batches.on_epoch_begin()

    with pytest.raises(OSError, match="no such image"):
        batches[0]


def test_arch_is_int32_in_as_many_equal_rows_as_the_batch_has():
    sampler = ProportionalSampler(["a", "b"], sizes=[1, 1])
    encoding = np.arange(12).reshape(2, 3, 2)
    batches = BalancedBatches(np.zeros((5, 4)), sampler=sampler, encoding=encoding, batch_size=3)

    ((full,), (rest,)) = batches

    assert full["arch"].dtype == np.int32
    assert full["arch"].shape == (3, 3, 2)
    assert rest["arch"].shape == (2, 3, 2)
    assert (full["arch"] == encoding[sampler.draw(1)[0]]).all()


def test_genotypes_are_encoded_by_their_space():
    space = SPACES["nao"]
    genotypes = space.random_genotypes(3, np.random.default_rng(0))
    sampler = ProportionalSampler(genotypes, sizes=[1, 2, 3])

    inputs, _ = BalancedBatches(Images(), sampler=sampler, encoding=space)[1]

    assert inputs["arch"].shape == (2, 40)
    assert space.decode(inputs["arch"][:1]) == [genotypes[sampler.draw(2)[1]]]


def test_dictionaries_labels_and_weights_stay_as_they_are(sampler):
    x = {"left": np.ones((4, 2)), "right": np.zeros((4, 3))}
    batches = BalancedBatches(x, np.arange(4), np.full(4, 0.5), sampler=sampler, batch_size=4, shuffle=False)

    inputs, labels, weights = batches[0]

    assert sorted(inputs) == ["arch", "left", "right"]
    assert (inputs["left"] == 1).all()
    assert labels.tolist() == [0, 1, 2, 3]
    assert weights.tolist() == [0.5] * 4


@pytest.mark.parametrize("kind", [tuple, list])
def test_behind_a_tuples_or_lists_arrays_the_arch_comes_last_and_labels_may_be_several(sampler, kind):
    x, y = kind((np.ones((4, 2)), np.zeros((4, 3)))), {"a": np.arange(4), "b": np.ones((4, 2))}
    batches = BalancedBatches(x, y, np.full(4, 0.5), sampler=sampler, batch_size=4, shuffle=False)

    inputs, labels, weights = batches[0]

    assert [type(inputs), *(each.shape for each in inputs)] == [kind, (4, 2), (4, 3), (4, 1)]
    assert (inputs[2] == drawn(sampler, 1)).all()
    assert (labels["a"].tolist(), weights.tolist()) == ([0, 1, 2, 3], [0.5] * 4)


class Loader:
    """Batches in an order of its own, as PyTorch's DataLoader gives them; it counts its passes."""

    def __init__(self, sized=True):
        self.passes = 0
        if sized:
            self.__class__ = type("SizedLoader", (Loader,), {"__len__": lambda self: BATCHES})

    def __iter__(self):
        self.passes += 1
        for index in range(BATCHES):
            yield [np.full((2, 1), 10 * (self.passes - 1) + index, "float32"), np.zeros((2, 1), "float32")]


def test_what_is_iterated_in_its_own_order_is_trained_on_pass_by_pass(sampler):
    model, loader = Logged(), Loader()
    batches = BalancedBatches(loader, sampler=sampler)

    model.fit(batches, epochs=2, verbose=0)
    model.fit(batches, epochs=1, verbose=0)

    assert model.trained(model.archs) == drawn(sampler, 3 * BATCHES)
    # what Keras looked at to build the model is trained on all the same
    assert model.trained(model.images) == [10 * epoch + index for epoch in range(3) for index in range(BATCHES)]
    assert loader.passes == 3


@pytest.mark.parametrize("kind", ["without a length", "generator"])
def test_what_has_no_length_has_epochs_of_steps_per_epoch(sampler, kind):
    x = Loader(sized=False) if kind == "without a length" else iter(Loader())
    batches, seen = BalancedBatches(x, sampler=sampler, steps_per_epoch=3, start=5), []

    looked_at = batches[1][0]["image"][0, 0]
    for _ in range(2):
        batches.on_epoch_begin()
        seen += [(inputs["image"][0, 0], inputs["arch"][0, 0]) for inputs, _ in batches]
        batches.on_epoch_end()

    assert looked_at == 1
    assert seen == [*zip(range(6), drawn(sampler, 6, start=5), strict=True)]
    batches.on_epoch_begin()
    if kind == "generator":
        with pytest.raises(DataError, match="the generator has no more batches; give one without end, or something"):
            [batches[index] for index in range(3)]
    else:
        assert [batches[index][0]["image"][0, 0] for index in range(3)] == [6, 10, 11]


def test_batches_by_index_are_shuffled_and_read_by_workers_as_a_pydatasets(sampler):
    class ByIndex:  # as a grain.MapDataset that is batched
        def __len__(self):
            return BATCHES

        def __getitem__(self, index):
            return np.full((2, 1), index), np.zeros(2)

    def order(x):
        batches = BalancedBatches(x, sampler=sampler, workers=2)
        batches.on_epoch_begin()
        return [inputs["image"][0, 0] for inputs, _ in batches]

    assert order(ByIndex()) == order(Images())


def test_rows_that_are_not_batched_are_refused(sampler):
    class Rows:  # as PyTorch's Dataset
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return np.zeros((3, 8, 8)), index

    for x in (Rows(), [1, 2, 3].__iter__()):
        with pytest.raises(DataError, match="x is not batched: its elements have shapes"):
            BalancedBatches(x, sampler=sampler, steps_per_epoch=2)[0]


ON_TORCH = """
    import sys
    import keras, numpy as np, torch
    from keras import ops
    from bnao import ProportionalSampler
    from bnao.backends.keras import ArchitectureValidation, BalancedBatches

    class Scaled(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.archs = keras.layers.Dense(1), []
            self.compile("sgd", "mse", run_eagerly=True)

        def call(self, inputs, training=None):
            arch = inputs["arch"][0, 0]
            if training:
                self.archs.append(int(arch))
            return self.dense(inputs["image"]) * ops.cast(arch, "float32")

    sampler = ProportionalSampler([1, 2], [1, 3], seed=0)
    rows = torch.utils.data.TensorDataset(torch.ones(12, 2), torch.zeros(12, 1))
    loader = torch.utils.data.DataLoader(rows, batch_size=3, num_workers=2)
    model, batches = Scaled(), BalancedBatches(loader, sampler=sampler)
    validation = ArchitectureValidation(np.ones((4, 2)), np.zeros((4, 1)), items=[1, 2])
    history = model.fit(batches, epochs=2, callbacks=[validation], verbose=0).history
    assert model.archs[-8:] == [sampler.items[index] for index in sampler.draw(8)], model.archs
    assert len(history["val_loss_spread"]) == 2
    model.fit(BalancedBatches(np.ones((6, 2)), np.zeros((6, 1)), sampler=sampler, batch_size=2), verbose=0)
    for name in ("Supernet", "BACKEND"):
        try:
            exec(f"from bnao.backends.keras import {name}")
        except Exception as error:
            print(type(error).__name__, error)
    print("tensorflow" in sys.modules, keras.backend.backend())
"""


@pytest.mark.skipif(find_spec("torch") is None, reason="needs PyTorch beside Keras")
def test_with_pytorch_as_engine_the_batches_work_from_a_dataloader_and_the_supernet_refuses():
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(ON_TORCH)],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    refusal = "BackendError Keras' engine is 'torch'; bnao has a backend of its own for it, --backend torch; or set"
    assert [line[: len(refusal)] for line in done.stdout.splitlines()] == [refusal, refusal, "False torch"]


def test_a_budgets_draws_are_exact_over_a_cycle():
    sampler = BudgetSampler([[1], [2]], sizes=[1, 6], cycle=BATCHES)

    archs = [inputs["arch"][0, 0] for inputs, _ in BalancedBatches(Images(), sampler=sampler)]

    assert sorted(archs) == [1] + [2] * 6


def test_the_supernet_is_trained_by_a_fit_on_these():
    supernet = Supernet(NetworkConfig(channels=4, cells=1, nodes=1, image=(8, 8, 1), classes=2))
    genotypes = supernet.space.random_genotypes(3, np.random.default_rng(0))
    sampler = ProportionalSampler(genotypes, sizes=[1, 2, 3])
    images, labels = np.zeros((8, 8, 8, 1), "float32"), np.arange(8) % 2
    supernet.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    history = supernet.fit(
        BalancedBatches(images, labels, sampler=sampler, encoding=supernet.space, batch_size=4), verbose=0
    )

    assert np.isfinite(history.history["loss"]).all()


# --- tf.data


@needs_tensorflow
def test_the_tf_data_form_gives_the_same_and_goes_on_over_epochs(sampler):
    import tensorflow as tf

    x, y = np.arange(28, dtype="float32").reshape(14, 2), np.arange(14)
    batches = BalancedBatches(x, y, sampler=sampler, batch_size=4, shuffle=False)
    dataset = balanced(tf.data.Dataset.from_tensor_slices((x, y)).batch(4), sampler)

    given = [batch for _ in range(3) for batch in dataset.as_numpy_iterator()]

    for _ in range(3):
        batches.on_epoch_begin()
        for (inputs, labels), (other_inputs, other_labels) in zip(batches, given[: len(batches)], strict=True):
            np.testing.assert_array_equal(inputs["image"], other_inputs["image"])
            np.testing.assert_array_equal(inputs["arch"], other_inputs["arch"])
            np.testing.assert_array_equal(labels, other_labels)
        batches.on_epoch_end()
        del given[: len(batches)]
    assert dataset.element_spec[0]["arch"] == tf.TensorSpec((None, 1), tf.int32)


@needs_tensorflow
def test_a_training_on_tf_data_has_its_epochs_and_sees_the_draws_in_order_over_fits_without_a_warning(sampler, recwarn):
    import tensorflow as tf

    model, images = Logged(), tf.data.Dataset.from_tensor_slices((np.zeros((14, 1), "float32"), np.zeros((14, 1))))
    dataset = balanced(images.batch(2), sampler, start=4).prefetch(2)

    model.fit(dataset, epochs=2, shuffle=False, verbose=0)
    model.fit(dataset, epochs=1, shuffle=False, verbose=0)

    assert int(dataset.cardinality()) == BATCHES
    assert model.trained(model.archs) == drawn(sampler, 3 * BATCHES, start=4)
    assert not [str(each.message) for each in recwarn if "shuffle" in str(each.message)]


@needs_tensorflow
def test_endless_tf_data_is_trained_by_steps_whatever_its_epochs_are(sampler):
    import tensorflow as tf

    model, images = Logged(), tf.data.Dataset.from_tensor_slices((np.zeros((14, 1), "float32"), np.zeros((14, 1))))

    endless = balanced(images.cache().shuffle(14, seed=0).batch(2).repeat(), sampler, start=4).prefetch(2)
    model.fit(endless, epochs=3, steps_per_epoch=4, shuffle=False, verbose=0)

    assert model.trained(model.archs) == drawn(sampler, 12, start=4)


@needs_tensorflow
def test_images_of_a_folder_are_batches_with_tuples_and_weights_as_well(sampler, tmp_path):
    import tensorflow as tf

    for number in range(6):
        image = keras.utils.array_to_img(np.full((4, 4, 3), 40 * number))
        path = tmp_path / f"class {number % 2}" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        image.save(path)
    folder = keras.utils.image_dataset_from_directory(
        tmp_path, image_size=(4, 4), batch_size=2, shuffle=False, verbose=0
    )
    weighted = folder.map(lambda x, y: ((x, tf.zeros((2, 3))), y, tf.ones(2)))

    given = list(balanced(folder, sampler).as_numpy_iterator())
    with_tuples = list(balanced(weighted, sampler).as_numpy_iterator())

    assert [inputs["arch"][0, 0] for inputs, _ in given] == drawn(sampler, 3)
    assert given[0][0]["image"].shape == (2, 4, 4, 3)
    assert [(len(x), x[2][0, 0], w.tolist()) for x, _, w in with_tuples] == [
        (3, arch, [1, 1]) for arch in drawn(sampler, 3)
    ]


@needs_tensorflow
def test_draws_of_tf_data_go_on_beyond_a_block(sampler, monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr("bnao.backends.keras.tf_data._BLOCK", 3)
    batches = tf.data.Dataset.from_tensors({"a": np.zeros((2, 1)), "b": np.zeros((2, 5))}).repeat(10)

    archs = [int(inputs["arch"][0, 0]) for (inputs,) in balanced(batches, sampler).as_numpy_iterator()]

    assert archs == drawn(sampler, 10)


@needs_tensorflow
def test_tf_data_that_cannot_be_is_refused(sampler):
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensors(np.zeros((2, 1)))

    with pytest.raises(DataError, match="no batches"):
        balanced(batches.take(0), sampler)
    with pytest.raises(DataError, match=r"dataset is a ndarray; it must be a tf\.data\.Dataset"):
        balanced(np.zeros(3), sampler)
    rows = tf.data.Dataset.from_tensor_slices((np.zeros((6, 8, 8, 1)), np.zeros(6)))
    with pytest.raises(DataError, match=r"is not batched: its elements have shapes \(8, 8, 1\), \(\), and each must"):
        balanced(rows, sampler)
    with pytest.raises(DataError, match=r"is not batched: its elements have shapes \(\)"):
        balanced(tf.data.Dataset.range(3), sampler)
    with pytest.raises(DataError, match="does not know its number of batches; tell it"):
        balanced(batches.filter(lambda x: True), sampler)
    with pytest.raises(DataError, match=r"x is a tf\.data\.Dataset; bnao\.backends\.keras\.balanced puts"):
        BalancedBatches(batches, sampler=sampler)
    with pytest.raises(DataError, match="start is -1"):
        balanced(batches, sampler, start=-1)


def test_without_tensorflow_the_tf_data_form_says_what_to_install(sampler, monkeypatch):
    monkeypatch.setattr("bnao.backends.keras.tf_data.find_spec", lambda name: None)

    with pytest.raises(BackendError, match=r"needs TensorFlow, which is not installed; try: pip install 'bnao\[keras"):
        balanced(None, sampler)


# --- what cannot be

FOUR = np.zeros((4, 1))


class Endless(Images):
    num_batches = None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": FOUR, "y": np.zeros(3)}, "x, y and sample_weight have 4 and 3 rows"),
        ({"x": {"a": FOUR, "b": np.zeros(5)}}, "have 4 and 5 rows"),
        ({"x": FOUR, "y": 3}, "have 4 and no rows"),
        ({"x": FOUR, "sample_weight": np.ones(4)}, "sample_weight needs y"),
        ({"x": FOUR[:0]}, "the dataset has no batches"),
        ({"x": FOUR, "batch_size": 0}, "batch_size is 0"),
        ({"x": FOUR, "start": -1}, "start is -1"),
        ({"x": Images(), "y": FOUR}, "y and sample_weight are for arrays"),
        ({"x": Endless()}, "the dataset's length is not known"),
        ({"x": (FOUR for _ in range(3))}, "number of batches of x is not known; give steps_per_epoch"),
        ({"x": (FOUR for _ in range(3)), "y": FOUR}, "y and sample_weight are for arrays; a generator's batches"),
        ({"x": FOUR, "steps_per_epoch": 0}, "steps_per_epoch 0; they must be >= 0 and >= 1"),
        ({"x": keras.utils.PyDataset()}, "the dataset's length is not known"),
        ({"x": FOUR, "encoding": [1, 2, 3]}, r"encoding has shape \(3,\), but there are 4 items"),
        ({"x": FOUR, "encoding": 7}, r"encoding has shape \(\), but there are 4 items"),
        ({"x": FOUR, "encoding": [0.5, 1, 2, 3]}, "encoding must be whole numbers.*not float64"),
        ({"x": FOUR, "encoding": [[1], [1, 2], [1], [1]]}, "encoding has rows of different lengths"),
        ({"x": FOUR, "encoding": [0, 1, 2, 2**31]}, "encoding must fit 32 bits; the largest is 2147483648"),
    ],
)
def test_what_cannot_be_is_refused(sampler, arguments, message):
    with pytest.raises(DataError, match=message):
        BalancedBatches(sampler=sampler, **arguments)


def test_items_that_are_no_numbers_need_an_encoding():
    with pytest.raises(DataError, match=r"the items, without an encoding, must be whole numbers.*their SearchSpace"):
        BalancedBatches(FOUR, sampler=ProportionalSampler("ab", [1, 1]))
    with pytest.raises(GenotypeError, match="item 0 is not a genotype"):
        BalancedBatches(FOUR, sampler=ProportionalSampler("ab", [1, 1]), encoding=SPACES["nao"])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ({"image": FOUR, "arch": FOUR}, 'x has an "arch" already'),
        ({"a": FOUR, "b": FOUR[:3]}, "arrays of 3 and 4 rows"),
        ({}, "a batch's x is a dict"),
        (3.5, "a batch's x is a float"),
        ((), "a batch's x is a tuple"),
        ((FOUR, FOUR[:3]), "arrays of 3 and 4 rows"),
    ],
)
def test_a_batch_that_cannot_take_an_arch_is_refused(sampler, x, message):
    class Odd(Images):
        def __getitem__(self, index):
            return x, FOUR

    with pytest.raises(DataError, match=message):
        BalancedBatches(Odd(), sampler=sampler)[0]


@pytest.mark.parametrize("indices", [np.array([4]), np.array([-1]), np.array([0.0]), np.array([1, 2])], ids=str)
def test_a_sampler_that_draws_something_else_is_refused(indices):
    class Odd:
        items = ITEMS

        def draw(self, n, start=0):
            return np.resize(indices, (4, *indices.shape[:0])) if len(indices) == 1 else indices

    with pytest.raises(DataError, match="the sampler"):
        BalancedBatches(FOUR, sampler=Odd(), batch_size=1)[0]


# --- what is shown to people

SHORT = {"sampler_alone": ["--epochs", "1"], "custom_supernet": ["--epochs", "1", "--alone", "2"],
         "supernet": ["--epochs", "1", "--pool", "3", "--nodes", "1"]}  # fmt: skip


@pytest.mark.parametrize("name", SHORT)
def test_each_example_runs(name):
    if name == "supernet" and ENGINE == "jax":
        pytest.skip("is run on TensorFlow; JAX compiles it for a minute, and the same steps in test_keras_supernet")
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"keras_{name}.py"), *SHORT[name]],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    said = {
        "sampler_alone": "expected (Eq. 4)",
        "custom_supernet": "kendall_tau",
        "supernet": "loaded again it predicts the same: True",
    }
    assert said[name] in done.stdout


def test_the_training_on_the_page_about_keras_runs():
    page = (EXAMPLES.parent / "docs" / "keras.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    names = {}

    for block in blocks:
        exec(block, names)

    # three epochs of eight batches were trained, and two
    assert names["batches"][0][0]["arch"][0, 0] == [4, 16, 64][names["sampler"].draw(1, start=40)[0]]
    assert len(names["history"].history["val_loss_spread"]) == 2
