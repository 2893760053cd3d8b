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

from bnao.errors import RunError, WriteError
from bnao.pictures import COLOURS, HINT, canvas, titled
from bnao.studies.agreement import AgreementStudy
from bnao.studies.controllers import ControllersStudy
from bnao.studies.predictor import PredictorStudy
from bnao.studies.ranking import ALONE, RankingStudy
from bnao.studies.sets import RankingSets
from bnao.studies.size import SizeCorrelation
from bnao.studies.truth import SETS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "HINT", "Study", "can_draw", "figures_of", "save", "study_of"]

#: what the studies find
Study = RankingStudy | RankingSets | ControllersStudy | PredictorStudy | AgreementStudy | list[SizeCorrelation]

FORMATS = ("svg", "png")


def can_draw() -> bool:
    """Return whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


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
    """Return the pictures of a ranking study by name."""
    return {
        "scores": scores_figure(study),
        "accuracy": accuracy_figure(study),
        "updates": updates_figure(study),
        "ranks": ranks_figure(study),
    }


def study_of(content: Mapping[str, Any]) -> Study:
    """Read a study of any kind from the content of its file.

    Raises:
        RunError: a kind that is not known, or a comparison of methods, which has no pictures.
    """
    kind = content.get("kind")
    if kind == "ranking":
        return RankingStudy.from_json(content)
    if kind == SETS:
        return RankingSets.from_json(content)
    if kind == "controllers":
        return ControllersStudy.from_json(content)
    if kind == "predictor":
        return PredictorStudy.from_json(content)
    if kind == "size":
        return [SizeCorrelation.from_json(table) for table in content["tables"]]
    if kind == "agreement":
        return AgreementStudy.from_json(content)
    if kind is None and "methods" in content:
        raise RunError("a comparison of methods has no pictures of its own; bnao report draws one on its page")
    raise RunError(f"a study of kind {kind!r} has no pictures")


def figures_of(study: Study) -> dict[str, Figure]:
    """Return the pictures of a study by name; a comparison of published scores has none."""
    if isinstance(study, RankingStudy):
        return ranking_figures(study)
    if isinstance(study, RankingSets):
        return {
            f"{sizes}-{name}": figure
            for sizes, one in study.studies.items()
            for name, figure in ranking_figures(one).items()
        }
    if isinstance(study, ControllersStudy):
        return {"regret": regret_figure(study)}
    if isinstance(study, PredictorStudy):
        return {"predictor": predictor_figure([study])}
    return {} if isinstance(study, AgreementStudy) else {"size": size_figure(study)}


def regret_figure(study: ControllersStudy) -> Figure:
    """Plot regret against queries: the median of the searches, and a band of the 10th to 90th percentile.

    It is the validation regret; of a study.json from before scores were kept, that of test accuracy.
    """
    figure, panels = canvas(1, width=1.5)
    by_score = study.best_score is not None
    for curve, colour in zip(study.curves, _colours(study.curves), strict=True):
        regret = study.optimum - curve.best
        if study.best_score is not None and curve.scores is not None:
            regret = study.best_score - curve.scores
        low, middle, high = np.quantile(regret, [0.1, 0.5, 0.9], axis=0)
        label = f"{curve.controller} ({len(curve.seeds)} searches, rounds of {curve.new})"
        panels[0].plot(curve.queries, middle, color=colour, linewidth=1.2, label=label)
        panels[0].fill_between(curve.queries, low, high, color=colour, alpha=0.15, linewidth=0)
    if not by_score:
        own = study.optimum - study.test_of_best_score
        panels[0].axhline(own, color="grey", linestyle=":", linewidth=1, label="the table's best score itself")
    panels[0].set_xscale("log")
    panels[0].set_ylim(bottom=0)
    titled(panels[0], f"{study.space}: median, 10 to 90 %", "genotypes scored",
           f"{'score' if by_score else 'test accuracy'} short of the best")  # fmt: skip
    panels[0].legend(fontsize=7, frameon=False)
    return figure


def predictor_figure(studies: Sequence[PredictorStudy]) -> Figure:
    """Plot Kendall's tau on held-out genotypes against the training size: the mean and the range over seeds."""
    figure, panels = canvas(1, width=1.3)
    for study, colour in zip(studies, _colours(studies), strict=True):
        x = study.train_sizes
        label = f"{study.controller}, {study.space}"
        panels[0].plot(x, study.tau.mean(0), color=colour, marker="o", markersize=3, linewidth=1.2, label=label)
        panels[0].fill_between(x, study.tau.min(0), study.tau.max(0), color=colour, alpha=0.15, linewidth=0)
    panels[0].set_xscale("log")
    titled(panels[0], "the predictor alone: mean and range", "genotypes learned from", "Kendall tau, held out")
    panels[0].legend(fontsize=7, frameon=False)
    return figure


def size_figure(correlations: Sequence[SizeCorrelation]) -> Figure:
    """Plot Spearman's rho of size and accuracy during training with 95 % bands; a point if there is one epoch."""
    figure, panels = canvas(1, width=2.4)
    for table, colour in zip(correlations, _colours(correlations), strict=True):
        share = [100 * epochs / table.epochs[-1] for epochs in table.epochs]
        value, low, high = ([getattr(e, part) for e in table.spearman] for part in ("value", "low", "high"))
        label = f"{table.name} (n = {table.n:,}, {table.epochs[-1]} epochs)"
        panels[0].plot(share, value, color=colour, marker="o", markersize=3, linewidth=1.2, label=label)
        panels[0].fill_between(share, low, high, color=colour, alpha=0.12, linewidth=0)
    panels[0].axhline(0, color="lightgrey", linewidth=1)
    panels[0].set_xscale("log")
    titled(panels[0], "size and accuracy so far", "share of training done (%)", "Spearman of size and accuracy")
    panels[0].legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def scores_figure(study: RankingStudy) -> Figure:
    """Plot mean one-shot scores at the last mark against stand-alone scores; a panel per sampler, size as colour."""
    figure, panels = canvas(len(study.arms))
    last = study.scored_epochs[-1]
    found = study.comparisons[last]
    points: Any = None
    factor, unit = (100, " (%)") if study.score == "accuracy" else (1, "")
    for panel, arm in zip(panels, study.arms, strict=True):
        scores = study.scores(arm, last).mean(0)
        few = len(scores) <= 100
        points = panel.scatter(
            factor * scores,
            _percent(study.truth),
            c=study.sizes / 1e3,
            s=16 if few else 5,
            cmap="viridis",
            linewidths=0,
        )
        tau = found.estimates[str(arm)]["kendall_tau"]
        scored = f"one-shot {study.score} after {last} epochs{unit}"
        titled(panel, f"{arm}: Kendall {tau}", scored, "stand-alone accuracy (%)")
    bar = figure.colorbar(points, ax=panels)
    bar.set_label("size (thousands)", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return figure


def accuracy_figure(study: RankingStudy) -> Figure:
    """Plot pairwise accuracy against epochs with 95 % bands (Table 6), and the difference from the first sampler.

    Short stand-alone trainings have a line of their own.
    """
    figure, panels = canvas(2)
    found, marks = study.comparisons, study.scored_epochs
    name = "pairwise_accuracy"
    for arm, colour in zip(study.arms, _colours(study.arms), strict=True):
        estimates = [found[epochs].estimates[str(arm)][name] for epochs in marks]
        _band(panels[0], marks, estimates, colour, str(arm))
    if study.short:
        short = study.short_comparisons
        estimates = [short[epochs].estimates[ALONE][name] for epochs in study.short_epochs]
        _band(panels[0], study.short_epochs, estimates, "grey", "each alone")
    reliability = study.reliability.get(name)
    if reliability is not None:
        panels[0].axhline(100 * reliability.value, color="grey", linestyle=":", linewidth=1)
        panels[0].annotate(
            "two seeds of the truth",
            (study.scored_epochs[-1], 100 * reliability.value),
            fontsize=7,
            ha="right",
            va="bottom",
        )
    panels[0].axhline(50, color="lightgrey", linewidth=1)
    titled(panels[0], "order of pairs", "epochs" if study.short else "supernet epochs", "pairwise accuracy (%)")
    panels[0].legend(fontsize=7, frameon=False)
    first, *others = study.arms
    for arm, colour in zip(others, _colours(study.arms)[1:], strict=True):
        _band(
            panels[1],
            study.scored_epochs,
            [found[e].differences[str(arm)][name] for e in study.scored_epochs],
            colour,
            str(arm),
        )
    panels[1].axhline(0, color="lightgrey", linewidth=1)
    titled(panels[1], f"less {first} (paired)", "supernet epochs", "difference (percentage points)")
    if others:
        panels[1].legend(fontsize=7, frameon=False)
    return figure


def updates_figure(study: RankingStudy) -> Figure:
    """Plot each genotype's updates, mean over seeds, against its size, with the expectation of Eq. 4 as a line."""
    figure, panels = canvas(1, width=1.4)
    order = np.argsort(study.sizes)
    for arm, colour in zip(study.arms, _colours(study.arms), strict=True):
        own = study.supernets_of(arm, study.scored_epochs[-1])
        updates = np.mean([supernet.updates for supernet in own], axis=0)
        panels[0].scatter(study.sizes / 1e3, updates, s=8, color=colour, linewidths=0, alpha=0.6)
        panels[0].plot(study.sizes[order] / 1e3, own[0].expected[order], color=colour, linewidth=1, label=str(arm))
    panels[0].set_ylim(bottom=0)
    titled(panels[0], "line: Eq. 4; points: mean over seeds", "size (thousands)", "updates of the path")
    panels[0].legend(fontsize=7, frameon=False)
    return figure


def ranks_figure(study: RankingStudy) -> Figure:
    """Plot ranks gained by one-shot scores against size, at the first and last mark; a slope is a bias by size."""
    marks = tuple(dict.fromkeys((study.scored_epochs[0], study.scored_epochs[-1])))
    figure, panels = canvas(len(marks))
    for panel, epochs in zip(panels, marks, strict=True):
        for arm, colour in zip(study.arms, _colours(study.arms), strict=True):
            gained, slope = study.ranks_gained(arm, epochs), study.gained_by_size(arm, epochs).value
            few = len(gained) <= 100
            panel.scatter(
                study.sizes / 1e3, gained, s=12 if few else 4, color=colour, linewidths=0, alpha=0.6,
                label=f"{arm}: Spearman {slope:+.2f}",
            )  # fmt: skip
        panel.axhline(0, color="lightgrey", linewidth=1, zorder=0)
        titled(panel, f"after {epochs} epoch{'s' * (epochs > 1)}", "size (thousands)", "ranks gained under one-shot")
        panel.legend(fontsize=7, frameon=False)
    return figure


def _band(panel: Axes, x: Sequence[float], estimates: Sequence[Any], colour: str, label: str) -> None:
    """Plot a line of estimates in percent with the band of their intervals."""
    value, low, high = ([100 * getattr(e, part) for e in estimates] for part in ("value", "low", "high"))
    panel.plot(x, value, color=colour, marker="o", markersize=3, linewidth=1.2, label=label)
    panel.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)


def _colours(things: Sequence[object]) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(len(things))]


def _percent(accuracies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return accuracies in percent, whether given as shares or in percent."""
    return accuracies * 100 if accuracies.max() <= 1 else accuracies
