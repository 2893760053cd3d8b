"""Two objectives, a score to raise and a cost to lower: dominance, crowding and hypervolume.

Source: NSGA-II, Deb, Pratap, Agarwal and Meyarivan, *A Fast and Elitist Multiobjective Genetic Algorithm* (IEEE
Transactions on Evolutionary Computation 6, 2002), Sec. III. One genotype dominates another if it is no worse in both
objectives and better in one. Everywhere scores and costs have shape (n,) and are finite.
"""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def non_dominated_ranks(scores: ArrayLike, costs: ArrayLike) -> NDArray[np.int64]:
    """Return the front that each belongs to, shape (n,): 0 where nothing dominates it, 1 where only those of 0 do, ...

    Equal pairs of score and cost do not dominate each other.

    >>> non_dominated_ranks(scores=[0.9, 0.5, 0.8, 0.4], costs=[3, 1, 3, 2]).tolist()
    [0, 0, 1, 1]
    """
    pairs = np.stack([np.asarray(costs, np.float64), -np.asarray(scores, np.float64)], axis=1)
    distinct, place = np.unique(pairs, axis=0, return_inverse=True)
    # by rising cost, so that a front dominates the next pair if and only if its best score so far is as high
    best: list[float] = []
    ranks = np.empty(len(distinct), np.int64)
    for index, negative in enumerate(distinct[:, 1].tolist()):
        rank = bisect_right(best, negative)
        best[rank : rank + 1] = [negative]
        ranks[index] = rank
    return ranks[place.ravel()]


def crowding_distances(scores: ArrayLike, costs: ArrayLike) -> Floats:
    """Return how far the neighbours of each member of one front lie apart, shape (n,); infinite at its two ends.

    The sum over both objectives of the distance between the next lower and the next higher member, as a share of the
    front's range.

    >>> crowding_distances(scores=[0.5, 0.6, 0.9], costs=[1, 2, 5]).tolist()
    [inf, 2.0, inf]
    """
    distances = np.zeros(len(np.asarray(scores)))
    for values in (np.asarray(scores, np.float64), np.asarray(costs, np.float64)):
        order = np.argsort(values, kind="stable")
        width = values.max() - values.min() if len(values) else 0.0
        if width > 0:
            distances[order[1:-1]] += (values[order[2:]] - values[order[:-2]]) / width
        distances[order[[0, -1]] if len(order) else order] = np.inf
    return distances


def crowded_order(scores: ArrayLike, costs: ArrayLike) -> NDArray[np.int64]:
    """Return the indices in the order of NSGA-II's crowded comparison: by front, then the least crowded first.

    Equal ones stay in the order given.

    >>> crowded_order(scores=[0.2, 0.9, 0.5, 0.6], costs=[3, 4, 1, 2]).tolist()
    [1, 2, 3, 0]
    """
    of_score, of_cost = np.asarray(scores, np.float64), np.asarray(costs, np.float64)
    ranks = non_dominated_ranks(of_score, of_cost)
    distances = np.zeros(len(ranks))
    for rank in np.unique(ranks):
        own = ranks == rank
        distances[own] = crowding_distances(of_score[own], of_cost[own])
    return np.lexsort((-distances, ranks))


def spread(scores: ArrayLike, costs: ArrayLike, n: int) -> NDArray[np.int64]:
    """Return the indices, rising, of n members of a front that span it: the most crowded is left out again and again.

    Args:
        scores, costs: of the front's members.
        n: how many; 1 is the member of the highest score, and 2 are the ends.

    >>> spread(scores=[0.5, 0.6, 0.61, 0.9], costs=[1, 2, 2.1, 5], n=3).tolist()
    [0, 2, 3]
    """
    of_score, of_cost = np.asarray(scores, np.float64), np.asarray(costs, np.float64)
    kept = np.arange(len(of_score))
    while len(kept) > max(2, n):
        kept = np.delete(kept, crowding_distances(of_score[kept], of_cost[kept]).argmin())
    return kept if len(kept) <= n else kept[[of_score[kept].argmax()]]


def hypervolume(scores: ArrayLike, costs: ArrayLike, reference: tuple[float, float]) -> float:
    """Return the area that is dominated by these and dominates a reference point, in units of score x cost.

    It is computed in fractions and rounded once, so that it depends on no order of summation.

    Args:
        scores, costs: of genotypes, dominated ones among them or not.
        reference: a score and a cost; what is not better in both adds nothing.

    >>> hypervolume(scores=[0.5, 0.75], costs=[1, 3], reference=(0.0, 4.0))
    1.75
    """
    low, most = Fraction(reference[0]), Fraction(reference[1])
    area, best = Fraction(0), low
    pairs = zip(np.asarray(costs, np.float64).tolist(), np.asarray(scores, np.float64).tolist(), strict=True)
    for cost, score in sorted(pairs):
        if score > best and cost < most:
            area += (most - Fraction(cost)) * (Fraction(score) - best)
            best = Fraction(score)
    return float(area)
