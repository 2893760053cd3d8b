"""``bnao report``: what searches, evaluations and studies found, as one page to send."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from bnao.reporting.page import write_report


@click.command("report")
@click.argument("folders", nargs=-1, required=True, metavar="RUN|EVALUATION|STUDY...", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), default=Path("report.html"), show_default=True,
    help="File of the page; one that is there already is replaced.",
)  # fmt: skip
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
def command(folders: tuple[Path, ...], out: Path, opens: bool) -> None:
    """Write a report of finished work as one self-contained HTML page.

    Each argument is the folder of a search (RUN, reported with the evaluations in it), of an evaluation or of a study.
    The page needs no network and no other file: rankings that sort, scores against size, updates against Eq. 4,
    one-shot against stand-alone accuracies, learning curves, the controller's agreement, drawn cells, settings,
    versions, and the raw numbers. A click on a point or an id shows its cell. It needs Jinja2: pip install
    'bnao[report]'.
    """
    path = write_report(folders, out)
    click.echo(f"{path}  ({path.stat().st_size / 1e6:.1f} MB)")
    if opens:
        webbrowser.open(path.resolve().as_uri())
