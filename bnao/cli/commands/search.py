"""``bnao search``: from nothing to a ranking of genotypes, in a folder from which a killed search resumes."""

from __future__ import annotations

import json
import logging
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

import click
from attrs import evolve

from bnao.cli.estimating import estimate_option, show_costs
from bnao.cli.folders import dated_folder
from bnao.cli.genotypes import long_option, show_command
from bnao.cli.options import (
    SectionedCommand,
    configured,
    given_options,
    given_settings,
    layer_options,
    options_of,
    report_options,
)
from bnao.cli.progress import following, telling
from bnao.cli.reports import Spent, search_report
from bnao.cli.stopping import going_on, one_says_why
from bnao.cli.tracking import track_option, tracked
from bnao.config.fields import merge, read_toml, to_toml
from bnao.config.presets import strategy_settings
from bnao.config.settings import OF_A_BACKEND, ROUND_LEVEL, SearchConfig
from bnao.parallel.ranks import is_first, run_of
from bnao.reporting.estimates import estimate_search
from bnao.run import FORMAT, Run, check_is_free, read_config
from bnao.searches import PreparedSearch, PreparedStepSearch, join, prepare_search, resumed_search
from bnao.space.notation.notations import read_lines
from bnao.space.spaces import space_named
from bnao.strategies.balance import balance
from bnao.strategies.bias import size_bias
from bnao.strategies.journal import RESULT
from bnao.strategies.references import read_genotype
from bnao.strategies.result import SearchResult, read_result

log = logging.getLogger("bnao.cli")


@click.command("search", cls=SectionedCommand, params=options_of(SearchConfig, "Search (Alg. 1)"))
@layer_options(SearchConfig)
@click.option(
    "--out", type=click.Path(path_type=Path),
    help="Folder of the run; it must be new or empty.  [default: runs/<date>-<time>-<data>-seed<seed>]",
)  # fmt: skip
@click.option(
    "--resume", metavar="RUN", type=click.Path(path_type=Path),
    help="Resume the run in this folder; with --rounds N, extend it to N rounds even if it is finished.",
)  # fmt: skip
@click.option(
    "--controller-backend", metavar="NAME",
    help="Backend of the NAO controller.  [default: that of --backend]",
)  # fmt: skip
@track_option
@estimate_option
@long_option
@report_options("result", details=": all genotypes, best first")
@click.pass_context
def command(
    context: click.Context,
    preset_name: str | None,
    config_file: Path | None,
    show_config: bool,
    out: Path | None,
    resume: Path | None,
    controller_backend: str | None,
    trackers: tuple[str, ...],
    estimate: bool,
    long: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Search by Balanced NAO: train a supernet, score genotypes, propose better ones, and repeat.

    --strategy takes another method over the same spaces, supernet and images; bnao strategies lists them.

    Without options, run a complete small search (preset quick) on images included in the package. Below, "default" is
    the paper's setting and "quick" that of the preset quick.
    """
    rounds = given_settings(context).get("rounds")
    if resume is None:
        config = _configured(context, preset_name, config_file)
    else:
        _refuse_beside_resume(context)
        before = read_config(resume, SearchConfig)
        config = before if rounds is None else evolve(before, rounds=rounds)
    if show_config:
        click.echo(to_toml(config), nl=False)
        return
    if estimate:
        if config.ranks.across != "none":
            raise click.UsageError(f"--estimate measures one process; leave out --across {config.ranks.across}")
        show_costs(estimate_search(config), as_json)
        return
    if resume is not None and config == before and (resume / RESULT).is_file():
        known = read_result(resume)
        click.echo(f"{resume} is finished already; nothing in it was changed", err=as_json)
        _print(known, config, resume, as_json, long)
        return
    ranks = join(config)
    with one_says_why(ranks), telling(quiet, mute=not is_first(ranks)):
        start = time.monotonic()
        trackers = trackers if is_first(ranks) else ()
        if resume is None:
            folder = _new_folder(config) if out is None else out
            result = _started(config, folder, controller_backend, trackers)
        else:
            folder = resume
            result = _resumed(config, folder, trackers)
    if is_first(ranks):
        _print(result, config, folder, as_json, long, Spent.since(start))


def _refuse_beside_resume(context: click.Context) -> None:
    """Refuse options beside --resume, which takes every setting but the number of rounds from the folder."""
    others = ("preset_name", "config_file", "out", "controller_backend")
    names = {parameter.name: parameter.opts[0] for parameter in context.command.params}
    settings = [option for option in given_options(context) if option != "--rounds"]
    given = [*settings, *(names[other] for other in others if context.params[other] is not None)]
    if given:
        raise click.UsageError(
            f"--resume takes all settings but --rounds from the run; leave out {', '.join(given)}, or start a new run"
        )


def _configured(context: click.Context, preset_name: str | None, config_file: Path | None) -> SearchConfig:
    """Return the settings of a new run; a pool from a file is as large as the file, unless a larger size is given."""
    strategy = _strategy(context, config_file)
    config = configured(
        context, SearchConfig, preset_name, config_file, below=lambda base: strategy_settings(strategy, base.preset)
    )
    # what the preset says of re-ranking is not for a table, which trains nothing, nor for those trained alone already
    shares = config.machine.backend != "table" and config.sharing == "weights"
    below = merge(strategy_settings(strategy, config.preset), {} if shares else {"rerank_epochs": 0})
    config = configured(context, SearchConfig, preset_name, config_file, below=lambda base: below)
    if config.pool_file is None:
        return config
    lines = read_lines(config.pool_file, space_named(config.network.space, config.network.nodes), read_genotype)
    genotypes = len({genotype for _, genotype in lines})
    below = {**below, "pool": max(2, genotypes)}
    config = configured(context, SearchConfig, preset_name, config_file, below=lambda base: below)
    return evolve(config, pool=max(config.pool, genotypes))


def _strategy(context: click.Context, config_file: Path | None) -> str:
    """Return the strategy that a command line or its file names."""
    given = given_settings(context)
    in_file = read_toml(config_file) if config_file is not None else {}
    strategy = given.get("strategy", in_file.get("strategy", "nao"))
    controller = given.get("controller", {}).get("controller", strategy)
    if strategy in ROUND_LEVEL[1:] and controller != strategy:
        raise click.UsageError(
            f"--strategy {strategy} is --strategy nao with --controller {strategy}, and --controller {controller} is "
            "given; leave one of them out"
        )
    return str(strategy)


def _new_folder(config: SearchConfig) -> Path:
    """Return a new folder's name, made of the time, the data, the seed and the split if it is not the usual one."""
    data, table = config.data.data, config.table.table
    if config.machine.backend == "table" and table is not None:
        name = Path(table).stem
    else:
        name = config.data.dataset if data is None else Path(data).stem
    split = f"-split{config.data.split_seed}" if config.data.split_seed else ""
    return dated_folder(f"<when>-{name}-seed{config.seed}{split}")


# --- the search itself


def _started(
    config: SearchConfig, folder: Path, controller_backend: str | None, trackers: Sequence[str]
) -> SearchResult:
    if is_first(join(config)):
        check_is_free(folder)
    kind = config.controller.controller
    if controller_backend is not None and config.strategy in ROUND_LEVEL and kind not in OF_A_BACKEND:
        raise click.UsageError(f"--controller-backend is for --controller nao; {kind} needs no backend")
    prepared = prepare_search(config, controller_backend)
    with run_of(prepared.ranks, lambda: Run.create(folder, prepared.config)) as run:
        return _searched(prepared, run, folder, trackers)


def _resumed(config: SearchConfig, folder: Path, trackers: Sequence[str]) -> SearchResult:
    with run_of(join(config), lambda: Run.open(folder)) as run:
        return _searched(resumed_search(run, config.rounds), run, folder, trackers)


def _searched(
    prepared: PreparedSearch | PreparedStepSearch, run: Run, folder: Path, trackers: Sequence[str]
) -> SearchResult:
    ranks = prepared.ranks
    command = "bnao" if ranks is None else f"torchrun --standalone --nproc-per-node {ranks.count} -m bnao"
    again = f"{command} search --resume {shlex.quote(str(folder))}"
    log.info("%s", prepared.about["data"]["description"])
    log.info("run folder: %s  (after a stop resume with: %s)", run.folder, again)
    with (
        going_on(again),
        following("search") as show,
        tracked(trackers, run.folder, prepared.config, show) as listen,
    ):
        return prepared.search(run, listen)


# --- the end


def _print(
    result: SearchResult,
    config: SearchConfig,
    folder: Path,
    as_json: bool,
    long: bool,
    spent: Spent | None = None,
) -> None:
    """Print the best genotypes, the files and the next commands."""
    if as_json:
        found = balance(result.ranked)
        about = {
            "size_bias": size_bias(result, config.top).to_json(),
            "update_balance": None if found is None else found.to_json(),
        }
        took = {} if spent is None else spent.to_json()
        click.echo(json.dumps({"format": FORMAT, "run": str(folder), **took, **about, **result.to_json()}))
        return
    click.echo("\n".join(["", *search_report(result, config.top, long=long)]))
    if spent:
        click.echo(spent.line())
    click.echo(f"run folder: {folder}")
    quoted = shlex.quote(str(folder))
    if config.machine.backend == "table":
        click.echo(f"next: {show_command(folder, 1)}")
    else:
        among = result.ranked if result.front is None else result.front.entries
        click.echo(f"next: bnao evaluate {quoted} --top {min(config.top, len(among))}")
