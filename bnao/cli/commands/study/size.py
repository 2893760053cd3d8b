"""``bnao study size``: correlation of size and accuracy during training, in benchmark tables."""

from __future__ import annotations

import click

from bnao.cli.options import SectionedCommand, given_settings, options_of
from bnao.cli.studies import Output, study_options, table_study
from bnao.cli.study_reports import size_report
from bnao.config.fields import build
from bnao.config.table_studies import SizeConfig

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
    output.told(lambda: table_study(config, output.folder), size_report)
