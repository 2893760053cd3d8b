"""``bnao study controllers``: the controllers compared on a benchmark table, by queries."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import click

from bnao.cli.options import SectionedCommand, given_settings, options_of
from bnao.cli.reports import contest_report
from bnao.cli.studies import Output, counting, framework, required, study_folder, study_options
from bnao.config.fields import build
from bnao.config.settings import OF_A_BACKEND
from bnao.config.table_studies import ControllersConfig
from bnao.data.tables import SCORE_COLUMNS, read_rows
from bnao.provenance import about_table, keep_study, origin
from bnao.space.spaces import space_named
from bnao.strategies.registry import make_controller
from bnao.studies.controllers import ControllersStudy, Make, compare_controllers

log = logging.getLogger("bnao.cli")


# --controllers says who proposes; a table's genotypes need no network but their space
_WITHOUT = (("controller", "controller"), *(("network", name) for name in ("channels", "cells", "network")))


@click.command(
    "controllers", cls=SectionedCommand, params=options_of(ControllersConfig, "Comparison", without=_WITHOUT)
)
@study_options()
@click.pass_context
def command(context: click.Context, output: Output) -> None:
    """Search a benchmark table with each controller, many times, and compare what they find by queries.

    A search is told --score-column, and judged by --test-column of the genotype whose score is the best so far.
    --backend names the framework of the NAO controller.
    """
    config = build(ControllersConfig, given_settings(context))
    output.told(lambda: _contested(config, output.folder), contest_report)


def _contested(config: ControllersConfig, folder: Path) -> ControllersStudy:
    path = required(config.table, "--table")
    if config.test_column is None:
        raise click.UsageError("name the column of test accuracies with --test-column")
    rows = read_rows(path)
    scores = rows.numbers(rows.column("score", config.score_column, SCORE_COLUMNS))
    tests = rows.numbers(rows.column("test accuracy", config.test_column))
    genotypes = rows.genotypes(space_named(config.network.space, config.network.nodes))
    makers: dict[str, Make] = {}
    used = []
    computed = [entry.name for entry in config.entries if entry.name in OF_A_BACKEND]
    if computed:
        backend = framework(config.machine, "has no NAO controller")
        used.append(backend)
        makers = dict.fromkeys(computed, partial(make_controller, backend=backend))
    listen = counting(sum(entrant.seeds for entrant in config.entries), "{controller}, seed {seed}: {best:.3f}")
    facts = origin(about_table(path), config.machine, used)
    with study_folder(folder, config, facts) as run:
        found = compare_controllers(config, genotypes, scores, tests, makers, folder=run, listen=listen)
        keep_study(run, found.to_json(), config, data=f"table {path.name}")
    return found
