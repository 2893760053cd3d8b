"""Stand-alone trainings: repeated, kept, gone on with, and compared with one-shot scores."""

import math

import numpy as np
import pytest
from attrs import evolve

from bnao.config import EvaluateConfig, NetworkConfig, SearchConfig
from bnao.evaluate import RESULT, Evaluation, agreement, evaluate, short_training
from bnao.run import Run
from bnao.size import multiply_adds, parameters
from bnao.space import SPACES
from bnao.streams import stream
from bnao.testing import small_dataset
from bnao.weights import read_weights

POOL = SPACES["nao"].random_genotypes(3, stream(0, "evaluate test"))


class Learner:
    """A network that knows as many test images as epochs it was trained, a third more with each seed."""

    parameters = 0

    def __init__(self, dataset, config, seed, log):
        self.epochs, self.seed, self.log = config.epochs, seed, log
        self.weight = np.zeros(1, np.float32)
        self.labels = dataset.y_test

    def train(self, start=0):
        from bnao.protocols import Epoch

        for epoch in range(start, self.epochs):
            self.weight += 1
            self.log.append((self.seed, epoch))
            yield Epoch(epoch, 1.0, 0.1)

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
        self.log, self.datasets = [], []

    def stand_alone(self, genotype, config, dataset, *, seed):
        self.datasets.append(dataset)
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
    assert [e.parameters for e in done] == parameters(POOL, network).tolist()
    assert [e.multiply_adds for e in done] == multiply_adds(POOL, network).tolist()


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
