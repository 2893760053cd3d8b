"""An evaluation as a report: test errors, one-shot scores beside them, learning curves and classes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bnao.config.evaluation import EvaluateConfig
from bnao.evaluation.trainings import RESULT
from bnao.metrics import FIGURES, Estimate, rank_agreement
from bnao.network.mobile import read_trainable
from bnao.reporting import charts
from bnao.reporting.content import Chart, Report, Section, Table, estimate, number, share, words
from bnao.reporting.origins import about_of, data_text, origin_section, settings_section
from bnao.reporting.searches import lost_in_log, read_log
from bnao.run import read_config, read_json, understanding
from bnao.space.genotype import Genotype
from bnao.strategies.journal import RESULT as SEARCH
from bnao.strategies.result import Ranked, read_result

Entry = Mapping[str, Any]

# fewer genotypes say nothing of an order
_FEW = 4


def evaluation_report(folder: Path) -> Report:
    """Return the report of an evaluation, with one-shot scores where its folder lies in that of its search.

    Raises:
        RunError: its files are not what an evaluation wrote.
    """
    config, content = read_config(folder, EvaluateConfig), read_json(folder / RESULT)
    with understanding(folder / RESULT):
        entries: list[Entry] = content["evaluations"]
        usual = config.network.space
        trained = {entry["id"]: read_trainable(entry.get("space", usual), entry["genotype"]) for entry in entries}
        genotypes = {name: each for name, each in trained.items() if isinstance(each, Genotype)}
        scores = _scores_of(folder.resolve().parent, genotypes)
        best = min(entries, key=lambda entry: float(entry["test_error"]))
        data = data_text(about_of(folder))
        facts = [
            ("lowest test error", _error(best).text),
            ("median test error", share(statistics.median(entry["test_error"] for entry in entries), digits=2).text),
            ("genotypes trained", f"{len(entries):,}"),
            ("trainings each", str(config.repeats)),
            ("epochs", f"{config.epochs:,}"),
        ]
        sections = [
            Section("Test errors", tables=[_table(entries, scores)], charts=[_by_size(entries)]),
            Section(
                "Cells",
                drawn=[
                    entry["id"]
                    for entry in sorted(entries, key=lambda e: float(e["test_error"]))
                    if entry["id"] in genotypes
                ][:5],
            ),
            agreement_section(entries, scores),
            _learning_section(folder, entries),
            _classes_section(content, best),
            settings_section("bnao evaluate", config),
            origin_section(folder),
        ]
    return Report(
        "evaluation",
        folder.resolve().name,
        f"Stand-alone training in {config.network.space}" + (f" on {data.partition(':')[0]}" if data else ""),
        facts,
        sections,
        genotypes,
        {entry["id"]: f"test error {_error(entry).text}, {entry['parameters']:,} parameters" for entry in entries},
        {f"{folder.resolve().name}/{RESULT}": content},
    )


def _scores_of(folder: Path, genotypes: Mapping[str, Genotype]) -> dict[str, Ranked]:
    """Return what a search in this folder says of the genotypes, by id; empty if there is none."""
    if not (folder / SEARCH).is_file():
        return {}
    known = {entry.genotype: entry for entry in read_result(folder).ranked}
    return {name: known[genotype] for name, genotype in genotypes.items() if genotype in known}


def _error(entry: Entry) -> Any:
    return share(entry["test_error"], entry["standard_deviation"], digits=2)


def _table(entries: Sequence[Entry], scores: Mapping[str, Ranked]) -> Table:
    top5 = any("top5_error" in entry for entry in entries)
    auto = any("channels" in entry for entry in entries)
    heads = ["id", "test error", *["top-5 error"] * top5, *["channels"] * auto, "parameters", "multiply-adds"]
    heads += ["one-shot score"] * bool(scores)
    rows = []
    for entry in entries:
        row = [words(entry["id"]), _error(entry), *[share(entry.get("top5_error"), digits=2)] * top5]
        row += [number(entry.get("channels"))] * auto
        row += [number(entry["parameters"]), number(entry["multiply_adds"])]
        known = scores.get(entry["id"])
        row += [share(None) if known is None else share(known.score, known.standard_error)] * bool(scores)
        rows.append(row)
    return Table("Genotypes", heads, rows, [entry["id"] for entry in entries])


def _by_size(entries: Sequence[Entry]) -> Chart:
    rows = [
        {
            "id": entry["id"], "parameters": entry["parameters"],
            "error": entry["test_error"], "told": _error(entry).text,
            "low": entry["test_error"] - (entry["standard_deviation"] or 0),
            "high": entry["test_error"] + (entry["standard_deviation"] or 0),
        }
        for entry in entries
    ]  # fmt: skip
    x = charts.scale("parameters", "parameters", form="~s")
    y = charts.scale("error", "test error", form=".1%")
    layers = [charts.whiskers("low", "high", x, y, along="y")] if entries[0]["standard_deviation"] else []
    return Chart(
        "Test error against size",
        "One point a genotype" + (", with the standard deviation over its trainings." if layers else "."),
        charts.points(
            rows, x, y, tooltip={"id": "genotype", "told": "test error", "parameters": "parameters"}, layers=layers
        ),
    )


def agreement_section(entries: Sequence[Entry], scores: Mapping[str, Ranked]) -> Section:
    """Return one-shot scores against stand-alone accuracies, of all and of the better half."""
    known = [entry for entry in entries if entry["id"] in scores]
    if len(known) < 2:
        return Section("One-shot against stand-alone")
    rows = [_pair(entry, scores[entry["id"]]) for entry in known]
    found = rank_agreement([row["score"] for row in rows], [row["accuracy"] for row in rows])
    as_share = all(entry.standard_error is not None for entry in scores.values())
    shown = [_pairs_chart("All", rows, found["kendall_tau"], as_share)]
    middle = float(np.median([row["accuracy"] for row in rows]))
    better = [row for row in rows if row["accuracy"] >= middle]
    if len(better) >= _FEW:
        shown.append(_pairs_chart("The better half", better, found["tau_in_better_half"], as_share))
    figures = [
        [words(name.replace("_", " ")), estimate(found[name]), number(found[name].n)]
        for name in FIGURES
        if name in found
    ]
    heads = ("figure", f"value [{found['kendall_tau'].level:.0%} interval]", "n")
    text = "Intervals are of the bootstrap over genotypes. Among the better half the order is what a search is for."
    return Section("One-shot against stand-alone", [text], charts=shown, tables=[Table("Agreement", heads, figures)])


def _pair(entry: Entry, ranked: Ranked) -> dict[str, Any]:
    accuracy, deviation = 1 - entry["test_error"], entry["standard_deviation"] or 0.0
    within = ranked.standard_error or 0.0
    return {
        "id": entry["id"], "score": ranked.score, "accuracy": round(accuracy, 6),
        "score_low": ranked.score - within, "score_high": ranked.score + within,
        "low": accuracy - deviation, "high": accuracy + deviation, "parameters": entry["parameters"],
    }  # fmt: skip


def _pairs_chart(title: str, rows: Sequence[Mapping[str, Any]], tau: Estimate, as_share: bool) -> Chart:
    x = charts.scale("score", "one-shot score", form=".0%" if as_share else None)
    y = charts.scale("accuracy", "stand-alone accuracy", form=".1%")
    return Chart(
        f"{title}: Kendall tau {estimate(tau).text}",
        f"{len(rows)} genotypes. Lines are a standard error of the score and a standard deviation over trainings.",
        charts.points(
            rows, x, y, colour=charts.by_number("parameters", "parameters", form="~s"),
            tooltip={"id": "genotype", "score": "score", "accuracy": "accuracy", "parameters": "parameters"},
            layers=[
                charts.whiskers("score_low", "score_high", x, y, along="x"),
                charts.whiskers("low", "high", x, y, along="y"),
            ],
        ),
    )  # fmt: skip


def _learning_section(folder: Path, entries: Sequence[Entry]) -> Section:
    """Return the loss of each training by epoch."""
    ids = {place: entry["id"] for place, entry in enumerate(entries, start=1)}
    rows = [
        {"training": f"{ids[event['genotype']]}, {event['repeat']}", "epoch": event["epoch"], "loss": event["loss"]}
        for event in read_log(folder).get("epoch", [])
        if event["genotype"] in ids
    ]
    lost = lost_in_log(folder)
    if not rows:
        return Section("Learning curves", lost)
    names = list(dict.fromkeys(row["training"] for row in rows))
    rows = [
        row
        for name in names
        for row in charts.thinned([row for row in rows if row["training"] == name], ["loss"], most=100)
    ]
    colour = charts.series("training", "genotype, repeat", names)
    spec = charts.lines(rows, charts.scale("epoch", "epoch", whole=True), charts.scale("loss", "loss"), colour=colour)
    chart = Chart("Training loss", "Mean over the steps of each epoch.", spec)
    return Section("Learning curves", lost, charts=[chart])


def _classes_section(content: Mapping[str, Any], best: Entry) -> Section:
    names, errors = content.get("class_names", []), best.get("class_errors", [])
    rows = [[words(str(name)), share(error)] for name, error in zip(names, errors, strict=False)]
    if not rows:
        return Section("Classes")
    return Section("Classes", [f"Of {best['id']}, which has the lowest error."], tables=[
        Table("Test error by class", ("class", "test error"), rows)
    ])  # fmt: skip
