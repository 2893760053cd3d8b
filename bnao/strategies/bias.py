"""Bias of a search's ranking towards size and parameter-free operations (Sec. 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import frozen

from bnao.metrics import Estimate, rank_agreement
from bnao.network.costs import is_free
from bnao.space.genotype import Genotype
from bnao.strategies.result import SearchResult


@frozen
class SizeBias:
    """Correlation of a search's scores with size, and the share of parameter-free operations in its best genotypes.

    Attributes:
        by_size: Kendall's tau of score and size over all scored genotypes, with its bootstrap interval; below 0 where
            scores favour the small.
        top: how many of the best are looked at.
        free_in_top: share of edges without parameters (identities, pools, none) in these, in [0, 1].
        free_in_pool: the same in the first pool.
    """

    by_size: Estimate
    top: int
    free_in_top: float
    free_in_pool: float

    def to_json(self) -> dict[str, Any]:
        """Return plain data; an undefined value is null."""
        return {
            "kendall_tau_of_score_and_size": self.by_size.to_json(),
            "top": self.top,
            "parameter_free_edges_in_top": self.free_in_top,
            "parameter_free_edges_in_first_pool": self.free_in_pool,
        }


def parameter_free_share(genotypes: Sequence[Genotype]) -> float:
    """Return the share of edges whose operation has no parameters at stride 1, over all cells, in [0, 1].

    An identity counts among them, though as a factorized reduce (stride 2) it has parameters.

    >>> from bnao.space.zoo import published_cell
    >>> parameter_free_share([published_cell("NAONet-V2").genotype])
    0.35
    """
    free = [
        is_free(edge.operation)
        for genotype in genotypes
        for cell in genotype.cells
        for node in cell.nodes
        for edge in node.edges
    ]
    return float(np.mean(free))


def size_bias(result: SearchResult, top: int, *, resamples: int = 200) -> SizeBias:
    """Measure how far a search's ranking goes with size.

    Paper: Sec. 3.3, where one-shot scores favour small networks of operations without parameters.

    Args:
        result: the search's.
        top: how many of its best to look at, >= 1.
        resamples: behind the interval.

    >>> from bnao.strategies.result import Ranked
    >>> from bnao.space.spaces import SPACES
    >>> from bnao.streams import stream
    >>> pool = SPACES["nao"].random_genotypes(3, stream(0, "example"))
    >>> scored = [Ranked(g, 0.9 - at / 10, None, 10.0 + at, 10, 10, 1, 0, 0.0) for at, g in enumerate(pool)]
    >>> size_bias(SearchResult("nao", 0, tuple(scored)), top=1).by_size.value
    -1.0
    """
    scores = [entry.score for entry in result.ranked]
    found = rank_agreement([entry.size for entry in result.ranked], scores, resamples=resamples)
    best = [entry.genotype for entry in result.ranked[:top]]
    pool = [entry.genotype for entry in result.ranked if entry.round == 1]
    return SizeBias(found["kendall_tau"], len(best), parameter_free_share(best), parameter_free_share(pool))
