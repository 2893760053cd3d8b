"""Searches for a front of score and cost, and searches within a latency."""

import json

import numpy as np
import pytest
from attrs import evolve

from bnao.backends.table import TableSupernet
from bnao.config.settings import ControllerConfig, NetworkConfig, SearchConfig
from bnao.errors import ConfigError, RunError
from bnao.network.latency import LatencyModel, MeasuredLatency, counts, fit_latency
from bnao.network.size import count_multiply_adds, count_parameters
from bnao.pareto import crowded_order
from bnao.run import Run
from bnao.space.spaces import SPACES
from bnao.strategies.ageing_evolution import AgeingEvolutionController
from bnao.strategies.candidates import within_budgets
from bnao.strategies.evolution import EvolutionController
from bnao.strategies.front import Front
from bnao.strategies.local_search import LocalSearchController
from bnao.strategies.registry import make_controller
from bnao.strategies.result import SearchResult, read_result
from bnao.strategies.rounds import search
from bnao.streams import stream
from tests.strategies.test_rounds import CountingSupernet

SPACE = SPACES["nas-bench-201"]
NETWORK = NetworkConfig(space="nas-bench-201", channels=8, cells=1)


def config_of(**settings):
    settings = {
        "rounds": 4,
        "pool": 12,
        "new": 6,
        "n_seeds": 4,
        "controller": ControllerConfig(controller="evolution"),
    } | settings
    return SearchConfig(network=NETWORK, rerank_epochs=0, **settings)


@pytest.fixture
def table():
    """Scores that rise with size, but for a part of their own."""
    pool = SPACE.random_genotypes(600, stream(0, "front table"))
    sizes = count_multiply_adds(pool, NETWORK)
    return TableSupernet(pool, sizes / sizes.max() + 0.5 * stream(0, "front scores").random(600), NETWORK)


@pytest.fixture
def model(tmp_path):
    """The file of a model in which a 3x3 convolution takes 2 ms, a 1x1 one 0.5 ms, and a network 1 ms."""
    pool = SPACE.random_genotypes(40, stream(0, "front latencies"))
    exact = counts(pool, SPACE) @ np.array([1.0, 0.0, 0.5, 2.0, 0.0])
    path = tmp_path / "latency.json"
    measured = [MeasuredLatency(each, ms, 0.0) for each, ms in zip(pool, exact.tolist(), strict=True)]
    fit_latency(measured, evolve(NETWORK, channels=36), {"runtime": "made"}).save(path)
    return path


def found(config, supernet, run=None, **more):
    return search(config, supernet, make_controller(config), run=run, **more)


@pytest.mark.parametrize("cost", ["multiply-adds", "parameters", "size"])
@pytest.mark.parametrize("controller", ["evolution", "ageing-evolution", "local-search", "ridge", "random"])
def test_the_front_is_what_no_other_scored_genotype_dominates(table, cost, controller):
    result = found(config_of(pareto=cost, controller=ControllerConfig(controller=controller)), table)

    values = [(e.score, getattr(e, cost.replace("-", "_"))) for e in result.ranked]
    best = {
        e.genotype
        for e, (score, price) in zip(result.ranked, values, strict=True)
        if not any(s >= score and p <= price and (s, p) != (score, price) for s, p in values)
    }
    front = result.front
    assert {entry.genotype for entry in front.entries} == best
    assert result.ranked[: len(best)] == front.entries
    assert result.best == max(result.ranked, key=lambda entry: entry.score).genotype
    assert [e.score for e in front.entries] == sorted((e.score for e in front.entries), reverse=True)
    assert front.reference == (0.0, max(price for _, price in values))
    assert front.hypervolume == front.hypervolume_against(*front.reference) > 0
    assert front.mean_best == pytest.approx(front.hypervolume / front.reference[1])


def test_a_search_for_a_front_covers_more_of_it_than_one_for_the_score(table):
    costs = count_multiply_adds(table.candidates, NETWORK)
    reference = 0.0, float(costs.max())
    areas = {
        pareto: [
            Front.of(found(config_of(seed=seed, pareto=pareto), table).ranked, "multiply-adds").hypervolume_against(
                *reference
            )
            for seed in range(8)
        ]
        for pareto in (None, "multiply-adds")
    }

    assert np.mean(areas["multiply-adds"]) > np.mean(areas[None])


class Watched(EvolutionController):
    """Evolution that keeps what it is given."""

    def fit(self, genotypes, scores, *, round_index):
        self.seen = getattr(self, "seen", [])
        self.seen.append([list(genotypes), np.array(scores), None])
        return super().fit(genotypes, scores, round_index=round_index)

    def propose(self, seeds, n, accept, *, round_index):
        self.seen[-1][2] = list(seeds)
        return super().propose(seeds, n, accept, round_index=round_index)


def test_seeds_are_the_first_of_the_crowded_order_and_without_a_front_those_of_the_highest_scores(table):
    config, controllers = config_of(pareto="multiply-adds"), [Watched(SPACE, ControllerConfig(), 0) for _ in range(2)]

    search(config, table, controllers[0])
    search(evolve(config, pareto=None), table, controllers[1])

    for known, scores, seeds in controllers[0].seen:
        order = crowded_order(scores, count_multiply_adds(known, NETWORK))[:4]
        assert seeds == [known[index] for index in order]
    for known, scores, seeds in controllers[1].seen:
        assert seeds == [known[index] for index in np.argsort(-scores, kind="stable")[:4]]


def test_tournaments_are_won_by_front_and_crowding():
    pool = SPACE.random_genotypes(30, stream(0, "tournament"))
    scores = stream(0, "tournament scores").random(30)
    controller = EvolutionController(SPACE, ControllerConfig(tournament=1000), seed=0)  # everybody enters
    controller.weigh(lambda genotypes: count_parameters(genotypes, NETWORK).astype(float))
    best = pool[crowded_order(scores, count_parameters(pool, NETWORK))[0]]

    list(controller.fit(pool, scores, round_index=0))
    children = controller.propose([], 5, lambda genotype: True, round_index=1)

    encoded = SPACE.encode([best]).reshape(-1, 2)
    assert all((SPACE.encode([child]).reshape(-1, 2) != encoded).any(1).sum() == 1 for child in children)


def test_ageing_weighs_only_those_that_are_alive():
    pool = SPACE.random_genotypes(12, stream(0, "ageing"))
    controller = AgeingEvolutionController(SPACE, ControllerConfig(population=10), seed=0)
    asked = []
    controller.weigh(lambda genotypes: asked.append(list(genotypes)) or np.arange(len(genotypes), dtype=float))

    list(controller.fit(pool, np.linspace(0, 1, 12), round_index=0))

    assert asked == [pool[2:]]


def test_local_search_begins_with_the_front():
    pool = SPACE.random_genotypes(3, stream(0, "local"))
    controller = LocalSearchController(SPACE, ControllerConfig(), seed=0)
    # the second is the best, but the first and the third are the ends of the front
    controller.weigh(lambda genotypes: np.array([9.0, 9.0, 1.0]))

    list(controller.fit(pool, np.array([0.8, 0.9, 0.1]), round_index=0))

    assert controller._best_first == [pool[1], pool[2], pool[0]]


# --- results and folders


def test_a_search_without_a_front_says_nothing_of_one(table, tmp_path):
    config = config_of()
    with Run.create(tmp_path / "run", config) as run:
        found(config, table, run)

    for name in ("result.json", "config.toml"):
        text = (tmp_path / "run" / name).read_text()
        assert not [word for word in ("pareto", "front", "latency") if word in text]


def test_a_result_with_a_front_is_read_as_it_was_written_and_members_span_it(table, tmp_path):
    config = config_of(pareto="multiply-adds")
    with Run.create(tmp_path / "run", config) as run:
        result = found(config, table, run)

    assert read_result(tmp_path / "run") == result
    assert SearchResult.from_json(json.loads(json.dumps(result.to_json()))) == result
    entries = result.front.entries
    some = result.front.spread(3)
    assert len(entries) > 3
    assert (some[0], some[-1]) == (entries[0], entries[-1])
    assert result.front.spread(1) == entries[:1]


def test_a_damaged_front_is_refused_in_a_line(table, tmp_path):
    config = config_of(pareto="multiply-adds")
    with Run.create(tmp_path / "run", config) as run:
        found(config, table, run)
    path = tmp_path / "run" / "result.json"
    content = {name: value for name, value in json.loads(path.read_text()).items() if name != "sha256"}

    for wrong in ({"cost": "time"}, {"cost": "latency"}, {"hypervolume": "large"}, {"genotypes": ["0:none"]}):
        path.write_text(json.dumps({**content, "front": {**content["front"], **wrong}}))
        with pytest.raises(RunError, match="was changed by hand"):
            read_result(tmp_path / "run")


def test_members_that_span_the_front_are_trained_alone_and_keep_their_order(table):
    config = evolve(config_of(pareto="multiply-adds"), top=3)
    plain = found(config, table)
    accuracies = {entry.genotype: 1 - entry.score for entry in plain.ranked}

    result = found(config, table, rerank=accuracies.__getitem__)

    assert [entry.genotype for entry in result.ranked] == [entry.genotype for entry in plain.ranked]
    trained = [entry.genotype for entry in result.ranked if entry.reranked is not None]
    assert trained == [entry.genotype for entry in plain.front.spread(3)]
    assert all(entry.reranked == 1 - entry.score for entry in result.front.entries if entry.reranked is not None)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("last", [3, 9, 15])
def test_a_search_for_a_front_of_latency_that_was_killed_ends_as_if_it_had_not_been(model, tmp_path, last):
    config = config_of(pareto="latency", latency=str(model), max_latency="6ms", epochs=1, checkpoint_seconds=0.0)
    with Run.create(tmp_path / "whole", config) as run:
        whole = found(config, Supernet(), run)
    left = iter(range(last))

    def kill(event):
        if next(left, None) is None:
            raise Killed

    with Run.create(tmp_path / "run", config) as run, pytest.raises(Killed):
        found(config, Supernet(), run, listen=kill)
    model.unlink()  # the run has its own
    with Run.open(tmp_path / "run") as run:
        assert found(config, Supernet(), run) == whole

    for name in ("result.json", "latency.json", "round-2-pool.json", "supernet.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


class Supernet(CountingSupernet):
    network = NETWORK


# --- latency


def latency_of(genotype):
    """By the made model, of the edges that reach the output."""
    return float(counts([genotype], SPACE)[0] @ [1.0, 0.0, 0.5, 2.0, 0.0])


def test_a_search_within_a_latency_trains_no_network_that_is_predicted_to_take_longer(model):
    config = config_of(latency=str(model), max_latency=3.5)
    supernet = Supernet()

    result = found(config, supernet)

    assert len(result.ranked) == 12 + 3 * 6
    assert all(latency_of(entry.genotype) <= 3.5 for entry in result.ranked)
    assert [entry.latency for entry in result.ranked] == pytest.approx([latency_of(e.genotype) for e in result.ranked])
    pool = SPACE.random_genotypes(50, stream(0, "any"))
    within = within_budgets(pool, config, NETWORK, LatencyModel.load(model))
    assert within.tolist() == [latency_of(genotype) <= 3.5 for genotype in pool]


def test_updates_can_be_in_proportion_to_latency(model):
    result = found(config_of(latency=str(model), size="latency", rounds=1), Supernet())

    total = sum(latency_of(entry.genotype) for entry in result.ranked)
    for entry in result.ranked:
        assert entry.size == pytest.approx(latency_of(entry.genotype))
        assert entry.expected_updates == pytest.approx(500 * entry.size / total, abs=1e-5)  # 50 epochs of 10 steps


def test_a_budget_that_nothing_keeps_is_named(model):
    with pytest.raises(ConfigError, match=r"keep the budget \(at most 0.5 ms latency\)"):
        found(config_of(latency=str(model), max_latency="500us"), Supernet())


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"max_latency": "5ms"}, r"max_latency is 5.0, and no model tells latencies; make one with bnao latency -o"),
        ({"size": "latency"}, "size is latency, and no model tells latencies"),
        ({"pareto": "latency"}, "pareto is latency, and no model tells latencies"),
        ({"max_latency": "five"}, "max_latency is 'five'; it must be a time above 0, such as 5ms or 0.2s"),
        ({"max_latency": "0ms"}, r"max_latency is 0.0; it must be a time above 0"),
        ({"max_latency": True}, "max_latency is True; it must be a time above 0"),
        ({"pareto": "accuracy"}, "pareto is 'accuracy'; it can be multiply-adds, parameters, latency, size"),
        (
            {"pareto": "parameters", "strategy": "darts"},
            "strategy darts derives one genotype by its rule and scores no",
        ),
        ({"pareto": "parameters", "rank_by": "fused"}, "rank_by is fused; a front is of scores, so it must be score"),
    ],
)
def test_settings_of_costs_that_do_not_go_together_are_refused(settings, told):
    with pytest.raises(ConfigError, match=told):
        SearchConfig(**settings)


@pytest.mark.parametrize(
    ("given", "milliseconds"), [("5ms", 5.0), ("0.2s", 200.0), ("250 us", 0.25), (7, 7), (None, None)]
)
def test_a_time_is_read_with_its_unit(given, milliseconds):
    assert SearchConfig(max_latency=given, latency="model.json").max_latency == milliseconds


def test_a_model_of_another_space_is_refused(model):
    config = evolve(config_of(latency=str(model), max_latency=5.0), network=NetworkConfig(channels=8, cells=1))

    with pytest.raises(
        ConfigError, match="is a latency model of space nas-bench-201 with 3 nodes, and the search is in"
    ):
        found(config, CountingSupernet())
