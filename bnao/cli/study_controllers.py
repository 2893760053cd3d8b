"""``bnao study controllers``: the controllers compared on a benchmark table, by queries."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import attrs
import click

from bnao import backends
from bnao.benchmark import SCORE_COLUMNS, read_rows
from bnao.cli.folders import about, about_table, dated_folder
from bnao.cli.options import SectionedCommand, given_settings, options_of
from bnao.cli.progress import telling
from bnao.cli.stopping import stoppable
from bnao.cli.studies import drawn_study, folder_line, keep_study, print_file, required, study_folder, study_options
from bnao.cli.tables import contest_report, peak_memory, spent_line
from bnao.comparison import Contest, contest
from bnao.config import ContestConfig
from bnao.errors import ConfigError
from bnao.protocols import Event
from bnao.settings import build
from bnao.space import space_named

log = logging.getLogger("bnao.cli")


@click.command("controllers", cls=SectionedCommand, params=options_of(ContestConfig, "Comparison"))
@study_options()
@click.pass_context
def command(context: click.Context, out: Path | None, pictures: str, as_json: bool, quiet: bool) -> None:
    """Search a benchmark table with each controller, many times, and compare what they find by queries.

    A search is told --score-column, and judged by --test-column of the genotype whose score is the best so far.
    --backend names the framework of the NAO controller.
    """
    config = build(ContestConfig, given_settings(context))
    folder = dated_folder("study-<when>") if out is None else out
    start = time.monotonic()
    with telling(quiet), stoppable():
        found = _contested(config, folder)
        spent = time.monotonic() - start
        drawn = drawn_study(folder, pictures)
    if as_json:
        print_file(folder)
        return
    lines = ["", *contest_report(found), "", spent_line(spent, peak_memory()), folder_line(folder, drawn)]
    click.echo("\n".join(lines))


def _contested(config: ContestConfig, folder: Path) -> Contest:
    path = required(config.table, "--table")
    if config.test_column is None:
        raise click.UsageError("name the column of test accuracies with --test-column")
    rows = read_rows(path)
    scores = rows.numbers(rows.column("score", config.score_column, SCORE_COLUMNS))
    tests = rows.numbers(rows.column("test accuracy", config.test_column))
    genotypes = rows.genotypes(space_named(config.network.space, config.network.nodes))
    makers, used = {}, []
    if any(entrant.name == "nao" for entrant in config.entries):
        backend = backends.load(config.machine.backend)
        if backend.name == "table":
            raise ConfigError("backend 'table' has no NAO controller; name a framework with --backend")
        used.append(backend)
        makers["nao"] = backend.controller
    searches = sum(entrant.seeds for entrant in config.entries)
    done, start = 0, time.monotonic()

    def listen(event: Event) -> None:
        nonlocal done
        done += 1
        passed = time.monotonic() - start
        log.info(
            "search %d/%d  %s, seed %d: %.3f  left %.0f s", done, searches, event["controller"], event["seed"],
            event["best"], passed / done * (searches - done),
        )  # fmt: skip

    facts = about(about_table(path), config.machine, used)
    with study_folder(folder, attrs.evolve(config), facts) as run:
        found = contest(config, genotypes, scores, tests, makers, folder=run, listen=listen)
        keep_study(run, found.to_json(), config, data=f"table {path.name}")
    return found
