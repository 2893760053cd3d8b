"""``bnao compare``: two or more searches, or evaluations, side by side."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bnao.cli.figures import cost_text, percent, plain_score
from bnao.cli.reports import table
from bnao.reporting.comparing import COSTS, SideBySide, compare_folders
from bnao.run import FORMAT


@click.command("compare")
@click.argument("folders", nargs=-1, required=True, metavar="RUN RUN...", type=click.Path(path_type=Path))
@click.option(
    "--cost", type=click.Choice(COSTS),
    help="What scores are weighed against in the fronts.  [default: that of which all were searches for a front "
    "(--pareto), else parameters]",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def command(folders: tuple[Path, ...], cost: str | None, as_json: bool) -> None:
    """Compare finished searches, or evaluations: settings that differ, scores and sizes, and the best for each size.

    The last table is the Pareto front of all genotypes together: no other has at least the score of one of them at as
    low a cost. Before it stand how many of each folder's own front are on it, and the hypervolumes of all fronts
    against one reference: score 0 (or the lowest below) and the highest cost of all. Of evaluations the score is the
    accuracy on the test images.
    """
    found = compare_folders(folders, cost)
    if as_json:
        click.echo(json.dumps({"format": FORMAT, **found.to_json()}))
        return
    names = [str(path) for path in found.folders]
    lines = [*_best(found, names), ""]
    if found.settings:
        rows = [[name, *map(_text, values)] for name, values in found.settings.items()]
        lines += ["settings that differ:", *table(["setting", *names], rows, left=["setting", *names])]
    else:
        lines.append("all settings are the same")
    lines += ["", *_fronts(found, names), "", f"Pareto front of score and {found.cost}:", *_pareto(found)]
    lines += [f"warning: {warning}" for warning in found.warnings]
    click.echo("\n".join(lines))


def _best(found: SideBySide, names: list[str]) -> list[str]:
    """Return a table of the best of each folder."""
    rows = []
    for place, (name, some) in enumerate(zip(names, found.genotypes, strict=True)):
        first, median = some[0], found.median_of_first(place)
        row = [
            name, str(len(some)), first.genotype.id, plain_score(first.score, found.as_share),
            f"{first.parameters:,}", f"{first.multiply_adds:,}",
        ]  # fmt: skip
        rows.append(row + ["-" if median is None else plain_score(median, found.as_share)] * (found.kind == "search"))
    heads = ["run", "genotypes", "first", "its score", "parameters", "multiply-adds"]
    return table(heads + ["median of round 1"] * (found.kind == "search"), rows, left=["run"])


def _fronts(found: SideBySide, names: list[str]) -> list[str]:
    """Return a table of the front of each folder, beside that of all."""
    score, most = found.reference
    title = (
        f"fronts of score and {found.cost}, hypervolumes against score {plain_score(score, found.as_share)} and "
        f"{cost_text(most, found.cost)}{'' if found.cost == 'latency' else f' {found.cost}'}:"
    )
    rows = [
        [name, str(len(front.entries)), str(len(front.joint)), f"{front.hypervolume:.6g}", percent(front.share, 2)]
        for name, front in zip(names, found.fronts(), strict=True)
    ]
    joint = str(len(found.pareto()))
    rows.append(["all together", joint, joint, f"{found.hypervolume():.6g}", percent(1.0, 2)])
    return [title, *table(["run", "its front", "on that of all", "hypervolume", "share"], rows, left=["run"])]


def _pareto(found: SideBySide) -> list[str]:
    """Return a table of the front of all folders together."""
    timed = found.cost == "latency"
    rows = [
        [
            each.genotype.id, str(each.folder), plain_score(each.score, found.as_share),
            f"{each.parameters:,}", f"{each.multiply_adds:,}",
            *([cost_text(each.cost("latency"), "latency")] if timed else []),
        ]
        for each in found.pareto()
    ]  # fmt: skip
    heads = ["id", "from", "score", "parameters", "multiply-adds", *(["latency"] * timed)]
    return table(heads, rows, left=["from"])


def _text(value: object) -> str:
    if value is None:
        return "-"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
