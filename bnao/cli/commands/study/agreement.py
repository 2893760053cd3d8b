"""``bnao study agreement``: published scores against published accuracies."""

from __future__ import annotations

import click

from bnao.cli.options import SectionedCommand, given_settings, options_of
from bnao.cli.studies import Output, study_options, table_study
from bnao.cli.study_reports import agreement_report
from bnao.config.fields import build
from bnao.config.table_studies import AgreementConfig

# the table is an argument, and the columns are options that must be there
_GIVEN_APART = (("table",), ("truth_column",), ("score_columns",))


@click.command("agreement", cls=SectionedCommand, params=options_of(AgreementConfig, "Study", without=_GIVEN_APART))
@click.argument("table")
@click.option("--truth-column", required=True, help="Column of the accuracies.")
@click.option("--score-column", "columns", multiple=True, required=True, help="Column of scores; can be repeated.")
@study_options()
@click.pass_context
def command(context: click.Context, table: str, truth_column: str, columns: tuple[str, ...], output: Output) -> None:
    """Compare the scores in a TABLE with the accuracies in the same table, as a check of the metrics."""
    apart = {"table": table, "truth_column": truth_column, "score_columns": columns}
    config = build(AgreementConfig, {**given_settings(context), **apart})
    output.told(lambda: table_study(config, output.folder), agreement_report)
