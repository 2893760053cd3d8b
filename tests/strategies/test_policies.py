"""The policies of ENAS: exact gradients of their chances, and an estimator of the reward's gradient without a bias."""

import numpy as np
import pytest
from attrs import evolve

from bnao.config.strategies.enas import EnasConfig
from bnao.space.spaces import SPACES
from bnao.strategies.enas import Enas
from bnao.strategies.policies import (
    RecurrentPolicy,
    TabularPolicy,
    _Run,
    choices_of,
    genotypes_of,
    make_policy,
    row_entropies,
)
from bnao.strategies.tape import Value
from bnao.streams import stream
from tests.strategies.test_steps import config_of, search_of

SMALL = EnasConfig(units=3)
SETTINGS = {"tabular": evolve(SMALL, policy="tabular"), "lstm": SMALL, "biased": evolve(SMALL, prefer_separable=True)}


def log_chances(policy, choices):
    """The logarithm of the chance of each row of choices, by the sampling's own arithmetic."""
    return np.array([_log_chance(policy, row) for row in choices])


def _log_chance(policy, row):
    parts, taken = [], iter(row)

    def choose(logits):
        chosen = next(taken)
        parts.append(logits.data[0, chosen] - np.log(np.exp(logits.data[0]).sum()))
        return np.array([chosen])

    if isinstance(policy, TabularPolicy):
        for name in policy._names:
            choose(Value(policy.parameters[name][None]))
    else:
        _Run(policy._space, policy._settings, policy.parameters, policy._bias, 1).decide(choose)
    return sum(parts)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("space", [evolve(SPACES["nao"], nodes=2), SPACES["nas-bench-201"]], ids=lambda s: s.name)
def test_the_gradient_is_that_of_finite_differences(name, space):
    policy = make_policy(space, SETTINGS[name], seed=0)
    rng = np.random.default_rng(0)
    for key, value in policy.parameters.items():
        policy.parameters[key] = value + rng.normal(0, 0.3, value.shape)  # away from where all is alike
    choices, weights = policy.sample(5, rng).choices, rng.normal(size=5)

    gradients = policy.gradient(choices, weights)

    for key, value in policy.parameters.items():
        for at in rng.permutation(value.size)[:6]:
            place = np.unravel_index(at, value.shape)
            ends = []
            for sign in (1, -1):
                policy.parameters[key] = value.copy()
                policy.parameters[key][place] += sign * 1e-5
                ends.append((weights * log_chances(policy, choices)).mean())
            policy.parameters[key] = value
            assert gradients[key][place] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-8), key


@pytest.mark.parametrize("name", ["tabular", "lstm"])
def test_the_estimator_of_reinforce_is_unbiased_on_a_few_arms(name):
    space = evolve(SPACES["nas-bench-201"], nodes=1)  # one edge of five operations
    policy = make_policy(space, evolve(SETTINGS[name], units=2), seed=1)
    rewards = np.array([0.9, 0.1, 0.5, 0.3, 0.2])
    arms = np.arange(5)[:, None]
    chances = np.exp(log_chances(policy, arms))
    # of the expected reward, by hand: sum over the arms of chance x reward x gradient of the chance's logarithm
    exact = {key: np.zeros_like(value) for key, value in policy.parameters.items()}
    each = [policy.gradient(arms[arm : arm + 1], np.ones(1)) for arm in range(5)]
    for arm in range(5):
        for key in exact:
            exact[key] += chances[arm] * rewards[arm] * each[arm][key]
    strategy = search_of(config_of("enas", enas={"baseline_decay": 0.9})).strategy

    n, batch = 4000, 5
    estimates = {key: [] for key in exact}
    drawn = policy.sample(n * batch, stream(0, "arms")).choices.reshape(n, batch, 1)
    for choices in drawn:
        found = rewards[choices[:, 0]]
        # the baseline of a reward follows from the earlier ones alone
        advantages = found - strategy._baselines(found)
        for key, gradient in policy.gradient(choices, advantages).items():
            estimates[key].append(gradient)

    for key, several in estimates.items():
        mean, error = np.mean(several, axis=0), np.std(several, axis=0) / n**0.5
        assert (abs(mean - exact[key]) <= 5 * error + 1e-12).all(), key


def test_a_baseline_lowers_the_spread_of_the_estimates():
    space = evolve(SPACES["nas-bench-201"], nodes=1)
    policy = TabularPolicy(space, seed=1)
    drawn = policy.sample(2000, stream(0, "arms")).choices
    rewards = 0.8 + 0.02 * drawn[:, 0]

    def spread(weights):
        rows = [policy.gradient(drawn[at : at + 1], weights[at : at + 1]) for at in range(500)]
        return np.std([next(iter(row.values())) for row in rows], axis=0).mean()

    assert spread(rewards - 0.84) < spread(rewards) / 10


def test_genotypes_are_drawn_with_the_policys_chances():
    space = evolve(SPACES["nas-bench-201"], nodes=1)
    policy = TabularPolicy(space, seed=0)
    (name,) = policy.parameters
    policy.parameters[name] = np.log([0.1, 0.2, 0.3, 0.3, 0.1])

    drawn = policy.sample(10_000, stream(0, "chances"))

    counts = np.bincount(drawn.choices[:, 0], minlength=5)
    expected = 10_000 * np.array([0.1, 0.2, 0.3, 0.3, 0.1])
    assert (abs(counts - expected) < 5 * np.sqrt(expected * (1 - expected / 10_000))).all()
    assert drawn.entropy[0] == pytest.approx(-sum(p * np.log(p) for p in (0.1, 0.2, 0.3, 0.3, 0.1)))


@pytest.mark.parametrize("name", SPACES)
def test_every_genotype_of_a_space_can_be_chosen(name):
    space = SPACES[name]
    choices = choices_of(space)
    rng = np.random.default_rng(0)

    chosen = np.stack([rng.integers(choice.options, size=200) for choice in choices], axis=1)
    genotypes = genotypes_of(chosen, space)

    codes = space.encode(genotypes).reshape(200, space.cells, -1, 2)
    for (node, number), edge in zip(space.places, np.moveaxis(codes, 2, 0), strict=True):
        assert len(np.unique(edge[..., 1])) == len(space.operations)
        if space.edges_of(node) == 1 or len(space.sources(node, number)) == 1:
            assert set(edge[..., 0].ravel()) == set(space.sources(node, number))
    assert {edge.source for each in genotypes for edge in each.normal.nodes[-1].edges} == set(
        range(space.inputs + space.nodes - 1)
    )


def test_the_authors_bias_prefers_separable_convolutions_in_the_normal_cell():
    space = SPACES["nao"]
    policy = RecurrentPolicy(space, EnasConfig(prefer_separable=True), seed=0)

    codes = space.encode(genotypes_of(policy.sample(2000, stream(0, "biased")).choices, space))[..., 1]

    # logits 0.44 + 0.25 for two operations against 0 - 0.25 for three, and 0.44 against 0 in the reduction cell
    normal, reduction = ((codes[:, cell] < 2).mean() for cell in range(2))
    first, second = 2 * np.exp(0.69), 2 * np.exp(0.44)
    assert normal == pytest.approx(first / (first + 3 * np.exp(-0.25)), abs=0.02)
    assert reduction == pytest.approx(second / (second + 3), abs=0.02)


def test_the_logits_of_the_recurrent_policy_are_bounded():
    policy = RecurrentPolicy(SPACES["nao"], EnasConfig(units=4), seed=0)
    for key in policy.parameters:
        policy.parameters[key] = policy.parameters[key] * 1000

    drawn = policy.sample(20, stream(0, "bounded"))

    # no operation is less likely than e^-2.2 / 5 of the most likely, with bounds 1.1 and 0.44
    least = row_entropies(np.array([[0.44, -0.44, -0.44, -0.44, -0.44]]))[0]
    assert (drawn.entropy > 20 * least).all()


def test_the_recurrent_policy_learns_from_rewards():
    settings = {
        "learning_rate": 0.01, "policy_steps": 20, "policy_samples": 20, "tanh_constant": 2.5, "operation_reduce": 1.0,
        "units": 16, "baseline_decay": 0.9,
    }  # fmt: skip
    search = search_of(config_of("enas", steps=60, enas=settings))

    search.result()

    toy = search.supernet.supernet
    # of six decisions that differ in their place alone it learns at least which one operation is best everywhere
    text = "0:{0};0:{0}+1:{0};0:{0}+1:{0}+2:{0}"
    alike = [toy.value(toy.space.parse(text.format(name))) for name in toy.space.operations]
    assert toy.value(search.strategy.leading()) >= max(alike) - 1e-9
    assert max(alike) > 0.25 * toy.value(toy.best())
    assert search.strategy.figures()["entropy"] < 0.5 * np.log(5)


def test_the_policy_is_trained_once_an_epoch_on_dev_images_that_teach_no_weights():
    search = search_of(config_of("enas", enas={"policy_steps": 3, "policy_samples": 4}))
    strategy = search.strategy
    assert isinstance(strategy, Enas)

    turns = [strategy.propose(step, turn) for step, turn in ((0, 0), (1, 0), (1, 2), (1, 3), (2, 0))]

    assert [len(each) for each in turns] == [1, 4, 4, 1, 1]  # two updates an epoch
    assert [each[0].learn for each in turns] == [True, False, False, True, True]
    assert {each.split for each in turns[1]} == {"dev"}
