"""Sampling of the architecture that the supernet trains at each step (Sec. 4): in proportion to its size.

The samplers are generic over what they draw and know nothing of networks: items and sizes are enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bnao.errors import SizeError
from bnao.streams import stream, uniforms

T = TypeVar("T")

# a cycle is held in memory; a longer one would not fit, and no run makes so many steps
_LONGEST_CYCLE = 10**8

# iteration draws this many steps at once; the steps' values do not depend on it
_BLOCK = 4096


def checked_sizes(sizes: ArrayLike) -> NDArray[np.float64]:
    """Return sizes as float64, shape (n,), n >= 1.

    Raises:
        SizeError: none, not one row of numbers, or one that is not finite and positive.
    """
    try:
        values = np.asarray(sizes, dtype=np.float64)
    except (TypeError, ValueError):
        raise SizeError("sizes are not all numbers; every size must be finite and > 0") from None
    if values.ndim != 1:
        raise SizeError(f"sizes have shape {values.shape}; they must be one row, shape (n,)")
    if not len(values):
        raise SizeError("no sizes; a sampler needs at least one item")
    wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if len(wrong):
        raise SizeError(f"sizes[{wrong[0]}] is {values[wrong[0]]:g}; every size must be finite and > 0")
    return values


def proportional_probabilities(sizes: ArrayLike, alpha: float = 1.0) -> NDArray[np.float64]:
    """Return the chance of each architecture to be trained at a step, in proportion to its size.

    Paper: Eq. 3, for ``alpha`` 1.

    Args:
        sizes: shape (n,), n >= 1; parameter counts, finite and > 0. Any unit: only ratios matter.
        alpha: the power of the size; 1 is the paper's law, 0 draws uniformly.

    Returns:
        Shape (n,), float64, summing to 1.

    Raises:
        SizeError: no sizes, or one that is not finite and positive; an alpha that is not finite.

    >>> proportional_probabilities([1, 3]).tolist()
    [0.25, 0.75]
    """
    values = checked_sizes(sizes)
    if not np.isfinite(alpha):
        raise SizeError(f"alpha is {alpha}; it must be finite (1 is the paper's law, 0 is uniform)")
    # only ratios matter: against the largest, no power overflows
    logarithms = alpha * np.log(values)
    weights = np.exp(logarithms - logarithms.max())
    probabilities: NDArray[np.float64] = weights / weights.sum()
    return probabilities


class ProportionalSampler(Generic[T]):
    """Draws items in proportion to their sizes, for ever; the draw of a step is a function of seed and step.

    Paper: Eqs. 3 and 4. Nothing is remembered between draws: step 4711 can be asked for alone, a resumed
    run resumes with the same draws, and workers that share a seed agree without talking.

    Args:
        items: what is drawn: genotypes, layer choices, indices, anything.
        sizes: shape (n,), one for each item, finite and > 0.
        seed: any integer.
        alpha: the power of the size; 1 is the paper's law, 0 draws uniformly.

    Raises:
        SizeError: no items, not one size for each, or a size that is not finite and positive.

    >>> sampler = ProportionalSampler(["small", "large"], sizes=[1, 3], seed=0)
    >>> sampler
    ProportionalSampler(2 items, chances 0.25 to 0.75, seed 0)
    >>> sampler.probabilities.tolist(), sampler.expected(1000).tolist()
    ([0.25, 0.75], [250.0, 750.0])
    >>> sampler.draw(1, start=4711).tolist() == sampler.draw(5000)[4711:4712].tolist()
    True
    """

    def __init__(self, items: Sequence[T], sizes: ArrayLike, seed: int = 0, alpha: float = 1.0) -> None:
        self.items = items
        self.seed = seed
        self._probabilities = proportional_probabilities(sizes, alpha)
        if len(items) != len(self._probabilities):
            raise SizeError(f"{len(items)} items but {len(self._probabilities)} sizes; each item needs one size")
        self._upper = np.cumsum(self._probabilities)
        self._upper[-1] = 1.0  # the sum of fractions may round to less, and no draw may fall behind it

    def __repr__(self) -> str:
        low, high = self._probabilities.min(), self._probabilities.max()
        return f"{type(self).__name__}({len(self.items)} items, chances {low:.3g} to {high:.3g}, seed {self.seed})"

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """The chance of each item at a step (Eq. 3), shape (n,), summing to 1."""
        return self._probabilities.copy()

    def expected(self, steps: int) -> NDArray[np.float64]:
        """Return the number of steps each item is expected to get (Eq. 4), shape (n,)."""
        return steps * self._probabilities

    def draw(self, n: int, start: int = 0) -> NDArray[np.int64]:
        """Return the indices of the items drawn at steps start .. start + n - 1, shape (n,).

        Raises:
            ValueError: n or start is negative.
        """
        if n < 0 or start < 0:
            raise ValueError(f"draw(n={n}, start={start}): both must be >= 0")
        return self._upper.searchsorted(uniforms(self.seed, "draw", n, start), side="right")

    def __iter__(self) -> Iterator[T]:
        """Yield the items drawn at steps 0, 1, 2, ... without end."""
        start = 0
        while True:
            for index in self.draw(_BLOCK, start).tolist():
                yield self.items[index]
            start += _BLOCK


class UniformSampler(ProportionalSampler[T]):
    """Draws every item equally often, whatever its size: what Eq. 3 is compared with.

    The paper's NAO-WS draws so as well, but differs in more than its sampler: pool, rounds, learning rate, whom later
    rounds train, and controller.

    >>> UniformSampler("abcd").probabilities.tolist()
    [0.25, 0.25, 0.25, 0.25]
    """

    def __init__(self, items: Sequence[T], sizes: ArrayLike | None = None, seed: int = 0, alpha: float = 0.0) -> None:
        if sizes is not None:
            checked_sizes(sizes)
        super().__init__(items, np.ones(len(items)) if sizes is None else sizes, seed, 0.0)


class BudgetSampler(ProportionalSampler[T]):
    """Gives every item a fixed budget of steps in proportion to its size, in random order.

    Paper: Eq. 2, T_i = T_base x size(x_i) / size(smallest). In each cycle every item gets exactly its
    budget; where the budgets are not whole numbers, the largest remainders are rounded up.

    Args:
        cycle: steps of a cycle, over which the budgets hold exactly; by default the smallest item gets one.

    >>> sampler = BudgetSampler("ab", sizes=[1, 3], cycle=8)
    >>> sorted(sampler.draw(8).tolist())
    [0, 0, 1, 1, 1, 1, 1, 1]
    """

    def __init__(
        self,
        items: Sequence[T],
        sizes: ArrayLike,
        seed: int = 0,
        alpha: float = 1.0,
        cycle: int | None = None,
    ) -> None:
        super().__init__(items, sizes, seed, alpha)
        if cycle is None:
            cycle = max(1, round(1 / max(self._probabilities.min(), 1e-300)))  # it may have come out as 0
        if cycle < 1:
            raise ValueError(f"cycle is {cycle}; it must be >= 1")
        if cycle > _LONGEST_CYCLE:
            raise SizeError(
                f"a cycle of {cycle:.3g} steps, in which the smallest of these sizes gets one, is too long; "
                f"give cycle, at most {_LONGEST_CYCLE}"
            )
        self.budgets = _apportioned(self._probabilities, cycle)
        self._cycle = np.repeat(np.arange(len(items)), self.budgets)

    def draw(self, n: int, start: int = 0) -> NDArray[np.int64]:
        """Return the indices of the items drawn at steps start .. start + n - 1, shape (n,)."""
        if n < 0 or start < 0:
            raise ValueError(f"draw(n={n}, start={start}): both must be >= 0")
        length = len(self._cycle)
        cycles = range(start // length, (start + n - 1) // length + 1)
        drawn = [stream(self.seed, "budget", cycle).permutation(self._cycle) for cycle in cycles]
        skip = start % length
        return np.concatenate([np.empty(0, np.int64), *drawn])[skip : skip + n]


def _apportioned(shares: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """Return integers in these shares that sum to the total: the largest remainders are rounded up."""
    exact = shares * total
    whole = np.floor(exact).astype(np.int64)
    missing = total - int(whole.sum())
    whole[np.argsort(whole - exact, kind="stable")[:missing]] += 1
    return whole


SAMPLERS: dict[str, type[ProportionalSampler[Any]]] = {
    "proportional": ProportionalSampler,
    "uniform": UniformSampler,
    "budget": BudgetSampler,
}


def sampler_of_round(
    name: str, items: Sequence[T], sizes: ArrayLike, *, seed: int, alpha: float, round_index: int, steps: int
) -> ProportionalSampler[T]:
    """Return the sampler of a name that draws the items of a round's steps.

    Args:
        name: one of ``SAMPLERS``.
        items, sizes, alpha: as for ``ProportionalSampler``.
        seed: the search's; each round has draws of its own.
        round_index: 0-based.
        steps: of the round; a budget's cycle.

    >>> sampler_of_round("budget", "ab", [1, 3], seed=0, alpha=1.0, round_index=0, steps=8).budgets.tolist()
    [2, 6]
    """
    own = int(stream(seed, "sampler", round_index).integers(2**63))
    if name == "budget":
        return BudgetSampler(items, sizes, own, alpha, cycle=max(1, steps))
    return SAMPLERS[name](items, sizes, own, alpha)
