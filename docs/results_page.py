"""Fill docs/results.template.md: each ``{{ name argument ... }}`` is a function of this file, called with words.

A study is named by its folder in docs/results/; ``first`` and ``last`` stand for its marks.

>>> fill("{{ epochs A last }} epochs", {"epochs": lambda study, mark: f"{mark} of {study}"})
'last of A epochs'
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results_figures import (
    HERE,
    PAPER,
    PAPER_DIVERSE,
    PAPER_EPOCHS,
    PAPER_SIMILAR,
    accuracies,
    difference_table,
    each_seed,
    figure,
    marks,
    one,
    percent,
    ranking_table,
    samplers,
    spread,
    study,
    table,
    verdict,
)

from bnao.intervals import t_interval
from bnao.metrics import Comparison, better_tau, compare_rankings, kendall_tau, mean_ranks
from bnao.space.spaces import SPACES
from bnao.stability import MethodStability, StabilityStudy
from bnao.strategies.fusion import fuse
from bnao.strategies.methods import METHODS
from bnao.studies.joined import FUSED, LANDMARKS, JoinedRankings

#: the numbers of epochs that were also trained with a cosine of their own
OWN_EPOCHS = (5, 10)
STRONG = "proportional:3"
#: of a controller that did not get to a tau
_EPOCHS = 600
FIGURES: dict[str, Callable[..., str]] = {}

_PLACE = re.compile(r"\{\{ ([^{}]+) \}\}")


def page() -> str:
    """Return the whole page."""
    return fill((HERE / "results.template.md").read_text(encoding="utf-8"), FIGURES)


def _kept(path: str) -> Any:
    """Return the content of a JSON file of docs/results."""
    return json.loads((HERE / "results" / path).read_text(encoding="utf-8"))


def _lines(path: str) -> list[Any]:
    """Return the lines of a file of docs/results whose lines are JSON."""
    return [json.loads(line) for line in (HERE / "results" / path).read_text(encoding="utf-8").splitlines()]


def fill(template: str, figures: Mapping[str, Callable[..., str]]) -> str:
    """Replace each ``{{ name argument ... }}`` by what the figure of that name returns.

    Raises:
        KeyError: no figure has that name.
    """

    @cache
    def value(text: str) -> str:
        name, *arguments = text.split()
        return figures[name](*arguments)

    return _PLACE.sub(lambda place: value(place[1]), template)


def named(function: Callable[..., str]) -> Callable[..., str]:
    """Let the template call a function by its name."""
    FIGURES[function.__name__] = function
    return function


def at(content: dict[str, Any], mark: str) -> int:
    """Return a number of epochs, which the template may call ``first`` or ``last``."""
    return {"first": marks(content)[0], "last": marks(content)[-1]}.get(mark) or int(mark)


def accuracy_of(content: dict[str, Any], sampler: str, epochs: int) -> dict[str, Any]:
    """Return the pairwise accuracy of a sampler after so many epochs."""
    return one(content["agreement"], sampler=sampler, epochs=epochs, figure="pairwise_accuracy")


def difference_of(content: dict[str, Any], epochs: int, sampler: str = "proportional") -> dict[str, Any]:
    """Return the pairwise accuracy that a sampler has more than uniform sampling."""
    return one(content["differences"], sampler=sampler, epochs=epochs, figure="pairwise_accuracy")


# --- a ranking study's figures


@named
def genotypes(name: str) -> str:
    """Return the number of ranked genotypes."""
    return str(len(study(name)["genotypes"]))


@named
def trained(name: str) -> str:
    """Return the number of genotypes that supernets were trained on."""
    return f"{study(name)['trained']:,}"


@named
def setting(name: str, key: str) -> str:
    """Return a setting of a study."""
    value = study(name)["config"]
    for part in key.split("."):
        value = value[part]
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


@named
def train_images(name: str) -> str:
    """Return the number of train images."""
    return str(study(name)["data"].split(": ")[1].split(" train")[0])


@named
def steps(name: str, mark: str) -> str:
    """Return the number of updates, of batches of 64, after so many epochs."""
    return f"{at(study(name), mark) * (int(train_images(name).replace(',', '')) // 64):,}"


@named
def epochs(name: str, mark: str) -> str:
    """Return a mark in epochs."""
    return str(at(study(name), mark))


@named
def pairwise(name: str, sampler: str, mark: str) -> str:
    """Return a pairwise accuracy in percent, with its interval."""
    content = study(name)
    return percent(accuracy_of(content, sampler, at(content, mark)))


@named
def kendall(name: str, sampler: str, mark: str) -> str:
    """Return Kendall's tau, with its interval."""
    content = study(name)
    return figure(one(content["agreement"], sampler=sampler, epochs=at(content, mark), figure="kendall_tau"))


@named
def precision_at_top(name: str, sampler: str, mark: str) -> str:
    """Return the precision at the top, without its interval."""
    content = study(name)
    found = one(content["agreement"], sampler=sampler, epochs=at(content, mark), figure="precision_at_top")
    return f"{found['value']:.2f}"


@named
def top(name: str) -> str:
    """Return how many genotypes are the top."""
    return str(study(name)["top"])


@named
def difference(name: str, mark: str, sampler: str = "proportional") -> str:
    """Return a difference from uniform sampling in points, with its interval."""
    content = study(name)
    return percent(difference_of(content, at(content, mark), sampler), "+")


@named
def judged(name: str, mark: str, sampler: str = "proportional") -> str:
    """Return what the interval of a difference from uniform sampling says."""
    content = study(name)
    return verdict(difference_of(content, at(content, mark), sampler))


@named
def differences(name: str, sampler: str) -> str:
    """Return the differences from uniform sampling after each number of epochs."""
    content = study(name)
    each = (
        f"{difference(name, str(epochs), sampler)} points after {epochs} epochs ({judged(name, str(epochs), sampler)})"
        for epochs in marks(content)
    )
    return ", ".join(each)


@named
def gain(name: str, sampler: str, mark: str) -> str:
    """Return Spearman's rho of size and ranks gained."""
    content = study(name)
    return figure(one(content["gained_by_size"], sampler=sampler, epochs=at(content, mark)), 2, "+")


@named
def size_alone(name: str) -> str:
    """Return Kendall's tau of size and truth."""
    return figure(study(name)["size_alone"])


@named
def size_ratio(name: str) -> str:
    """Return how many times the largest genotype's parameters are the smallest's."""
    sizes = [entry["size"] for entry in study(name)["genotypes"]]
    return f"{max(sizes) / min(sizes):.1f}"


@named
def sizes(name: str) -> str:
    """Return the sizes of the ranked genotypes."""
    return spread(study(name))


@named
def truths(name: str) -> str:
    """Return the range of the truth, in percent."""
    return accuracies(study(name))


@named
def reliability(name: str, key: str) -> str:
    """Return how far two trainings of the same genotypes agree."""
    found = one(study(name)["reliability"], figure=key)
    return percent(found) if key == "pairwise_accuracy" else figure(found)


@named
def seeds(name: str, mark: str) -> str:
    """Return the pairwise accuracy of each supernet, in percent."""
    content = study(name)
    return each_seed(content, at(content, mark))


@named
def wins(name: str) -> str:
    """Return in how many seeds proportional sampling has the higher pairwise accuracy after the last epoch."""
    content = study(name)
    ours, uniform = (
        accuracy_of(content, sampler, at(content, "last"))["each_seed"] for sampler in ("proportional", "uniform")
    )
    return f"{sum(mine > theirs for mine, theirs in zip(ours, uniform, strict=True))} of {len(ours)}"


@named
def over(name: str) -> str:
    """Return what a study's intervals are over."""
    content = study(name)
    count = len({entry["seed"] for entry in content["supernets"]})
    if count == 1:
        return f"One seed, so intervals are over the {len(content['genotypes'])} cells alone."
    return f"{count} supernets under each sampler."


@named
def ranking(name: str, sizes: str = "sizes") -> str:
    """Return the table of every sampler's figures at every mark; of ``sizes`` too, unless it is another word."""
    return ranking_table(study(name), sizes=sizes == "sizes")


@named
def ranking_rows(name: str) -> str:
    """Return the rows of that table, its head left out."""
    return ranking_table(study(name)).split("\n", 2)[2]


@named
def differences_table(name: str) -> str:
    """Return the table of differences from uniform sampling."""
    return difference_table(study(name))


# --- published scores


@named
def published(key: str, sign: str = "") -> str:
    """Return a figure of the published one-shot scores on the cells of study A."""
    column = study("A-published")["columns"][0]
    value = column[key]
    if key == "pairwise_accuracy":
        return percent(value)
    return f"{value:{sign}.2f}" if isinstance(value, float) else figure(value)


@named
def checked_cells() -> str:
    """Return the number of cells whose published scores are checked."""
    return f"{study('agreement')['n']:,}"


@named
def checked_table() -> str:
    """Return the table of the figures of published scores."""
    names = {"oneshot_supernet": "one supernet", "fewshot_supernet": "five sub-supernets"}
    rows = [
        [
            names.get(column["column"], column["column"]), percent(column["pairwise_accuracy"]),
            f"{100 * column['pairwise_accuracy_of_draws']:.1f} (sd {100 * column['deviation_of_draws']:.1f})",
            *(figure(column[name]) for name in ("kendall_tau", "tau_in_better_half", "tau_in_top_tenth")),
            figure(column["partial_tau_given_size"]), figure(column["precision_in_top_tenth"], 2),
            f"{column['ranks_gained_by_size']:+.2f}",
        ]
        for column in study("agreement")["columns"]
    ]  # fmt: skip
    heads = ["published scores", "pairwise accuracy, %", "in draws of 50, %", "Kendall tau", "in the better half"]
    heads += ["in the top 10 %", "partial, given live size", "precision at the top 10 %", "gain by size"]
    return table(heads, rows)


@named
def deviation_of_draws() -> str:
    """Return the deviation of pairwise accuracy from one draw of 50 to the next, in points."""
    return f"{100 * study('agreement')['columns'][0]['deviation_of_draws']:.1f}"


# --- B: the paper's protocol


@named
def paper_table() -> str:
    """Return the paper's Tables 2 and 6 beside what was found here."""
    diverse = study("B-diverse")
    own = {epochs: study(f"B-diverse-own-{epochs}") for epochs in OWN_EPOCHS}
    own[marks(diverse)[-1]] = diverse  # the last mark is the end of its own cosine
    rows = []
    for epochs in sorted({*own, *PAPER_EPOCHS}):
        row = [str(epochs)]
        for sampler in ("uniform", "proportional"):
            row.append(str(PAPER[sampler][PAPER_EPOCHS.index(epochs)]) if epochs in PAPER_EPOCHS else "")
        for sampler in ("uniform", "proportional"):
            row.append(percent(accuracy_of(own[epochs], sampler, epochs)) if epochs in own else "")
        row.append(percent(difference_of(own[epochs], epochs), "+") if epochs in own else "")
        rows.append(row)
    heads = ["epochs", "paper, uniform", "paper, proportional", "here, uniform", "here, proportional", "difference"]
    return table(heads, rows)


@named
def paper_sizes_table() -> str:
    """Return the paper's Table 3 beside what was found here."""
    rows = [
        [kind, str(paper), pairwise(f"B-{kind}-own-5", "uniform", "5"), sizes(f"B-{kind}"), truths(f"B-{kind}")]
        for kind, paper in (("diverse", PAPER_DIVERSE), ("similar", PAPER_SIMILAR))
    ]
    return table(["sizes", "paper", "here", "sizes here", "accuracies here"], rows)


def _along() -> list[tuple[str, str, int]]:
    """Every difference from uniform sampling along B's curves: kind of sizes, sampler, epochs."""
    return [
        (kind, sampler, epochs)
        for kind in ("diverse", "similar")
        for sampler in samplers(study(f"B-{kind}"))[1:]
        for epochs in marks(study(f"B-{kind}"))
    ]


@named
def differences_along(more: str = "0") -> str:
    """Return the number of differences along B's curves, and so many more."""
    return str(len(_along()) + int(more))


@named
def differences_without_zero() -> str:
    """Return how many of these have an interval without zero, and which."""
    outside = [
        f"{sampler}, {kind} sizes, {epochs} epochs"
        for kind, sampler, epochs in _along()
        if verdict(difference_of(study(f"B-{kind}"), epochs, sampler)) != "includes zero"
    ]
    which = f" ({'; '.join(outside)})" if outside else ""
    return f"{len(outside)} {'has' if len(outside) == 1 else 'have'} an interval without zero{which}"


@named
def half_width(name: str) -> str:
    """Return half the mean width of the intervals of proportional less uniform, in points."""
    found = [difference_of(study(name), epochs) for epochs in marks(study(name))]
    return f"{sum(100 * (entry['high'] - entry['low']) / 2 for entry in found) / len(found):.0f}"


# --- C: size and accuracy


@named
def size_table() -> str:
    """Return the table of size against accuracy along others' trainings."""
    rows = []
    for entry in study("size")["tables"]:
        early, late = entry["correlation"][0], entry["correlation"][-1]
        rows.append(
            [
                entry["table"], f"{entry['n']:,}", str(early["epochs"]), figure(early["spearman"], 2, "+"),
                str(late["epochs"]), figure(late["spearman"], 2, "+"), figure(early["spearman_with_last"], 2),
            ]
        )  # fmt: skip
    heads = ["table", "n", "first epochs", "size and accuracy", "last epochs", "size and accuracy", "first with last"]
    return table(heads, rows)


# --- controllers


@named
def optimum() -> str:
    """Return the best test accuracy of the table that controllers search."""
    return f"{study('controllers')['optimum']:.2f}"


@named
def controllers_rows() -> str:
    """Return the number of cells of that table."""
    return f"{study('controllers')['rows']:,}"


@named
def best_by_validation() -> str:
    """Return the test accuracy of the cell with the best validation accuracy."""
    return f"{study('controllers')['test_of_best_score']:.2f}"


@named
def regret_of_best_by_validation() -> str:
    """Return that cell's regret."""
    content = study("controllers")
    return f"{content['optimum'] - content['test_of_best_score']:.2f}"


@named
def regret(controller: str, queries: str) -> str:
    """Return a controller's mean regret after so many queries."""
    return f"{one(study('controllers')['regret'], controller=controller, queries=int(queries))['regret']:.2f}"


@named
def regret_order(place: str, queries: str) -> str:
    """Return the controller at a place, from 1, by mean regret after so many queries."""
    found = {
        name: one(study("controllers")["regret"], controller=name, queries=int(queries))["regret"]
        for name in ("random", "evolution", "nao")
    }
    return sorted(found, key=found.__getitem__)[int(place) - 1]


@named
def regret_at(place: str, queries: str) -> str:
    """Return the mean regret of the controller at that place."""
    return regret(regret_order(place, queries), queries)


@named
def controllers_table() -> str:
    """Return the table of best accuracy and regret by queries."""
    content = study("controllers")
    names = list(dict.fromkeys(entry["controller"] for entry in content["regret"]))
    rows = []
    for queries in (100, 200, 500, 1000, 2000):
        row = [f"{queries:,}"]
        for name in names:
            found = one(content["regret"], controller=name, queries=queries)
            low_high = f"{found['regret_low']:.2f} to {found['regret_high']:.2f}"
            row.append(f"{found['best']:.2f}; {found['regret']:.2f} ({low_high})")
        rows.append(row)
    searches = {name: one(content["regret"], controller=name, queries=100)["searches"] for name in names}
    return table(["queries", *(f"{name} ({searches[name]} searches)" for name in names)], rows)


@named
def validation_regret(folder: str) -> str:
    """Return the table of validation regret, and what each controller differs by from the baseline's."""
    content = study(folder)
    rows = []
    for entry in content["validation_regret"]:
        less = "-"
        if entry["difference"] is not None:
            less = f"{entry['difference']:+.3f} [{entry['difference_low']:+.3f}, {entry['difference_high']:+.3f}]"
        found = f"{entry['regret']:.3f} [{entry['low']:.3f}, {entry['high']:.3f}]"
        rows.append([entry["controller"], str(entry["searches"]), f"{entry['queries']:,}", found, less])
    heads = ["controller", "searches", "queries", "validation regret", f"less {content['baseline']}'s"]
    return table(heads, rows)


@named
def until_top(folder: str) -> str:
    """Return the median numbers of queries until one of the table's best 0.1 % is found."""
    content = study(folder)
    most = max(entry["queries"] for entry in content["regret"])
    return ", ".join(
        f"{name} {f'more than {most:,}' if value is None else f'{value:g}'}"
        for name, value in content["until_top"].items()
    )


# --- the predictor


@named
def predictor(name: str, place: str, key: str) -> str:
    """Return a figure of a predictor study's row, by its place in the study."""
    value = study(f"predictor-{name}")["predictor"][int(place)][key]
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


@named
def predictor_by_size() -> str:
    """Return Kendall's tau of size and accuracy on NAS-Bench-201."""
    tau = one(study("size")["tables"], table="nasbench201")["correlation"][-1]["kendall_tau"]
    return f"{tau['value']:.3f}"


@named
def size_tau(name: str) -> str:
    """Return Kendall's tau of size and accuracy in a table, after all its epochs."""
    return f"{one(study('size')['tables'], table=name)['correlation'][-1]['kendall_tau']['value']:.2f}"


@named
def predictor_table() -> str:
    """Return the table of the predictor's figures."""
    names = (
        ("predictor-nas-bench-201", "NAS-Bench-201"), ("predictor-enas", "ENAS_in (NDS), cells alone"),
        ("predictor-darts", "214 DARTS cells"),
    )  # fmt: skip
    rows = [
        [
            title, f"{entry['train_size']:,}", f"{entry['held_out']:,}", str(entry["trainings"]),
            f"{entry['kendall_tau']:.3f} ({entry['low']:.3f} to {entry['high']:.3f})", f"{entry['spearman']:.3f}",
        ]
        for name, title in names
        for entry in study(name)["predictor"]
    ]  # fmt: skip
    return table(["table", "learned from", "held out", "trainings", "Kendall tau, mean (range)", "Spearman"], rows)


@named
def predictor_held_out(name: str) -> str:
    """Return the number of genotypes that a predictor was judged on."""
    return f"{study(f'predictor-{name}')['predictor'][0]['held_out']:,}"


@named
def predictors_table() -> str:
    """Return what each kind of predictor learns from samples of three tables."""
    tables = (
        ("nas-bench-201", "NAS-Bench-201"),
        ("darts", "214 DARTS cells"),
        ("nds", "DARTS_fix-w-d_in (NDS), ImageNet"),
    )
    kinds = (("", "NAO, scores"), ("-ranks", "NAO, ranks"), ("-ridge", "ridge"), ("-trees", "trees"))
    rows = []
    for name, title in tables:
        found = {
            kind: {each["train_size"]: each for each in study(f"predictor-{name}{kind}")["predictor"]}
            for kind, _ in kinds
        }
        for size in found["-ranks"]:
            entries = [found[kind][size] for kind, _ in kinds]
            cells = [f"{each['kendall_tau']:.3f} ({each['low']:.3f} to {each['high']:.3f})" for each in entries]
            rows.append([title, f"{size:,}", *cells])
    return table(["table", "learned from", *(title for _, title in kinds)], rows)


# --- F: slots and idle momentum


@named
def weights_table(prefix: str, *pairs: str) -> str:
    """Return the last figures of two studies, ``kind=study`` each, by sampler."""
    rows = []
    for sampler in ("uniform", "proportional"):
        for kind, name in (pair.split("=") for pair in pairs):
            (own,) = (part for part in seeds(name, "last").split("; ") if part.startswith(f"{sampler} "))
            last = pairwise(name, sampler, "last"), kendall(name, sampler, "last")
            rows.append([f"{prefix.replace('_', ' ')} {kind}", sampler, *last, own.removeprefix(f"{sampler} ")])
    return table(["", "sampler", "pairwise accuracy, %", "Kendall tau", "each seed, %"], rows)


@named
def paired(one_name: str, other_name: str) -> str:
    """Return the pairwise accuracy of one study's supernets less another's, over samplers and seeds, in points."""
    scores, truth = [], []
    for content in (study(one_name), study(other_name)):
        by_genotype = sorted(range(len(content["genotypes"])), key=lambda i: content["genotypes"][i]["genotype"])
        truth.append([np.mean(content["genotypes"][i]["truth"]) for i in by_genotype])
        scores.append([[s["scores"][-1][i] for i in by_genotype] for s in content["supernets"]])
    assert truth[0] == truth[1]
    found = compare_rankings({"other": scores[1], "one": scores[0]}, truth[0]).differences["one"]["pairwise_accuracy"]
    return percent({"value": found.value, "low": found.low, "high": found.high}, "+")


def _scores_of(name: str, sampler: str) -> tuple[list[Any], list[float]]:
    """Return a study's last scores by one sampler, one list a seed, and the truth, by the genotypes' texts."""
    content = study(name)
    order = sorted(range(len(content["genotypes"])), key=lambda i: content["genotypes"][i]["genotype"])
    scores = [[s["scores"][-1][i] for i in order] for s in content["supernets"] if _sampler_of(s) == sampler]
    return scores, [float(np.mean(content["genotypes"][i]["truth"])) for i in order]


def _sampler_of(supernet: dict[str, Any]) -> str:
    powered = supernet["sampler"] == "proportional" and supernet["alpha"] != 1
    return f"proportional:{supernet['alpha']:g}" if powered else supernet["sampler"]


@named
def between(one: str, other: str) -> str:
    """Return how far one study's scores agree with the truth beyond another's, ``study=sampler`` each, paired."""
    (scores, truth), (others, same) = (_scores_of(*each.split("=")) for each in (one, other))
    assert truth == same
    found = compare_rankings({"other": others, "one": scores}, truth).differences["one"]
    tau, pairs = found["kendall_tau"], found["pairwise_accuracy"]
    return (
        f"tau {tau.value:+.2f} [{tau.low:+.2f}, {tau.high:+.2f}], pairwise accuracy "
        f"{percent({'value': pairs.value, 'low': pairs.low, 'high': pairs.high}, '+')} points"
    )


@named
def agreement_of(name: str, sampler: str) -> str:
    """Return Kendall's tau and partial tau of a study's sampler, means over seeds, with intervals."""
    scores, truth = _scores_of(name, sampler)
    content = study(name)
    order = sorted(range(len(content["genotypes"])), key=lambda i: content["genotypes"][i]["genotype"])
    size = np.array([content["genotypes"][i]["size"] for i in order], np.float64)
    found = compare_rankings({"one": scores}, truth, size=size).estimates["one"]
    told = {"tau": "kendall_tau", "partial": "partial_tau_given_size", "better half": "tau_in_better_half"}
    return ", ".join(f"{word} {figure(found[key].to_json(), 2)}" for word, key in told.items())


# --- L: strategies at equal seconds


@named
def strategies_table() -> str:
    """Return what each strategy's searches found, in accuracy by the table, best mean first."""
    found = StabilityStudy.from_json(study("strategies-120"))
    shorter = {method.method: method for method in StabilityStudy.from_json(study("strategies")).methods}
    updates = _kept("strategies-120/updates.json")
    first, best = found.methods[0], found.table_best
    assert best is not None
    rows = []
    for method in sorted(found.methods, key=lambda each: each.mean):
        less, name, footprint = "-", method.method, method.footprint
        assert footprint is not None
        if method is not first:
            less = _less(method, first)
        low, high = method.interval() or (method.mean, method.mean)
        rows.append(
            [
                f"`{name}`",
                f"{100 - 100 * method.mean:.2f} [{100 - 100 * high:.2f}, {100 - 100 * low:.2f}]",
                f"{100 * (method.mean - 1 + best):.2f}",
                ", ".join(f"{100 - 100 * error:.2f}" for error in method.errors),
                less,
                f"{100 - 100 * shorter[name].mean:.2f}",
                f"{updates[name]:,}",
                ", ".join(str(entry.parameter_free_edges) for entry in method.entries),
                f"{sum(entry.alarm is not None for entry in method.entries)} of {len(method.entries)}",
                f"{np.mean([entry.search_seconds for entry in method.entries]):.0f}",
                f"{footprint.peak / 2**20:.0f}",
            ]
        )
    heads = ["strategy", "mean accuracy, %", "mean regret", "each search", f"less {first.method}'s", "mean after 25 s"]
    heads += ["updates", "edges without parameters (of 6)", "alarms", "seconds", "peak MiB"]
    return table(heads, rows)


@named
def strategies_less(name: str, other: str) -> str:
    """Return the mean accuracy of a strategy less that of another over the same seeds, in points."""
    methods = {method.method: method for method in StabilityStudy.from_json(study("strategies-120")).methods}
    return _less(methods[name], methods[other])


def _less(method: MethodStability, other: MethodStability) -> str:
    """Return the mean accuracy of a method less that of another, in points."""
    mean, ends = method.difference(other)
    assert ends is not None
    return f"{-100 * mean:+.2f} [{-100 * ends[1]:+.2f}, {-100 * ends[0]:+.2f}]"


@named
def strategies_shared() -> str:
    """Return what searches by the preset ``quick-shared`` with as many updates as ``nao`` found, by the table."""
    found = [100 * each["table_accuracy"] for each in _kept("strategies-120/shared.json")]
    ends = t_interval(found)
    assert ends is not None
    return f"{', '.join(f'{each:.2f}' for each in found)}, mean {np.mean(found):.2f} [{ends[0]:.2f}, {ends[1]:.2f}]"


@named
def strategies_memory() -> str:
    """Return what updates of each strategy hold beside what was loaded, and its process at most, in MiB."""
    found = {(each["strategy"], each["channels"]): each for each in _lines("strategies/memory.jsonl")}
    channels = sorted({size for _, size in found})
    rows = []
    for name in dict.fromkeys(name for name, _ in found):
        own = [found[name, size] for size in channels]
        updates = [f"{(each['updates_bytes'] - each['before_bytes']) / 2**20:.0f}" for each in own]
        rows.append([f"`{name}`", *updates, *(f"{each['peak_bytes'] / 2**20:.0f}" for each in own)])
    heads = [*(f"updates, C = {size}" for size in channels), *(f"process, C = {size}" for size in channels)]
    return table(["strategy", *heads], rows)


def _strategy_lines(name: str) -> dict[str, Any]:
    """Return what benchmarks/strategy_runs.py wrote of each strategy, in the order of ``bnao strategies``."""
    lines = {line["strategy"]: line for line in _lines(f"strategy-runs/{name}.jsonl")}
    return {strategy: lines[strategy] for strategy in METHODS if strategy in lines}


@named
def strategy_runs(name: str) -> str:
    """Return what a search by each strategy took, and what became of its best."""
    rows = []
    for strategy, found in _strategy_lines(name).items():
        last = found["last"] or {"figures": {}}
        entropy = last["figures"].get("entropy")
        rows.append(
            [
                f"`{strategy}`",
                f"{found['seconds']:.0f}",
                f"{found['cpu_seconds']:.0f}",
                f"{found['peak_mebibytes']:,.0f}",
                f"{found['parameters']:,}",
                f"{100 * found['test_error']:.1f}" if "test_error" in found else "-",
                f"{found['alarms']} of {found['looks']}" if "genotype" in last else "-",
                "-" if entropy is None else f"{entropy:.2f}",
            ]
        )
    heads = ["strategy", "seconds", "of the CPU", "peak MiB", "parameters", "test error, %", "epochs with an alarm"]
    return table([*heads, "entropy"], rows)


@named
def judged_searches(name: str) -> str:
    """Return what benchmarks/judged_searches.py says of searches, one a row, and their means."""
    runs = _lines(f"judged-searches/{name}.jsonl")
    heads = {"best": "best", "top": "best five", "pool": "random pool", "largest": "five largest"}
    heads |= {"tau": "tau of the ranking", "tau_of_size": "tau of live size"}
    rows = [[each["run"].rpartition("-")[2], *(f"{each[head]:.2f}" for head in heads)] for each in runs]
    rows.append(["mean", *(f"{np.mean([each[head] for each in runs]):.2f}" for head in heads)])
    return table(["seed", *heads.values()], rows)


@named
def edges_alike(*strategies: str) -> str:
    """Return on how many edges the genotypes that strategies derived in two backends have the same operation."""
    texts = []
    for strategy in strategies:
        mine, theirs = (
            SPACES["nas-bench-201"].parse(_strategy_lines(name)[strategy]["genotype"]) for name in ("torch", "keras")
        )
        nodes = zip(mine.normal.nodes, theirs.normal.nodes, strict=True)
        same = sum(one == other for node in nodes for one, other in zip(*(each.edges for each in node), strict=True))
        texts.append(f"`{strategy}` {same}")
    return ", ".join(texts)


@named
def collapse_table() -> str:
    """Return what a search by DARTS would have derived on its way."""
    rows = [
        [
            str(look["epoch"]),
            f"`{look['genotype']}`",
            f"{look['figures']['skips in normal cell']:.0f}",
            f"{100 * look['figures']['mixture accuracy']:.1f}",
            f"{100 * look['figures']['path accuracy']:.1f}",
            f"{look['table_accuracy']:.2f}",
            "-" if look["alarm"] is None else "raised",
        ]
        for look in _looks(0)
        if look["epoch"] % 10 == 0
    ]
    heads = ["epoch", "derived genotype", "skip connections (of 6)", "mixture accuracy, %", "its path's, %", "table, %"]
    return table([*heads, "alarm"], rows)


@named
def collapse_seeds() -> str:
    """Return the same of every seed: the table's accuracy, and skip connections."""
    seeds = {seed: _looks(seed) for seed in range(3)}
    rows = [
        [
            str(epoch),
            *(
                f"{looks[epoch - 1]['table_accuracy']:.2f} ({looks[epoch - 1]['figures']['skips in normal cell']:.0f})"
                for looks in seeds.values()
            ),
        ]
        for epoch in (1, 5, *range(10, 61, 10))
    ]
    alarms = [next((look["epoch"] for look in looks if look["alarm"] is not None), None) for looks in seeds.values()]
    rows.append(["first alarm at epoch", *("none" if epoch is None else str(epoch) for epoch in alarms)])
    best = [max(looks, key=lambda look: look["table_accuracy"]) for looks in seeds.values()]
    rows.append(["best", *(f"{look['table_accuracy']:.2f} at epoch {look['epoch']}" for look in best)])
    return table(["epoch", *(f"seed {seed}: table, % (skips)" for seed in seeds)], rows)


@named
def collapse_loss() -> str:
    """Return how much table accuracy was lost from epoch 5 to the end, mean and interval over seeds, in points."""
    lost = [looks[4]["table_accuracy"] - looks[-1]["table_accuracy"] for looks in map(_looks, range(3))]
    ends = t_interval(lost)
    assert ends is not None
    return f"{np.mean(lost):.1f} [{ends[0]:.1f}, {ends[1]:.1f}]"


def _looks(seed: int) -> list[dict[str, Any]]:
    """Return what was seen after each epoch of a search by DARTS."""
    looks: list[dict[str, Any]] = _kept(f"darts-collapse/seed-{seed}.json")["epochs"]
    return looks


# --- the controller's seconds, from the runs of benchmarks/controller_tau.py


@named
def controller_seconds() -> str:
    """Return the processor seconds of each training until it has a Kendall tau on cells held out."""
    forms: dict[tuple[str, str, float], list[str]] = {}
    for run in _kept("controller-tau/tau.json"):
        seconds = run["processor_seconds"]
        told = f"not within {_EPOCHS} epochs" if seconds is None else f"{seconds:.1f} ({run['epochs']})"
        forms.setdefault((run["controller"], run["settings"], run["tau"]), []).append(told)
    names = {"nao-paper": "the paper's", "preset": "presets'", "table": "tables'"}
    taus = sorted({tau for *_, tau in forms})
    rows = []
    for controller, settings in dict.fromkeys((controller, settings) for controller, settings, _ in forms):
        each = [", ".join(forms.get((controller, settings, tau), ["-"])) for tau in taus]
        rows.append([names.get(controller, names[settings]), *each])
    return table(["form", *(f"tau {tau:g}" for tau in taus)], rows)


# --- I: first searches


@named
def first_search(preset: str) -> str:
    """Return mean test errors of a preset's searches: the best five, random ones and, where known, the largest five."""
    found = _kept("first-search/gains.json")["searches"]
    rows = []
    for search in (search for search in found if search["preset"] == preset):
        best, largest = search["against_random"], search.get("largest_against_random")
        row = [str(search["seed"]) + (f", {search['threads']} threads" if search["threads"] > 1 else "")]
        row += [f"{100 * best[part]:.2f} %" for part in ("top_mean", "random_mean")] + [_points(best)]
        rows.append(row if largest is None else [*row, f"{100 * largest['top_mean']:.2f} %", _points(largest)])
    heads = ["seed", "best five", "15 random", "gain", "five largest", "their gain"]
    return table(heads[: len(rows[0])], rows)


def _points(found: Mapping[str, Any]) -> str:
    """Return a gain over random genotypes in points."""
    return figure({name: 100 * found["gain"][name] for name in ("value", "low", "high")}, 2)


# --- J: shared supernets, from the runs of benchmarks/supernet_ranking.py

_RUNS = "shared-supernet/ranking.json"
#: of a run, if its command does not say otherwise
_STEPS = 2500
_CELLS = 200
#: how each column of scores was made
_WAYS = {
    "accuracy, plain": "accuracy",
    "log-likelihood, plain": "log-likelihood",
    "accuracy, augmented": "accuracy, augmented dev images",
    "log-likelihood, augmented": "log-likelihood, augmented dev images",
}


def _runs() -> dict[str, list[dict[str, Any]]]:
    """Return the runs by name, each in the order of its seeds."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for run in _kept(_RUNS):
        by_name.setdefault(run["name"], []).append(run)
    return {name: sorted(runs, key=lambda run: run["seed"]) for name, runs in by_name.items()}


def _file_of(name: str) -> str:
    """Return which file has the cells of a run."""
    return f"proxies/{'fresh-' if name.startswith('fresh-') else ''}c8n1.json"


def _cells_of(name: str) -> list[dict[str, Any]]:
    """Return the cells that a run trained on."""
    cells = _kept(_file_of(name))["cells"]
    return list(cells[: _runs()[name][0]["cells"]])


def _cells(name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return truth and live size of a run's cells."""
    cells = _cells_of(name)
    truth, size = (np.array([cell[name] for cell in cells], np.float64) for name in ("truth", "live_parameters"))
    return truth, size


def _scores(name: str, way: str) -> list[NDArray[np.float64]]:
    """Return a run's scores of its cells, one array a seed; a template has ``_`` for the spaces of a way's name."""
    return [np.array(run["scores"][way.replace("_", " ")]) for run in _runs()[name]]


@named
def shared_supernets(kind: str) -> str:
    """Return Kendall's tau and partial tau of each run and score, or with ``fused`` tau and that of the better half."""
    first, second = ("kendall_tau", "partial_tau_given_size" if kind == "tau" else "tau_in_better_half")
    rows = []
    for name, runs in _runs().items():
        if name.startswith("fresh-"):
            continue
        row = [name, ", ".join(str(run["seed"]) for run in runs)]
        for way in _WAYS:
            entries = [run["figures"][way if kind == "tau" else f"{way}, fused"] for run in runs]
            row.append(", ".join(f"{entry[first][0]:.2f} ({entry[second][0]:.2f})" for entry in entries))
        rows.append(row)
    return table(["run", "seeds", *_WAYS.values()], rows)


@named
def shared_difference(name: str, way: str, less: str) -> str:
    """Return how far tau by one score exceeds that by another, over a run's seeds, with the interval over cells."""
    truth, size = _cells(name)
    ways = {each: _scores(name, each) for each in (less, way)}
    found = compare_rankings(ways, truth, size=size).differences[way]
    return "; ".join(
        f"{told} {found[figure].value:+.2f} [{found[figure].low:+.2f}, {found[figure].high:+.2f}]"
        for told, figure in (("tau", "kendall_tau"), ("partial tau", "partial_tau_given_size"))
    )


@named
def shared_seconds(name: str) -> str:
    """Return the mean CPU seconds of a run's trainings and scorings."""
    runs = _runs()[name]
    training, scoring = (np.mean([run["cpu_seconds"][part] for run in runs]) for part in ("training", "scoring"))
    return f"{training:.0f} + {scoring:.0f}"


@named
def shared_commands() -> str:
    """Return the command of each run."""
    script = "python benchmarks/supernet_ranking.py --data cifar10_10k.npz --augmented"
    return "\n".join(
        f"{script} --cells-of docs/results/{_file_of(run['name'])} --name {run['name']} --seed {run['seed']}"
        + (f" --cells {run['cells']}" if run["cells"] != _CELLS else "")
        + (f" --steps {run['steps']}" if run["steps"] != _STEPS else "")
        + "".join(f" --set {text}" for text in run["set"])
        for runs in _runs().values()
        for run in runs
    )


@named
def shared_untrained() -> str:
    """Return tau, and that of the better half, of live size and jacob_cov joined, on the cells of these runs."""
    first = next(iter(_runs()))
    truth, size = _cells(first)
    joined = fuse({"size": size, **_proxies(first, "jacob_cov")}).values
    return f"{kendall_tau(joined, truth):.2f} ({better_tau(joined, truth):.2f})"


def _proxies(run: str, *names: str) -> dict[str, NDArray[np.float64]]:
    """Return zero-cost scores of a run's cells, by name."""
    cells = _cells_of(run)
    return {name: np.array([cell["proxies"][name]["mean"] for cell in cells], np.float64) for name in names}


@named
def shared_means(name: str, way: str) -> str:
    """Return the mean figures of a run's seeds by one score, with intervals over cells and seeds."""
    truth, size = _cells(name)
    scores = _scores(name, way)
    found = compare_rankings({way: scores}, truth, size=size).estimates[way]
    told = {"tau": "kendall_tau", "partial": "partial_tau_given_size", "in the better half": "tau_in_better_half"}
    return ", ".join(f"{word} {figure(found[key].to_json(), 2)}" for word, key in told.items())


@named
def shared_over_size(name: str, way: str) -> str:
    """Return tau and that of the better half of live size, and how far a run's seeds exceed them."""
    truth, size = _cells(name)
    found = compare_rankings({"size": [size], "score": _scores(name, way)}, truth)
    return _with_gain(found, "size", "score", ", the supernet {gain}")


def _with_gain(found: Comparison, told: str, other: str, form: str) -> str:
    """Return tau and that of the better half by one way, and in the form's place how far another exceeds the first."""
    keys = {"tau": "kendall_tau", "better half": "tau_in_better_half"}
    return "; ".join(
        f"{word} {figure(found.estimates[told][key].to_json(), 2)}"
        + form.format(gain=figure(found.differences[other][key].to_json(), 2, "+"))
        for word, key in keys.items()
    )


@named
def shared_hints(way: str, *names: str) -> str:
    """Return the figures of single runs by one score, alone and joined with live size and jacob_cov."""
    way = way.replace("_", " ")
    keys = ("kendall_tau", "partial_tau_given_size", "tau_in_better_half")
    rows = []
    for name in names:
        (run,) = _runs()[name]
        own, joined = run["figures"][way], run["figures"][f"{way}, fused"]
        given = " ".join(f"`{text}`" for text in run["set"])
        told = f"{given}, {run['steps']:,} steps"
        rows.append([f"`{name}`", told, *(f"{own[key][0]:.2f}" for key in keys),
                     f"{joined[keys[0]][0]:.2f} ({joined[keys[2]][0]:.2f})"])  # fmt: skip
    return table(["run", "settings", "tau", "partial", "in the better half", "joined: tau (better half)"], rows)


@named
def shared_joined(name: str, way: str, *proxies: str) -> str:
    """Return tau and that of the better half of a run joined with live size and zero-cost scores, and its gain."""
    truth, size = _cells(name)
    others = {"size": size, **_proxies(name, *proxies)}
    scores = _scores(name, way)
    joined = {
        "without": [fuse(others).values] * len(scores),
        "with": [fuse({"score": s, **others}).values for s in scores],
    }
    found = compare_rankings(joined, truth, size=size)
    return _with_gain(found, "with", "with", ", {gain} more than without a supernet")


@named
def shared_landmarks(name: str, way: str, landmarks: str, *proxies: str) -> str:
    """Return tau and that of the better half on cells that are no landmarks: weights alike, and what theirs add."""
    (truth, size), scores = _cells(name), np.array(_scores(name, way))
    joined = JoinedRankings({1: {"": scores}}, size, _proxies(name, *proxies), truth, int(landmarks), 10, 1000)
    return _with_gain(joined.landmark_comparisons[1], f"{FUSED} ", f"{LANDMARKS} ", ", with landmarks {gain}")


@named
def shared_seeds(name: str, way: str) -> str:
    """Return the mean Kendall tau of the scores of a run's seeds with each other's."""
    scores = _scores(name, way)
    pairs = [kendall_tau(scores[i], scores[j]) for j in range(len(scores)) for i in range(j)]
    return f"{np.mean(pairs):.2f}" if pairs else "-"


@named
def shared_bias(name: str, way: str) -> str:
    """Return how many ranks an edge of each operation adds to a cell's score, and to its truth: least squares."""
    cells = _cells_of(name)
    n = len(cells)
    space = SPACES["nas-bench-201"]
    codes = space.encode([space.parse(cell["genotype"]) for cell in cells])[..., 1].reshape(n, -1)
    counts = np.stack([(codes == number).sum(1) for number in range(len(space.operations))], 1).astype(np.float64)
    score = np.mean([mean_ranks(scores) for scores in _scores(name, way)], 0)
    truth = mean_ranks([cell["truth"] for cell in cells])
    score, truth = (np.linalg.lstsq(counts, ranks, rcond=None)[0] for ranks in (score, truth))
    rows = [
        [f"`{operation}`", f"{of_score:+.0f}", f"{of_truth:+.0f}"]
        for operation, of_score, of_truth in zip(
            space.operations, score - score.mean(), truth - truth.mean(), strict=True
        )
    ]
    return table(["an edge of", "in the score", "in the truth"], rows)
