"""A search without weight sharing: each genotype is trained alone, once, and a killed search goes on."""

import json

import numpy as np
import pretend_backend
import pytest
from attrs import evolve

from bnao.config.settings import ControllerConfig, NetworkConfig, SearchConfig
from bnao.errors import ConfigError
from bnao.evaluation.candidates import StandAloneScores
from bnao.evaluation.short import short_training
from bnao.run import Run
from bnao.space.spaces import space_named
from bnao.strategies.journal import add_rounds
from bnao.strategies.random_search import RandomController
from bnao.strategies.rounds import search
from bnao.streams import stream
from bnao.testing import small_dataset
from tests.strategies.test_rounds import CountingSupernet, Foreteller

CONFIG = SearchConfig(
    sharing="none", alone_epochs=3, rounds=2, pool=5, new=3, checkpoint_seconds=0.0,
    network=NetworkConfig(channels=4, cells=1, nodes=2),
)  # fmt: skip
SPACE = space_named("nao", 2)


class Counting(pretend_backend._Backend):
    """Notes which networks begin to be trained and at which step; dies before a step, where one is given."""

    def __init__(self, die_at=None):
        self.begun, self.left = [], die_at

    def stand_alone(self, genotype, config, dataset, *, seed):
        network = super().stand_alone(genotype, config, dataset, seed=seed)
        train = network.train

        def noted(start=0):
            self.begun.append((genotype, start))
            for step in train(start):
                if self.left == 0:
                    raise Killed
                self.left = None if self.left is None else self.left - 1
                yield step

        network.train = noted
        return network


class Killed(Exception):
    pass


def controller():
    return RandomController(SPACE, ControllerConfig(), 0)


def searched(folder, backend, config=CONFIG, resume=False):
    """The search in a folder."""
    with Run.open(folder) if resume else Run.create(folder, config) as run:
        scores = StandAloneScores(config, backend, small_dataset(), folder=run)
        return search(config, scores, controller(), run=run)


def test_each_genotype_is_trained_once_however_often_it_is_scored():
    backend, events = Counting(), []

    result = search(CONFIG, StandAloneScores(CONFIG, backend, small_dataset()), controller(), listen=events.append)

    trained = [genotype for genotype, _ in backend.begun]
    assert len(trained) == len(set(trained)) == 8
    assert {entry.genotype for entry in result.ranked} == set(trained)
    assert {entry.updates for entry in result.ranked} == {0}
    alone = [event for event in events if event["event"] == "alone"]
    assert [(event["round"], event["genotype"], event["epoch"]) for event in alone] == [
        (number, genotype, epoch) for number, n in ((1, 5), (2, 3)) for genotype in range(n) for epoch in (1, 2, 3)
    ]
    assert {event["event"] for event in events}.isdisjoint({"step"})


def test_a_score_is_the_accuracy_on_the_dev_images_by_the_recipe_of_reranking():
    dataset = small_dataset()
    genotypes = SPACE.random_genotypes(3, stream(0, "alone"))

    scores = StandAloneScores(CONFIG, pretend_backend.BACKEND, dataset).score(genotypes)

    expected = [short_training(genotype, CONFIG, pretend_backend.BACKEND, dataset, 3) for genotype in genotypes]
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    assert len(set(scores)) > 1


@pytest.mark.parametrize("die_at", [0, 1, 4, 14, 16, 22])
def test_a_search_killed_within_any_training_goes_on_from_its_last_checkpoint(tmp_path, die_at):
    whole = searched(tmp_path / "whole", Counting())
    with pytest.raises(Killed):
        searched(tmp_path / "killed", Counting(die_at))

    backend = Counting()
    assert searched(tmp_path / "killed", backend, resume=True) == whole

    # three steps each; those that were finished are not begun again, the one that was under way goes on
    assert len(backend.begun) == 8 - die_at // 3
    assert [start for _, start in backend.begun] == [die_at % 3] + [0] * (7 - die_at // 3)
    kept = {path.name for path in (tmp_path / "killed" / "candidates").iterdir()}
    assert len(kept) == 8
    assert all(name.endswith(".json") for name in kept)
    for name in kept | {"../result.json", "../round-2-scores.json"}:
        kept_there, here = (tmp_path / folder / "candidates" / name for folder in ("whole", "killed"))
        assert kept_there.read_bytes() == here.read_bytes()


def test_a_finished_search_goes_on_to_more_rounds_and_trains_their_genotypes_alone(tmp_path):
    longer = evolve(CONFIG, rounds=3)
    whole = searched(tmp_path / "whole", Counting(), longer)
    searched(tmp_path / "run", Counting())
    with Run.open(tmp_path / "run") as run:
        assert add_rounds(run, 3) == longer

    backend = Counting()
    assert searched(tmp_path / "run", backend, longer, resume=True) == whole
    assert len(backend.begun) == 3


def test_the_file_of_a_training_says_on_which_images_it_was_tested(tmp_path):
    searched(tmp_path / "run", Counting())

    for path in (tmp_path / "run" / "candidates").iterdir():
        assert json.loads(path.read_text())["tested_on"] == "dev part"


def test_the_predictions_of_a_controller_are_compared_with_the_scores():
    config = evolve(CONFIG, network=NetworkConfig(channels=4, cells=1))
    scores = StandAloneScores(config, pretend_backend.BACKEND, small_dataset())

    result = search(config, scores, Foreteller(space_named("nao"), ControllerConfig(), 0))

    assert [(entry.round, entry.proposals) for entry in result.learning] == [(2, 3)]


def test_what_trains_and_what_the_settings_say_must_agree():
    with pytest.raises(ConfigError, match="sharing is none, and the supernet, of class CountingSupernet, trains"):
        search(CONFIG, CountingSupernet(), controller())
    with pytest.raises(ConfigError, match="sharing is weights; it must be none where"):
        StandAloneScores(evolve(CONFIG, sharing="weights"), pretend_backend.BACKEND, small_dataset())
    alone = StandAloneScores(CONFIG, pretend_backend.BACKEND, small_dataset())
    with pytest.raises(ConfigError, match="from_supernet is first, and no supernet is trained here"):
        search(evolve(CONFIG, from_supernet="first"), alone, controller())
