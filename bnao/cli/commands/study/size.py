"""``bnao study size``: correlation of size and accuracy during training, in benchmark tables."""

from __future__ import annotations

from pathlib import Path

import click

from bnao.cli.options import SectionedCommand, given_settings, options_of
from bnao.cli.studies import Output, study_folder, study_options
from bnao.cli.study_reports import size_report
from bnao.config.fields import build
from bnao.config.table_studies import SizeConfig
from bnao.data.tables import read_rows
from bnao.provenance import keep_study
from bnao.studies.size import SizeCorrelation, sizes_to_json, study_size

# the tables are arguments, and a column is an option that may be repeated
_GIVEN_APART = (("tables",), ("columns",))


@click.command("size", cls=SectionedCommand, params=options_of(SizeConfig, "Study", without=_GIVEN_APART))
@click.argument("tables", metavar="TABLE...", nargs=-1, required=True)
@click.option(
    "--column", "columns", multiple=True,
    help="Column of accuracies; can be repeated.  [default: all whose names have epochs, such as test_acc_ep50]",
)  # fmt: skip
@study_options()
@click.pass_context
def command(context: click.Context, tables: tuple[str, ...], columns: tuple[str, ...], output: Output) -> None:
    """Correlate size with accuracy during training, in each TABLE: the paper's premise, tested on published data."""
    config = build(SizeConfig, {**given_settings(context), "tables": tables, "columns": columns})

    def study() -> list[SizeCorrelation]:
        paths = [Path(table) for table in tables]
        found = [study_size(read_rows(path), config.size_column, config.columns, config.resamples) for path in paths]
        with study_folder(output.folder, config) as run:
            keep_study(run, sizes_to_json(found), config, data=", ".join(path.name for path in paths))
        return found

    output.told(study, size_report)
