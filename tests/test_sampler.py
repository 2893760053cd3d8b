import inspect
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnao.errors import BnaoError, SizeError
from bnao.sampler import (
    SAMPLERS,
    BudgetSampler,
    ProportionalSampler,
    UniformSampler,
    proportional_probabilities,
)

size_lists = st.lists(st.floats(1, 1e9), min_size=1, max_size=30)
DRAWS = 1_000_000


def chi_square(drawn, expected):
    counts = np.bincount(drawn, minlength=len(expected))
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_million_draws_follow_equation_3(seed):
    sizes = np.arange(1, 11)
    sampler = ProportionalSampler(range(10), sizes, seed=seed)

    drawn = sampler.draw(DRAWS)

    assert chi_square(drawn, DRAWS * sizes / 55) < 27.88  # 9 degrees of freedom: exceeded once in 1,000


def test_a_million_draws_from_a_thousand_follow_equation_3():
    sizes = np.random.default_rng(0).uniform(1e5, 1e6, 1000)
    sampler = ProportionalSampler(range(1000), sizes, seed=0)

    drawn = sampler.draw(DRAWS)

    # 999 degrees of freedom: mean 999, standard deviation 44.7; 1,142 is exceeded once in 1,000
    assert 866 < chi_square(drawn, DRAWS * sizes / sizes.sum()) < 1142


def test_draws_of_successive_steps_are_independent():
    drawn = ProportionalSampler("ab", sizes=[1, 3], seed=0).draw(DRAWS)

    pairs = 2 * drawn[::2] + drawn[1::2]

    assert chi_square(pairs, DRAWS / 2 * np.array([1, 3, 3, 9]) / 16) < 16.27  # 3 degrees of freedom, 1 in 1,000


def test_a_three_times_larger_architecture_is_drawn_three_times_as_often():
    sampler = ProportionalSampler("ab", sizes=[1, 3], seed=0)

    drawn = sampler.draw(40_000)

    assert abs((drawn == 1).sum() - 30_000) < 433  # Eq. 4 expects 30,000; 433 is five standard deviations


def test_probabilities_and_expected_counts_are_equations_3_and_4():
    sampler = ProportionalSampler("abc", sizes=[1, 2, 5], seed=0)

    assert sampler.probabilities.tolist() == pytest.approx([0.125, 0.25, 0.625], rel=1e-15)
    assert sampler.expected(800).tolist() == pytest.approx([100, 200, 500], rel=1e-15)


@given(size_lists, st.floats(-3, 3), st.floats(1e-6, 1e6))
def test_probabilities_sum_to_one_and_only_ratios_matter(sizes, alpha, unit):
    probabilities = proportional_probabilities(sizes, alpha)

    assert probabilities.sum() == pytest.approx(1)
    np.testing.assert_allclose(proportional_probabilities(np.array(sizes) * unit, alpha), probabilities, rtol=1e-9)


def test_alpha_is_the_power_of_the_size():
    assert proportional_probabilities([1, 3], alpha=2).tolist() == pytest.approx([0.1, 0.9])
    assert proportional_probabilities([1, 3], alpha=-1).tolist() == pytest.approx([0.75, 0.25])


def test_no_size_or_power_is_too_large():
    assert proportional_probabilities([1e300, 3e300]).tolist() == pytest.approx([0.25, 0.75])
    assert proportional_probabilities([1e-300, 1e300], alpha=10).tolist() == [0, 1]


def test_alpha_zero_draws_as_the_uniform_sampler_does():
    flat = ProportionalSampler(range(7), sizes=range(1, 8), seed=5, alpha=0)
    uniform = UniformSampler(range(7), sizes=range(1, 8), seed=5)

    assert flat.probabilities.tolist() == uniform.probabilities.tolist() == [1 / 7] * 7
    assert flat.draw(1000).tolist() == uniform.draw(1000).tolist()
    assert chi_square(uniform.draw(DRAWS), np.full(7, DRAWS / 7)) < 22.46  # 6 degrees of freedom, 1 in 1,000


def all_samplers(seed=0):
    return [sampler(range(5), [3, 1, 4, 1, 5], seed=seed) for sampler in SAMPLERS.values()]


@pytest.mark.parametrize("sampler", all_samplers(), ids=SAMPLERS)
@given(start=st.integers(0, 20_000), n=st.integers(0, 100))
def test_the_draw_of_a_step_does_not_depend_on_what_was_drawn_before(sampler, start, n):
    assert sampler.draw(n, start).tolist() == sampler.draw(start + n)[start:].tolist()


@pytest.mark.parametrize("number", range(3), ids=SAMPLERS)
def test_the_seed_alone_decides_the_draws(number):
    one, same, other = (all_samplers(seed)[number].draw(200).tolist() for seed in (1, 1, 2))

    assert one == same
    assert one != other


@pytest.mark.parametrize("sampler", all_samplers(), ids=SAMPLERS)
def test_iteration_gives_the_items_of_steps_0_1_2_without_end(sampler):
    assert list(itertools.islice(sampler, 9000)) == sampler.draw(9000).tolist()


def test_any_items_can_be_drawn():
    items = [{"kernel": 3}, {"kernel": 5}]

    drawn = itertools.islice(ProportionalSampler(items, [1, 1]), 50)

    assert all(item in items for item in drawn)


@pytest.mark.parametrize("kind", SAMPLERS.values(), ids=SAMPLERS)
def test_a_pool_of_one_is_always_drawn(kind):
    sampler = kind(["only"], [7], seed=3)

    assert sampler.draw(5, start=11).tolist() == [0] * 5
    assert sampler.probabilities.tolist() == [1]


def test_every_cycle_of_a_budget_sampler_gives_each_item_its_budget():
    sampler = BudgetSampler("abc", sizes=[1, 3, 4], seed=0, cycle=16)

    cycles = sampler.draw(160).reshape(10, 16)

    assert sampler.budgets.tolist() == [2, 6, 8]
    assert all(np.bincount(cycle).tolist() == [2, 6, 8] for cycle in cycles)
    assert len({tuple(cycle) for cycle in cycles.tolist()}) == 10  # each in another order


def test_the_smallest_item_gets_one_step_of_a_default_cycle():
    assert BudgetSampler("abc", sizes=[2, 6, 8]).budgets.tolist() == [1, 3, 4]
    assert BudgetSampler("abc", sizes=[1, 1, 1.4]).budgets.tolist() == [1, 1, 1]


def test_largest_remainders_are_rounded_up_where_budgets_are_not_whole():
    # shares of 10 steps: 2.5, 3.3, 4.2
    assert BudgetSampler("abc", sizes=[25, 33, 42], cycle=10).budgets.tolist() == [3, 3, 4]


@given(size_lists.filter(lambda sizes: max(sizes) < 1e4 * min(sizes)), st.integers(1, 500))
def test_budgets_sum_to_the_cycle_and_are_off_by_less_than_one_step(sizes, cycle):
    sampler = BudgetSampler(sizes, sizes, cycle=cycle)

    assert sampler.budgets.sum() == cycle
    assert np.all(np.abs(sampler.budgets - sampler.expected(cycle)) < 1)


BAD_SIZES = [
    ([1, 0], "sizes[1] is 0; every size must be finite and > 0"),
    ([-2, 1], "sizes[0] is -2; every size must be finite and > 0"),
    ([1, float("nan")], "sizes[1] is nan; every size must be finite and > 0"),
    ([1, float("inf")], "sizes[1] is inf; every size must be finite and > 0"),
    ([1, None], "sizes[1] is nan; every size must be finite and > 0"),
    ([], "no sizes; a sampler needs at least one item"),
    ([[1, 2]], "sizes have shape (1, 2); they must be one row, shape (n,)"),
    (3, "sizes have shape (); they must be one row, shape (n,)"),
    ([1, "large"], "sizes are not all numbers; every size must be finite and > 0"),
    ([[1], [2, 3]], "sizes are not all numbers; every size must be finite and > 0"),
]


@pytest.mark.parametrize(("sizes", "message"), BAD_SIZES)
@pytest.mark.parametrize("kind", SAMPLERS.values(), ids=SAMPLERS)
def test_sizes_that_give_no_probabilities_are_refused_with_the_place(kind, sizes, message):
    with pytest.raises(SizeError) as error:
        kind("ab", sizes)

    assert str(error.value) == message


@pytest.mark.parametrize("kind", SAMPLERS.values(), ids=SAMPLERS)
def test_each_item_needs_one_size(kind):
    with pytest.raises(SizeError, match="3 items but 2 sizes; each item needs one size"):
        kind("abc", [1, 2])


def test_a_uniform_sampler_needs_no_sizes_but_an_item():
    assert UniformSampler("ab").probabilities.tolist() == [0.5, 0.5]
    with pytest.raises(SizeError, match="no sizes; a sampler needs at least one item"):
        UniformSampler([])


@pytest.mark.parametrize("alpha", [float("nan"), float("inf")])
def test_an_alpha_that_is_not_finite_is_refused(alpha):
    with pytest.raises(SizeError, match=f"alpha is {alpha}; it must be finite"):
        ProportionalSampler("ab", [1, 2], alpha=alpha)


@pytest.mark.parametrize("sampler", all_samplers(), ids=SAMPLERS)
def test_steps_are_not_negative(sampler):
    with pytest.raises(ValueError, match=r"draw\(n=-1, start=0\): both must be >= 0"):
        sampler.draw(-1)
    with pytest.raises(ValueError, match=r"draw\(n=1, start=-1\): both must be >= 0"):
        sampler.draw(1, start=-1)


def test_a_budget_cycle_has_at_least_one_step():
    with pytest.raises(ValueError, match="cycle is 0; it must be >= 1"):
        BudgetSampler("ab", [1, 2], cycle=0)


def test_a_budget_cycle_too_long_for_memory_is_refused_and_a_shorter_one_will_do():
    with pytest.raises(SizeError, match=r"a cycle of 1e\+12 steps, .* is too long; give cycle, at most 100000000"):
        BudgetSampler("ab", [1, 1e12])
    with pytest.raises(SizeError, match=r"a cycle of 1e\+300 steps"):
        BudgetSampler("ab", [1, 1e300], alpha=10)

    assert BudgetSampler("ab", [1, 1e12], cycle=100).budgets.tolist() == [0, 100]


def test_probabilities_handed_out_cannot_change_the_sampler():
    sampler = ProportionalSampler("ab", [1, 1])

    sampler.probabilities[:] = 0

    assert sampler.probabilities.tolist() == [0.5, 0.5]


def test_a_size_error_is_a_value_error_and_one_of_bnaos():
    assert issubclass(SizeError, ValueError)
    assert issubclass(SizeError, BnaoError)


def test_uniform_sampling_is_not_passed_off_as_the_papers_nao_ws():
    told = " ".join(inspect.getdoc(UniformSampler).split())

    assert "NAO-WS" in told
    assert "differs in more than its sampler: pool, rounds, learning rate" in told
