"""``bnao study size``: how size goes with accuracy as training goes on, in benchmark tables."""

from __future__ import annotations

from pathlib import Path

import click

from bnao.cli.reports import size_report
from bnao.cli.studies import Output, study_folder, study_options
from bnao.config.table_studies import SizeConfig
from bnao.data.tables import read_rows
from bnao.provenance import keep_study
from bnao.studies.size import SizeCorrelation, premise_json, size_correlation


@click.command("size")
@click.argument("tables", metavar="TABLE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--size-column", help="Column of sizes.  [default: size, params, or one that begins with params]")
@click.option(
    "--column", "columns", multiple=True,
    help="A column of accuracies, as often as there are.  [default: all whose names tell epochs, as test_acc_ep50]",
)  # fmt: skip
@click.option("--resamples", type=click.IntRange(min=100), default=1000, show_default=True, help="Of the bootstrap.")
@study_options()
def command(
    tables: tuple[Path, ...],
    size_column: str | None,
    columns: tuple[str, ...],
    resamples: int,
    output: Output,
) -> None:
    """Correlate size with accuracy along training, in each TABLE: the paper's premise, in others' data."""
    config = SizeConfig(
        tables=",".join(map(str, tables)), size_column=size_column, columns=",".join(columns), resamples=resamples
    )

    def study() -> list[SizeCorrelation]:
        found = [size_correlation(read_rows(table), size_column, columns, resamples) for table in tables]
        with study_folder(output.folder, config) as run:
            keep_study(run, premise_json(found), config, data=", ".join(table.name for table in tables))
        return found

    output.told(study, size_report)
