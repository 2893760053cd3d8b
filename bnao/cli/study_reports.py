"""Reports of studies, for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from bnao.cli.reports import estimate_text, table
from bnao.config.arms import SamplerSpec
from bnao.metrics import Comparison, Estimate
from bnao.studies.agreement import AgreementStudy
from bnao.studies.controllers import MARKS, ControllersStudy
from bnao.studies.predictor import PredictorStudy
from bnao.studies.ranking import ALONE, SIZE_COUNTS, RankingStudy
from bnao.studies.sets import RankingSets
from bnao.studies.size import SizeCorrelation

_FIGURES = ("pairwise_accuracy", "kendall_tau", "spearman", "precision_at_top")
#: those of a second table, with their heads
_BEYOND = {
    "tau_in_better_half": "tau in the better half",
    "tau_in_top_tenth": "tau in the top 10 %",
    "precision_in_top_tenth": "precision at the top 10 %",
    "partial_tau_given_size": "partial tau given live size",
}


def ranking_report(found: RankingStudy | RankingSets) -> list[str]:
    """Return how scores agree with the truth, what samplers differ by, and how far the truth can be trusted."""
    studies = {"": found} if isinstance(found, RankingStudy) else dict(found.studies)
    several = len(studies) > 1
    rows, less = [], []
    beyond, beyond_less, labelled = [], [], []
    for name, study in studies.items():
        first = [name] if several else []
        rows += [[*first, *row] for row in _agreement_rows(study, _FIGURES, gain=True)]
        beyond += [[*first, *row] for row in _agreement_rows(study, tuple(_BEYOND))]
        less += [[*first, *row] for row in _difference_rows(study, _FIGURES)]
        beyond_less += [[*first, *row] for row in _difference_rows(study, tuple(_BEYOND))]
        labelled += [[*first, *row] for row in _landmark_rows(study, (*_FIGURES[:2], *_BEYOND))]
    one = next(iter(studies.values()))
    heads = ["sizes"] * several + ["sampler", "epochs", "pairwise accuracy", "Kendall tau", "Spearman"]
    heads += [f"precision at {one.top}", "gain by size"]
    left = ["sizes", "sampler"]
    lines = [*_ranking_heading(studies, one), *table(heads, rows, left=left)]
    beyond_heads = [*heads[: 2 + several], *_BEYOND.values()]
    lines += ["", "among the good by the truth, and beyond size:", *table(beyond_heads, beyond, left=left)]
    if less:
        lines += ["", f"less {one.arms[0]} (paired):", *table(heads[:-1], less, left=left)]
        lines += ["", *table(beyond_heads, beyond_less, left=left)]
    if labelled:
        lines += ["", f"weights of joined scores from the truths of {one.landmarks} landmarks; all rows on the others:"]
        lines += table([*heads[: 4 + several], *_BEYOND.values()], labelled, left=left)
    lines.append("")
    for name, study in studies.items():
        of = f"{name}: " if several else ""
        if several:
            lines.append(f"{of}sizes {study.sizes.min():,.0f} to {study.sizes.max():,.0f}")
        if study.reliability:
            figures = study.reliability
            lines.append(f"{of}two seeds of the truth agree with each other by")
            lines += table(heads[2 + several : -1], [[estimate_text(figures[figure]) for figure in _FIGURES]])
        lines.append(f"{of}size alone and the truth: Kendall tau {estimate_text(study.by_size)}")
        if len(set(study.truth.tolist())) == 1:
            lines.append(f"{of}every truth is equal, so no pair has an order and no figure is defined")
    return lines


def _ranking_heading(studies: Mapping[str, RankingStudy], one: RankingStudy) -> list[str]:
    counts = list(dict.fromkeys(len(study.genotypes) for study in studies.values()))
    seeds = len(one.supernets_of(one.arms[0], one.scored_epochs[-1]))
    trained = " and ".join(f"{count:,}" for count in dict.fromkeys(study.trained for study in studies.values()))
    lengths = {
        "own": "each number of epochs is that of a supernet of its own",
        "along": "a supernet is scored along the way",
    }[one.marks]
    lines = [
        f"one-shot {one.score} against {'stand-alone accuracy' if len(one.truths) > 1 else 'the truth'}: n = "
        f"{' and '.join(map(str, counts))} genotypes, mean over {seeds} supernet{'s' * (seeds > 1)} of each sampler "
        f"trained on {trained} genotypes, {lengths}; in brackets 95 % bootstrap intervals over genotypes and seeds. "
        f"Gain by size: Spearman's rho of size and ranks gained under such scores, below 0 where they favour the small"
    ]
    if one.short:
        lines.append(
            f"{ALONE}: in place of a supernet each genotype trained by itself for so many epochs, on the same images "
            f"and scored on the same; n times the work of a supernet of that length"
        )
    return lines


def _agreement_rows(study: RankingStudy, names: Sequence[str], *, gain: bool = False) -> list[list[str]]:
    """Return a row for each sampler and length, for short trainings, and for size alone."""
    rows = []
    for epochs in study.scored_epochs:
        for arm, figures in study.comparisons[epochs].estimates.items():
            row = _row(arm, epochs, figures, names)
            rows.append([*row, *[estimate_text(study.gained_by_size(SamplerSpec.parse(arm), epochs), sign="+")] * gain])
    for epochs in study.short_epochs:
        figures = study.short_comparisons[epochs].estimates[ALONE]
        row = _row(ALONE, epochs, figures, names)
        rows.append([*row, *[estimate_text(study.short_gained_by_size[epochs], sign="+")] * gain])
    for size, figures in study.size_alone.items():
        rows.append([*_row(SIZE_COUNTS[size], 0, figures, names), *["-"] * gain])
    if study.joined is not None:
        for way, figures in study.joined.untrained.items():
            rows.append([*_row(way, 0, figures, names), *["-"] * gain])
        rows += [[*row, *["-"] * gain] for row in _comparison_rows(study.joined.comparisons, names)]
    return rows


def _row(way: str, epochs: int, figures: Mapping[str, Estimate], names: Sequence[str], sign: str = "") -> list[str]:
    return [way, str(epochs), *(estimate_text(figures[name], sign=sign) for name in names)]


def _comparison_rows(comparisons: Mapping[int, Comparison], names: Sequence[str]) -> list[list[str]]:
    return [
        _row(way, epochs, figures, names)
        for epochs, found in comparisons.items()
        for way, figures in found.estimates.items()
    ]


def _landmark_rows(study: RankingStudy, names: Sequence[str]) -> list[list[str]]:
    return [] if study.joined is None else _comparison_rows(study.joined.landmark_comparisons, names)


def _difference_rows(study: RankingStudy, names: Sequence[str]) -> list[list[str]]:
    return [
        _row(arm, epochs, figures, names, "+")
        for epochs in study.scored_epochs
        for arm, figures in study.comparisons[epochs].differences.items()
    ]


def controllers_report(study: ControllersStudy) -> list[str]:
    """Return a table of what each controller found after some numbers of queries."""
    heads = ["controller", "searches", "queries", "test accuracy", "regret (mean)", "median", "10 to 90 %"]
    rows = []
    for curve in study.curves:
        marks = {min(range(len(curve.queries)), key=lambda i: abs(curve.queries[i] - want)) for want in MARKS}
        for index in sorted(marks):
            best = curve.best[:, index]
            regret = study.optimum - best
            low, middle, high = np.quantile(regret, [0.1, 0.5, 0.9])
            rows.append(
                [
                    curve.controller, str(len(curve.seeds)), f"{curve.queries[index]:,}", f"{best.mean():.3f}",
                    f"{regret.mean():.3f}", f"{middle:.3f}", f"{low:.3f} to {high:.3f}",
                ]
            )  # fmt: skip
    return [
        f"{study.rows:,} genotypes of space {study.space}; the best test accuracy is {study.optimum:.3f}, and "
        f"that of the genotype with the best score {study.test_of_best_score:.3f}",
        *table(heads, rows, left=["controller"]),
        *_validation_regret(study),
    ]


def _validation_regret(study: ControllersStudy) -> list[str]:
    """How far the best score found lies below the table's best, and what each controller differs by."""
    found, until_top = study.validation_regret(), study.until_top()
    if not found or study.best_score is None:
        return []
    heads = ["controller", "searches", "queries", "validation regret", "95 %", f"less {study.baseline.controller}'s",
             "95 % "]  # fmt: skip
    rows = [
        [
            row.controller, str(row.searches), f"{row.queries:,}", f"{row.regret:.3f}",
            f"{row.low:.3f} to {row.high:.3f}",
            *(
                ("-", "")
                if row.difference is None
                else (f"{row.difference:+.3f}", f"{row.difference_low:+.3f} to {row.difference_high:+.3f}")
            ),
        ]
        for row in sorted(found, key=lambda row: [curve.controller for curve in study.curves].index(row.controller))
    ]  # fmt: skip
    most = f"more than {study.curves[0].queries[-1]:,}"
    medians = ", ".join(f"{name} {most if math.isinf(value) else f'{value:g}'}" for name, value in until_top.items())
    return [
        "",
        f"validation regret: how far the best score found lies below the table's best, {study.best_score:.3f}",
        *table(heads, rows, left=["controller"]),
        f"queries until one of the table's best 0.1 % is found (median): {medians}",
    ]


def predictor_report(study: PredictorStudy) -> list[str]:
    """Return a table of the predictor's rank correlation on held-out genotypes."""
    rows = [
        [
            f"{size:,}", f"{held:,}", str(len(tau)), f"{tau.mean():.3f}", f"{tau.min():.3f} to {tau.max():.3f}",
            f"{rho.mean():.3f}", "-" if np.isnan(seconds).any() else f"{seconds.mean():.1f}",
        ]
        for size, held, tau, rho, seconds in zip(
            study.train_sizes, study.held_out, study.tau.T, study.rho.T, study.seconds.T, strict=True
        )
    ]  # fmt: skip
    heads = ["learned from", "held out", "trainings", "Kendall tau", "range", "Spearman", "seconds"]
    return [f"{study.controller} in space {study.space}, {study.rows:,} genotypes", *table(heads, rows)]


def agreement_report(study: AgreementStudy) -> list[str]:
    """Return a table of the agreement of published scores with published accuracies."""
    names = ("pairwise_accuracy", "kendall_tau", "spearman")
    heads = ["scores", *(name.replace("_", " ") for name in names), f"in draws of {study.draw}", "sd", "gain by size"]
    rows, beyond = [], []
    for one in study.agreements:
        gained = "-" if one.gained_by_size is None else f"{one.gained_by_size:+.3f}"
        draws = f"{one.of_draws[0]:.3f}", f"{one.of_draws[1]:.3f}"
        rows.append([one.column, *(estimate_text(one.figures[name]) for name in names), *draws, gained])
        figures = (estimate_text(one.figures[name]) if name in one.figures else "-" for name in _BEYOND)
        beyond.append([one.column, *figures])
    return [
        f"{study.n:,} genotypes of {study.table}, against {study.truth}; the last column is Spearman's rho of size and "
        f"ranks gained under the scores",
        *table(heads, rows, left=["scores"]),
        "",
        "among the good by the truth, and beyond size:",
        *table(["scores", *_BEYOND.values()], beyond, left=["scores"]),
    ]


def size_report(correlations: Sequence[SizeCorrelation]) -> list[str]:
    """Return the correlation of size and accuracy during training, table by table."""
    heads = ["table", "n", "epochs", "Spearman of size and accuracy", "Kendall tau", "Spearman with the last"]
    rows = [
        [found.name, f"{found.n:,}", str(epochs), estimate_text(spearman), estimate_text(kendall), estimate_text(last)]
        for found in correlations
        for epochs, spearman, kendall, last in zip(
            found.epochs, found.spearman, found.kendall, found.with_last, strict=True
        )
    ]
    return table(heads, rows, left=["table"])
