"""The sampler in an ordinary Keras training: the architectures that arrive are those that were drawn, in order."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from bnao import BudgetSampler, ProportionalSampler, UniformSampler
from bnao.backends import load
from bnao.errors import BackendError, DataError
from bnao.space import SPACES
from bnao.streams import stream

try:
    load("keras")
except BackendError as error:
    pytest.skip(str(error), allow_module_level=True)

import keras

from bnao.backends.keras import ENGINE, ArrayBatches, BalancedBatches, balanced

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
ROWS = np.array([[0, 5], [1, 6], [2, 7]])
X, Y = np.arange(20.0)[:, None], np.arange(20) % 2

only_tensorflow = pytest.mark.skipif(ENGINE != "tensorflow", reason="tf.data needs TensorFlow")


def sampler(seed=3, kind=ProportionalSampler):
    return kind(["a", "b", "c"], [1, 2, 3], seed=seed)


class Seen(keras.Model):
    """Keeps the architecture of every step that it trains."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.steps = []

    def call(self, inputs):
        return self.dense(inputs["image"]) + 0 * keras.ops.cast(inputs["arch"][:, :1], "float32")

    def train_step(self, *arguments):
        x = arguments[-1][0]
        if not hasattr(x["arch"], "aval") or hasattr(x["arch"], "addressable_shards"):
            self.steps.append(np.asarray(x["arch"]))
        return super().train_step(*arguments)


def seen(batches, epochs=3, **options):
    model = Seen()
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(batches, epochs=epochs, verbose=0, **{"shuffle": False, **options})
    return model.steps


def rows_of(steps):
    for arch in steps:
        assert (arch == arch[0]).all()
    return [tuple(arch[0].tolist()) for arch in steps]


def drawn(n, start=0, kind=ProportionalSampler):
    return [tuple(ROWS[index].tolist()) for index in sampler(kind=kind).draw(n, start)]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_training_sees_the_drawn_architectures_in_order_over_its_epochs(workers):
    batches = BalancedBatches(ArrayBatches(X, Y, 4), sampler(), ROWS, workers=workers)

    assert rows_of(seen(batches)) == drawn(15)


@pytest.mark.slow
def test_worker_processes_see_the_epoch_they_work_for():
    batches = BalancedBatches(ArrayBatches(X, Y, 4), sampler(), ROWS, workers=2, use_multiprocessing=True)

    assert rows_of(seen(batches)) == drawn(15)


def test_a_second_fit_and_a_later_start_go_on_with_the_draws():
    batches = BalancedBatches(ArrayBatches(X, Y, 4), sampler(), ROWS)
    first, second = seen(batches, epochs=1), seen(batches, epochs=2)
    later = seen(BalancedBatches(ArrayBatches(X, Y, 4), sampler(), ROWS, start=1022), epochs=1)

    assert rows_of(first + second) == drawn(15)
    assert rows_of(later) == drawn(5, start=1022)  # over the end of a block of draws


@pytest.mark.parametrize("kind", [UniformSampler, BudgetSampler])
def test_any_sampler_of_bnao_draws(kind):
    batches = BalancedBatches(ArrayBatches(X, Y, 4), sampler(kind=kind), ROWS)

    assert rows_of(seen(batches, epochs=2)) == drawn(10, kind=kind)


def test_names_and_sample_weights_of_the_users_own_batches_are_kept():
    own = [({"left": np.zeros((2, 3)), "right": np.ones((2, 1))}, np.zeros(2), np.ones(2))]

    inputs, y, weights = BalancedBatches(own, sampler(), ROWS)[0]

    assert set(inputs) == {"left", "right", "arch"}
    assert inputs["arch"].shape == (2, 2)
    assert inputs["arch"].dtype == np.int32
    assert (y.shape, weights.tolist()) == ((2,), [1, 1])
    assert "arch" not in own[0][0]


def test_genotypes_are_encoded_as_the_supernet_takes_them():
    space = SPACES["nao"]
    pool = space.random_genotypes(3, stream(0, "batches"))
    batches = BalancedBatches(
        ArrayBatches(X, Y, 4), ProportionalSampler(pool, [1, 2, 3], seed=3), encoding=space.encode(pool)
    )

    inputs, _ = batches[2]

    index = sampler().draw(1, start=2)[0]
    assert space.decode(inputs["arch"][:1]) == [pool[index]]


def test_arrays_are_visited_in_another_order_each_epoch_the_same_for_a_seed():
    def visited(seed):
        batches, orders = ArrayBatches(X, Y, 4, seed=seed), []
        for _ in range(2):
            orders.append([float(x) for index in range(len(batches)) for x in batches[index][0][:, 0]])
            batches.on_epoch_end()
        return orders

    first, second = visited(0)
    assert sorted(first) == sorted(second) == X[:, 0].tolist()
    assert first != second
    assert visited(0) == [first, second]
    assert visited(1) != [first, second]


@only_tensorflow
def test_the_tf_data_form_gives_the_same_draws_without_end():
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)

    steps = seen(balanced(dataset, sampler(), ROWS), steps_per_epoch=len(dataset))
    later = balanced(dataset, sampler(), ROWS, start=1022).take(4)

    assert rows_of(steps) == drawn(15)
    assert rows_of([inputs["arch"].numpy() for inputs, _ in later]) == drawn(4, start=1022)
    with pytest.raises(DataError, match="there are no batches"):
        balanced(dataset.take(0), sampler(), ROWS)


@pytest.mark.skipif(ENGINE == "tensorflow", reason="for an environment without TensorFlow")
def test_the_tf_data_form_without_tensorflow_says_what_does_without():
    try:
        import tensorflow  # noqa: F401
    except ImportError:
        with pytest.raises(BackendError, match="BalancedBatches does without"):
            balanced(None, sampler(), ROWS)
    else:
        pytest.skip("TensorFlow is installed")


def test_what_cannot_be_drawn_is_refused():
    batches = ArrayBatches(X, Y, 4)

    with pytest.raises(DataError, match=r"encoding has shape \(2, 2\); the sampler's 3 items need a row each"):
        BalancedBatches(batches, sampler(), ROWS[:2])
    with pytest.raises(DataError, match="encoding holds float64"):
        BalancedBatches(batches, sampler(), ROWS + 0.5)
    with pytest.raises(DataError, match="there are no batches"):
        BalancedBatches([], sampler(), ROWS)
    with pytest.raises(DataError, match="20 inputs and 3 targets"):
        ArrayBatches(X, Y[:3], 4)


SHORT = {"sampler_alone": ["--epochs", "1"], "custom_supernet": ["--epochs", "1", "--alone", "2"],
         "supernet": ["--epochs", "1", "--pool", "3", "--nodes", "1"]}  # fmt: skip


@pytest.mark.parametrize("name", SHORT)
def test_each_example_runs(name):
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"keras_{name}.py"), *SHORT[name]],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    said = {
        "sampler_alone": "expected (Eq. 4)",
        "custom_supernet": "kendall_tau",
        "supernet": "loaded again it predicts the same: True",
    }
    assert said[name] in done.stdout
