"""Studies as reports: scores against the truth, agreement along the epochs, updates, regret."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnao.config.arms import SamplerSpec
from bnao.footprint import Footprint
from bnao.metrics import FIGURES, Estimate
from bnao.reporting import charts
from bnao.reporting.content import MOST, NOTHING, Chart, Report, Section, Table, Value, estimate, number, share, words
from bnao.reporting.figures import RankingFigures
from bnao.reporting.origins import origin_table
from bnao.run import read_json, understanding
from bnao.space.spaces import parse_in
from bnao.studies.agreement import AgreementStudy
from bnao.studies.controllers import ControllersStudy
from bnao.studies.plots import Study, study_of
from bnao.studies.predictor import PredictorStudy
from bnao.studies.ranking import RankingStudy
from bnao.studies.sets import RankingSets
from bnao.studies.size import SizeCorrelation

_ACCURACY = "pairwise_accuracy"


def study_report(path: Path) -> Report:
    """Return the report of a study from its study.json.

    Raises:
        RunError: it is not what a study wrote, or of a kind that is not known.
    """
    content = read_json(path)
    with understanding(path):
        if content.get("kind") in (None, "stability") and "searches" in content:
            return _stability_report(path, content)
        study = study_of(content)
        title, facts, sections = _of(study, content)
        origin = [("data", str(content["data"]))] if "data" in content else []
        origin += [(f"version of {name}", version) for name, version in content.get("versions", {}).items()]
        sections += [_settings(content.get("config", {})), origin_table(origin)]
    ranked = _ranked(study)
    name = path.resolve().parent.name
    about = {
        genotype.id: f"stand-alone accuracy {_accuracy(truth, one).text}, {size:,.0f} parameters"
        for one in ranked
        for genotype, truth, size in zip(one.genotypes, one.truth.tolist(), one.sizes.tolist(), strict=True)
    }
    genotypes = {genotype.id: genotype for one in ranked for genotype in one.genotypes[:MOST]}
    return Report("study", name, title, facts, sections, genotypes, about, {f"{name}/{path.name}": content})


def _stability_report(path: Path, content: Mapping[str, Any]) -> Report:
    """Return the report of a study of stability: its methods and searches, and errors by method."""
    searches = content["searches"]
    genotypes = {genotype.id: genotype for genotype in (parse_in(content["space"], e["genotype"]) for e in searches)}
    ids = [parse_in(content["space"], entry["genotype"]).id for entry in searches]
    methods = list(dict.fromkeys(entry["method"] for entry in searches))
    rows = [
        [
            words(name), words(entry["method"]), number(entry["seed"]), share(entry["score"]),
            share(entry["test_error"], digits=2), number(entry["parameters"]), words(entry["alarm"] or "-"),
        ]
        for name, entry in zip(ids, searches, strict=True)
    ]  # fmt: skip
    points = [
        {
            "id": name, "method": entry["method"], "seed": entry["seed"], "error": entry["test_error"],
            "place": round((at * 0.618034) % 1, 3),
        }
        for at, (name, entry) in enumerate(zip(ids, searches, strict=True))
    ]  # fmt: skip
    y = charts.scale("error", "test error of the best", form=".1%")
    tooltip = {"id": "genotype", "method": "method", "seed": "seed", "error": "test error"}
    spec = charts.by_group(points, charts.scale("method", "method"), y, tooltip=tooltip)
    chart = Chart("Errors by method", "One point a search; the bar is the median of the method.", spec, wide=True)
    heads = ("id", "method", "seed", "one-shot score", "test error", "parameters", "alarm")
    tables = [_methods_table(content["methods"]), Table("The best of each search", heads, rows, ids)]
    sections = [
        Section("Searches", charts=[chart], tables=tables),
        Section("Cells", drawn=list(genotypes)[:6]),
        _settings(content.get("config", {})),
        origin_table([(f"version of {name}", version) for name, version in content.get("versions", {}).items()]),
    ]
    facts = [("methods", str(len(methods))), ("searches", str(len(searches)))]
    name = path.resolve().parent.name
    raw = {f"{name}/{path.name}": content}
    return Report("study", name, f"Stability in {content['space']}", facts, sections, genotypes, {}, raw)


def _methods_table(methods: Sequence[Mapping[str, Any]]) -> Table:
    """Return what each method found on average, and what its updates held at most."""
    rows = []
    for method in methods:
        footprint = Footprint.from_json(method["memory"]) if "memory" in method else None
        held, beside = (None, None) if footprint is None else (footprint.peak, footprint.increment)
        rows.append(
            [
                words(method["method"]), number(method["searches"]), share(method["test_error"], digits=2),
                number(method["parameters"], ",.0f"), number(method["multiply_adds"], ",.0f"),
                number(method["search_seconds"], ".1f"), _mebibytes(held), _mebibytes(beside),
            ]
        )  # fmt: skip
    heads = ("method", "searches", "mean test error", "mean parameters", "mean multiply-adds", "seconds of a search",
             "memory, MiB", "of updates, MiB")  # fmt: skip
    return Table("Methods", heads, rows)


def _mebibytes(size: int | None) -> Value:
    return number(None if size is None else size / 2**20, ",.0f")


def _ranked(study: Study) -> list[RankingStudy]:
    """Return the ranking studies within a study."""
    if isinstance(study, RankingSets):
        return list(study.studies.values())
    return [study] if isinstance(study, RankingStudy) else []


def _of(study: Study, content: Mapping[str, Any]) -> tuple[str, list[tuple[str, str]], list[Section]]:
    """Return title, facts and sections of a study."""
    if isinstance(study, RankingStudy):
        figures = RankingFigures.from_json(content)
        return f"Ranking study in {study.space}", _ranking_facts(study, figures), _ranking_sections(study, figures)
    if isinstance(study, RankingSets):
        first = next(iter(study.studies.values()))
        sections = [
            section
            for entry in content["sets"]
            for section in _ranking_sections(
                study.studies[entry["sizes"]], RankingFigures.from_json(entry), f"{entry['sizes']}: "
            )
        ]
        return f"Ranking study in {first.space}", [("sets", ", ".join(study.studies))], sections
    if isinstance(study, ControllersStudy):
        facts = [("genotypes in the table", f"{study.rows:,}"), ("controllers", str(len(study.curves)))]
        return f"Controllers in {study.space}", facts, [_controllers_section(study)]
    if isinstance(study, PredictorStudy):
        facts = [("genotypes in the table", f"{study.rows:,}"), ("controller", study.controller)]
        return f"Predictor in {study.space}", facts, [_predictor_section(study)]
    if isinstance(study, AgreementStudy):
        return f"Agreement in {study.table}", [("genotypes", f"{study.n:,}")], [_agreement_section(study)]
    return "Size and accuracy", [("tables", str(len(study)))], [_size_section(study)]


# --- ranking studies


def _accuracy(value: float, study: RankingStudy) -> Value:
    return share(value / _unit(study), digits=2)


def _unit(study: RankingStudy) -> float:
    """Return what an accuracy of one is in the study's truths: 1, or 100 where they are in percent."""
    return 1.0 if study.truth.max() <= 1 else 100.0


def _ranking_facts(study: RankingStudy, figures: RankingFigures) -> list[tuple[str, str]]:
    last = study.scored_epochs[-1]
    return [
        *((f"Kendall tau, {arm}", _figure(figures, arm, last, "kendall_tau").text) for arm in study.arms[:3]),
        ("Kendall tau, size alone", estimate(figures.size_alone).text),
        ("genotypes ranked", f"{len(study.genotypes):,}"),
        ("seeds", str(len({supernet.seed for supernet in study.supernets}))),
    ]


def _figure(figures: RankingFigures, arm: SamplerSpec, epochs: int, name: str) -> Value:
    found = figures.agreement[str(arm), epochs]
    return estimate(found[name]) if name in found else NOTHING


def _ranking_sections(study: RankingStudy, figures: RankingFigures, prefix: str = "") -> list[Section]:
    last = study.scored_epochs[-1]
    arms = [str(arm) for arm in study.arms]
    sections = [
        Section(
            f"{prefix}One-shot against stand-alone",
            [f"Mean one-shot scores after {last} epochs, over {len(study.supernets_of(study.arms[0], last))} seeds. "
             f"In brackets 95 % bootstrap intervals over genotypes."],
            charts=[chart for arm in study.arms for chart in _scores_charts(study, figures, arm, last)],
        ),
        Section(
            f"{prefix}Order of pairs by epochs",
            charts=[_along(study, figures, arms), *_differences(study, figures, arms)],
        ),
        Section(
            f"{prefix}Updates and size",
            charts=[_updates_chart(study, arms), _ranks_chart(study, figures, arms, last)],
        ),
        Section(f"{prefix}Figures", tables=[_figures_table(study, figures, last), _genotypes_table(study, last)]),
    ]  # fmt: skip
    return sections


def _scores_charts(study: RankingStudy, figures: RankingFigures, arm: SamplerSpec, epochs: int) -> list[Chart]:
    """Return a sampler's scores against the truth, of all genotypes and of the better half by truth."""
    scores, unit = study.scores(arm, epochs).mean(0), _unit(study)
    form = ".0%" if study.score == "accuracy" else None
    deviation = study.truths.std(0, ddof=1) / unit if len(study.truths) > 1 else np.zeros(len(scores))
    truth = study.truth / unit
    rows = [
        {
            "id": genotype.id, "score": round(score, 6), "accuracy": round(true, 6), "size": size,
            "low": round(true - off, 6), "high": round(true + off, 6),
        }
        for genotype, score, true, size, off in zip(
            study.genotypes, scores.tolist(), truth.tolist(), study.sizes.tolist(), deviation.tolist(), strict=True
        )
    ]  # fmt: skip
    x = charts.scale("score", f"one-shot {study.score}", form=form)
    y = charts.scale("accuracy", "stand-alone accuracy", form=".1%")
    repeated = len(study.truths) > 1
    about = "genotypes" + (", with the standard deviation over the repeats of the truth." if repeated else ".")

    def chart(title: str, some: Sequence[Mapping[str, Any]], figure: str) -> Chart:
        layers = [charts.whiskers("low", "high", x, y, along="y")] if repeated else []
        tooltip = {"id": "genotype", "score": "score", "accuracy": "accuracy", "size": "size"}
        colour = charts.by_number("size", "size", form="~s")
        spec = charts.points(some[:MOST], x, y, colour=colour, tooltip=tooltip, layers=layers)
        tau = _figure(figures, arm, epochs, figure).text
        return Chart(f"{title}: Kendall tau {tau}", f"{len(some):,} {about}", spec)

    middle = float(np.median(truth))
    better = [row for row in rows if row["accuracy"] >= middle]
    return [
        chart(str(arm), rows, "kendall_tau"),
        chart(f"{arm}, the better half", better, "tau_in_better_half"),
    ]


def _band(name: str, epochs: Sequence[int], estimates: Sequence[Estimate]) -> list[dict[str, Any]]:
    return [
        {"epochs": at, "value": round(e.value, 6), "low": round(e.low, 6), "high": round(e.high, 6), "of": name}
        for at, e in zip(epochs, estimates, strict=True)
        if not math.isnan(e.value)
    ]


def _along(study: RankingStudy, figures: RankingFigures, arms: Sequence[str]) -> Chart:
    marks, found = study.scored_epochs, figures.agreement
    rows = [row for arm in arms for row in _band(arm, marks, [found[arm, at][_ACCURACY] for at in marks])]
    names = list(arms)
    if study.short:
        short = [figures.short[at][_ACCURACY] for at in study.short_epochs]
        rows += _band("each alone", study.short_epochs, short)
        names.append("each alone")
    y = charts.scale("value", "pairwise accuracy", form=".0%")
    layers = [charts.level(0.5, y)]
    about = "Share of pairs ordered as by the truth, with 95 % intervals; half of them by chance."
    reliability = figures.reliability.get(_ACCURACY)
    if reliability is not None and not math.isnan(reliability.value):
        layers.append(charts.level(reliability.value, y))
        about += f" Two repeats of the truth order {share(reliability.value).text} alike (the upper dashed line)."
    spec = charts.lines(
        rows, charts.scale("epochs", "epochs", whole=True), y,
        colour=charts.series("of", "sampler", names), band=("low", "high"), marks=True, layers=layers,
    )  # fmt: skip
    return Chart("Order of pairs", about, spec)


def _differences(study: RankingStudy, figures: RankingFigures, arms: Sequence[str]) -> list[Chart]:
    """Return how much better the other samplers order pairs than the first."""
    first, *others = arms
    if not others:
        return []
    marks = study.scored_epochs
    rows = [
        row for arm in others for row in _band(arm, marks, [figures.differences[arm, at][_ACCURACY] for at in marks])
    ]
    y = charts.scale("value", "difference of pairwise accuracy", form="+.0%")
    spec = charts.lines(
        rows, charts.scale("epochs", "supernet epochs", whole=True), y,
        colour=charts.series("of", "sampler", list(arms)), band=("low", "high"), marks=True,
        layers=[charts.level(0, y)],
    )  # fmt: skip
    return [Chart(f"Less {first}", "Paired differences; an interval that includes zero shows nothing.", spec)]


def _updates_chart(study: RankingStudy, arms: Sequence[str]) -> Chart:
    rows, layers = [], []
    x, y = charts.scale("size", "size", form="~s"), charts.scale("updates", "updates of the path", zero=True)
    order = np.argsort(study.sizes)
    for arm in study.arms:
        own = study.supernets_of(arm, study.scored_epochs[-1])
        updates = np.mean([supernet.updates for supernet in own], axis=0)
        rows += [
            {"id": genotype.id, "size": size, "updates": round(n, 3), "of": str(arm)}
            for genotype, size, n in zip(study.genotypes[:MOST], study.sizes.tolist(), updates.tolist(), strict=False)
        ]
        expected = own[0].expected[: len(study.sizes)]
        layers.append(
            charts.segment(list(zip(study.sizes[order].tolist(), expected[order].tolist(), strict=True)), x, y)
        )
    spec = charts.points(
        rows, x, y, colour=charts.series("of", "sampler", arms), layers=layers,
        tooltip={"id": "genotype", "of": "sampler", "updates": "updates", "size": "size"},
    )  # fmt: skip
    return Chart("Updates against Eq. 4", "Points are means over seeds, lines the expectation of Eq. 4.", spec)


def _ranks_chart(study: RankingStudy, figures: RankingFigures, arms: Sequence[str], epochs: int) -> Chart:
    rows = [
        {"id": genotype.id, "size": size, "gained": round(gained, 2), "of": str(arm)}
        for arm in study.arms
        for genotype, size, gained in zip(
            study.genotypes[:MOST], study.sizes.tolist(), study.ranks_gained(arm, epochs).tolist(), strict=False
        )
    ]
    slopes = ", ".join(f"{arm} {estimate(figures.gained[str(arm), epochs]).text}" for arm in study.arms)
    y = charts.scale("gained", "ranks gained under one-shot scores")
    spec = charts.points(
        rows, charts.scale("size", "size", form="~s"), y, colour=charts.series("of", "sampler", arms),
        tooltip={"id": "genotype", "of": "sampler", "gained": "ranks gained", "size": "size"},
        layers=[charts.level(0, y)],
    )  # fmt: skip
    about = f"A slope is a bias by size. Spearman of size and ranks gained: {slopes}."
    return Chart("Ranks gained against size", about, spec)


def _figures_table(study: RankingStudy, figures: RankingFigures, epochs: int) -> Table:
    ways = {str(arm): figures.agreement[str(arm), epochs] for arm in study.arms} | dict(figures.others)
    names = [name for name in FIGURES if any(name in own for own in ways.values())]
    rows = [
        [words(way), *(estimate(own[name]) if name in own else NOTHING for name in names)] for way, own in ways.items()
    ]
    heads = ("ranking by", *(name.replace("_", " ") for name in names))
    return Table(f"Agreement with the truth after {epochs} epochs, 95 % intervals", heads, rows)


def _genotypes_table(study: RankingStudy, epochs: int) -> Table:
    scores = [study.scores(arm, epochs).mean(0) for arm in study.arms]
    order = np.argsort(-study.truth)[:MOST].tolist()
    as_share = study.score == "accuracy"
    rows = [
        [
            words(study.genotypes[at].id), _accuracy(float(study.truth[at]), study),
            number(float(study.sizes[at]), ",.0f"),
            *(share(float(own[at])) if as_share else number(float(own[at]), ".5g") for own in scores),
        ]
        for at in order
    ]  # fmt: skip
    heads = ("id", "stand-alone accuracy", "size", *(f"one-shot, {arm}" for arm in study.arms))
    return Table("Genotypes", heads, rows, [study.genotypes[at].id for at in order])


# --- studies of tables


def _controllers_section(study: ControllersStudy) -> Section:
    rows = []
    by_score = study.best_score is not None
    for curve in study.curves:
        regret: NDArray[np.float64] = study.optimum - curve.best
        if study.best_score is not None and curve.scores is not None:
            regret = study.best_score - curve.scores
        low, middle, high = np.quantile(regret, [0.1, 0.5, 0.9], axis=0).round(6).tolist()
        rows += [
            {"queries": at, "value": value, "low": least, "high": most, "of": curve.controller}
            for at, least, value, most in zip(curve.queries, low, middle, high, strict=True)
        ]
    y = charts.scale("value", f"{'score' if by_score else 'test accuracy'} short of the best", zero=True)
    spec = charts.lines(
        rows, charts.scale("queries", "genotypes scored", log=True), y, band=("low", "high"),
        colour=charts.series("of", "controller", [curve.controller for curve in study.curves]),
    )  # fmt: skip
    chart = Chart("Regret", "Median of the searches, and a band of the 10th to 90th percentile.", spec, wide=True)
    found = [
        [
            words(row.controller), number(row.queries), number(row.searches), number(row.regret, ".4f"),
            number(row.difference, "+.4f"), number(row.difference_low, "+.4f"), number(row.difference_high, "+.4f"),
        ]
        for row in study.validation_regret()
    ]  # fmt: skip
    heads = ("controller", "queries", "searches", "mean regret", "difference", "low", "high")
    name = f"Validation regret, and its difference to {study.baseline.controller}'s with its 95 % interval"
    return Section("Regret", charts=[chart], tables=[Table(name, heads, found)] if found else [])


def _predictor_section(study: PredictorStudy) -> Section:
    summaries: tuple[Callable[[NDArray[np.float64]], Any], ...] = (
        lambda values: values.mean(0), lambda values: values.min(0), lambda values: values.max(0),
    )  # fmt: skip
    mean, low, high = (summary(study.tau).tolist() for summary in summaries)
    rows = [
        {"size": n, "value": round(value, 6), "low": round(least, 6), "high": round(most, 6), "of": study.controller}
        for n, value, least, most in zip(study.train_sizes, mean, low, high, strict=True)
    ]
    spec = charts.lines(
        rows, charts.scale("size", "genotypes learned from", log=True), charts.scale("value", "Kendall tau, held out"),
        colour=charts.series("of", "controller", [study.controller]), band=("low", "high"), marks=True,
    )  # fmt: skip
    table = [
        [
            number(n),
            number(held_out),
            number(row["value"], ".3f"),
            number(row["low"], ".3f"),
            number(row["high"], ".3f"),
        ]
        for n, held_out, row in zip(study.train_sizes, study.held_out, rows, strict=True)
    ]
    heads = ("learned from", "held out", "Kendall tau", "least", "most")
    return Section(
        "Predictor", charts=[Chart("Kendall tau", "Mean and range over seeds.", spec)],
        tables=[Table("By training size", heads, table)],
    )  # fmt: skip


def _size_section(tables: Sequence[SizeCorrelation]) -> Section:
    rows = [
        {**row, "share": round(row.pop("epochs") / table.epochs[-1], 4)}
        for table in tables
        for row in _band(table.name, table.epochs, table.spearman)
    ]
    y = charts.scale("value", "Spearman of size and accuracy")
    spec = charts.lines(
        rows, charts.scale("share", "share of training done", form=".0%", log=True), y,
        colour=charts.series("of", "table", [table.name for table in tables]), band=("low", "high"), marks=True,
        layers=[charts.level(0, y)],
    )  # fmt: skip
    found = [
        [words(table.name), number(table.n), number(table.epochs[-1]), estimate(table.spearman[-1])] for table in tables
    ]
    heads = ("table", "genotypes", "epochs", "Spearman of size and last accuracy")
    chart = Chart("Size and accuracy so far", "With 95 % bands.", spec, wide=True)
    return Section("Size", charts=[chart], tables=[Table("Tables", heads, found)])


def _agreement_section(study: AgreementStudy) -> Section:
    figures = [name for name in FIGURES if any(name in one.figures for one in study.agreements)]
    rows = [
        [words(one.column), *(estimate(one.figures[name]) if name in one.figures else NOTHING for name in figures)]
        for one in study.agreements
    ]
    heads = ("scores", *(name.replace("_", " ") for name in figures))
    return Section("Agreement", [f"With {study.truth} of {study.table}."], tables=[Table("Columns", heads, rows)])


def _settings(config: Mapping[str, Any], prefix: str = "") -> Section:
    """Return the settings that study.json tells."""
    rows = [[words(name), words(value)] for name, value in _flat(config)]
    return Section("Settings", tables=[Table("All settings", ("setting", "value"), rows)] if rows else [])


def _flat(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested settings by their dotted names.

    >>> _flat({"seeds": 2, "network": {"cells": 1}})
    [('seeds', '2'), ('network.cells', '1')]
    """
    rows: list[tuple[str, str]] = []
    for name, value in config.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            rows.append((f"{prefix}{name}", text))
    return rows
