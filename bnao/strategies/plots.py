"""A search's picture: scores against size, and updates against Eq. 4.

It needs matplotlib: ``pip install 'bnao[plot]'``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bnao.pictures import COLOURS, canvas, titled
from bnao.strategies.front import Front, cost_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bnao.strategies.result import Ranked, SearchResult


def search_figure(result: SearchResult) -> Figure:
    """Plot each genotype's score against its size, by round, and where paths were trained its updates beside Eq. 4.

    Of a search for a front a last panel shows it.

    Raises:
        BnaoError: matplotlib is not installed.
    """
    trained = [entry for entry in result.ranked if entry.expected_updates > 0]
    figure, panels = canvas(1 + bool(trained) + (result.front is not None), width=1.2)
    rounds = sorted({entry.round for entry in result.ranked})
    for number, colour in zip(rounds, COLOURS * len(rounds), strict=False):
        own = [entry for entry in result.ranked if entry.round == number]
        sizes, scores = [entry.parameters / 1e3 for entry in own], [entry.score for entry in own]
        panels[0].scatter(sizes, scores, s=14, color=colour, linewidths=0, alpha=0.7, label=f"round {number}")
    titled(panels[0], f"{len(result.ranked):,} genotypes of {result.space}", "parameters (thousands)", "score")
    panels[0].legend(fontsize=7, frameon=False)
    if trained:
        expected, updates = ([getattr(entry, name) for entry in trained] for name in ("expected_updates", "updates"))
        panels[1].scatter(expected, updates, s=14, color=COLOURS[0], linewidths=0, alpha=0.7)
        panels[1].plot([0, max(expected)], [0, max(expected)], color="grey", linewidth=1)
        titled(panels[1], "line: as Eq. 4 expects", "updates expected", "updates")
    if result.front is not None:
        _draw_front(result.front, result.ranked, panels[-1])
    return figure


def _draw_front(front: Front, ranked: Sequence[Ranked], panel: Axes) -> None:
    """Draw all genotypes by score and cost, and the best score within a budget as a line."""
    costs = [cost_of(entry, front.cost) for entry in ranked]
    panel.scatter(costs, [entry.score for entry in ranked], s=14, color="grey", linewidths=0, alpha=0.5)
    members = front.entries[::-1]
    at, scores = [cost_of(entry, front.cost) for entry in members], [entry.score for entry in members]
    ends = [*at, front.reference[1]], [*scores, scores[-1]]
    panel.plot(*ends, drawstyle="steps-post", color=COLOURS[0], linewidth=1)
    panel.scatter(at, scores, s=18, color=COLOURS[1], linewidths=0, zorder=3)
    unit = " (ms)" if front.cost == "latency" else ""
    titled(panel, f"front of {len(members)} genotypes", f"{front.cost}{unit}", "score")
