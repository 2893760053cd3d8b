"""``bnao study draw``: a study's pictures from its file alone."""

from __future__ import annotations

from pathlib import Path

import click

from bnao.run import read_json, understanding
from bnao.studies import plots
from bnao.studies.ranking import RESULT


@click.command("draw")
@click.argument("study", metavar="STUDY", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the pictures.  [default: the study's]")
@click.option("--pictures", type=click.Choice(plots.FORMATS), default="svg", show_default=True, help="Their format.")
def command(study: Path, out: Path | None, pictures: str) -> None:
    """Draw the pictures of STUDY, a study's folder or its study.json, again."""
    path = study / RESULT if study.is_dir() else study
    content = read_json(path)
    with understanding(path):
        figures = plots.figures_of(plots.study_of(content))
    for drawn in plots.save(figures, out or path.parent, pictures):
        click.echo(str(drawn))
