"""``bnao study controllers``: the controllers compared on a benchmark table, by queries."""

from __future__ import annotations

import click

from bnao.cli.options import SectionedCommand, given_settings, options_of
from bnao.cli.studies import Output, required, study_options, table_study
from bnao.cli.study_reports import controllers_report
from bnao.config.fields import build
from bnao.config.table_studies import ControllersConfig

# --controllers says who proposes; a table's genotypes need no network but their space
_WITHOUT = (("controller", "controller"), *(("network", name) for name in ("channels", "cells", "network")))


@click.command(
    "controllers", cls=SectionedCommand, params=options_of(ControllersConfig, "Comparison", without=_WITHOUT)
)
@study_options()
@click.pass_context
def command(context: click.Context, output: Output) -> None:
    """Search a benchmark table many times with each controller and compare what they find per query.

    A search sees the scores in --score-column. It is judged by the --test-column of the genotype with the best score so
    far. --backend is the framework of the NAO controller.
    """
    config = build(ControllersConfig, given_settings(context))
    required(config.table, "--table")
    if config.test_column is None:
        raise click.UsageError("name the column of test accuracies with --test-column")
    output.told(lambda: table_study(config, output.folder), controllers_report)
