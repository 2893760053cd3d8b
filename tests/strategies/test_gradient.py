"""Strategies by gradient on toy losses: optima, derivatives by logits, draws, states, extreme values."""

import numpy as np
import pytest

from bnao.config.settings import SearchConfig
from bnao.errors import ConfigError
from bnao.space.mixture import Mixture
from bnao.space.spaces import SPACES, space_named
from bnao.strategies.logits import Adam, sigmoid, softmax
from bnao.strategies.methods import METHODS
from bnao.streams import stream
from tests.strategies.toy_losses import Linear, Quadratic, computed, context_of, made, run, shape_of

STRATEGIES = ("darts", "snas", "gdas", "pc-darts", "p-darts", "fair-darts", "darts-minus", "proxyless")


def costs_with_optimum(space, seed=0):
    """Return costs of which one a place is negative, no more than two of them identities', and the optimum's edges."""
    rng = stream(seed, "costs")
    cells, places, operations = shape_of(space)
    best = rng.integers(operations, size=(cells, places))
    identity = space_named(space).operations.index("skip_connect")
    best[:, 2:][best[:, 2:] == identity] = operations - 1
    costs = 0.2 + rng.random((cells, places, operations))
    np.put_along_axis(costs, best[..., None], -1.0, -1)
    return costs, best


# --- optima


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_optimum_of_a_table_of_losses_is_found(name, seed):
    costs, best = costs_with_optimum("nas-bench-201", seed)
    strategy = made(name, seed=seed, logit_rate=0.05)

    run(strategy, Linear(costs), range(400))

    (found,) = strategy.best(5, score=lambda genotypes: np.zeros(len(genotypes)))
    operations = space_named("nas-bench-201").operations
    edges = [edge.operation for node in found.normal.nodes for edge in node.edges]
    assert edges == [operations[number] for number in best[0]]
    assert strategy.leading() == found
    assert set(strategy.figures()) >= {"entropy"}


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("name", STRATEGIES)
def test_a_genotype_is_derived_in_every_space_that_has_mixtures(name, space):
    strategy = made(name, space=space, steps=9, epoch_steps=3, warm_up=0.0) if has_warm_up(name) else made(
        name, space=space, steps=9, epoch_steps=3
    )  # fmt: skip

    run(strategy, Quadratic(shape_of(space)), range(9))

    (found,) = strategy.best(1, score=lambda genotypes: np.zeros(len(genotypes)))
    assert space_named(space).check(found) == found
    mixture = strategy.mixture()
    assert isinstance(mixture, Mixture) and mixture.weights.shape == shape_of(space)


def has_warm_up(name):
    return hasattr(getattr(SearchConfig(), name.replace("-", "_")), "warm_up")


def test_edge_normalisation_finds_the_sources_of_the_optimum():
    costs = np.ones(shape_of("darts"))
    costs[:, 9:, 3] = 0.5  # node 3 reads states 0 to 4 at places 9 to 13
    costs[:, [10, 13], 3] = -1.0
    strategy = made("pc-darts", space="darts", logit_rate=0.05)

    run(strategy, Linear(costs), range(400))

    assert [edge.source for edge in strategy.leading().normal.nodes[3].edges] == [1, 4]


# --- derivatives by the logits


def numeric(value, logits, eps=1e-6):
    slope = np.zeros_like(logits)
    for index in np.ndindex(*logits.shape):
        moved = [logits.copy(), logits.copy()]
        moved[0][index] += eps
        moved[1][index] -= eps
        slope[index] = (value(moved[0]) - value(moved[1])) / (2 * eps)
    return slope


@pytest.mark.parametrize("name", ["darts", "snas", "darts-minus", "fair-darts"])
def test_the_derivative_by_the_logits_is_the_difference_quotient_with_the_same_noise(name):
    strategy, loss = made(name), Quadratic(shape_of("nas-bench-201"))
    strategy.logits = stream(1, "logits").standard_normal(strategy.logits.shape)
    begun = strategy.logits.copy()

    def value(logits):
        strategy.logits = logits
        zero_one = -10 * float(np.square(sigmoid(logits) - 0.5).mean()) if name == "fair-darts" else 0.0
        return loss(strategy.weights(7, 0)) + zero_one

    expected = numeric(value, begun)
    strategy.logits = begun
    found = strategy.by_logits(7, 0, loss.slope(strategy.weights(7, 0)))
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_both_logits_of_edge_normalisation_move_by_the_derivative_of_the_product():
    strategy, loss = made("pc-darts", logit_rate=1.0, logit_decay=0.0), Quadratic(shape_of("nas-bench-201"))
    logits, edges = strategy.logits.copy(), strategy.edge_logits.copy()

    def value(logits, edge_logits):
        strategy.logits, strategy.edge_logits = logits, edge_logits
        return loss(strategy.shares())

    expected = numeric(lambda given: value(given, edges), logits), numeric(lambda given: value(logits, given), edges)
    strategy.logits, strategy.edge_logits = logits, edges
    strategy.move(0, 0, loss.slope(strategy.shares()))

    # the first moment after one update is the gradient times 1 - beta1
    assert strategy._adam.first == pytest.approx(0.5 * expected[0], rel=1e-4, abs=1e-7)
    assert strategy._edge_adam.first == pytest.approx(0.5 * expected[1], rel=1e-4, abs=1e-7)
    by_node = strategy.edge_shares()[0]
    assert [by_node[:1].sum(), by_node[1:3].sum(), by_node[3:].sum()] == pytest.approx([1, 1, 1])


# --- estimators


def two_arms(strategy, n, arms=(3, 4), cost=(1.0, -0.5), slope="used"):
    """Return the mean and its error of the estimated derivative by the first arm's logit, the others being shut."""
    costs = np.zeros(strategy.logits.shape)
    costs[..., arms[0]], costs[..., arms[1]] = cost
    found = []
    for step in range(n):
        requests = strategy.propose(step, 0)
        (outcome,) = computed(Linear(costs), requests)
        assert requests[0].slope == slope
        found.append(strategy.by_logits(step, 0, outcome.slope)[..., arms[0]].ravel())
    values = np.concatenate(found)
    return values.mean(), values.std() / np.sqrt(len(values))


def shut(strategy, arms, difference):
    strategy.logits = np.full(strategy.logits.shape, -1e3)
    strategy.logits[..., arms[0]], strategy.logits[..., arms[1]] = difference, 0.0


@pytest.mark.parametrize("difference", [0.0, 1.0])
def test_gdas_estimates_half_the_gradient_of_the_expected_loss_of_two_arms_as_its_temperature_falls(difference):
    # the arm that is not drawn has no slope; near the border between both, each is drawn half of the time
    strategy = made("gdas", temperature=0.1, temperature_end=0.1)
    shut(strategy, (3, 4), difference)
    first = 1 / (1 + np.exp(-difference))

    mean, error = two_arms(strategy, 4000)

    true = first * (1 - first) * (1.0 - -0.5)
    # at a temperature of 0.1 the estimate's expectation is off by less than its square
    assert abs(mean - true / 2) < 5 * error + 0.01


def test_gdas_at_any_temperature_estimates_what_quadrature_over_its_noise_gives():
    strategy = made("gdas", temperature=2.0, temperature_end=2.0)
    shut(strategy, (3, 4), 0.7)
    # the difference of two Gumbel numbers is logistic
    grid = (np.arange(200_000) + 0.5) / 200_000
    noisy = 0.7 + np.log(grid / (1 - grid))
    soft = 1 / (1 + np.exp(-noisy / 2.0))
    expected = (soft * (1 - soft) / 2.0 * np.where(noisy > 0, 1.0, 0.5)).mean()  # the cost of the arm drawn

    mean, error = two_arms(strategy, 4000)

    assert abs(mean - expected) < 5 * error


def test_gdas_and_snas_draw_operations_by_the_softmax_of_their_logits():
    for name in ("gdas", "snas"):
        strategy = made(name)
        strategy.logits = np.broadcast_to(np.log([0.1, 0.2, 0.3, 0.25, 0.15]), strategy.logits.shape).copy()
        n = 2000

        counts = sum((strategy.weights(step, 0) == strategy.weights(step, 0).max(-1, keepdims=True)).sum((0, 1))
                     for step in range(n))  # fmt: skip

        drawn = counts / counts.sum()
        five_errors = 5 * np.sqrt(0.25 / counts.sum())
        assert drawn == pytest.approx([0.1, 0.2, 0.3, 0.25, 0.15], abs=five_errors)


@pytest.mark.parametrize("gates", ["two", "all"])
def test_proxyless_gates_open_one_operation_by_the_softmax_and_estimate_its_gradient(gates):
    strategy = made("proxyless", gates=gates, every=1, warm_up=0.0)
    shut(strategy, (3, 4), 1.0)
    first = 1 / (1 + np.exp(-1.0))

    mean, _ = two_arms(strategy, 50, slope="all")
    opened = np.concatenate([strategy.opened(step, 0).ravel() for step in range(2000)])

    # with a slope of both arms nothing is random: the gradient of p c1 + (1 - p) c2
    assert mean == pytest.approx(first * (1 - first) * 1.5)
    assert abs((opened == 3).mean() - first) < 5 * np.sqrt(0.25 / len(opened))


def test_two_gates_keep_their_joint_probability_and_all_others():
    strategy, loss = made("proxyless", every=1, warm_up=0.0, logit_rate=0.5), Quadratic(shape_of("nas-bench-201"))
    strategy.logits = stream(3, "logits").standard_normal(strategy.logits.shape)
    before = softmax(strategy.logits)
    two = strategy.drawn(0, 0)

    run(strategy, loss, [0])

    after = softmax(strategy.logits)
    moved = np.zeros(after.shape, dtype=bool)
    np.put_along_axis(moved, two, True, -1)
    assert after[~moved] == pytest.approx(before[~moved], rel=1e-9)
    assert (np.abs(after - before)[moved] > 1e-3).mean() > 0.9
    assert (two[..., 0] != two[..., 1]).all()


# --- schedules


def test_logits_do_not_move_in_the_warm_up():
    for name, warm in (("pc-darts", 120), ("proxyless", 100), ("p-darts", 54)):
        strategy, loss = made(name), Quadratic(shape_of("nas-bench-201"))  # of 400 updates, and of 134
        begun = strategy.logits.copy()
        run(strategy, loss, range(warm - 1))
        assert (strategy.logits == begun).all(), name
        run(strategy, loss, range(warm - 1, warm + 5))
        assert (strategy.logits != begun).any(), name


def test_the_auxiliary_skip_connection_is_one_at_first_and_gone_at_last():
    strategy = made("darts-minus")
    identity = space_named("nas-bench-201").operations.index("skip_connect")

    first, last = (strategy.weights(step, 0) - strategy.shares() for step in (0, 399))

    assert first[..., identity] == pytest.approx(1.0)
    assert first.sum() == pytest.approx(6.0)
    assert not last.any()


def test_temperatures_fall_from_the_first_epoch_to_the_last():
    gdas, snas = made("gdas"), made("snas")
    assert [gdas.temperature(step) for step in (0, 19, 399)] == [10.0, 10.0, 0.1]  # epochs of 20
    assert [snas.temperature(step) for step in (0, 399)] == [1.0, 0.03]


def test_stages_grow_deeper_and_leave_the_weakest_operations_out():
    strategy, loss = made("p-darts", space="darts", logit_rate=0.05), Quadratic(shape_of("darts"))
    assert [strategy.network(step).cells for step in (0, 133, 134, 267, 399)] == [1, 1, 3, 5, 5]
    rates = []
    for begin, end, left in ((0, 134, 7), (134, 267, 5), (267, 400, 3)):
        run(strategy, loss, range(begin, end - 1))
        before = strategy.shares()
        assert ((before > 0).sum(-1) == left).all()
        run(strategy, loss, range(end - 1, end))
        rates.append(strategy.propose(begin, 0)[0].drop_identities)

    # three stages of 6.7 epochs: linear from 0.1, 0.4 and 0.7 by epochs, of which the first counts
    assert rates == pytest.approx([first * (1 - 1 / (400 / 60)) for first in (0.1, 0.4, 0.7)])
    skips = sum(edge.operation == "skip_connect" for node in strategy.leading().normal.nodes for edge in node.edges)
    assert skips <= 2


def test_second_order_asks_for_the_slope_one_step_ahead():
    for order, ahead in (("first", False), ("second", True)):
        strategy = made("darts", order=order)
        (slope,), (learns,) = strategy.propose(0, 0), strategy.propose(0, 1)
        assert (slope.ahead, slope.learn, slope.split) == (ahead, False, "architecture")
        assert (learns.ahead, learns.learn, learns.split) == (False, True, "train")


# --- derived genotypes


def test_fair_darts_leaves_an_edge_out_where_no_sigmoid_reaches_the_threshold():
    strategy = made("fair-darts", space="snas")
    strategy.logits = np.full(strategy.logits.shape, -1.0)
    strategy.logits[:, 0, 4] = 3.0  # sep_conv_3x3 of state 0 at node 0: 0.95
    node = strategy.leading().normal.nodes[0]
    assert sorted(edge.operation for edge in node.edges) == ["none", "sep_conv_3x3"]


def test_budgets_take_the_strongest_genotype_that_keeps_them():
    costs, _ = costs_with_optimum("nas-bench-201")
    few = lambda genotypes: np.array(["avg_pool_3x3" not in str(genotype) for genotype in genotypes])  # noqa: E731
    strategy, free = made("darts", accept=few, logit_rate=0.05), made("darts", logit_rate=0.05)
    for each in (strategy, free):
        run(each, Linear(costs), range(100))

    edges, unbound = (
        [edge.operation for node in each.leading().normal.nodes for edge in node.edges] for each in (strategy, free)
    )

    assert "avg_pool_3x3" in unbound
    assert all(one == other or other == "avg_pool_3x3" for one, other in zip(edges, unbound, strict=True))
    none = made("darts", accept=lambda genotypes: np.zeros(len(genotypes), dtype=bool))
    assert none.best(1, score=lambda genotypes: np.zeros(len(genotypes))) == []


# --- states


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_that_was_saved_goes_on_with_the_same_bits(name):
    loss, options = Quadratic(shape_of("nas-bench-201")), {"steps": 60, "epoch_steps": 5}
    whole, first, second = (made(name, **options) for _ in range(3))
    run(whole, loss, range(60))
    run(first, loss, range(37))
    state = {key: np.array(value) for key, value in first.state().items()}
    run(first, loss, range(37, 40))  # what was saved is a copy

    second.load_state(state)
    run(second, loss, range(37, 60))

    assert set(whole.state()) == set(second.state())
    for key, value in whole.state().items():
        assert np.array_equal(value, second.state()[key]), key
    assert whole.leading() == second.leading()
    assert dict(whole.figures()) == dict(second.figures())


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("extreme", ["equal", "saturated", "huge"])
def test_extreme_logits_give_no_nan(name, extreme):
    strategy, loss = made(name), Quadratic(shape_of("nas-bench-201"))
    strategy.logits = {
        "equal": np.zeros(strategy.logits.shape),
        "saturated": 50.0 * stream(0, "extreme").standard_normal(strategy.logits.shape),
        "huge": 1e8 * stream(0, "extreme").standard_normal(strategy.logits.shape),
    }[extreme]
    with np.errstate(all="raise", under="ignore"):
        run(strategy, loss, range(395, 400))  # where temperatures are lowest

        assert np.isfinite(strategy.logits).all()
        assert np.isfinite(strategy.mixture().weights).all()
        assert all(np.isfinite(value) for value in strategy.figures().values())
        assert strategy.leading() is not None


def test_adam_is_that_of_the_paper():
    # two updates by hand: g = 2 then 1, of rate 0.1, betas 0.5 and 0.8, decay 0
    adam = Adam.zeros((1,), 0.1, (0.5, 0.8))
    first = adam.moved(np.zeros(1), np.array([2.0]))
    second = adam.moved(first, np.array([1.0]))
    assert first == pytest.approx([-0.1])
    # moments 0.5 x 1 + 0.5 x 1 = 1, of 0.75; and 0.8 x 0.8 + 0.2 = 0.84, of 0.36
    assert second == pytest.approx([-0.1 - 0.1 * (1 / 0.75) / np.sqrt(0.84 / 0.36)])


def test_stages_that_are_no_three_numbers_are_refused():
    for settings, message in (
        ({"depths": (3, 1, 5)}, "depths is '3,1,5'; it must be three numbers >= 1, none below the one before it"),
        ({"kept": (5,)}, "kept is '5'; it must be two numbers >= 1, the second not above the first"),
        ({"skip_dropout": (0.1, 0.4, 1.0)}, "skip_dropout is '0.1,0.4,1.0'; it must be three numbers from 0 to 0.99"),
    ):
        with pytest.raises(ConfigError, match=message):
            context_of("p-darts", **settings)


def test_every_strategy_by_gradient_stands_in_the_table():
    for name in STRATEGIES:
        assert METHODS[name].halves == (name != "snas")
