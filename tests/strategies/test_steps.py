"""Strategies that decide at each update, over a supernet that is a table: no framework is needed."""

import itertools

import numpy as np
import pytest
from attrs import evolve

from bnao.config.fields import build
from bnao.config.settings import SearchConfig
from bnao.config.strategies import STEP_LEVEL, section_of
from bnao.errors import ConfigError, ProtocolError
from bnao.network.size import count_parameters
from bnao.protocols import Mixture
from bnao.run import Run
from bnao.space.mixture import mixture_shape
from bnao.space.spaces import SPACES
from bnao.strategies.journal import supernet_network
from bnao.strategies.methods import METHODS
from bnao.strategies.step_level import Request
from bnao.strategies.steps import StepSearch, search_by_steps
from bnao.strategies.supply import Supply
from bnao.strategies.watch import parameter_free_edges
from bnao.testing import ToyScorer, small_dataset

# what makes each learn a table of this size in some hundred updates
EVOLUTION = {"population": 30, "generations": 12, "parents": 8, "crossovers": 12, "mutations": 12}
FAST = {
    "spos": EVOLUTION,
    "fairnas": EVOLUTION,
    "enas": {"policy": "tabular", "learning_rate": 0.2, "policy_steps": 10, "baseline_decay": 0.9},
    "proxyless": {"logit_rate": 0.1, "every": 1, "warm_up": 0.1},
}
GRADIENT = ("darts", "snas", "gdas", "pc-darts", "p-darts", "fair-darts", "darts-minus")


def config_of(strategy, space="nas-bench-201", **settings):
    network = {"space": space, "channels": 4, "cells": 1, "share_over": "source"}
    sections = {section_of(strategy): FAST.get(strategy, {"logit_rate": 0.1} if strategy in GRADIENT else {})}
    base = {"rounds": 1, "steps": 300, "rerank_epochs": 0, "strategy": strategy, "network": network, **sections}
    return build(SearchConfig, {**base, **settings})


def search_of(config, seed=0):
    """A search over the table, that has not begun."""
    data, method = small_dataset(), METHODS[config.strategy]

    def make_supernet(network):
        return ToyScorer(evolve(config, network=network), data, seed)

    return StepSearch(config, method.make, make_supernet, data, halves=method.halves)


def as_if_in(strategy, folder, stop_at=None, **settings):
    """The result of a search in a folder, stopped by an error of the listener after so many updates."""
    config = config_of(strategy, steps=60, checkpoint_seconds=0, **settings)

    def listen(event):
        if event["event"] == "update" and event["step"] == stop_at:
            raise KeyboardInterrupt

    with Run.open(folder) if folder.exists() else Run.create(folder, config) as run:
        return search_of(config).result(run, listen=listen)


# --- every strategy


@pytest.mark.parametrize("strategy", STEP_LEVEL)
def test_each_strategy_finds_the_optimum_of_a_table(strategy):
    search = search_of(config_of(strategy))

    result = search.result()

    toy = search.supernet.supernet
    assert result.best == toy.best()
    assert result.ranked[0].score == pytest.approx((1 + toy.value(toy.best())) / 2, abs=1e-3)


@pytest.mark.parametrize("strategy", STEP_LEVEL)
def test_a_search_that_was_stopped_anywhere_ends_as_if_it_had_not_been(strategy, tmp_path):
    whole = as_if_in(strategy, tmp_path / "whole")

    for stop in (7, 33, 60):
        with pytest.raises(KeyboardInterrupt):
            as_if_in(strategy, tmp_path / f"run{stop}", stop_at=stop)
        assert as_if_in(strategy, tmp_path / f"run{stop}") == whole
        names = ("result.json", "supernet.safetensors", "checkpoint.safetensors", "scores.json")
        for name in names:
            assert (tmp_path / f"run{stop}" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
        with Run.open(tmp_path / f"run{stop}") as run, Run.open(tmp_path / "whole") as other:
            logs = [[{**event, "seconds": 0} for event in each.events()] for each in (run, other)]
        assert logs[0] == logs[1]


def test_a_search_whose_checkpoint_is_damaged_begins_anew_and_ends_alike(tmp_path, caplog):
    whole = as_if_in("darts", tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        as_if_in("darts", tmp_path / "run", stop_at=33)
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    content = bytearray(checkpoint.read_bytes())
    content[-1] ^= 1
    checkpoint.write_bytes(content)

    assert as_if_in("darts", tmp_path / "run") == whole

    assert "checkpoint.safetensors is damaged or was changed: " in caplog.text
    assert caplog.text.endswith("; the search begins anew\n")
    for name in ("result.json", "supernet.safetensors", "checkpoint.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.mark.parametrize("strategy", STEP_LEVEL)
def test_what_is_chosen_keeps_the_budget(strategy):
    network = config_of(strategy).network
    pool = SPACES["nas-bench-201"].random_genotypes(200, np.random.default_rng(0))
    budget = int(np.median(count_parameters(pool, network)))
    search = search_of(config_of(strategy, steps=40, max_parameters=budget))

    result = search.result()

    assert max(entry.parameters for entry in result.ranked) <= budget


@pytest.mark.parametrize("strategy", STEP_LEVEL)
def test_two_seeds_search_differently_and_one_seed_alike(strategy):
    def trained(seed):
        search = search_of(config_of(strategy, steps=20, seed=seed))
        search.result()
        paths = search.supernet.supernet.trained
        return [each.weights.tolist() if isinstance(each, Mixture) else str(each) for each in paths]

    assert trained(0) == trained(0)
    assert trained(0) != trained(1)


@pytest.mark.parametrize("strategy", STEP_LEVEL)
def test_a_proposal_asked_for_twice_is_the_same(strategy):
    made = search_of(config_of(strategy)).strategy

    first, second = ([_plain(each) for each in made.propose(3, 0)] for _ in range(2))

    assert first == second


def _plain(request):
    of = request.architecture
    return (of.weights.tolist() if isinstance(of, Mixture) else str(of)), request.split, request.learn, request.slope


# --- FairNAS and Single-Path One-Shot


def test_fairnas_trains_every_operation_equally_often_at_every_edge_in_each_update():
    search = search_of(config_of("fairnas", "darts"))

    for step in range(20):
        paths = [each.architecture for each in search.strategy.propose(step, 0)]

        space = search.space
        assert len(paths) == len(space.operations)
        codes = space.encode(paths)
        assert (codes[..., 0].sum(-1) == codes[:1, ..., 0].sum(-1)).all()  # all read the same states
        counts = [np.bincount(codes[:, cell, ..., 1].ravel(), minlength=7) for cell in range(2)]
        assert all((each == each[0]).all() for each in counts)
        for cell, node, source in itertools.product(range(2), range(4), range(5)):
            at = codes[:, cell, node][codes[:, cell, node, :, 0] == source][:, 1]
            if len(at):
                assert len(set(np.bincount(at, minlength=7))) == 1


def test_single_path_one_shot_draws_every_operation_equally_often():
    strategy = search_of(config_of("spos")).strategy

    drawn = SPACES["nas-bench-201"].encode([strategy.path(step) for step in range(2000)])[..., 1].reshape(2000, 6)

    # a genotype that passes nothing on is not drawn: none comes a little less often
    counts = np.array([np.bincount(column, minlength=5) for column in drawn.T])
    assert abs(counts[:, 1:] - 2000 * 0.2).max() < 5 * (2000 * 0.2 * 0.8) ** 0.5 + 40


def test_an_evolution_scores_no_genotype_twice_and_its_best_never_falls():
    asked, bests = [], []
    search = search_of(config_of("spos", steps=1, spos={"population": 10, "generations": 4, "parents": 3,
                                                        "crossovers": 5, "mutations": 5}))  # fmt: skip

    def score(genotypes):
        asked.extend(genotypes)
        values = np.array([search.supernet.supernet.value(each) for each in genotypes])
        bests.append(max(values.max(), bests[-1] if bests else -1))
        return values

    found = search.strategy.best(40, score)

    assert len(asked) == len(set(asked)) <= 40
    assert sorted(found, key=str) == sorted(asked, key=str)
    assert search.supernet.supernet.value(found[0]) == bests[-1]


def test_a_budget_that_no_genotype_keeps_is_refused_before_anything_is_trained():
    with pytest.raises(ConfigError, match=r"keep the budget \(at most 1 parameters\)"):
        search_of(config_of("spos", max_parameters=1))


# --- what is watched


class Fixed:
    """A strategy that would derive one genotype all the time."""

    halves = False

    def __init__(self, genotype):
        self.genotype = genotype

    def propose(self, step, turn):
        return [Request(self.genotype)]

    def observe(self, step, turn, requests, outcomes):
        pass

    def leading(self):
        return self.genotype

    def mixture(self):
        return Mixture(np.full(mixture_shape(SPACES["nas-bench-201"]), 0.2))

    def figures(self):
        return {"entropy": 1.0}

    def best(self, n, score):
        return [self.genotype]

    def state(self):
        return {}

    def load_state(self, state):
        pass


def fixed_search(text, told=None, run=None, **settings):
    config, data = config_of("spos", **settings), small_dataset()
    genotype = SPACES["nas-bench-201"].parse(text)
    told = [] if told is None else told
    return search_by_steps(
        config, lambda context: Fixed(genotype), lambda network: ToyScorer(config, data), data, listen=told.append
    )


SKIPS = "0:skip_connect;0:skip_connect+1:skip_connect;0:skip_connect+1:skip_connect+2:skip_connect"
CONVOLUTIONS = SKIPS.replace("skip_connect", "nor_conv_3x3")


def test_a_collapse_to_skip_connections_raises_the_alarm_and_stands_in_the_result():
    told = []

    result = fixed_search(SKIPS, told, steps=20)

    looks = [event for event in told if event["event"] == "look"]
    assert len(looks) == 10  # two updates an epoch: 160 images in batches of 64
    assert looks[0]["alarm"].startswith("6 of 6 edges have no parameters, more than in 95% of random genotypes (mean 3")
    assert looks[0]["figures"]["skips in normal cell"] == 6
    assert result.strategy["epochs"][-1]["alarm"] == looks[0]["alarm"]
    assert all("alarm" not in epoch for epoch in fixed_search(CONVOLUTIONS, steps=4).strategy["epochs"])


def test_skip_connections_raise_the_alarm_where_edges_without_parameters_are_usual():
    # of five operations three have no parameters
    text = SKIPS.replace("skip_connect+1:skip_connect;", "nor_conv_3x3+1:nor_conv_3x3;", 1)

    (first, *_) = fixed_search(text, steps=2).strategy["epochs"]

    assert first["alarm"].startswith("4 of 6 edges of the normal cell are skip connections, more than in 95% of random")
    three = fixed_search(text.replace("2:skip_connect", "2:avg_pool_3x3"), steps=2).strategy["epochs"]
    assert all("alarm" not in epoch for epoch in three)


def test_the_gap_is_the_mixtures_accuracy_less_the_paths():
    told = []

    fixed_search(SKIPS, told, steps=2)

    (figures,) = (event["figures"] for event in told if event["event"] == "look")
    assert figures["gap"] == pytest.approx(figures["mixture accuracy"] - figures["path accuracy"], abs=1e-6)
    assert "gap" not in fixed_search(SKIPS, steps=2, watch={"mixture_gap": False}).strategy["epochs"][0]["figures"]


def test_the_search_stops_at_two_skip_connections_where_it_is_asked_to():
    result = fixed_search(SKIPS, steps=20, watch={"stop_at_skips": 2})

    assert result.strategy["updates"] == 2
    assert result.strategy["epochs"][0]["stop"] == "the normal cell has 6 skip connections (stop_at_skips is 2)"


def test_a_search_that_stopped_early_is_not_continued_when_it_is_resumed(tmp_path):
    config, data = config_of("spos", steps=20, watch={"stop_at_skips": 2}), small_dataset()
    genotype = SPACES["nas-bench-201"].parse(SKIPS)
    updates = []

    def listen(event):
        updates.extend([event["step"]] if event["event"] == "update" else [])
        if event["event"] == "scored" and len(updates) == 2 and not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt

    interrupted = []
    for attempt in (Run.create, Run.open):
        with attempt(*((tmp_path / "run", config) if attempt == Run.create else (tmp_path / "run",))) as run:
            make = ToyScorer(config, data)
            search = StepSearch(config, lambda context: Fixed(genotype), lambda network, made=make: made, data)
            if attempt == Run.create:
                with pytest.raises(KeyboardInterrupt):
                    search.result(run, listen=listen)
            else:
                result = search.result(run, listen=listen)

    assert updates == [1, 2]
    assert result.strategy["updates"] == 2


def test_the_search_stops_when_the_order_of_operations_stands_still():
    result = fixed_search(CONVOLUTIONS, steps=20, watch={"stop_when_unchanged": 3})

    assert result.strategy["updates"] == 8
    assert result.strategy["epochs"][-1]["stop"].startswith("the order of the operations has not changed for 3 epochs")


def test_an_early_stop_by_what_a_strategy_does_not_show_is_refused():
    with pytest.raises(ConfigError, match="stop_at_skips is 2, and strategy spos derives no genotype before its end"):
        search_of(config_of("spos", watch={"stop_at_skips": 2}))


def test_parameter_free_edges_are_counted_over_all_cells():
    skips, convolutions = (SPACES["nas-bench-201"].parse(text) for text in (SKIPS, CONVOLUTIONS))

    assert (parameter_free_edges(skips), parameter_free_edges(convolutions)) == (6, 0)


# --- what a strategy is given


def test_halves_are_disjoint_stratified_and_normalised_as_the_whole():
    data = small_dataset()

    first, second = data.halved(0)

    assert len(first.y_train) + len(second.y_train) == len(data.y_train)
    images = {image.tobytes() for image in data.x_train}
    assert {image.tobytes() for half in (first, second) for image in half.x_train} == images
    assert abs(np.bincount(first.y_train) - np.bincount(second.y_train)).max() <= 1
    assert (first.mean == data.mean).all()
    assert not (data.halved(1)[0].x_train == first.x_train).all()


def test_requests_of_a_split_share_a_batch_and_splits_do_not():
    config, data = config_of("spos"), small_dataset()
    supply = Supply(config, data, halves=True)
    path = SPACES["nas-bench-201"].parse(CONVOLUTIONS)
    requests = [Request(path), Request(path), Request(path, split="architecture", learn=False),
                Request(path, split="dev", learn=False)]  # fmt: skip

    one, two, three, four = supply.passes(requests, 0, data.network(config.network))

    assert one.images is two.images
    assert (one.masks is not None, three.masks, four.masks) == (True, None, None)
    dev = {image.tobytes() for image in data.normalised(data.x_dev)}
    assert {image.tobytes() for image in four.images} <= dev
    assert not np.array_equal(one.images, three.images)
    later = supply.passes(requests, 0, data.network(config.network))
    assert (later[0].images == one.images).all()  # a function of the step
    assert not np.array_equal(later[3].images, four.images)  # the next of its split


def test_weights_never_learn_from_dev_images():
    config, data = config_of("spos"), small_dataset()
    path = SPACES["nas-bench-201"].parse(CONVOLUTIONS)

    with pytest.raises(ProtocolError, match="request 0 would train weights on dev images"):
        Supply(config, data, halves=False).passes([Request(path, split="dev")], 0, config.network)
    with pytest.raises(ProtocolError, match="asks for architecture images, and the train images are not halved"):
        Supply(config, data, halves=False).passes([Request(path, split="architecture", learn=False)], 0, config.network)


def test_the_length_of_a_search_is_that_of_all_rounds():
    data = small_dataset()

    assert Supply(config_of("spos", rounds=3, steps=7), data, halves=False).steps == 21
    assert Supply(evolve(config_of("spos"), steps=None, epochs=5), data, halves=False).steps == 10
    assert Supply(evolve(config_of("spos"), steps=None, epochs=5), data, halves=True).steps == 5


def test_the_weights_of_the_last_stage_are_those_that_are_left(tmp_path):
    config = config_of("p-darts", steps=12, p_darts={"depths": (1, 2, 3)})

    with Run.create(tmp_path / "run", config) as run:
        search = search_of(config)
        search.result(run)

    assert search.supernet.network.cells == 3
    assert supernet_network(tmp_path / "run", config).cells == 3
    with Run.create(tmp_path / "other", config_of("spos", steps=2)) as run:
        search_of(config_of("spos", steps=2)).result(run)
    assert supernet_network(tmp_path / "other", config).cells == 1
