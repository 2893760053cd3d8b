"""``bnao study controllers``: the controllers compared on a benchmark table, by queries."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import click

from bnao.cli.options import SectionedCommand, given_settings, options_of
from bnao.cli.progress import following
from bnao.cli.studies import Output, framework, required, study_folder, study_options
from bnao.cli.study_reports import controllers_report
from bnao.config.fields import build
from bnao.config.settings import OF_A_BACKEND
from bnao.config.table_studies import ControllersConfig
from bnao.data.tables import SCORE_COLUMNS, read_rows
from bnao.provenance import about_table, keep_study, origin
from bnao.space.spaces import space_named
from bnao.strategies.registry import make_controller
from bnao.studies.controllers import ControllersStudy, Make, study_controllers

log = logging.getLogger("bnao.cli")


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
    output.told(lambda: _studied(config, output.folder), controllers_report)


def _studied(config: ControllersConfig, folder: Path) -> ControllersStudy:
    path = required(config.table, "--table")
    if config.test_column is None:
        raise click.UsageError("name the column of test accuracies with --test-column")
    rows = read_rows(path)
    scores = rows.numbers(rows.column("score", config.score_column, SCORE_COLUMNS))
    tests = rows.numbers(rows.column("test accuracy", config.test_column))
    genotypes = rows.genotypes(space_named(config.network.space, config.network.nodes))
    makers: dict[str, Make] = {}
    used = []
    computed = [entry.name for entry in config.controllers if entry.name in OF_A_BACKEND]
    if computed:
        backend = framework(config.machine, "has no NAO controller")
        used.append(backend)
        makers = dict.fromkeys(computed, partial(make_controller, backend=backend))
    facts = origin(about_table(path), config.machine, used)
    with study_folder(folder, config, facts) as run, following("study") as listen:
        found = study_controllers(config, genotypes, scores, tests, makers, folder=run, listen=listen)
        keep_study(run, found.to_json(), config, data=f"table {path.name}")
    return found
