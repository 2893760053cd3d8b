"""How far two score lists agree on the order of architectures (Sec. 3; SPEC section 7).

All is counted exactly, in O(n log n) time and O(n) memory, so a benchmark table of 15,625 takes milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from attrs import asdict, frozen
from numpy.typing import ArrayLike, NDArray

from bnao.errors import RankingError
from bnao.streams import stream

Ints = NDArray[np.int64]


def pairwise_accuracy(predicted: ArrayLike, truth: ArrayLike) -> float:
    """The share of pairs that two score lists order the same way.

    Paper: Sec. 3, Tables 2, 3 and 6. Pairs tied in ``truth`` are left out; tied in ``predicted`` alone they
    count one half, so a constant predictor scores 0.5 and order in the lists cannot matter.

    Args:
        predicted: shape (n,); one-shot scores, or any others.
        truth: shape (n,); stand-alone accuracies of the same architectures in the same order. Any unit.

    Returns:
        In [0, 1]; NaN if no pair differs in truth, as with fewer than two architectures.

    Raises:
        RankingError: lists of different lengths, or a score that is not a number.

    >>> pairwise_accuracy([0.2, 0.3, 0.1], truth=[94, 95, 96])  # of three pairs only 94 < 95 is seen
    0.3333333333333333
    """
    return _accuracy_of(count_pairs(*_ranked(predicted, truth)))


def kendall_tau(predicted: ArrayLike, truth: ArrayLike) -> float:
    """Kendall's tau-b: pairs in the same order less pairs in the opposite one, as a share, ties allowed for.

    Kendall 1945: (concordant - discordant) / sqrt(pairs not tied in ``predicted`` x pairs not tied in ``truth``).

    Args and errors as for ``pairwise_accuracy``.

    Returns:
        In [-1, 1]; NaN if either list is constant, as with fewer than two architectures.

    >>> kendall_tau([1, 2, 3, 4], [1, 2, 4, 3])  # five pairs agree, one does not
    0.6666666666666666
    """
    return _tau_of(count_pairs(*_ranked(predicted, truth)))


def spearman(predicted: ArrayLike, truth: ArrayLike) -> float:
    """Spearman's rho: the correlation of the ranks, tied scores sharing the mean of their ranks.

    Args and errors as for ``pairwise_accuracy``.

    Returns:
        In [-1, 1]; NaN if either list is constant, as with fewer than two architectures.

    >>> spearman([1, 2, 3, 4], [1, 2, 4, 3])  # 1 - 6 x (1 + 1) / (4 x 15)
    0.8
    """
    return _spearman(*_ranked(predicted, truth))


def precision_at_top(predicted: ArrayLike, truth: ArrayLike, k: int = 10) -> float:
    """The share of the k best by prediction that are among the k best in truth.

    Where ties leave open who is among the k best, it is the expected share when each list breaks its ties at
    random: a constant predictor scores k / n, what choosing blindly gives.

    Args:
        k: how many are chosen, >= 1. The others and errors as for ``pairwise_accuracy``.

    Returns:
        In [0, 1]; NaN if there are fewer than k.

    >>> precision_at_top([0.9, 0.8, 0.1, 0.2], truth=[96, 94, 93, 95], k=2)
    0.5
    >>> precision_at_top([0.9, 0.9, 0.9, 0.9], truth=[96, 94, 93, 95], k=2)
    0.5
    """
    return _precision_at_top(*_ranked(predicted, truth), _checked("k", k))


def defined(value: float) -> float | None:
    """The figure, or None where it is NaN: not defined for so few, and no JSON."""
    return None if math.isnan(value) else value


def mean_ranks(scores: ArrayLike) -> NDArray[np.float64]:
    """0 for the worst, n - 1 for the best; tied ones share the mean of their ranks.

    >>> mean_ranks(np.array([0.5, 0.7, 0.5])).tolist()
    [0.5, 2.0, 0.5]
    """
    _, place, counts = np.unique(_scores("scores", scores), return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts + 1) / 2)[place]
    return ranks


@frozen
class Estimate:
    """A figure from n architectures and the interval it would move in with other ones.

    Attributes:
        value: the figure.
        low: lower end of the interval.
        high: upper end of the interval.
        n: architectures it is from.
        level: share of resamples within the interval.
    """

    value: float
    low: float
    high: float
    n: int
    level: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def to_json(self) -> dict[str, float | int | None]:
        """Plain data, as in files; what is not known (NaN) is None, since JSON has no NaN."""
        return {name: None if math.isnan(value) else value for name, value in asdict(self).items()}


def rank_agreement(
    predicted: ArrayLike, truth: ArrayLike, *, k: int = 10, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, Estimate]:
    """Every figure of this module with its bootstrap interval over architectures.

    A resample draws n architectures with replacement; an architecture and its copy are tied in both lists, so
    their pair is left out. The interval is that of the percentiles (Efron 1979); resamples where a figure is
    not defined are left out, and with no other it is NaN.

    Args:
        predicted, truth: as for ``pairwise_accuracy``.
        k: as for ``precision_at_top``.
        resamples: how many, >= 1.
        seed: decides the resamples.
        level: share of resamples within the interval, in (0, 1).

    Returns:
        An estimate by name: pairwise_accuracy, kendall_tau, spearman, precision_at_top.

    Raises:
        RankingError: as for ``pairwise_accuracy``; a k, resamples or level out of bounds.

    >>> agreement = rank_agreement(range(50), range(50))
    >>> str(agreement["kendall_tau"]), agreement["kendall_tau"].n
    ('1.000 [1.000, 1.000]', 50)
    """
    return compare_rankings({"": [predicted]}, truth, k=k, resamples=resamples, seed=seed, level=level).estimates[""]


@frozen
class Comparison:
    """How several ways of scoring agree with one truth.

    Attributes:
        estimates: by the way's name and the figure's.
        differences: of each further way less the first, likewise.
        each: by the way's name and the figure's: the figure of each of its lists.
    """

    estimates: dict[str, dict[str, Estimate]]
    differences: dict[str, dict[str, Estimate]]
    each: dict[str, dict[str, list[float]]]


def compare_rankings(
    ways: Mapping[str, Sequence[ArrayLike]],
    truth: ArrayLike,
    *,
    k: int = 10,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Comparison:
    """The figures of several ways of scoring, each a mean over its lists, and their differences, with intervals.

    A resample draws n architectures with replacement, and as many lists of each way as it has, list i of one way
    together with list i of the others where they have equally many: so the interval of a difference is paired.
    Else as for ``rank_agreement``.

    Args:
        ways: score lists by the way's name, such as the supernets of one sampler, one a seed.
        truth: as for ``pairwise_accuracy``.
        k, resamples, seed, level: as for ``rank_agreement``.

    Raises:
        RankingError: as for ``rank_agreement``, or a way without a list.

    >>> found = compare_rankings({"poor": [[1, 3, 2]], "good": [[1, 2, 3]]}, [1, 2, 3], resamples=100)
    >>> round(found.differences["good"]["pairwise_accuracy"].value, 3)
    0.333
    """
    _checked("k", k)
    _checked("resamples", resamples)
    if not 0 < level < 1:
        raise RankingError(f"level is {level}; it must be in (0, 1), such as 0.95")
    for name, lists in ways.items():
        if not lists:
            raise RankingError(f"{name!r} has no list of scores; each way needs one")
    ranked = {name: [_ranked(list, truth) for list in lists] for name, lists in ways.items()}
    n = len(next(iter(ranked.values()))[0][0])
    each = {name: [_figures(x, y, k) for x, y in lists] for name, lists in ranked.items()}
    drawn: dict[str, list[dict[str, float]]] = {name: [] for name in ranked}
    for resample in range(resamples if n else 0):
        chosen = stream(seed, "bootstrap", resample).integers(n, size=n)
        for name, lists in ranked.items():
            of = (
                [0]
                if len(lists) == 1
                else stream(seed, "bootstrap lists", resample).integers(len(lists), size=len(lists))
            )
            figures = {which: _figures(lists[which][0][chosen], lists[which][1][chosen], k) for which in set(of)}
            drawn[name].append(_means([figures[which] for which in of]))

    def estimated(value: float, values: Sequence[float]) -> Estimate:
        tail = (1 - level) / 2
        known = [value for value in values if not math.isnan(value)]
        low, high = np.quantile(known, [tail, 1 - tail]).tolist() if known else (math.nan, math.nan)
        return Estimate(value, low, high, n, level)

    means = {name: _means(lists) for name, lists in each.items()}
    estimates = {
        name: {figure: estimated(value, [one[figure] for one in drawn[name]]) for figure, value in figures.items()}
        for name, figures in means.items()
    }
    first, *others = means
    differences = {
        name: {
            figure: estimated(
                value - means[first][figure],
                [one[figure] - base[figure] for one, base in zip(drawn[name], drawn[first], strict=True)],
            )
            for figure, value in means[name].items()
        }
        for name in others
    }
    listed = {name: {figure: [one[figure] for one in lists] for figure in lists[0]} for name, lists in each.items()}
    return Comparison(estimates, differences, listed)


def _means(figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: math.fsum(one[name] for one in figures) / len(figures) for name in figures[0]}


def _figures(x: Ints, y: Ints, k: int) -> dict[str, float]:
    pairs = count_pairs(x, y)
    return {
        "pairwise_accuracy": _accuracy_of(pairs),
        "kendall_tau": _tau_of(pairs),
        "spearman": _spearman(x, y),
        "precision_at_top": _precision_at_top(x, y, k),
    }


@frozen
class PairCounts:
    """How the n (n - 1) / 2 pairs of two lists stand to each other.

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
    """Pairs of places i < j with values[i] > values[j], for integers >= 0.

    Two unequal numbers differ first at some bit, counted from the top: there the larger has 1. So from the top
    bit down, the numbers with equal higher bits stand together in their first order, and each 0 counts the 1s
    in front of it among them; then every such group is split into its 0s and its 1s.
    """
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


def _accuracy_of(pairs: PairCounts) -> float:
    differing = pairs.total - pairs.tied_y
    tied_in_prediction_alone = pairs.tied_x - pairs.tied_both
    return (pairs.concordant + tied_in_prediction_alone / 2) / differing if differing else math.nan


def _tau_of(pairs: PairCounts) -> float:
    untied_x, untied_y = pairs.total - pairs.tied_x, pairs.total - pairs.tied_y
    if not untied_x or not untied_y:
        return math.nan
    return (pairs.concordant - pairs.discordant) / math.sqrt(untied_x * untied_y)


def _spearman(x: Ints, y: Ints) -> float:
    a, b = _centred_ranks(x), _centred_ranks(y)
    scale = math.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum()) / scale if scale else math.nan


def _centred_ranks(ranks: Ints) -> NDArray[np.float64]:
    """Twice (rank - mean rank), tied ones sharing the mean of their ranks: whole numbers that sum to 0."""
    counts = np.bincount(ranks)
    twice_mean_rank = 2 * np.cumsum(counts) - counts + 1
    return (twice_mean_rank[ranks] - (len(ranks) + 1)).astype(np.float64)


def _precision_at_top(x: Ints, y: Ints, k: int) -> float:
    if len(x) < k:
        return math.nan
    return float(_chance_in_top(x, k) @ _chance_in_top(y, k)) / k


def _chance_in_top(ranks: Ints, k: int) -> NDArray[np.float64]:
    """The chance that each is among the k largest when ties are broken at random."""
    counts = np.bincount(ranks)
    above = len(ranks) - np.cumsum(counts)
    return np.clip((k - above) / np.maximum(counts, 1), 0, 1)[ranks]


def _ranked(predicted: ArrayLike, truth: ArrayLike) -> tuple[Ints, Ints]:
    """Both lists as integers 0, 1, ... in the order of their scores, equal ones for equal scores."""
    x, y = _scores("predicted", predicted), _scores("truth", truth)
    if len(x) != len(y):
        raise RankingError(f"predicted has {len(x)} scores and truth {len(y)}; each architecture needs one in both")
    return np.unique(x, return_inverse=True)[1], np.unique(y, return_inverse=True)[1]


def _scores(name: str, scores: ArrayLike) -> NDArray[np.generic]:
    values = np.asarray(scores)
    if values.dtype.kind not in "biuf":  # integers stay what they are: floats would make large ones equal
        try:
            values = values.astype(np.float64)
        except (TypeError, ValueError):
            raise RankingError(f"{name} are not all numbers; each score must be one") from None
    if values.ndim != 1:
        raise RankingError(f"{name} has shape {values.shape}; it must be one row of scores, shape (n,)")
    missing = np.flatnonzero(np.isnan(values))
    if len(missing):
        raise RankingError(f"{name}[{missing[0]}] is nan; each score must be a number")
    return values


def _checked(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise RankingError(f"{name} is {value!r}; it must be a whole number >= 1")
    return int(value)
