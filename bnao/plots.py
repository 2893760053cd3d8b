"""A study's pictures: one-shot against stand-alone scores, accuracy along the epochs, updates, ranks gained.

They need matplotlib: ``pip install 'bnao[plot]'``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bnao.errors import BnaoError, WriteError
from bnao.study import RankingStudy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HINT = "pictures need matplotlib: pip install 'bnao[plot]'"
FORMATS = ("svg", "png")

# of the Okabe-Ito palette, which the colour-blind can tell apart
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_COLUMN = 3.2  # inches


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def canvas(columns: int = 1, rows: int = 1, width: float = 1.0) -> tuple[Figure, list[Axes]]:
    """An empty figure and its panels, from left to right and top to bottom.

    Raises:
        BnaoError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise BnaoError(HINT) from None
    figure = Figure(figsize=(_COLUMN * columns * width, 2.7 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for panel in panels.flat:
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
    return figure, list(panels.flat)


def titled(panel: Axes, title: str, x: str, y: str) -> None:
    """Give a panel its words."""
    panel.set_title(title, fontsize=9)
    panel.set_xlabel(x, fontsize=8)
    panel.set_ylabel(y, fontsize=8)


def save(figures: Mapping[str, Figure], folder: Path, kind: str = "svg") -> list[Path]:
    """Write figures as NAME.svg or NAME.png, the same bytes for the same figure.

    Raises:
        WriteError: the folder cannot be written.
    """
    import matplotlib

    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            paths.append(folder / f"{name}.{kind}")
            with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
                metadata = {"Date": None} if kind == "svg" else {}
                figure.savefig(paths[-1], dpi=150, metadata=metadata)
    except OSError as error:
        raise WriteError(f"cannot write pictures into {folder}: {error.strerror}") from None
    return paths


def ranking_figures(study: RankingStudy) -> dict[str, Figure]:
    """The pictures of a ranking study by name."""
    return {
        "scores": scores_figure(study),
        "accuracy": accuracy_figure(study),
        "updates": updates_figure(study),
        "ranks": ranks_figure(study),
    }


def scores_figure(study: RankingStudy) -> Figure:
    """One-shot against stand-alone scores at the last mark, mean over seeds, one panel a sampler, size as colour."""
    figure, panels = canvas(len(study.arms))
    last = study.marks[-1]
    found = study.comparisons[last]
    points: Any = None
    for panel, arm in zip(panels, study.arms, strict=True):
        scores = study.scores(arm, last).mean(0)
        few = len(scores) <= 100
        points = panel.scatter(
            100 * scores, _percent(study.truth), c=study.sizes / 1e3, s=16 if few else 5, cmap="viridis", linewidths=0
        )
        tau = found.estimates[str(arm)]["kendall_tau"]
        titled(panel, f"{arm}: Kendall {tau}", f"one-shot accuracy after {last} epochs (%)", "stand-alone accuracy (%)")
    bar = figure.colorbar(points, ax=panels)
    bar.set_label("size (thousands)", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return figure


def accuracy_figure(study: RankingStudy) -> Figure:
    """Pairwise accuracy against epochs with 95 % bands (Table 6), and the difference from the first sampler."""
    figure, panels = canvas(2)
    found = study.comparisons
    name = "pairwise_accuracy"
    for arm, colour in zip(study.arms, _colours(study.arms), strict=True):
        estimates = [found[epochs].estimates[str(arm)][name] for epochs in study.marks]
        _band(panels[0], study.marks, estimates, colour, str(arm))
    reliability = study.reliability.get(name)
    if reliability is not None:
        panels[0].axhline(100 * reliability.value, color="grey", linestyle=":", linewidth=1)
        panels[0].annotate(
            "two seeds of the truth", (study.marks[-1], 100 * reliability.value), fontsize=7, ha="right", va="bottom"
        )
    panels[0].axhline(50, color="lightgrey", linewidth=1)
    titled(panels[0], "order of pairs", "supernet epochs", "pairwise accuracy (%)")
    panels[0].legend(fontsize=7, frameon=False)
    first, *others = study.arms
    for arm, colour in zip(others, _colours(study.arms)[1:], strict=True):
        _band(panels[1], study.marks, [found[e].differences[str(arm)][name] for e in study.marks], colour, str(arm))
    panels[1].axhline(0, color="lightgrey", linewidth=1)
    titled(panels[1], f"less {first} (paired)", "supernet epochs", "difference (percentage points)")
    panels[1].legend(fontsize=7, frameon=False)
    return figure


def updates_figure(study: RankingStudy) -> Figure:
    """Updates each genotype got, mean over seeds, against its size, with what Eq. 4 expects as a line."""
    figure, panels = canvas(1, width=1.4)
    order = np.argsort(study.sizes)
    for arm, colour in zip(study.arms, _colours(study.arms), strict=True):
        own = [supernet for supernet in study.supernets if supernet.arm == arm]
        updates = np.mean([supernet.updates for supernet in own], axis=0)
        panels[0].scatter(study.sizes / 1e3, updates, s=8, color=colour, linewidths=0, alpha=0.6)
        panels[0].plot(study.sizes[order] / 1e3, own[0].expected[order], color=colour, linewidth=1, label=str(arm))
    panels[0].set_ylim(bottom=0)
    titled(panels[0], "line: Eq. 4; points: mean over seeds", "size (thousands)", "updates of the path")
    panels[0].legend(fontsize=7, frameon=False)
    return figure


def ranks_figure(study: RankingStudy) -> Figure:
    """Ranks gained under one-shot scores against size, at the first and last mark; a slope favours small or large."""
    from bnao.ranking import spearman

    marks = tuple(dict.fromkeys((study.marks[0], study.marks[-1])))
    figure, panels = canvas(len(marks))
    true = _ranks(study.truth)
    for panel, epochs in zip(panels, marks, strict=True):
        for arm, colour in zip(study.arms, _colours(study.arms), strict=True):
            gained = _ranks(study.scores(arm, epochs).mean(0)) - true
            slope = spearman(study.sizes, gained)
            few = len(gained) <= 100
            panel.scatter(
                study.sizes / 1e3, gained, s=12 if few else 4, color=colour, linewidths=0, alpha=0.6,
                label=f"{arm}: Spearman {slope:+.2f}",
            )  # fmt: skip
        panel.axhline(0, color="lightgrey", linewidth=1, zorder=0)
        titled(panel, f"after {epochs} epochs", "size (thousands)", "ranks gained under one-shot")
        panel.legend(fontsize=7, frameon=False)
    return figure


def _band(panel: Axes, x: Sequence[float], estimates: Sequence[Any], colour: str, label: str) -> None:
    """A line of estimates in percent and the band of their intervals."""
    value, low, high = ([100 * getattr(e, part) for e in estimates] for part in ("value", "low", "high"))
    panel.plot(x, value, color=colour, marker="o", markersize=3, linewidth=1.2, label=label)
    panel.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)


def _colours(things: Sequence[object]) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(len(things))]


def _percent(accuracies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Accuracies in percent, whether given as shares or in percent already."""
    return accuracies * 100 if accuracies.max() <= 1 else accuracies


def _ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 for the worst; tied ones share the mean of their ranks."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean: NDArray[np.float64] = (np.cumsum(counts) - (counts + 1) / 2)[place]
    return mean
