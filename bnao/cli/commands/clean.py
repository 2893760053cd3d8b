"""``bnao clean``: free the space of checkpoints and weights that finished work no longer needs."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import click

from bnao.reporting.folders import find_folders, removable, remove


@click.command("clean")
@click.argument("folder", default="runs", type=click.Path(path_type=Path))
@click.option(
    "--older-than", "days", metavar="DAYS", type=click.FloatRange(min=0), default=0.0, show_default=True,
    help="Only work that was last changed so many days ago.",
)  # fmt: skip
@click.option("--weights", is_flag=True, help="Remove weights too: of supernets and of trained networks.")
@click.option(
    "--keep", type=click.IntRange(min=0), default=1, show_default=True,
    help="With --weights: keep the networks of so many of an evaluation's best genotypes.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Remove without asking.")
def command(folder: Path, days: float, weights: bool, keep: int, yes: bool) -> None:
    """Remove checkpoints, and with --weights also weights, of finished work in FOLDER and below it.

    FOLDER is runs unless another is given. What will be removed is listed, and you are asked first. Results, logs and
    settings stay, and so does everything of work that is running or was stopped.
    """
    before = datetime.now() - timedelta(days=days)
    found = [each for each in find_folders(folder) if each.changed <= before]
    files = removable(found, weights=weights, keep=keep)
    if not files:
        click.echo(f"nothing to remove in {folder}" + ("" if weights else "; --weights would remove weights too"))
        return
    for file in files:
        click.echo(f"{file.bytes / 1e6:8.1f} MB  {file.path}  ({file.why})")
    total = f"{len(files)} file{'s' * (len(files) > 1)}, {sum(file.bytes for file in files) / 1e6:,.1f} MB"
    if not yes:
        click.confirm(f"Remove {total}?", abort=True)
    click.echo(f"freed {remove(files) / 1e6:,.1f} MB")
