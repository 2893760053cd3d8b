"""Agreement of two lists of scores on the order of architectures (Sec. 3).

All is counted exactly, in O(n log n) time and O(n) memory, so a benchmark table of 15,625 takes milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import asdict, frozen
from numpy.typing import ArrayLike, NDArray

from bnao.errors import RankingError
from bnao.pair_counts import PairCounts as PairCounts
from bnao.pair_counts import count_pairs as count_pairs
from bnao.pair_counts import spearman_of as _spearman
from bnao.streams import stream

Ints = NDArray[np.int64]


def pairwise_accuracy(predicted: ArrayLike, truth: ArrayLike) -> float:
    """Return the share of pairs that two score lists order the same way.

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
    """Return Kendall's tau-b: concordant minus discordant pairs as a share, corrected for ties.

    Kendall 1945: (concordant - discordant) / sqrt(pairs not tied in ``predicted`` x pairs not tied in ``truth``).

    Args and errors as for ``pairwise_accuracy``.

    Returns:
        In [-1, 1]; NaN if either list is constant, as with fewer than two architectures.

    >>> kendall_tau([1, 2, 3, 4], [1, 2, 4, 3])  # five pairs agree, one does not
    0.6666666666666666
    """
    return _tau_of(count_pairs(*_ranked(predicted, truth)))


def spearman(predicted: ArrayLike, truth: ArrayLike) -> float:
    """Return Spearman's rho: the correlation of the ranks, tied scores sharing the mean of their ranks.

    Args and errors as for ``pairwise_accuracy``.

    Returns:
        In [-1, 1]; NaN if either list is constant, as with fewer than two architectures.

    >>> spearman([1, 2, 3, 4], [1, 2, 4, 3])  # 1 - 6 x (1 + 1) / (4 x 15)
    0.8
    """
    return _spearman(*_ranked(predicted, truth))


def precision_at_top(predicted: ArrayLike, truth: ArrayLike, k: int = 10) -> float:
    """Return the share of the k best by prediction that are among the k best in truth.

    Where ties leave open who is among the k best, it is the expected share when each list breaks its ties at
    random: a constant predictor scores k / n, the expectation of a random choice.

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


def better_tau(predicted: ArrayLike, truth: ArrayLike, share: float = 0.5) -> float:
    """Kendall's tau among the best by truth: whether good architectures are told from better ones.

    The best are the ``share`` of all with the largest truths, rounded up to a whole number, and any that tie with the
    last of them: who is tied is in together or out together, so the order in the lists cannot matter.

    Args:
        share: in (0, 1]; 0.5 is the better half. The others and errors as for ``pairwise_accuracy``.

    Returns:
        In [-1, 1]; NaN if either list is constant among the best, as with fewer than two of them.

    Raises:
        RankingError: as for ``pairwise_accuracy``; a share out of bounds.

    >>> better_tau([1, 2, 4, 3], [1, 2, 3, 4])  # of the pair 3 < 4
    -1.0
    """
    if not 0 < share <= 1:
        raise RankingError(f"share is {share}; it must be in (0, 1], such as 0.5 for the better half")
    return _better_tau(*_ranked(predicted, truth), share)


def partial_kendall_tau(predicted: ArrayLike, truth: ArrayLike, given: ArrayLike) -> float:
    """Kendall's partial tau: what a ranking knows of the truth beyond what a third list, such as size, knows.

    Kendall 1942: (t_xy - t_xz t_yz) / sqrt((1 - t_xz^2) (1 - t_yz^2)), each t a tau-b, x predicted, y truth, z given.

    Args:
        given: shape (n,); such as the architectures' live parameters. The others and errors as for
            ``pairwise_accuracy``.

    Returns:
        NaN if one of the lists is constant, or orders all pairs as ``given`` does, or all the other way.

    >>> round(partial_kendall_tau([1, 3, 2, 4], [1, 2, 3, 4], given=[2, 1, 4, 3]), 3)  # (2/3 - 0) / sqrt(1 - 1/9)
    0.707
    """
    x, y = _ranked(predicted, truth)
    z = _ranked(given, truth, name="given")[0]
    return _partial_tau(_tau(x, y), _tau(x, z), _tau(y, z))


def precision_in_top(predicted: ArrayLike, truth: ArrayLike, share: float = 0.1) -> float:
    """The precision at the top of a share of all: at k = share x n, rounded up; see ``precision_at_top``.

    NaN for fewer than two architectures.

    >>> precision_in_top(range(30), range(30))  # the 3 best are found
    1.0
    """
    if not 0 < share <= 1:
        raise RankingError(f"share is {share}; it must be in (0, 1], such as 0.1 for the best tenth")
    x, y = _ranked(predicted, truth)
    return _precision_in_top(x, y, share)


def defined(value: float) -> float | None:
    """Return the figure, or None where it is NaN: not defined for so few, and no JSON."""
    return None if math.isnan(value) else value


def mean_ranks(scores: ArrayLike) -> NDArray[np.float64]:
    """Return ranks from 0, the worst, to n - 1, the best; ties share the mean of their ranks.

    >>> mean_ranks(np.array([0.5, 0.7, 0.5])).tolist()
    [0.5, 2.0, 0.5]
    """
    _, place, counts = np.unique(_scores("scores", scores), return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts + 1) / 2)[place]
    return ranks


#: the figures of ``rank_agreement``, in the order of tables; the last only where sizes are given
FIGURES = (
    "pairwise_accuracy",
    "kendall_tau",
    "spearman",
    "precision_at_top",
    "tau_in_better_half",
    "tau_in_top_tenth",
    "precision_in_top_tenth",
    "partial_tau_given_size",
)


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
        """Return plain data, as in files; NaN becomes None, since JSON has no NaN."""
        return {name: None if math.isnan(value) else value for name, value in asdict(self).items()}

    def to_entry(self) -> dict[str, float | int | None]:
        """Return it as study.json has it: rounded, and without its level, which is the same for all.

        >>> Estimate(2 / 3, 0.5, 0.75, 50, 0.95).to_entry()
        {'value': 0.666667, 'low': 0.5, 'high': 0.75, 'n': 50}
        """
        return {
            name: round(value, 6) if isinstance(value, float) else value
            for name, value in self.to_json().items()
            if name != "level"
        }

    @classmethod
    def from_entry(cls, content: Mapping[str, Any], level: float = 0.95) -> Estimate:
        """Read the estimate that ``to_entry`` wrote.

        >>> Estimate.from_entry({"value": None, "low": None, "high": None, "n": 2}, level=0.95).value
        nan
        """
        value, low, high = (
            math.nan if content[name] is None else float(content[name]) for name in ("value", "low", "high")
        )
        return cls(value, low, high, int(content["n"]), level)


def rank_agreement(
    predicted: ArrayLike,
    truth: ArrayLike,
    *,
    size: ArrayLike | None = None,
    k: int = 10,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Estimate]:
    """Return every figure of this module with its bootstrap interval over architectures.

    A resample draws n architectures with replacement; an architecture and its copy are tied in both lists, so
    their pair is left out. The interval is that of the percentiles (Efron 1979); resamples where a figure is
    not defined are left out, and with no other it is NaN.

    Args:
        predicted, truth: as for ``pairwise_accuracy``.
        size: shape (n,); of the architectures, such as live parameters: what partial tau is given. None: no such
            figure.
        k: as for ``precision_at_top``.
        resamples: how many, >= 1.
        seed: decides the resamples.
        level: share of resamples within the interval, in (0, 1).

    Returns:
        An estimate by name, those of ``FIGURES``: pairwise_accuracy, kendall_tau, spearman, precision_at_top;
        tau_in_better_half and tau_in_top_tenth (``better_tau`` of a half and of a tenth), precision_in_top_tenth; and
        with sizes partial_tau_given_size.

    Raises:
        RankingError: as for ``pairwise_accuracy``; a k, resamples or level out of bounds.

    >>> agreement = rank_agreement(range(50), range(50))
    >>> str(agreement["kendall_tau"]), agreement["kendall_tau"].n
    ('1.000 [1.000, 1.000]', 50)
    """
    found = compare_rankings({"": [predicted]}, truth, size=size, k=k, resamples=resamples, seed=seed, level=level)
    return found.estimates[""]


@frozen
class Comparison:
    """Agreement of several ways of scoring with one truth.

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
    size: ArrayLike | None = None,
    k: int = 10,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Comparison:
    """Return the figures of several ways of scoring, each a mean over its lists, and their differences, with intervals.

    A resample draws n architectures with replacement, and as many lists of each way as it has, list i of one way
    together with list i of the others where they have equally many: so the interval of a difference is paired.
    Else as for ``rank_agreement``.

    Args:
        ways: score lists by the way's name, such as the supernets of one sampler, one a seed.
        truth: as for ``pairwise_accuracy``.
        size, k, resamples, seed, level: as for ``rank_agreement``.

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
    ranked = {name: [_ranked(one, truth)[0] for one in lists] for name, lists in ways.items()}
    y = _ranked(truth, truth)[1]
    sizes = None if size is None else _ranked(size, truth, name="size")[0]
    n = len(y)
    whole = _Truth.of(y, sizes, k)
    each = {name: [_figures(x, whole) for x in lists] for name, lists in ranked.items()}
    drawn: dict[str, list[dict[str, float]]] = {name: [] for name in ranked}
    for resample in range(resamples if n else 0):
        chosen = stream(seed, "bootstrap", resample).integers(n, size=n)
        judge = _Truth.of(y[chosen], None if sizes is None else sizes[chosen], k)
        for name, lists in ranked.items():
            of = (
                [0]
                if len(lists) == 1
                else stream(seed, "bootstrap lists", resample).integers(len(lists), size=len(lists))
            )
            figures = {which: _figures(lists[which][chosen], judge) for which in set(of)}
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


@frozen(eq=False)
class _Truth:
    """What several lists are held against, with what of it is the same for them all.

    Attributes:
        y: ranks of the truths.
        k: as for ``precision_at_top``.
        half, tenth: who is in the better half and in the best tenth.
        sizes: ranks of the sizes, if there are any.
        tau_of_size: of truths and sizes.
    """

    y: Ints
    k: int
    half: NDArray[np.intp]
    tenth: NDArray[np.intp]
    sizes: Ints | None
    tau_of_size: float

    @classmethod
    def of(cls, y: Ints, sizes: Ints | None, k: int) -> _Truth:
        tau = math.nan if sizes is None else _tau(y, sizes)
        return cls(y, k, _best(y, 0.5), _best(y, 0.1), sizes, tau)


def _figures(x: Ints, truth: _Truth) -> dict[str, float]:
    y = truth.y
    pairs = count_pairs(x, y)
    tau = _tau_of(pairs)
    figures = (
        _accuracy_of(pairs),
        tau,
        _spearman(x, y),
        _precision_at_top(x, y, truth.k),
        _tau(x[truth.half], y[truth.half]),
        _tau(x[truth.tenth], y[truth.tenth]),
        _precision_in_top(x, y, 0.1),
        *(() if truth.sizes is None else (_partial_tau(tau, _tau(x, truth.sizes), truth.tau_of_size),)),
    )
    return dict(zip(FIGURES, figures, strict=False))


def _accuracy_of(pairs: PairCounts) -> float:
    differing = pairs.total - pairs.tied_y
    tied_in_prediction_alone = pairs.tied_x - pairs.tied_both
    return (pairs.concordant + tied_in_prediction_alone / 2) / differing if differing else math.nan


def _tau_of(pairs: PairCounts) -> float:
    untied_x, untied_y = pairs.total - pairs.tied_x, pairs.total - pairs.tied_y
    if not untied_x or not untied_y:
        return math.nan
    return (pairs.concordant - pairs.discordant) / math.sqrt(untied_x * untied_y)


def _tau(x: Ints, y: Ints) -> float:
    return _tau_of(count_pairs(x, y))


def _partial_tau(xy: float, xz: float, yz: float) -> float:
    unexplained = (1 - xz * xz) * (1 - yz * yz)
    # a tau of rounding error's distance from 1 is 1
    return (xy - xz * yz) / math.sqrt(unexplained) if unexplained > 1e-12 else math.nan


def _share_of(n: int, share: float) -> int:
    """A share of n, rounded up, but not for the rounding error of the share: a tenth of 30 is 3."""
    return math.ceil(round(n * share, 9))


def _best(y: Ints, share: float) -> NDArray[np.intp]:
    """The places of the best share of all, and of those that tie with the last of them."""
    if not len(y):
        return np.arange(0)
    k = _share_of(len(y), share)
    return np.flatnonzero(y >= np.partition(y, len(y) - k)[len(y) - k])


def _better_tau(x: Ints, y: Ints, share: float) -> float:
    best = _best(y, share)
    return _tau(x[best], y[best])


def _precision_at_top(x: Ints, y: Ints, k: int) -> float:
    if len(x) < k:
        return math.nan
    return float(_chance_in_top(x, k) @ _chance_in_top(y, k)) / k


def _precision_in_top(x: Ints, y: Ints, share: float) -> float:
    return _precision_at_top(x, y, _share_of(len(x), share)) if len(x) > 1 else math.nan


def _chance_in_top(ranks: Ints, k: int) -> NDArray[np.float64]:
    """Return the chance that each is among the k largest when ties are broken at random."""
    counts = np.bincount(ranks)
    above = len(ranks) - np.cumsum(counts)
    return np.clip((k - above) / np.maximum(counts, 1), 0, 1)[ranks]


def _ranked(predicted: ArrayLike, truth: ArrayLike, name: str = "predicted") -> tuple[Ints, Ints]:
    """Both lists as integers 0, 1, ... in the order of their scores, equal ones for equal scores."""
    x, y = _scores(name, predicted), _scores("truth", truth)
    if len(x) != len(y):
        raise RankingError(f"{name} has {len(x)} scores and truth {len(y)}; each architecture needs one in both")
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
