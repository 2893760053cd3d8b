"""The Hessian's eigenvalue by the logits: against that of the matrix, and the rule of RobustDARTS."""

import numpy as np
import pytest

from bnao.config.settings import SearchConfig
from bnao.config.strategies.watch import WatchConfig
from bnao.errors import ConfigError
from bnao.run import Run
from bnao.strategies.curvature import CurvatureWatch
from bnao.strategies.logits import softmax, softmax_slope
from bnao.strategies.supply import Supply
from bnao.testing import small_dataset
from tests.strategies.test_steps import config_of, search_of


def hessian(logits, slope):
    """The matrix of second derivatives of the sum of softmax(logits) x slope, by differences of the exact gradient."""
    columns = []
    for at in range(logits.size):
        change = np.zeros(logits.size)
        change[at] = 1e-5
        ends = [softmax_slope(softmax(logits + sign * change.reshape(logits.shape)), slope) for sign in (1, -1)]
        columns.append((ends[0] - ends[1]).ravel() / 2e-5)
    return np.array(columns)


def test_the_eigenvalue_is_that_of_the_matrix():
    # logits that have learned, so that the eigenvalues lie apart
    search = search_of(config_of("darts", steps=40, watch={"eigenvalue_every": 20}))

    search.result()

    watch = search.strategy
    assert isinstance(watch, CurvatureWatch)
    assert len(watch.eigenvalues) == 2  # an epoch over half of the images is one update
    toy = search.supernet.supernet
    for measured, logits in zip(watch.eigenvalues, watch._logits, strict=True):
        eigenvalues = np.linalg.eigvalsh(hessian(logits, -toy.values / toy.edges))
        assert measured == pytest.approx(eigenvalues[abs(eigenvalues).argmax()], rel=0.15)


def test_measuring_sees_one_batch_and_leaves_the_strategys_logits_alone():
    search = search_of(config_of("darts", steps=4, watch={"eigenvalue_every": 1}))
    strategy, seen = search.strategy, []
    before = strategy._inner.logits.copy()

    for turn in range(11):
        requests = strategy.propose(1, turn)
        passes = search.supply.passes(requests, 1, search.network)
        seen.append((len(requests), passes[0].images))
        outcomes = search.supernet.supernet.step(passes, 0.1)
        if turn < 10:
            strategy.observe(1, turn, requests, outcomes)
            assert (strategy._inner.logits == before).all()

    assert [n for n, _ in seen] == [2] * 10 + [1]
    assert all((images == seen[0][1]).all() for _, images in seen[:10])
    assert not np.array_equal(seen[10][1], seen[0][1])  # the strategy's own


def test_a_ratio_is_of_means_over_five_and_of_four_before():
    strategy = search_of(config_of("darts", watch={"eigenvalue_every": 1})).strategy

    strategy.eigenvalues = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert strategy.ratio() is None
    strategy.eigenvalues = [1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 3.0]
    assert strategy.ratio() == pytest.approx((1 + 2 + 2 + 2 + 3) / 5)
    strategy.eigenvalues[0] = -9.0
    assert strategy.ratio() is None


def test_a_stop_by_the_ratio_derives_the_genotype_of_four_measurements_before():
    config = config_of("darts", steps=100, watch={"eigenvalue_every": 1, "stop_at_eigenvalue_ratio": 0.0})
    search = search_of(config)

    result = search.result()

    watch = search.strategy
    reason = result.strategy["epochs"][-1].get("stop", "")
    if watch.ratio() is not None:  # the toy's eigenvalues may be negative, and then no ratio is defined
        assert reason.startswith("the eigenvalue has grown")
        assert (watch._inner.logits == watch._logits[-5]).all()
    else:
        assert result.strategy["updates"] == 100


def test_a_search_that_measures_resumes_as_if_it_had_not_been_stopped(tmp_path):
    config = config_of("darts", steps=30, checkpoint_seconds=0, watch={"eigenvalue_every": 1})

    def listen(event):
        if event["event"] == "update" and event["step"] == 17:
            raise KeyboardInterrupt

    with Run.create(tmp_path / "whole", config) as run:
        whole = search_of(config).result(run)
    with Run.create(tmp_path / "run", config) as run, pytest.raises(KeyboardInterrupt):
        search_of(config).result(run, listen=listen)
    with Run.open(tmp_path / "run") as run:
        assert search_of(config).result(run) == whole
    assert "eigenvalue" in whole.strategy["epochs"][-1]["figures"]


@pytest.mark.parametrize("strategy", ["spos", "enas", "snas", "gdas"])
def test_a_strategy_without_such_an_eigenvalue_is_refused(strategy):
    with pytest.raises(ConfigError, match=f"eigenvalue_every is 2, and strategy {strategy} has no such eigenvalue"):
        search_of(config_of(strategy, watch={"eigenvalue_every": 2}))


def test_a_stop_by_what_is_not_measured_is_refused():
    with pytest.raises(ConfigError, match="eigenvalues are not measured; set eigenvalue_every"):
        SearchConfig(strategy="darts", watch=WatchConfig(stop_at_eigenvalue_ratio=1.3))


def test_a_batch_can_be_seen_again():
    config, data = config_of("darts"), small_dataset()
    supply = Supply(config, data, halves=True)
    first, second = (supply._batch_of("architecture", 0, again=again)[0] for again in (False, True))
    third = supply._batch_of("architecture", 0, again=False)[0]

    assert (first == second).all()
    assert not np.array_equal(second, third)
