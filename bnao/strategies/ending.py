"""The end of every search: the genotypes it found with their sizes, joined with other scores, trained alone, ranked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from bnao.config.settings import SearchConfig
from bnao.protocols import Listener
from bnao.space.genotype import Genotype
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
        config: the first ``config.top`` are trained alone.
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
    if rerank is not None:
        entries = _reranked(entries, config.top, journal, rerank, listen)
    return entries, about


def _reranked(
    ranked: Sequence[Ranked], top: int, journal: Accuracies, rerank: Rerank, listen: Listener
) -> list[Ranked]:
    """Return the top by their own short training, then the others."""
    best, accuracies = ranked[:top], journal.reranked()
    for number, entry in enumerate(best, start=1):
        text = str(entry.genotype)
        if text not in accuracies:
            accuracies[text] = rerank(entry.genotype)
            journal.keep_reranked(accuracies)
        listen({"event": "rerank", "trained": number, "of": len(best), "accuracy": accuracies[text]})
    return rank_by_training(ranked, accuracies, len(best))
