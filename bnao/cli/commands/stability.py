"""``bnao stability``: several searches by each of some methods, their best trained from scratch (Tables 1 and 7)."""

from __future__ import annotations

import time
from pathlib import Path

import click

from bnao.cli.folders import dated_folder
from bnao.cli.options import SectionedCommand, given_settings, options_of
from bnao.cli.progress import following, telling
from bnao.cli.reports import Spent, stability_report
from bnao.cli.studies import study_folder
from bnao.cli.workers import workers_option
from bnao.config.fields import build, merge
from bnao.config.stability import StabilityConfig
from bnao.events import EndsOnce
from bnao.provenance import STUDY
from bnao.stability import check_stability, read_stability, stability_ahead, study_stability


@click.command(
    "stability", cls=SectionedCommand,
    params=[
        click.Argument(["methods"], metavar="METHODS"),
        *options_of(StabilityConfig, "Comparison", without=[("methods",)]),
    ],
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path),
    help="Folder; a comparison with the same settings is resumed.  [default: runs/stability-<date>-<time>]",
)  # fmt: skip
@workers_option
@click.option("--json", "as_json", is_flag=True, help="Print study.json.")
@click.option("--quiet", is_flag=True, help="Hide the progress; show only warnings and the result.")
@click.pass_context
def command(context: click.Context, methods: str, out: Path | None, workers: str, as_json: bool, quiet: bool) -> None:
    """Search several times with each of METHODS, given by commas, train each best from scratch, and compare.

    Each search has its own seed and its own split of train and dev images. Methods are strategies (bnao strategies),
    nao-uniform, which is nao with uniform sampling, or nao-ws, NAO before it was balanced; the first is what the others
    are compared with. Shown are mean, standard deviation and range of the test errors, as in the paper's Table 1,
    sizes, and 95% intervals by Student's t.
    """
    config = build(StabilityConfig, merge(given_settings(context), {"methods": methods}))
    folder = dated_folder("stability-<when>") if out is None else out
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
