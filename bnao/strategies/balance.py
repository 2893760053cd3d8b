"""The updates of a search against what Eq. 4 expects of them: whether the sampler did what it should."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from attrs import frozen

from bnao.run import round_off
from bnao.strategies.result import Ranked

# updates that a class must be expected to have; below, a normal deviation says nothing (Cochran's rule)
_LEAST = 1.0


@frozen
class Balance:
    """Deviation of a search's updates from the expectation of Eq. 4.

    Attributes:
        steps: all updates.
        chi_square: the sum of (updates - expected)^2 / expected.
        degrees: its degrees of freedom; the two are about equal if the sampler does what it should.
        largest: the largest deviation of a genotype, in standard deviations of its count.

    The rarest genotypes of a round are counted together until they are expected to be drawn once.
    """

    steps: int
    chi_square: float
    degrees: int
    largest: float

    def to_json(self) -> dict[str, Any]:
        """Return plain data, rounded."""
        return attrs.asdict(self) | {"chi_square": round_off(self.chi_square), "largest": round_off(self.largest)}


def balance(ranked: Sequence[Ranked]) -> Balance | None:
    """Compare the updates of a search's genotypes with Eq. 4; None where nothing was trained.

    In each round the updates sum to its steps, which takes one degree of freedom.

    Args:
        ranked: all genotypes of the search, in any order.

    >>> from bnao.space.zoo import published_cell
    >>> cell = published_cell("NAONet-V2").genotype
    >>> balance([Ranked(cell, 0.5, None, size, 1, 1, 1, n, e) for size, n, e in [(1.0, 12, 10.0), (1.0, 8, 10.0)]])
    Balance(steps=20, chi_square=0.8, degrees=1, largest=0.6324555320336759)
    """
    trained = [entry for entry in ranked if entry.expected_updates > 0]
    classes: list[list[Ranked]] = []
    for entry in sorted(trained, key=lambda entry: (entry.round, entry.expected_updates)):
        if not classes or classes[-1][0].round != entry.round or _expected(classes[-1]) >= _LEAST:
            classes.append([])
        classes[-1].append(entry)
    degrees = len(classes) - len({entry.round for entry in trained})
    if degrees < 1:
        return None
    updates = np.array([sum(entry.updates for entry in each) for each in classes], dtype=np.float64)
    expected = np.array([_expected(each) for each in classes])
    deviations = (updates - expected) / np.sqrt(expected)
    largest = float(deviations[np.abs(deviations).argmax()])
    return Balance(int(updates.sum()), float((deviations**2).sum()), degrees, largest)


def _expected(some: Sequence[Ranked]) -> float:
    return sum(entry.expected_updates for entry in some)
