"""Comparisons of search methods: the options that their commands share, and the work between options and report."""

from __future__ import annotations

import time
from pathlib import Path

import click

from bnao.cli.folders import dated_folder
from bnao.cli.options import Decorator, all_of
from bnao.cli.progress import following, telling
from bnao.cli.reports import Spent, stability_report
from bnao.cli.studies import study_folder
from bnao.cli.workers import workers_option
from bnao.config.stability import StabilityConfig
from bnao.events import EndsOnce
from bnao.provenance import STUDY
from bnao.stability import check_stability, read_stability, stability_ahead, study_stability


def comparison_options(kind: str) -> Decorator:
    """Return the options ``--out``, ``--workers``, ``--json`` and ``--quiet``, as ``compare_methods`` takes them.

    Args:
        kind: what a folder is named after where none is given.
    """
    return all_of(
        click.option(
            "--out", type=click.Path(path_type=Path),
            help=f"Folder; a comparison with the same settings is resumed.  [default: runs/{kind}-<date>-<time>]",
        ),
        workers_option,
        click.option("--json", "as_json", is_flag=True, help="Print study.json."),
        click.option("--quiet", is_flag=True, help="Hide the progress; show only warnings and the result."),
    )  # fmt: skip


def compare_methods(
    config: StabilityConfig, kind: str, *, out: Path | None, workers: str, as_json: bool, quiet: bool
) -> None:
    """Search by all methods, judge what they found, and print it.

    Args:
        config: all settings.
        kind: as of ``comparison_options``.
        out: the folder, new or of a comparison with these settings; None: a dated one.
        workers: trainings at once.
        as_json: whether study.json is printed in place of the report.
        quiet: whether progress is left out.
    """
    folder = dated_folder(f"{kind}-<when>") if out is None else out
    start = time.monotonic()
    with telling(quiet):
        if not (folder / STUDY).is_file():
            check_stability(config)
        with study_folder(folder, config) as run:
            found = read_stability(run)
            if found is None:
                with following("stability") as listen:
                    once = EndsOnce(listen)
                    stability_ahead(config, run, workers=workers, listen=once)
                    found = study_stability(config, run, once)
    if as_json:
        click.echo((folder / STUDY).read_text(encoding="utf-8"), nl=False)
        return
    spent = Spent.since(start).line()
    click.echo("\n".join(["", *stability_report(found), "", spent, f"folder: {folder}  ({STUDY})"]))
