"""Dominance, crowding and hypervolume, against their definitions."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from bnao.pareto import crowded_order, crowding_distances, hypervolume, non_dominated_ranks, spread
from bnao.streams import stream


def dominates(one, other):
    return one[0] >= other[0] and one[1] <= other[1] and one != other


def ranks_by_definition(scores, costs):
    pairs = list(zip(scores, costs, strict=True))
    left, ranks, rank = set(range(len(pairs))), [0] * len(pairs), 0
    while left:
        front = {i for i in left if not any(dominates(pairs[j], pairs[i]) for j in left)}
        for i in front:
            ranks[i] = rank
        left, rank = left - front, rank + 1
    return ranks


def points(seed, n=40, values=8):
    """Pairs of few distinct values, so that many are equal in one objective or in both."""
    rng = stream(seed, "pareto")
    return rng.integers(values, size=n).astype(float).tolist(), rng.integers(values, size=n).astype(float).tolist()


@pytest.mark.parametrize("seed", range(20))
def test_ranks_are_those_of_fronts_peeled_off_one_by_one(seed):
    scores, costs = points(seed)

    assert non_dominated_ranks(scores, costs).tolist() == ranks_by_definition(scores, costs)


@pytest.mark.parametrize("seed", range(10))
def test_the_hypervolume_is_the_number_of_unit_squares_that_are_dominated(seed):
    scores, costs = points(seed)
    squares = itertools.product(range(8), range(9))

    dominated = sum(any(s >= a + 1 and c <= b for s, c in zip(scores, costs, strict=True)) for a, b in squares)

    assert hypervolume(scores, costs, reference=(0.0, 9.0)) == dominated


def test_a_hypervolume_is_rounded_once_whatever_the_order():
    rng = stream(0, "pareto order")
    scores, costs = rng.random(200), rng.random(200)
    order = rng.permutation(200)
    front = non_dominated_ranks(scores, costs) == 0

    found = hypervolume(scores, costs, (0.0, 1.0))

    assert found == hypervolume(scores[order], costs[order], (0.0, 1.0))
    assert found == hypervolume(scores[front], costs[front], (0.0, 1.0))
    exact, best = Fraction(0), Fraction(0)
    for cost, score in sorted(zip(costs[front].tolist(), scores[front].tolist(), strict=True)):
        exact += (1 - Fraction(cost)) * (Fraction(score) - best)
        best = Fraction(score)
    assert found == float(exact)


def test_what_is_no_better_than_the_reference_adds_nothing():
    assert hypervolume([0.5, 0.9], [2.0, 5.0], reference=(0.5, 4.0)) == 0.0
    assert hypervolume([], [], reference=(0.0, 1.0)) == 0.0


def test_crowding_is_half_the_sides_of_the_cuboid_between_neighbours():
    # scores 0, 1, 4, 10 and costs 0, 2, 3, 4: 4 / 10 + 3 / 4 and 9 / 10 + 2 / 4
    distances = crowding_distances([0.0, 1.0, 4.0, 10.0], [0.0, 2.0, 3.0, 4.0])

    assert distances.tolist() == [np.inf, 4 / 10 + 3 / 4, 9 / 10 + 2 / 4, np.inf]
    assert crowding_distances([], []).tolist() == []
    assert crowding_distances([0.5], [1.0]).tolist() == [np.inf]


@pytest.mark.parametrize("seed", range(5))
def test_the_crowded_order_goes_by_front_and_within_it_by_crowding(seed):
    scores, costs = map(np.array, points(seed, values=30))
    ranks = non_dominated_ranks(scores, costs)

    order = crowded_order(scores, costs)

    assert sorted(order.tolist()) == list(range(40))
    assert ranks[order].tolist() == sorted(ranks.tolist())
    first = order[: (ranks == 0).sum()]
    distances = np.zeros(40)
    distances[ranks == 0] = crowding_distances(scores[ranks == 0], costs[ranks == 0])
    assert distances[first].tolist() == sorted(distances[first], reverse=True)


def test_members_that_span_a_front_keep_its_ends_and_one_alone_is_the_best():
    scores, costs = np.linspace(0, 1, 20), np.linspace(0, 1, 20) ** 2

    for n in range(2, 21):
        chosen = spread(scores, costs, n)
        assert len(chosen) == n
        assert {chosen[0], chosen[-1]} == {0, 19}
    assert spread(scores, costs, 1).tolist() == [19]
    assert spread(scores, costs, 30).tolist() == list(range(20))
