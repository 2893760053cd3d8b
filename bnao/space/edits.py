"""Genotypes that are one edit away: a step of local search, and what ``bnao neighbours`` prints."""

from __future__ import annotations

import numpy as np

from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace


def neighbours(genotype: Genotype, space: SearchSpace) -> list[Genotype]:
    """Return all genotypes that differ from this one in the source or the operation of one edge.

    Args:
        genotype: a genotype of the space.
        space: which sources and operations there are.

    Returns:
        Distinct genotypes, never the given one, in the order of the cells, nodes and edges that change. A node's edges
        have no order, so a change of either of two equal edges is one neighbour.

    Raises:
        GenotypeError: a genotype of another space.

    >>> from bnao.space.spaces import SPACES
    >>> space = SPACES["nas-bench-201"]
    >>> cell = space.random_genotypes(1, np.random.default_rng(0))[0]
    >>> len(neighbours(cell, space))  # 4 other operations on each of 6 edges
    24
    """
    genotype = space.check(genotype)
    # edges of all cells in order, each (source, operation's number)
    edges = space.encode([genotype]).reshape(space.cells * len(space.places), 2)
    changed = []
    for index, (source, number) in enumerate(edges.tolist()):
        sources = space.sources(*space.places[index % len(space.places)])
        others = [(other, number) for other in sources if other != source]
        others += [(source, other) for other in range(len(space.operations)) if other != number]
        for edge in others:
            copy = edges.copy()
            copy[index] = edge
            changed.append(copy)
    if not changed:
        return []
    found = dict.fromkeys(space.decode(np.stack(changed)))
    return [other for other in found if other != genotype]
