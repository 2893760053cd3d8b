"""Controllers on a benchmark table: queries, regret, and what goes on after a stop."""

import numpy as np
import pytest
from attrs import evolve

from bnao.config.fields import build
from bnao.config.table_studies import ControllersConfig
from bnao.errors import ConfigError, DataError
from bnao.run import Folder
from bnao.space.spaces import SPACES
from bnao.strategies.random_search import RandomController
from bnao.streams import stream
from bnao.studies.controllers import ControllersStudy, study_controllers

SPACE = SPACES["nas-bench-201"]
POOL = SPACE.random_genotypes(400, stream(0, "contest"))
# a score that a search can climb: one point for each 3x3 convolution; the test accuracy is the same and a half
SCORES = np.array([str(genotype).count("nor_conv_3x3") + index / 1000 for index, genotype in enumerate(POOL)])
TESTS = SCORES + 0.5
CONFIG = build(
    ControllersConfig,
    {"controllers": "random:30:4,evolution:10:4", "pool": 20, "queries": 200, "network": {"space": "nas-bench-201"}},
)


def held(config=CONFIG, folder=None, scores=SCORES, tests=TESTS, makers=None, listen=lambda event: None):
    return study_controllers(config, POOL, scores, tests, makers or {}, folder=folder, listen=listen)


def test_the_best_found_never_gets_worse_where_test_and_score_agree_and_starts_with_the_same_pool():
    found = held()

    assert found.optimum == TESTS.max()
    assert found.test_of_best_score == TESTS.max()
    random, evolution = found.curves
    assert random.queries[0] == 20
    assert random.queries[-1] == 200
    assert 100 in random.queries
    for curve in found.curves:
        assert (np.diff(curve.best, axis=1) >= 0).all()
    # a seed's first pool is the same whoever proposes later
    assert random.best[:, 0].tolist() == evolution.best[:, 0].tolist()


def test_evolution_climbs_faster_than_chance_where_there_is_something_to_climb():
    random, evolution = held(evolve(CONFIG, controllers="random:10:10,evolution:10:10", queries=100)).curves

    assert evolution.best[:, -1].mean() > random.best[:, -1].mean()


def test_regret_is_counted_from_the_genotype_whose_score_is_the_best_so_far():
    misleading = -SCORES  # the better the score, the worse the test

    found = held(scores=misleading)

    assert found.test_of_best_score == TESTS.min()
    assert (np.diff(found.curves[0].best, axis=1) <= 0).all()


def test_finished_searches_are_not_made_again_and_a_resumed_comparison_is_the_same(tmp_path):
    whole = held()
    made = []

    def listen(event):
        made.extend([event["seed"]] if event["event"] == "search" else [])
        if len(made) == 5:
            raise KeyboardInterrupt

    folder = Folder(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        held(folder=folder, listen=listen)
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "searches").iterdir()}

    again = held(folder=folder)

    assert again.to_json() == whole.to_json()
    assert len(kept) == 5
    assert {name: (tmp_path / "searches" / name).stat().st_mtime_ns for name in kept} == kept
    assert ControllersStudy.from_json(again.to_json()).to_json() == again.to_json()


def test_a_controller_of_a_framework_is_made_by_its_maker():
    seeds = []

    def make(config):
        seeds.append(config.seed)
        return RandomController(SPACE, config.controller, config.seed)

    found = held(evolve(CONFIG, controllers="nao:50:3"), makers={"nao": make})

    assert seeds == [0, 1, 2]
    assert found.curves[0].best.shape[0] == 3


def test_more_queries_than_rows_are_refused():
    with pytest.raises(ConfigError, match="queries is 500, and the table has 400 genotypes"):
        held(evolve(CONFIG, queries=500))


def test_a_test_accuracy_that_is_no_number_is_refused():
    with pytest.raises(DataError, match=r"tests\[3\] is not finite"):
        held(tests=np.where(np.arange(400) == 3, np.nan, TESTS))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"controllers": "best:1:1"},
            "controllers has 'best:1:1'; each is nao, nao-paper, seminas, ridge, trees, evolution,",
        ),
        ({"controllers": "random"}, "controllers has 'random'"),
        ({"controllers": "random:0:5"}, "controllers has 'random:0:5'"),
        ({"controllers": "random:5:5,random:6:6"}, "it names one twice"),
        ({"queries": 50, "pool": 50}, "queries is 50; it must be more than the first round's 50"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_words(settings, message):
    with pytest.raises(ConfigError) as raised:
        build(ControllersConfig, settings)

    assert message in str(raised.value)


def test_validation_regret_and_its_difference_to_evolution_have_intervals_and_the_top_is_counted():
    found = held(evolve(CONFIG, controllers="random:10:6,evolution:10:6,ridge:10:3", queries=100, n_seeds=5))

    rows = {(row.controller, row.queries): row for row in found.validation_regret()}
    ridge, evolution = rows["ridge", 100], rows["evolution", 100]
    assert found.best_score == SCORES.max()
    assert evolution.difference is None
    assert evolution.low <= evolution.regret <= evolution.high
    assert ridge.searches == 3
    assert ridge.regret < evolution.regret
    # seed by seed, of the three seeds that both have
    base = found.baseline.regret_at(100, found.best_score)[:3]
    assert ridge.difference == pytest.approx(ridge.regret - base.mean())
    assert ridge.difference_low <= ridge.difference <= ridge.difference_high
    # 0.1 % of 400 is the best alone
    curve = found.curves[2]
    assert all(np.isnan(curve.until_top) | (curve.scores[:, -1] == SCORES.max()))
    assert set(found.until_top()) == {"random", "evolution", "ridge"}
    assert ControllersStudy.from_json(found.to_json()).to_json() == found.to_json()


def test_a_study_from_before_scores_were_kept_is_read():
    content = held(evolve(CONFIG, controllers="random:30:2")).to_json()
    for curve in content["curves"]:
        del curve["scores"], curve["until_top"]
    del content["best_score"]

    found = ControllersStudy.from_json(content)

    assert found.validation_regret() == []
    assert found.until_top() == {}


def test_scores_that_are_all_equal_are_refused():
    with pytest.raises(DataError, match="all 400 scores are 1; a search needs scores that differ"):
        held(scores=np.ones(400))
