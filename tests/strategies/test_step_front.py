"""Searches for a front of score and cost by strategies that decide at each update."""

import numpy as np
import pytest

from bnao.config.settings import SearchConfig
from bnao.config.strategies import STEP_LEVEL, WITH_CANDIDATES
from bnao.errors import ConfigError
from bnao.network.size import count_multiply_adds, count_parameters
from bnao.pareto import crowded_order, hypervolume
from bnao.run import Run
from bnao.space.spaces import SPACES
from bnao.strategies.front import Front
from bnao.strategies.result import read_result
from bnao.strategies.steps import search_by_steps
from bnao.testing import ToyScorer, small_dataset
from tests.strategies.test_steps import Fixed, as_if_in, config_of, search_of

SPACE = SPACES["nas-bench-201"]


def scored_by(search):
    """All that a search scored, with its scores."""
    return list(search.asked), np.array([search.scores[genotype] for genotype in search.asked])


@pytest.mark.parametrize("cost", ["multiply-adds", "parameters", "size"])
@pytest.mark.parametrize("strategy", WITH_CANDIDATES)
def test_the_front_is_what_no_other_scored_genotype_dominates(strategy, cost):
    search = search_of(config_of(strategy, steps=20, pareto=cost, size="parameters"))

    result = search.result()

    genotypes, scores = scored_by(search)
    count = count_multiply_adds if cost == "multiply-adds" else count_parameters
    costs = count(genotypes, search.network)
    best = {
        genotype
        for genotype, score, price in zip(genotypes, scores, costs, strict=True)
        if not ((scores >= score) & (costs <= price) & ((scores > score) | (costs < price))).any()
    }
    assert len(genotypes) >= 10
    assert {entry.genotype for entry in result.ranked} == set(genotypes)
    assert {entry.genotype for entry in result.front.entries} == best
    assert result.ranked[: len(best)] == result.front.entries
    assert result.front.reference == (0.0, max(costs))
    assert result.front.hypervolume == pytest.approx(hypervolume(scores, costs, result.front.reference))


def test_without_a_front_the_best_alone_are_ranked():
    result = search_of(config_of("spos", steps=20, top=3)).result()

    assert (len(result.ranked), result.front) == (3, None)


@pytest.mark.parametrize("strategy", [name for name in STEP_LEVEL if name not in WITH_CANDIDATES])
def test_a_strategy_that_derives_one_genotype_scores_no_other_and_has_no_front(strategy):
    search = search_of(config_of(strategy, steps=4))

    search.result()

    assert len(search.asked) == 1
    told = (
        f"strategy {strategy} derives one genotype by its rule and scores no others; a front is that of a search with "
    )
    with pytest.raises(ConfigError, match=told + "strategy nao, random, evolution, spos, fairnas, enas"):
        SearchConfig(strategy=strategy, pareto="parameters")


@pytest.mark.parametrize("strategy", ["spos", "fairnas"])
def test_an_evolution_that_weighs_the_cost_covers_more_of_the_front(strategy):
    def area(seed, pareto):
        search = search_of(config_of(strategy, steps=1, seed=seed, pareto=pareto))
        search.result()
        genotypes, scores = scored_by(search)
        costs = count_multiply_adds(genotypes, search.network)
        return hypervolume(scores, costs, (0.0, 2e6))

    areas = {pareto: np.mean([area(seed, pareto) for seed in range(6)]) for pareto in (None, "multiply-adds")}

    assert areas["multiply-adds"] > areas[None]


@pytest.mark.parametrize("strategy", WITH_CANDIDATES)
def test_a_strategy_prefers_genotypes_by_front_and_crowding(strategy):
    search = search_of(config_of(strategy, steps=1, pareto="parameters"))
    asked = {}

    def score(genotypes):
        values = [search.supernet.supernet.value(genotype) for genotype in genotypes]
        asked.update(zip(genotypes, values, strict=True))
        return np.array(values)

    chosen = search.strategy.best(12, score)

    known = list(asked)
    order = crowded_order(list(asked.values()), count_parameters(known, search.network))
    assert chosen == [known[at] for at in order[:12]]


def test_a_front_keeps_the_budgets():
    network = config_of("spos").network
    budget = int(np.median(count_parameters(SPACE.random_genotypes(200, np.random.default_rng(0)), network)))

    result = search_of(config_of("spos", steps=2, pareto="multiply-adds", max_parameters=budget)).result()

    assert max(entry.parameters for entry in result.ranked) <= budget


@pytest.mark.parametrize("strategy", WITH_CANDIDATES)
def test_a_search_for_a_front_that_was_stopped_ends_as_if_it_had_not_been(strategy, tmp_path):
    whole = as_if_in(strategy, tmp_path / "whole", pareto="parameters")

    with pytest.raises(KeyboardInterrupt):
        as_if_in(strategy, tmp_path / "run", stop_at=33, pareto="parameters")

    assert as_if_in(strategy, tmp_path / "run", pareto="parameters") == whole
    for name in ("result.json", "scores.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert read_result(tmp_path / "run") == whole


class Three(Fixed):
    """A strategy that scores three genotypes, of which one breaks the budget, and chooses the first."""

    def __init__(self, context):
        super().__init__(None)
        self.genotypes = [
            SPACE.parse(f"0:{one};0:{one}+1:{two};0:{two}+1:{two}+2:{two}")
            for one, two in (
                ("nor_conv_1x1", "nor_conv_1x1"), ("skip_connect", "nor_conv_1x1"), ("nor_conv_3x3", "nor_conv_3x3"),
            )
        ]  # fmt: skip
        self.genotype = self.genotypes[0]

    def best(self, n, score):
        score(self.genotypes)
        return self.genotypes[:1]


def test_of_a_strategy_of_ones_own_all_that_it_scored_within_the_budget_are_ranked(tmp_path):
    network = config_of("spos").network
    strategy = Three(None)
    budget = int(count_parameters(strategy.genotypes, network)[0])
    config, data = config_of("spos", steps=2, pareto="parameters", max_parameters=budget), small_dataset()
    with Run.create(tmp_path / "run", config) as run:
        result = search_by_steps(config, Three, lambda network: ToyScorer(config, data), data, run=run)

    assert {entry.genotype for entry in result.ranked} == set(strategy.genotypes[:2])
    assert result.front == Front.of(result.ranked, "parameters")
