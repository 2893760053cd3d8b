"""Stand-alone trainings: repeated, kept, gone on with, and compared with one-shot scores."""

import json
import logging
import math

import numpy as np
import pytest
from attrs import evolve
from PIL import Image

from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.data.dataset import load_dataset
from bnao.data.imagenet import stream_dataset
from bnao.errors import ConfigError, DataError, RunError
from bnao.evaluation.short import short_training
from bnao.evaluation.trainings import RESULT, Evaluation, agreement, evaluate, label_ranks, unreadable
from bnao.network.parameters import initial_weights, supernet_shapes
from bnao.network.size import count_multiply_adds, count_parameters
from bnao.network.state import read_weights, to_bytes
from bnao.protocols import Step
from bnao.run import Run
from bnao.space.spaces import SPACES
from bnao.streams import stream
from bnao.testing import save_images, small_dataset
from bnao.training.steps import stand_alone_steps

POOL = SPACES["nao"].random_genotypes(3, stream(0, "evaluate test"))


class Learner:
    """A network that knows as many test images as epochs it was trained, a third more with each seed."""

    parameters = 0
    epoch_steps = 1

    def __init__(self, dataset, config, seed, log):
        self.epochs, self.seed, self.log = config.epochs, seed, log
        self.weight = np.zeros(1, np.float32)
        self.labels = dataset.y_test

    def train(self, start=0):
        for step in range(start, self.epochs):
            self.weight += 1
            self.log.append((self.seed, step))
            yield Step(step, 0, 1.0, 0.1)

    def logits(self, images):
        known = int(self.weight[0]) + self.seed
        told = np.where(
            np.arange(len(images)) < known, self.labels[: len(images)], (self.labels[: len(images)] + 1) % 4
        )
        return np.eye(4, dtype=np.float32)[told]

    def state(self):
        return {"weight": self.weight.copy(), "momentum.weight": self.weight.copy()}

    def load_state(self, state):
        self.weight = np.array(state["weight"])


class School:
    name = "school"

    def __init__(self):
        self.log, self.datasets, self.configs = [], [], []

    def versions(self):
        return {"school": "1.0"}

    def stand_alone(self, genotype, config, dataset, *, seed):
        self.datasets.append(dataset)
        self.configs.append(config)
        return Learner(dataset, config, seed, self.log)


@pytest.fixture
def config():
    return evolve(EvaluateConfig(), epochs=4, repeats=2, network=NetworkConfig(channels=4, cells=1))


def test_each_genotype_is_trained_once_a_repeat_and_tested_on_the_test_part(config):
    school, dataset = School(), small_dataset()

    done = evaluate(POOL, config, school, dataset)

    n = len(dataset.y_test)
    assert [e.genotype for e in done] == POOL
    assert [e.test_errors for e in done] == [(1 - 4 / n, 1 - 5 / n)] * 3  # 4 epochs, seeds 0 and 1
    network = dataset.network(config.network)
    assert [e.parameters for e in done] == count_parameters(POOL, network).tolist()
    assert [e.multiply_adds for e in done] == count_multiply_adds(POOL, network).tolist()


def test_networks_are_trained_on_the_train_and_dev_parts_together(config):
    school, dataset = School(), small_dataset()

    evaluate(POOL[:1], config, school, dataset)

    assert len(school.datasets[0].y_train) == len(dataset.y_train) + len(dataset.y_dev)
    assert (school.datasets[0].x_test == dataset.x_test).all()


def test_mean_and_standard_deviation_are_those_of_the_repeats():
    done = Evaluation(POOL[0], 1, 1, test_errors=(0.1, 0.2, 0.3))

    assert done.mean == pytest.approx(0.2)
    assert done.deviation == pytest.approx(0.1)  # with n - 1
    assert math.isnan(Evaluation(POOL[0], 1, 1, test_errors=(0.1,)).deviation)
    assert Evaluation(POOL[0], 1, 1, test_errors=(0.1,)).to_json()["standard_deviation"] is None


def test_a_finished_training_is_not_done_again(config, tmp_path):
    with Run.create(tmp_path / "run", config) as run:
        first = evaluate(POOL[:2], config, School(), small_dataset(), run=run)
    again = School()

    with Run.open(tmp_path / "run") as run:
        second = evaluate(POOL, config, again, small_dataset(), run=run)

    assert second[:2] == first
    assert len(again.log) == 2 * 4  # the third genotype's trainings alone
    weights = sorted(path.suffix for path in (tmp_path / "run" / "trainings").iterdir())
    assert weights == [".json"] * 6 + [".safetensors"] * 6


def test_the_weights_of_a_training_say_which_network_they_are(config, tmp_path):
    dataset = small_dataset()
    whole = dataset.joined()

    with Run.create(tmp_path / "run", config) as run:
        (done,) = evaluate(POOL[:1], config, School(), dataset, run=run)

    first, second = sorted((tmp_path / "run" / "trainings").glob("*.safetensors"))
    says = read_weights(second)[1]
    assert (says["genotype"], says["seed"], says["test_error"]) == (str(POOL[0]), 1, done.test_errors[1])
    assert says["network"]["classes"] == 4
    assert says["network"]["image"] == [12, 12, 3]
    assert says["mean"] == whole.mean.tolist()
    assert says["std"] == whole.std.tolist()
    assert says["class_names"] == list(dataset.class_names)
    assert read_weights(first)[1]["seed"] == 0


def test_a_stopped_training_goes_on_from_its_last_checkpoint(config, tmp_path):
    config = evolve(config, repeats=1, checkpoint_seconds=0.0)
    whole = evaluate(POOL[:1], config, School(), small_dataset())

    class Stop(Exception):
        pass

    def stop(event):
        if event["event"] == "epoch" and event["epoch"] == 3:
            raise Stop

    with Run.create(tmp_path / "run", config) as run, pytest.raises(Stop):
        evaluate(POOL[:1], config, School(), small_dataset(), run=run, listen=stop)
    again = School()
    with Run.open(tmp_path / "run") as run:
        resumed = evaluate(POOL[:1], config, again, small_dataset(), run=run)

    assert resumed == whole
    assert [epoch for _, epoch in again.log] == [2, 3]


def test_the_folder_gets_the_agreement_with_the_one_shot_scores(config, tmp_path):
    scores = {genotype: 0.5 + 0.1 * number for number, genotype in enumerate(POOL)}

    with Run.create(tmp_path / "run", config) as run:
        done = evaluate(POOL, config, School(), small_dataset(), run=run, scores=scores)
        content = run.read_json(RESULT)

    # all are equally good: no pair differs, so no figure is a number
    assert content["agreement"]["pairwise_accuracy"]["value"] is None
    assert content["agreement"]["pairwise_accuracy"]["n"] == 3
    assert [entry["test_error"] for entry in content["evaluations"]] == [e.mean for e in done]


def test_agreement_compares_scores_with_accuracies_not_errors():
    done = [Evaluation(genotype, 1, 1, (0.3 - 0.1 * number,)) for number, genotype in enumerate(POOL)]
    scores = {genotype: 0.1 * number for number, genotype in enumerate(POOL)}

    assert agreement(done, scores)["kendall_tau"].value == 1.0


def test_a_short_training_is_told_by_the_dev_part_after_so_many_epochs():
    school, dataset = School(), small_dataset()
    search = SearchConfig(network=NetworkConfig(channels=4, cells=1))

    accuracy = short_training(POOL[0], search, school, dataset, epochs=2)

    assert [epoch for _, epoch in school.log] == [0, 1]
    assert school.datasets[0] is dataset  # not joined: the dev part is what it is told by
    assert 0 <= accuracy <= 1


def test_a_short_training_is_by_the_authors_recipe():
    school = School()
    search = SearchConfig(network=NetworkConfig(channels=4, cells=1))

    short_training(POOL[0], search, school, small_dataset(), epochs=search.rerank_epochs)

    (config,) = school.configs
    assert (config.epochs, config.network, config.data) == (10, search.network, search.data)
    training = config.training
    assert (training.auxiliary, training.dropout_keep, training.drop_path_keep) == (0.4, 0.6, 0.8)
    assert (training.batch_size, training.momentum, training.weight_decay, training.gradient_norm) == (64, 0.9, 3e-4, 5)
    assert (training.schedule, training.learning_rate, training.learning_rate_end) == ("cosine", 0.025, 0.001)
    assert training.drop_path_epochs == 50


def test_a_short_trainings_steps_drop_paths_as_the_first_of_fifty_epochs():
    dataset, school = small_dataset(), School()
    search = evolve(SearchConfig(), network=NetworkConfig(channels=4, cells=1))
    short_training(POOL[0], search, school, dataset, epochs=10)
    (config,) = school.configs
    network = dataset.network(config.network)

    steps = list(stand_alone_steps(POOL[0], config, dataset, network, features=8, seed=0, start=0))

    # two steps an epoch: step t of 20, of which full progress would be 100; kept ones are divided by their chance
    assert len(steps) == 20
    for step in steps:
        assert step.masks[-1].max() == pytest.approx(1 / (1 - 0.2 * (step.step + 1) / 100))
    assert steps[-1].rate == pytest.approx(0.001, abs=2e-4)  # the cosine is over at the end of the 10 epochs
    assert steps[0].dropout.max() == pytest.approx(1 / 0.6)


# --- starting from a supernet


class Heir(Learner):
    """Remembers what it was given to begin with."""

    given = ()

    def state(self):
        return {**super().state(), "stem.0.kernel": np.zeros((12, 3, 3, 3), np.float32)}

    def load_state(self, state):
        type(self).given = (*type(self).given, state)


class Court(School):
    def stand_alone(self, genotype, config, dataset, *, seed):
        return Heir(dataset, config, seed, self.log)


@pytest.fixture
def searched(tmp_path, config):
    """A finished search that left the first weights of its supernet."""
    search = evolve(SearchConfig(), network=config.network)
    network = small_dataset().network(config.network)
    with Run.create(tmp_path / "searched", search) as run:
        run.write_json("result.json", {})
        run.write("supernet.safetensors", to_bytes(initial_weights(supernet_shapes(network), 3)))
    return tmp_path / "searched"


def test_a_training_starts_from_the_supernets_weights_and_says_which_came_over(config, searched, tmp_path):
    config = evolve(config, from_supernet=str(searched), repeats=1)
    dataset = small_dataset()
    supernet = initial_weights(supernet_shapes(dataset.network(config.network)), 3)
    Heir.given = ()

    with Run.create(tmp_path / "run", config) as run:
        done = evaluate(POOL[:1], config, Court(), dataset, run=run)

    (given,) = Heir.given
    assert (given["stem.0.kernel"] == supernet["stem.0.kernel"]).all()
    assert "weight" in given  # what the supernet lacks stays as it was
    told = json.loads((tmp_path / "run" / RESULT).read_text())["evaluations"][0]["from_supernet"]
    assert told["run"] == str(searched)
    assert "stem.0.kernel" in told["came_over"]
    assert (told["parameters"], told["of"]) == (done[0].inherited.parameters, done[0].parameters)


def test_without_a_supernet_nothing_is_told_of_one(config):
    (done, *_) = evaluate(POOL[:1], config, School(), small_dataset())

    assert done.inherited is None
    assert "from_supernet" not in done.to_json()


def test_a_supernet_of_another_space_is_refused(config, searched):
    config = evolve(config, from_supernet=str(searched), network=evolve(config.network, space="darts"))
    pool = SPACES["darts"].random_genotypes(1, stream(0, "other"))

    with pytest.raises(ConfigError, match="a search in space 'nao'; the networks to train are of space 'darts'"):
        evaluate(pool, config, School(), small_dataset())


# --- checkpoints within an epoch


class Slow(School):
    """A school whose epochs have three steps, of loss 1, 2, 3, ..."""

    def stand_alone(self, genotype, config, dataset, *, seed):
        learner = super().stand_alone(genotype, config, dataset, seed=seed)
        learner.epoch_steps = 3

        def train(start=0):
            for step in range(start, 3 * config.epochs):
                learner.weight += 1
                self.log.append(step)
                yield Step(step, 0, loss=step + 1.0, rate=0.1)

        learner.train = train
        return learner


def epochs_of(run):
    return [(event["epoch"], event["loss"]) for event in run.events() if event["event"] == "epoch"]


def test_a_training_stopped_within_an_epoch_goes_on_there_and_tells_the_whole_epochs_loss(config, tmp_path):
    config = evolve(config, repeats=1, epochs=2, checkpoint_seconds=0.0)
    told = []

    def stop(event):
        told.append(event)
        if event["event"] == "step" and event["epoch"] == 2 and event["step"] == 2:
            raise KeyboardInterrupt

    with Run.create(tmp_path / "run", config) as run, pytest.raises(KeyboardInterrupt):
        evaluate(POOL[:1], config, Slow(), small_dataset(), run=run, listen=stop)
    again = Slow()
    with Run.open(tmp_path / "run") as run:
        resumed = evaluate(POOL[:1], config, again, small_dataset(), run=run)
        epochs = epochs_of(run)

    assert again.log == [4, 5]  # the step that was told was not yet in a checkpoint
    assert epochs == [(1, 2.0), (2, 5.0)]  # the means of 1, 2, 3 and of 4, 5, 6
    assert resumed == evaluate(POOL[:1], config, Slow(), small_dataset())
    steps = [(event["epoch"], event["step"], event["steps"]) for event in told if event["event"] == "step"]
    assert steps == [(1, 1, 3), (1, 2, 3), (1, 3, 3), (2, 1, 3), (2, 2, 3)]


def test_a_checkpoint_that_does_not_say_its_step_is_refused(config, tmp_path):
    config = evolve(config, repeats=1, checkpoint_seconds=0.0)

    def stop(event):
        if event["event"] == "step" and event["epoch"] == 3:
            raise KeyboardInterrupt

    with Run.create(tmp_path / "run", config) as run, pytest.raises(KeyboardInterrupt):
        evaluate(POOL[:1], config, School(), small_dataset(), run=run, listen=stop)
    (path,) = (tmp_path / "run" / "trainings").glob("*.checkpoint.safetensors")
    path.write_bytes(to_bytes(read_weights(path)[0], {"epoch": 2}))

    with Run.open(tmp_path / "run") as run, pytest.raises(RunError, match="was changed by hand or by another program"):
        evaluate(POOL[:1], config, School(), small_dataset(), run=run)


# --- budgets


def test_channels_are_chosen_for_each_genotype_and_told(config, tmp_path):
    config = evolve(config, repeats=1, network=NetworkConfig(channels=0, cells=1), max_multiply_adds=2_000_000)
    dataset = small_dataset()
    made = []

    class Notes(School):
        def stand_alone(self, genotype, config, dataset, *, seed):
            made.append(config.network.channels)
            return super().stand_alone(genotype, config, dataset, seed=seed)

    with Run.create(tmp_path / "run", config) as run:
        done = evaluate(POOL, config, Notes(), dataset, run=run)
        content = run.read_json(RESULT)

    def needed(genotype, channels):
        return count_multiply_adds(genotype, dataset.network(NetworkConfig(channels=channels, cells=1)))

    for evaluation in done:
        assert evaluation.multiply_adds == needed(evaluation.genotype, evaluation.channels) <= 2_000_000
        assert needed(evaluation.genotype, evaluation.channels + 1) > 2_000_000
    assert [e.channels for e in done] == made == [entry["channels"] for entry in content["evaluations"]]
    assert len(set(made)) > 1
    trainings = [path for path in (tmp_path / "run" / "trainings").iterdir() if path.suffix == ".json"]
    assert sorted(json.loads(path.read_text())["channels"] for path in trainings) == sorted(made)


def test_a_network_over_the_budget_is_refused_before_anything_is_trained(config):
    school = School()
    counts = count_multiply_adds(POOL, small_dataset().network(config.network))
    between = int(counts.max()) - 1  # the largest alone is over it

    with pytest.raises(ConfigError, match=f"has {counts.max():,} multiply-adds, and max_multiply_adds is {between:,}"):
        evaluate(POOL, evolve(config, max_multiply_adds=between), school, small_dataset())

    assert school.log == []


def test_with_given_channels_nothing_is_told_of_them_or_of_five_guesses(config, tmp_path):
    with Run.create(tmp_path / "run", config) as run:
        evaluate(POOL[:1], config, School(), small_dataset(), run=run)
        (entry,) = run.read_json(RESULT)["evaluations"]
        content = run.read_json(RESULT)

    assert set(entry) == {
        "genotype", "id", "test_error", "standard_deviation", "test_errors", "parameters", "multiply_adds",
        "class_errors",
    }  # fmt: skip
    assert set(content) == {"format", "class_names", "evaluations"}


# --- classes


class Blind(Learner):
    """Knows every test image but the first of class 1 and, from the second seed on, all of class 2."""

    def logits(self, images):
        told = self.labels.copy()
        told[np.flatnonzero(told == 1)[0]] = 0
        if self.seed:
            told[told == 2] = 3
        return np.eye(4, dtype=np.float32)[told]


class BlindSchool(School):
    def stand_alone(self, genotype, config, dataset, *, seed):
        return Blind(dataset, config, seed, self.log)


def test_errors_are_told_by_class_with_the_classes_names(config, tmp_path):
    dataset = small_dataset()  # 64 test images, 16 of each class

    with Run.create(tmp_path / "run", config) as run:
        (done,) = evaluate(POOL[:1], config, BlindSchool(), dataset, run=run)
        content = run.read_json(RESULT)
    with Run.open(tmp_path / "run") as run:
        again = evaluate(POOL[:1], config, BlindSchool(), dataset, run=run)

    assert done.class_errors == (0, 1 / 16, 0.5, 0)  # the mean of the two repeats
    assert again == [done]
    assert content["class_names"] == ["upper left", "upper right", "lower left", "lower right"]
    assert content["evaluations"][0]["class_errors"] == [0, 1 / 16, 0.5, 0]


def test_a_class_without_test_images_has_no_error(config):
    dataset = small_dataset()
    others = dataset.y_test != 2
    dataset = evolve(dataset, x_test=dataset.x_test[others], y_test=dataset.y_test[others])

    (done,) = evaluate(POOL[:1], config, BlindSchool(), dataset)

    assert done.class_errors == (0, 1 / 16, None, 0)


def test_a_training_that_was_tested_before_errors_were_told_by_class_is_not_made_again(config, tmp_path):
    with Run.create(tmp_path / "run", config) as run:
        evaluate(POOL[:1], config, School(), small_dataset(), run=run)
    for path in (tmp_path / "run" / "trainings").glob("*.json"):
        content = json.loads(path.read_text())
        del content["class_errors"], content["sha256"]
        path.write_text(json.dumps(content))
    again = School()

    with Run.open(tmp_path / "run") as run:
        (done,) = evaluate(POOL[:1], config, again, small_dataset(), run=run)

    assert again.log == []
    assert done.class_errors == ()


# --- images from disk


def test_a_labels_rank_is_how_many_classes_come_before_it():
    logits = np.array([[0.1, 0.9, 0.5], [0.1, 0.9, 0.5], [0.1, 0.9, 0.5], [2, 2, 2], [2, 2, 2]], np.float32)

    assert label_ranks(logits, np.array([1, 2, 0, 0, 2])).tolist() == [
        0,
        1,
        2,
        0,
        2,
    ]  # of equal ones the first is first


class Guesser(Learner):
    """A network that puts the label of test image i into place i % 8 of its guesses."""

    classes = 8

    def __init__(self, dataset, config, seed, log):
        self.epochs, self.seed, self.log, self.seen = config.epochs, seed, log, 0
        self.weight, self.labels = np.zeros(1, np.float32), dataset.test.labels

    def logits(self, images):
        logits = np.zeros((len(images), self.classes), np.float32)
        for row in logits:
            label, place = self.labels[self.seen], self.seen % self.classes
            others = [number for number in range(self.classes) if number != label]
            row[[*others[:place], label, *others[place:]]] = -np.arange(self.classes)
            self.seen += 1
        return logits


class Streaming(School):
    def stand_alone(self, genotype, config, dataset, *, seed):
        return Guesser(dataset, config, seed, self.log)


@pytest.fixture
def eight_classes(tmp_path):
    """A folder of 8 classes, each with 2 images to train on and 3 to test on."""
    for part, n in (("train", 2), ("val", 3)):
        for name in "abcdefgh":
            for number in range(n):
                (tmp_path / "images" / part / name).mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (40, 40)).save(tmp_path / "images" / part / name / f"{number}.png")
    return tmp_path / "images"


def from_disk(config, folder, **changes):
    data = evolve(config.data, dataset="imagenet", data_dir=str(folder), image_size=32, crop="resized", cutout=0)
    return evolve(config, data=evolve(data, **changes))


def test_top_5_errors_are_told_of_images_from_disk(config, eight_classes, tmp_path):
    config = from_disk(config, eight_classes)

    with Run.create(tmp_path / "run", config) as run:
        (done,) = evaluate(POOL[:1], config, Streaming(), stream_dataset(config.data, 0), run=run)
        (entry,) = run.read_json(RESULT)["evaluations"]
    with Run.open(tmp_path / "run") as run:
        again = evaluate(POOL[:1], config, Streaming(), stream_dataset(config.data, 0), run=run)

    # of 24 images 3 have their label first, and 15 among the first five
    assert done.test_errors == (21 / 24, 21 / 24)
    assert done.top5_errors == (9 / 24, 9 / 24)
    assert (entry["top5_error"], entry["top5_errors"]) == (9 / 24, [9 / 24, 9 / 24])
    assert again == [done]


def test_files_left_out_are_counted_at_the_end_and_after_a_stop_too(config, eight_classes, tmp_path, caplog):
    config = from_disk(evolve(config, repeats=1, checkpoint_seconds=0.0), eight_classes, unreadable="skip")
    bad = [str(eight_classes / part / "c" / "0.png") for part in ("train", "val")]
    for path in bad:
        open(path, "w").close()
    dataset = stream_dataset(config.data, 0)
    caplog.set_level(logging.WARNING)

    class Reader(Streaming):
        def stand_alone(self, genotype, config, dataset, *, seed):
            network = super().stand_alone(genotype, config, dataset, seed=seed)
            train = network.train
            network.labels = np.delete(network.labels, 6)  # the first of class c cannot be read

            def reading(start=0):
                for step in train(start):
                    if step.step == 0:
                        list(dataset.train_batches(range(1), 16, seed, config.data))
                    yield step

            network.train = reading
            return network

    def stop(event):
        if event["event"] == "step" and event["epoch"] == 3:
            raise KeyboardInterrupt

    with Run.create(tmp_path / "run", config) as run, pytest.raises(KeyboardInterrupt):
        evaluate(POOL[:1], config, Reader(), dataset, run=run, listen=stop)
    with Run.open(tmp_path / "run") as run:
        done = evaluate(POOL[:1], config, Reader(), stream_dataset(config.data, 0), run=run)
        content = run.read_json(RESULT)

    assert list(unreadable(done)) == bad  # the first was met before the stop, the second in the test
    assert [entry["file"] for entry in content["unreadable"]] == bad
    assert all("cannot be read as an image" in entry["reason"] for entry in content["unreadable"])
    assert done[0].test_errors == (1 - 3 / 23,)  # of 24 test images one is not told
    assert [message.split(" cannot")[0] for message in caplog.messages] == [f"left out: {path}" for path in bad]


def test_files_left_out_of_images_in_memory_are_counted_too(config, tmp_path):
    folder = save_images(tmp_path / "images")
    (folder / "val").rename(folder / "test")
    bad = folder / "train" / "class 1" / "bad.jpeg"
    bad.write_bytes(b"no image")
    data = evolve(config.data, data=str(folder))
    config = evolve(config, repeats=1, data=evolve(data, unreadable="skip"))

    with pytest.raises(
        DataError, match=r"bad.jpeg cannot be read as an image: .*; --unreadable skip leaves such files o"
    ):
        load_dataset(data, dev=False)
    dataset = load_dataset(config.data, dev=False)
    with Run.create(tmp_path / "run", config) as run:
        evaluate(POOL[:1], config, School(), dataset, run=run)
        content = run.read_json(RESULT)

    assert len(dataset.y_train) == 32
    assert [entry["file"] for entry in content["unreadable"]] == [str(bad)]
