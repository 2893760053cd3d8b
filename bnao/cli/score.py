"""``bnao score``: a finished run's genotypes once more, by its shared weights, in any backend."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import click
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao import backends
from bnao.cli.figures import duration, percent
from bnao.cli.folders import ABOUT, about_images, check_same_data
from bnao.cli.options import SectionedCommand, given_settings, options_of
from bnao.cli.progress import INTERVAL, telling
from bnao.cli.tables import agreement_lines, numbered, peak_memory, spent_line, table
from bnao.config import MachineConfig, SearchConfig
from bnao.data import load_dataset
from bnao.errors import ConfigError
from bnao.genotype import Genotype
from bnao.journal import read_supernet
from bnao.protocols import Supernet
from bnao.ranking import rank_agreement
from bnao.run import read_config, read_json
from bnao.search import read_result
from bnao.settings import build

log = logging.getLogger("bnao.cli")

# between two looks at the clock
_AT_ONCE = 10


@click.command("score", cls=SectionedCommand, params=options_of(MachineConfig, "Machine"))
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(min=1), help="How many of its best.  [default: all]")
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON.")
@click.option("--quiet", is_flag=True, help="No progress, only warnings and the result.")
@click.pass_context
def command(context: click.Context, run: Path, top: int | None, as_json: bool, quiet: bool) -> None:
    """Score the genotypes of a finished RUN of bnao search again, by its shared weights, on its dev images.

    A run of one backend is scored in any other (--backend): the weights travel, and the scores say whether the
    ranking does. Settings that are not given are the run's. Nothing in the run is changed.
    """
    config = read_config(run, SearchConfig)
    machine = build(MachineConfig, given_settings(context), config.machine)
    config = attrs.evolve(config, machine=machine)
    start = time.monotonic()
    with telling(quiet):
        scored = _scored(run, config, top)
    spent = {"seconds": round(time.monotonic() - start, 1), "peak_memory_bytes": peak_memory()}
    _print(scored, run, config, as_json, spent)


@frozen(eq=False)
class _Scored:
    """A run's best genotypes, the scores it gave them, and those of now."""

    genotypes: Sequence[Genotype]
    before: NDArray[np.float64]
    now: NDArray[np.float64]


def _scored(run: Path, config: SearchConfig, top: int | None) -> _Scored:
    state = read_supernet(run)
    ranked = read_result(run).ranked
    if top is not None and top > len(ranked):
        raise click.UsageError(f"--top is {top}; {run} has {len(ranked)} genotypes")
    backend = backends.load(config.machine.backend)
    if backend.name == "table":
        raise ConfigError("backend 'table' has no weights; name a framework with --backend")
    dataset = load_dataset(config.data)
    check_same_data(run, read_json(run / ABOUT), about_images(dataset))
    supernet = backend.supernet(config, dataset)
    supernet.load_state(state)
    genotypes = [entry.genotype for entry in ranked[:top]]
    before = np.array([entry.score for entry in ranked[:top]])
    return _Scored(genotypes, before, _told(supernet, genotypes))


def _told(supernet: Supernet, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
    """The scores, with a line now and then."""
    scores: list[float] = []
    start = last = time.monotonic()
    while len(scores) < len(genotypes):
        scores += supernet.score(genotypes[len(scores) : len(scores) + _AT_ONCE]).tolist()
        now = time.monotonic()
        if now - last >= INTERVAL:
            left = (now - start) / len(scores) * (len(genotypes) - len(scores))
            log.info("scored %d/%d  left %s", len(scores), len(genotypes), duration(left))
            last = now
    return np.array(scores)


def _print(scored: _Scored, run: Path, config: SearchConfig, as_json: bool, spent: dict[str, Any]) -> None:
    agreement = rank_agreement(scored.now, scored.before) if len(scored.now) > 1 else {}
    if as_json:
        entries = [
            {"genotype": str(genotype), "score": now, "run_score": before}
            for genotype, now, before in zip(scored.genotypes, scored.now.tolist(), scored.before.tolist(), strict=True)
        ]
        estimates = {name: attrs.asdict(estimate) for name, estimate in agreement.items()}
        content = {"format": 1, "run": str(run), "backend": config.machine.backend, "scores": entries}
        click.echo(json.dumps({**content, "agreement": estimates, **spent}))
        return
    shown = scored.genotypes[: config.top]
    pairs = zip(scored.now[: config.top], scored.before[: config.top], strict=True)
    rows = [[str(rank), percent(now), percent(before)] for rank, (now, before) in enumerate(pairs, start=1)]
    heads = ["rank in the run", f"score by {config.machine.backend}", "score in the run"]
    lines = ["", *table(heads, rows), "", *numbered(shown), ""]
    if agreement:
        lines += agreement_lines(agreement, "scores of now against those of the run")
    largest = abs(scored.now - scored.before).max()
    lines.append(f"the largest difference of a score is {percent(largest, 2)}")
    click.echo("\n".join([*lines, spent_line(spent["seconds"], spent["peak_memory_bytes"])]))
