"""``bnao score``: a run's own or any other genotypes scored by its shared weights, in any backend."""

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
from bnao.cli.figures import duration, percent, plain_score, plus_minus
from bnao.cli.genotypes import Given, file_option, long_option
from bnao.cli.options import SectionedCommand, given_settings, options_of
from bnao.cli.progress import INTERVAL, telling
from bnao.cli.reports import agreement_lines, numbered, peak_memory, spent_line, table
from bnao.config.fields import build
from bnao.config.settings import MachineConfig, SearchConfig
from bnao.data.dataset import load_dataset
from bnao.errors import ConfigError
from bnao.evaluation.scoring import OneShotScore, score_genotypes
from bnao.metrics import Estimate, rank_agreement
from bnao.protocols import Scorer, State
from bnao.provenance import ABOUT, about_images, check_same_data
from bnao.run import read_config, read_json
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.strategies.journal import read_supernet
from bnao.strategies.result import read_result

log = logging.getLogger("bnao.cli")

# between two looks at the clock
_AT_ONCE = 10


@click.command("score", cls=SectionedCommand, params=options_of(MachineConfig, "Machine"))
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("genotypes", nargs=-1, metavar="[GENOTYPE...]")
@file_option
@click.option("--top", type=click.IntRange(min=1), help="Of its own: how many of the best.  [default: all]")
@long_option
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON.")
@click.option("--quiet", is_flag=True, help="No progress, only warnings and the result.")
@click.pass_context
def command(
    context: click.Context,
    run: Path,
    genotypes: tuple[str, ...],
    file: Path | None,
    top: int | None,
    long: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Score genotypes by the shared weights of a finished RUN of bnao search, on its dev images.

    Any GENOTYPEs of the run's space are scored, in any notation that bnao show reads, or named as published cells (bnao
    zoo): by accuracy and by mean log-likelihood (the mean log p(label) of the dev images), each with its standard
    error. With none the run's own are scored again.

    A run of one backend is scored in any other (--backend): the weights travel, and the scores say whether the
    ranking does. Settings that are not given are the run's. Nothing in the run is changed.
    """
    config = read_config(run, SearchConfig)
    machine = build(MachineConfig, given_settings(context), config.machine)
    config = attrs.evolve(config, machine=machine)
    given = None
    if genotypes or file is not None:
        if top is not None:
            raise click.UsageError("--top is for the run's own genotypes; leave it out, or the genotypes")
        space = space_named(config.network.space, config.network.nodes)
        given = Given.of(genotypes, file).genotypes(space)
    start = time.monotonic()
    with telling(quiet):
        scored = _scored_own(run, config, top) if given is None else _scored_given(run, config, given)
    seconds, memory = round(time.monotonic() - start, 1), peak_memory()
    spent = {"seconds": seconds, "peak_memory_bytes": memory}
    if as_json:
        click.echo(json.dumps(scored.content(run, config) | spent))
    else:
        lines = [*scored.lines(config, long=long), spent_line(seconds, memory)]
        click.echo("\n".join(lines))


# --- the scores


def _supernet(run: Path, config: SearchConfig, state: State) -> Scorer:
    """The run's supernet with its weights and images, in the backend that is asked for."""
    backend = backends.load(config.machine.backend)
    if backend.name == "table":
        raise ConfigError("backend 'table' has no weights; name a framework with --backend")
    dataset = load_dataset(config.data)
    before = read_json(run / ABOUT) if (run / ABOUT).is_file() else {}
    if before.get("data") is None:
        log.info("%s does not say which images it is of; taken are: %s", run, dataset.describe())
    else:
        check_same_data(run, before, about_images(dataset))
    supernet = backend.supernet(config, dataset)
    supernet.load_state(state)
    return supernet


def _told(supernet: Scorer, genotypes: Sequence[Genotype]) -> list[OneShotScore]:
    """The scores, with a line now and then."""
    scores: list[OneShotScore] = []
    start = last = time.monotonic()
    while len(scores) < len(genotypes):
        scores += score_genotypes(genotypes[len(scores) : len(scores) + _AT_ONCE], supernet)
        now = time.monotonic()
        if now - last >= INTERVAL:
            left = (now - start) / len(scores) * (len(genotypes) - len(scores))
            log.info("scored %d/%d  left %s", len(scores), len(genotypes), duration(left))
            last = now
    return scores


def _log_likelihood(entry: OneShotScore) -> str:
    if entry.log_likelihood is None or entry.log_likelihood_error is None:
        return "-"
    return f"{entry.log_likelihood:.4f} {plus_minus()} {entry.log_likelihood_error:.4f}"


# --- of genotypes that were given


@frozen
class _Given:
    """Scores of genotypes that were given, and how many images they are of."""

    scores: Sequence[OneShotScore]
    images: int | None

    def content(self, run: Path, config: SearchConfig) -> dict[str, Any]:
        about = {"format": 1, "run": str(run), "backend": config.machine.backend, "images": self.images}
        return {**about, "scores": [entry.to_json() for entry in self.scores]}

    def lines(self, config: SearchConfig, *, long: bool) -> list[str]:
        heads, rows = ["", "id", f"score by {config.machine.backend}"], []
        known = any(entry.log_likelihood is not None for entry in self.scores)
        for number, entry in enumerate(self.scores, start=1):
            error = "" if entry.standard_error is None else f" {plus_minus()} {percent(entry.standard_error)}"
            score = plain_score(entry.score, as_share=entry.standard_error is not None)
            rows.append(
                [str(number), entry.genotype.id, f"{score}{error}", *([_log_likelihood(entry)] if known else [])]
            )
        lines = ["", *table([*heads, *(["log-likelihood"] if known else [])], rows), ""]
        lines += numbered([entry.genotype for entry in self.scores]) if long else []
        if not known:
            lines.append(f"backend {config.machine.backend!r} gives no logits, and so no log-likelihood")
        if self.images is not None:
            errors = "errors are standard errors" if known else "the error is the standard error"
            lines.append(f"on {self.images:,} dev images; {errors}")
        return lines


def _scored_given(run: Path, config: SearchConfig, genotypes: Sequence[Genotype]) -> _Given:
    supernet: Scorer
    if config.machine.backend == "table" and config.table.table is not None:
        supernet = backends.load("table").supernet(config, None)
    else:
        supernet = _supernet(run, config, read_supernet(run))
    return _Given(_told(supernet, genotypes), supernet.scored_images)


# --- of a run's own genotypes


@frozen
class _Own:
    """A run's best genotypes as they are scored now, and the scores it gave them."""

    scores: Sequence[OneShotScore]
    before: Sequence[float]

    def content(self, run: Path, config: SearchConfig) -> dict[str, Any]:
        entries = [
            {**entry.to_json(), "run_score": before} for entry, before in zip(self.scores, self.before, strict=True)
        ]
        estimates = {name: attrs.asdict(estimate) for name, estimate in self._agreement().items()}
        about = {"format": 1, "run": str(run), "backend": config.machine.backend}
        return {**about, "scores": entries, "agreement": estimates}

    def lines(self, config: SearchConfig, *, long: bool) -> list[str]:
        known = any(entry.log_likelihood is not None for entry in self.scores)
        shown = self.scores[: config.top]
        rows = [
            [
                str(rank),
                entry.genotype.id,
                percent(entry.score),
                percent(before),
                *([_log_likelihood(entry)] if known else []),
            ]
            for rank, (entry, before) in enumerate(zip(shown, self.before, strict=False), start=1)
        ]
        heads = ["rank in the run", "id", f"score by {config.machine.backend}", "score in the run"]
        lines = ["", *table([*heads, *(["log-likelihood"] if known else [])], rows), ""]
        lines += numbered([entry.genotype for entry in shown]) if long else []
        agreement = self._agreement()
        if agreement:
            lines += agreement_lines(agreement, "scores of now against those of the run")
        largest = abs(self._now() - np.array(self.before)).max()
        return [*lines, f"the largest difference of a score is {percent(largest, 2)}"]

    def _now(self) -> NDArray[np.float64]:
        return np.array([entry.score for entry in self.scores])

    def _agreement(self) -> dict[str, Estimate]:
        return rank_agreement(self._now(), self.before) if len(self.scores) > 1 else {}


def _scored_own(run: Path, config: SearchConfig, top: int | None) -> _Own:
    state, ranked = read_supernet(run), read_result(run).ranked
    if top is not None and top > len(ranked):
        raise click.UsageError(f"--top is {top}; {run} has {len(ranked)} genotypes")
    supernet = _supernet(run, config, state)
    scores = _told(supernet, [entry.genotype for entry in ranked[:top]])
    return _Own(scores, [entry.score for entry in ranked[:top]])
