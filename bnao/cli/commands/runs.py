"""``bnao runs``: the searches, evaluations and studies in a folder."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bnao.cli.figures import percent
from bnao.cli.reports import table
from bnao.reporting.folders import Found, find_folders


@click.command("runs")
@click.argument("folder", default="runs", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per folder, each on its own line.")
def command(folder: Path, as_json: bool) -> None:
    """List the searches, evaluations and studies in FOLDER and below it, the last changed first.

    FOLDER is runs unless another is given. The best is the highest score of a search, or the lowest test error of an
    evaluation; the size is that on the disk.
    """
    found = find_folders(folder)
    if as_json:
        for each in found:
            click.echo(json.dumps(each.to_json()))
        return
    if not found:
        click.echo(f"no run in {folder}")
        return
    heads = ["folder", "kind", "state", "best", "changed", "MB"]
    rows = [
        [
            str(each.folder), each.kind, each.state + (f" at {each.place}" if each.place else ""), _best(each),
            f"{each.changed:%Y-%m-%d %H:%M}", f"{each.bytes / 1e6:,.1f}",
        ]
        for each in found
    ]  # fmt: skip
    click.echo("\n".join(table(heads, rows, left=["folder", "kind", "state"])))


def _best(found: Found) -> str:
    """Return the best of a folder; a score of a table may be no share."""
    if found.best is None:
        return "-"
    text = percent(found.best) if 0 <= found.best <= 1 else f"{found.best:.5g}"
    return f"{text} error" if found.kind == "evaluation" else text
