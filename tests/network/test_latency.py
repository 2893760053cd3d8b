"""The linear model of latency, on made measurements."""

import json

import numpy as np
import pytest
from attrs import evolve

from bnao.config.settings import NetworkConfig
from bnao.errors import ConfigError, GenotypeError, RunError
from bnao.network.latency import (
    LatencyModel,
    MeasuredLatency,
    counts,
    fit_latency,
    non_negative_least_squares,
    term_names,
)
from bnao.space.spaces import SPACES
from bnao.streams import stream

NETWORK = NetworkConfig(space="nao", channels=8, cells=1)
ABOUT = {"runtime": "made", "device": "paper", "threads": 1, "batch": 1}


def made(space, n=80, noise=0.0, seed=0):
    """Measurements of genotypes whose networks take a time for each term, and the times."""
    rng = stream(seed, "made latencies")
    pool = SPACES[space].random_genotypes(n, rng)
    times = stream(0, "made times").random(len(term_names(SPACES[space])))
    exact = counts(pool, SPACES[space]) @ times
    factors = np.exp(noise * rng.standard_normal(n))
    return [MeasuredLatency(g, ms, 0.0) for g, ms in zip(pool, (exact * factors).tolist(), strict=True)], times


@pytest.mark.parametrize("space", list(SPACES))
def test_latencies_that_are_sums_over_edges_are_predicted_exactly(space):
    measured, _ = made(space)
    others, times = made(space, n=160)

    model = fit_latency(measured, evolve(NETWORK, space=space), ABOUT)

    unseen = [each.genotype for each in others]
    assert model.predict(unseen) == pytest.approx(counts(unseen, SPACES[space]) @ times, rel=1e-6)
    assert model.error < 1e-6


def test_the_error_is_that_on_genotypes_that_were_not_fitted_on():
    measured, _ = made("nao", noise=0.1)
    others, _ = made("nao", n=2000, noise=0.1)
    unseen = others[80:]

    model = fit_latency(measured, NETWORK, ABOUT)

    found = model.predict([each.genotype for each in unseen]) / [each.milliseconds for each in unseen] - 1
    # 80 genotypes, 1,920 others: the mean of |N(0, 0.1)| is 0.08, and what 18 terms learned of 80 adds
    assert model.error == pytest.approx(np.abs(found).mean(), rel=0.25)
    assert 0.05 < model.error < 0.15
    assert 0.3 < model.kendall_tau < 0.95


def test_an_operation_is_counted_by_its_kind_of_cell_and_its_stride():
    space = evolve(SPACES["nao"], nodes=2)
    normal = "0:sep_conv_3x3+1:skip_connect;0:max_pool_3x3+2:sep_conv_3x3"
    reduction = "1:sep_conv_3x3+1:sep_conv_3x3;0:skip_connect+2:sep_conv_3x3"
    genotype = space.parse(f"{normal}|{reduction}")

    found = dict(zip(term_names(space), counts([genotype], space)[0].tolist(), strict=True))

    assert {name: count for name, count in found.items() if count} == {
        "base": 1,
        "normal skip_connect": 1,
        "normal sep_conv_3x3": 2,
        "normal max_pool_3x3": 1,
        "normal outputs": 1,  # the second node; both inputs and the first node are read
        "reduction sep_conv_3x3": 1,
        "reduction sep_conv_3x3 at stride 2": 2,
        "reduction skip_connect at stride 2": 1,
        "reduction outputs": 1,
    }


@pytest.mark.parametrize("seed", range(30))
def test_no_x_above_0_has_a_smaller_squared_error(seed):
    rng = stream(seed, "nnls")
    matrix, target = rng.integers(0, 4, (30, 12)).astype(float), rng.random(30)
    if seed % 2:  # columns that depend on others
        matrix[:, 3], matrix[:, 7] = matrix[:, 0], matrix[:, 1] + matrix[:, 2]

    x = non_negative_least_squares(matrix, target)

    slope = matrix.T @ (target - matrix @ x)  # Karush, Kuhn and Tucker: nothing falls along a direction that is free
    assert (x >= 0).all()
    assert slope.max() < 1e-8
    assert np.abs(slope[x > 0]).max() < 1e-8


def test_a_prediction_does_not_depend_on_the_company():
    measured, _ = made("nao", noise=0.1)
    model = fit_latency(measured, NETWORK, ABOUT)
    pool = [each.genotype for each in measured]

    assert [model.predict([genotype])[0] for genotype in pool] == model.predict(pool).tolist()
    assert model.predict([]).shape == (0,)


def test_a_file_gives_the_same_model(tmp_path):
    measured, _ = made("nas-bench-201", n=20, noise=0.1)
    model = fit_latency(measured, evolve(NETWORK, space="nas-bench-201"), ABOUT)

    model.save(tmp_path / "latency.json")

    read = LatencyModel.load(tmp_path / "latency.json")
    assert read.to_json() == model.to_json()
    assert read.network == model.network
    assert read.predict([each.genotype for each in measured]).tolist() == model.predict(
        [each.genotype for each in measured]
    ).tolist()  # fmt: skip


def test_a_median_and_a_spread_are_of_the_repetitions():
    (genotype,) = SPACES["nas-bench-201"].random_genotypes(1, stream(0, "one"))

    found = MeasuredLatency.of(genotype, [0.004, 0.002, 0.003, 0.005, 0.001])

    assert (found.milliseconds, found.spread) == (3.0, round(2 / 3, 6))


def test_what_is_no_model_is_refused_in_a_line(tmp_path):
    measured, _ = made("nas-bench-201", n=20)
    network = evolve(NETWORK, space="nas-bench-201")
    path = tmp_path / "latency.json"
    fit_latency(measured, network, ABOUT).save(path)
    whole = path.read_text()

    with pytest.raises(ConfigError, match="9 measured genotypes; a latency model needs at least 10"):
        fit_latency(measured[:9], network, ABOUT)
    with pytest.raises(GenotypeError):
        fit_latency(measured, NETWORK, ABOUT)
    with pytest.raises(ConfigError, match="of space nas-bench-201 with 3 nodes, and the search is in nao with 5; make"):
        LatencyModel.load(path).check_space(NETWORK, str(path))
    with pytest.raises(RunError, match=r"cannot read .*nowhere\.json"):
        LatencyModel.load(tmp_path / "nowhere.json")
    path.write_text(whole.replace('"base": ', '"base": 1'))
    with pytest.raises(RunError, match="damaged"):
        LatencyModel.load(path)
    path.write_text('{"format": 1}')
    with pytest.raises(RunError, match=r"is not a latency model; bnao latency -o latency\.json makes one"):
        LatencyModel.load(path)
    content = {name: value for name, value in json.loads(whole).items() if name != "sha256"}
    for wrong in ({"milliseconds": {}}, {"error": "small"}, {"measured": [{"genotype": "0:nothing"}]}):
        path.write_text(json.dumps({**content, **wrong}))
        with pytest.raises(RunError, match="was changed by hand"):
            LatencyModel.load(path)
