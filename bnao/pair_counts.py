"""How the pairs of two rankings stand to each other, counted exactly in O(n log n) (Sec. 3)."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

Ints = NDArray[np.int64]

# numbers whose inversions are counted pair by pair
_FEW = 512


@frozen
class PairCounts:
    """Counts of concordant, discordant and tied pairs among the n (n - 1) / 2 of two lists.

    Attributes:
        concordant: in the same order in both lists.
        discordant: in opposite orders.
        tied_x: tied in the first list, whether in the second or not.
        tied_y: tied in the second list, whether in the first or not.
        tied_both: tied in both.
    """

    concordant: int
    discordant: int
    tied_x: int
    tied_y: int
    tied_both: int

    @property
    def total(self) -> int:
        """All pairs."""
        return self.concordant + self.discordant + self.tied_x + self.tied_y - self.tied_both


def count_pairs(x: Ints, y: Ints) -> PairCounts:
    """Count the pairs of two lists of ranks by how they stand to each other, in O(n log n).

    Args:
        x, y: shape (n,), integers >= 0 of the order of n; equal ones are tied.

    >>> count_pairs(np.array([0, 1, 1, 2]), np.array([0, 2, 1, 1]))
    PairCounts(concordant=3, discordant=1, tied_x=1, tied_y=1, tied_both=0)
    """
    n = len(x)
    if n < 2:
        return PairCounts(0, 0, 0, 0, 0)
    width = int(y.max()) + 1
    # by x, and by y within equal x: then a pair is discordant exactly where the later y is smaller
    both = np.sort(x * width + y)
    y_by_x = both % width
    discordant = _inversions(y_by_x)
    runs = np.diff(np.flatnonzero(np.r_[True, both[1:] != both[:-1], True]))
    tied_x, tied_y, tied_both = (_pairs_within(counts) for counts in (np.bincount(x), np.bincount(y), runs))
    concordant = n * (n - 1) // 2 - discordant - tied_x - tied_y + tied_both
    return PairCounts(concordant, discordant, tied_x, tied_y, tied_both)


def _pairs_within(counts: Ints) -> int:
    return int((counts * (counts - 1) // 2).sum())


def _inversions(values: Ints) -> int:
    """Count the pairs i < j with values[i] > values[j], for integers >= 0.

    Two unequal numbers differ first at some bit, counted from the top: there the larger has 1. So from the top
    bit down, the numbers with equal higher bits stand together in their first order, and each 0 counts the 1s
    in front of it among them; then every such group is split into its 0s and its 1s. Of a few numbers each is
    compared with each, which is faster.
    """
    if len(values) <= _FEW:
        narrow: NDArray[np.signedinteger] = values.astype(np.int16 if values.max() < 1 << 15 else np.int64)
        return int(np.count_nonzero((narrow[:, None] > narrow) & _later(len(values))))
    levels = int(values.max()).bit_length()
    # below[v]: how many are less than v, which is where a group that begins at v begins
    below = np.zeros((1 << levels) + 1, dtype=np.int64)
    np.cumsum(np.bincount(values, minlength=1 << levels), out=below[1:])
    place = np.arange(len(values))
    total = 0
    for bit in reversed(range(levels)):
        group = below[values >> (bit + 1) << (bit + 1)]
        is_one = (values >> bit & 1).astype(bool)
        ones = np.r_[0, np.cumsum(is_one)]  # ones[i]: 1s in front of place i, over all groups
        ones_before = ones[:-1] - ones[group]
        total += int(ones_before[~is_one].sum())
        moved = np.empty_like(values)
        moved[np.where(is_one, below[values >> bit << bit] + ones_before, place - ones_before)] = values
        values = moved
    return total


@lru_cache(maxsize=64)
def _later(n: int) -> NDArray[np.bool_]:
    """Return which of n places j stand behind which i, shape (n, n)."""
    return np.triu(np.ones((n, n), np.bool_), 1)


def spearman_of(x: Ints, y: Ints) -> float:
    """Return Spearman's rho of two lists of ranks; NaN if either is constant."""
    a, b = _centred_ranks(x), _centred_ranks(y)
    scale = math.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum()) / scale if scale else math.nan


def _centred_ranks(ranks: Ints) -> NDArray[np.float64]:
    """Return 2 * (rank - mean rank), ties sharing the mean of their ranks: integers that sum to 0."""
    counts = np.bincount(ranks)
    twice_mean_rank = 2 * np.cumsum(counts) - counts + 1
    return (twice_mean_rank[ranks] - (len(ranks) + 1)).astype(np.float64)
