"""Figures and tables of docs/results.md out of the study.json files in docs/results/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "results"

# Tables 2, 3 and 6 of the paper, pairwise accuracy in percent by epochs
PAPER_EPOCHS = (5, 10, 20, 30, 50)
PAPER = {"uniform": (62, 65, 71, 75, 76), "proportional": (69, 72, 76, 77, 78)}
PAPER_DIVERSE, PAPER_SIMILAR = 62, 73


def study(name: str) -> dict[str, Any]:
    """A study's content."""
    content: dict[str, Any] = json.loads((FOLDER / name / "study.json").read_text(encoding="utf-8"))
    return content


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(heads)} |", f"| {' | '.join('---' for _ in heads)} |"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def figure(entry: dict[str, Any], digits: int = 3, sign: str = "") -> str:
    """An estimate with its interval."""
    if entry["value"] is None:
        return "not defined"
    return f"{entry['value']:{sign}.{digits}f} [{entry['low']:{sign}.{digits}f}, {entry['high']:{sign}.{digits}f}]"


def percent(entry: dict[str, Any], sign: str = "") -> str:
    """An estimate of a share in percent, with its interval."""
    value, low, high = (100 * entry[part] for part in ("value", "low", "high"))
    return f"{value:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"


def one(entries: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    """The entry with these values."""
    (found,) = (entry for entry in entries if all(entry[name] == value for name, value in wanted.items()))
    return found


def marks(content: dict[str, Any]) -> list[int]:
    """The epochs after which a ranking study scored."""
    return sorted({epochs for supernet in content["supernets"] for epochs in supernet["epochs"]})


def samplers(content: dict[str, Any]) -> list[str]:
    """A ranking study's samplers, in order."""
    return list(dict.fromkeys(entry["sampler"] for entry in content["agreement"]))


def verdict(entry: dict[str, Any]) -> str:
    """What a difference's interval says."""
    if entry["low"] > 0:
        return "above zero"
    return "below zero" if entry["high"] < 0 else "includes zero"


#: figures of a ranking table, with their heads
FIGURES = {
    "pairwise_accuracy": "pairwise accuracy, %",
    "kendall_tau": "Kendall tau",
    "tau_in_better_half": "tau in the better half",
    "tau_in_top_tenth": "tau in the top 10 %",
    "partial_tau_given_size": "partial tau given live size",
    "spearman": "Spearman",
    "precision_at_top": "precision at {top}",
    "precision_in_top_tenth": "precision at the top 10 %",
}
#: rankings without any training, as study.json calls them
SIZES = {"parameters": "size alone", "live-parameters": "live size alone"}


def cell(name: str, entry: dict[str, Any]) -> str:
    """A figure of a ranking table, by its name."""
    if name == "pairwise_accuracy":
        return percent(entry)
    return figure(entry, 2 if name.startswith("precision") else 3)


def ranking_table(content: dict[str, Any], *, sizes: bool = True) -> str:
    """Every sampler's figures at every mark, and those of size alone."""
    rows = []
    for epochs in marks(content):
        for sampler in samplers(content):
            found = [
                cell(name, one(content["agreement"], sampler=sampler, epochs=epochs, figure=name)) for name in FIGURES
            ]
            gain = one(content["gained_by_size"], sampler=sampler, epochs=epochs)
            rows.append([sampler, str(epochs), *found, figure(gain, 2, "+")])
    for size, called in SIZES.items() if sizes else ():
        found = [cell(name, one(content["by_size"], by=size, figure=name)) for name in FIGURES]
        rows.append([called, "0", *found, ""])
    heads = [head.format(top=content["top"]) for head in FIGURES.values()]
    return table(["sampler", "epochs", *heads, "gain by size"], rows)


def difference_table(content: dict[str, Any]) -> str:
    """What the samplers differ by from the first, paired."""
    rows = []
    for epochs in marks(content):
        for sampler in samplers(content)[1:]:
            found = {
                name: one(content["differences"], sampler=sampler, epochs=epochs, figure=name)
                for name in ("pairwise_accuracy", "kendall_tau", "tau_in_better_half", "partial_tau_given_size")
            }
            rows.append(
                [
                    sampler, str(epochs), percent(found["pairwise_accuracy"], "+"),
                    figure(found["kendall_tau"], 3, "+"), figure(found["tau_in_better_half"], 3, "+"),
                    figure(found["partial_tau_given_size"], 3, "+"),
                    verdict(found["pairwise_accuracy"]),
                ]
            )  # fmt: skip
    heads = ["less uniform", "epochs", "pairwise accuracy, points", "Kendall tau"]
    return table([*heads, "in the better half", "partial, given live size", "interval of pairwise accuracy"], rows)


def each_seed(content: dict[str, Any], epochs: int) -> str:
    """Pairwise accuracy of each supernet, in percent."""
    parts = []
    for sampler in samplers(content):
        found = one(content["agreement"], sampler=sampler, epochs=epochs, figure="pairwise_accuracy")["each_seed"]
        parts.append(f"{sampler} {', '.join(f'{100 * value:.1f}' for value in found)}")
    return "; ".join(parts)


def spread(content: dict[str, Any]) -> str:
    """The sizes of the ranked genotypes."""
    sizes = sorted(entry["size"] for entry in content["genotypes"])
    mean = sum(sizes) / len(sizes)
    deviation = (sum((size - mean) ** 2 for size in sizes) / (len(sizes) - 1)) ** 0.5
    return f"{sizes[0]:,.0f} to {sizes[-1]:,.0f} parameters (coefficient of variation {deviation / mean:.1%})"


def accuracies(content: dict[str, Any]) -> str:
    """The range of the truth, in percent."""
    truths = [sum(entry["truth"]) / len(entry["truth"]) for entry in content["genotypes"]]
    factor = 100 if max(truths) <= 1 else 1
    mean = sum(truths) / len(truths)
    deviation = (sum((value - mean) ** 2 for value in truths) / (len(truths) - 1)) ** 0.5
    return f"{factor * min(truths):.1f} to {factor * max(truths):.1f} % (standard deviation {factor * deviation:.2f})"
