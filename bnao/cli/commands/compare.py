"""``bnao compare``: two or more searches, or evaluations, side by side."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bnao.cli.figures import plain_score
from bnao.cli.reports import table
from bnao.reporting.comparing import SideBySide, compare_folders
from bnao.run import FORMAT


@click.command("compare")
@click.argument("folders", nargs=-1, required=True, metavar="RUN RUN...", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def command(folders: tuple[Path, ...], as_json: bool) -> None:
    """Compare finished searches, or evaluations: settings that differ, scores and sizes, and the best for each size.

    The last table is the Pareto front of all genotypes together: each has a better score than every one with as few
    parameters. Of evaluations the score is the accuracy on the test images.
    """
    found = compare_folders(folders)
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
    front = [
        [
            each.genotype.id, str(each.folder), plain_score(each.score, found.as_share),
            f"{each.parameters:,}", f"{each.multiply_adds:,}",
        ]
        for each in found.pareto()
    ]  # fmt: skip
    heads = ["id", "from", "score", "parameters", "multiply-adds"]
    lines += ["", "Pareto front of score and parameters:", *table(heads, front, left=["from"])]
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


def _text(value: object) -> str:
    if value is None:
        return "-"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
