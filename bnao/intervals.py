"""Confidence intervals of a mean of few values, by Student's t."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

# two-sided 95 % quantiles of Student's t by degrees of freedom, from 1; beyond them the normal's
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
_NORMAL = 1.96


def t_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval of a mean by Student's t; None of fewer than two values.

    >>> low, high = t_interval([1.0, 3.0])
    >>> round(low, 3), round(high, 3)  # 2 -+ 12.706 x 1.414 / 1.414
    (-10.706, 14.706)
    """
    n = len(values)
    if n < 2:
        return None
    quantile = _T[n - 2] if n - 2 < len(_T) else _NORMAL
    mean, half = statistics.fmean(values), quantile * statistics.stdev(values) / n**0.5
    return mean - half, mean + half
