"""The end of every search: the genotypes it found with their sizes, joined with other scores, trained alone, ranked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from bnao.config.settings import SearchConfig
from bnao.protocols import Listener
from bnao.space.genotype import Genotype
from bnao.strategies.front import Front, rank_by_front, with_trainings
from bnao.strategies.fusion import Fuse
from bnao.strategies.result import Ranked, rank_by_fusion, rank_by_training

#: a genotype's accuracy after a short training of its own
Rerank = Callable[[Genotype], float]


class Accuracies(Protocol):
    """Keeps the accuracies of the short trainings, by the genotype's text."""

    def reranked(self) -> dict[str, float]:
        """Return those that are known."""
        ...

    def keep_reranked(self, accuracies: Mapping[str, float]) -> None:
        """Keep them."""
        ...


def final_ranking(
    ranked: Sequence[Ranked],
    config: SearchConfig,
    journal: Accuracies,
    rerank: Rerank | None,
    fuse: Fuse | None,
    listen: Listener,
) -> tuple[list[Ranked], Mapping[str, Any] | None]:
    """Rank what a search found by joined scores and by short trainings, where it is asked to.

    Args:
        ranked: best first.
        config: the first ``config.top`` are trained alone; of a search for a front, as many of its members, which
            keep their order.
        journal: knows the trainings that were finished before.
        rerank: None: none is trained alone.
        fuse: None: nothing is joined.
        listen: is told of each training.

    Returns:
        The final ranking, and what the result says of joined scores; None where there are none.
    """
    entries, about = list(ranked), None
    if fuse is not None:
        fusion = fuse([entry.genotype for entry in entries], np.array([entry.score for entry in entries]), listen)
        entries, about = rank_by_fusion(entries, fusion), fusion.to_json()
    if config.pareto is not None:
        entries = rank_by_front(entries, config.pareto)
        if rerank is not None:
            some = Front.of(entries, config.pareto).spread(config.top)
            entries = with_trainings(entries, _accuracies(some, journal, rerank, listen))
    elif rerank is not None:
        best = entries[: config.top]
        entries = rank_by_training(entries, _accuracies(best, journal, rerank, listen), len(best))
    return entries, about


def _accuracies(best: Sequence[Ranked], journal: Accuracies, rerank: Rerank, listen: Listener) -> dict[str, float]:
    """Return the accuracies of some genotypes' own short trainings, by their texts."""
    accuracies = journal.reranked()
    for number, entry in enumerate(best, start=1):
        text = str(entry.genotype)
        if text not in accuracies:
            accuracies[text] = rerank(entry.genotype)
            journal.keep_reranked(accuracies)
        listen({"event": "rerank", "trained": number, "of": len(best), "accuracy": accuracies[text]})
    return accuracies
