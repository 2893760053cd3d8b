"""``bnao study predictor``: a controller's predictor alone, on a benchmark table."""

from __future__ import annotations

import click

from bnao.cli.options import SectionedCommand, given_settings, options_of
from bnao.cli.studies import Output, required, study_options, table_study
from bnao.cli.study_reports import predictor_report
from bnao.config.fields import build
from bnao.config.table_studies import PredictorConfig

# the number of epochs follows from --steps
_WITHOUT = (("controller", "epochs"),)


@click.command("predictor", cls=SectionedCommand, params=options_of(PredictorConfig, "Predictor", without=_WITHOUT))
@study_options()
@click.pass_context
def command(context: click.Context, output: Output) -> None:
    """Train a controller on samples of a benchmark table and rank genotypes that it has not seen."""
    config = build(PredictorConfig, given_settings(context))
    required(config.table, "--table")
    output.told(lambda: table_study(config, output.folder), predictor_report)
