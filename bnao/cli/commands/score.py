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
from bnao.cli.figures import percent, plain_score, plus_minus
from bnao.cli.genotypes import Given, file_option, long_option
from bnao.cli.options import SectionedCommand, given_settings, options_of, report_options
from bnao.cli.progress import following, telling
from bnao.cli.reports import (
    Spent,
    agreement_lines,
    numbered,
    part_cells,
    part_heads,
    table,
    weights_line,
)
from bnao.config.fields import build
from bnao.config.proxies import PROXIES
from bnao.config.settings import RANKINGS, MachineConfig, SearchConfig
from bnao.data.dataset import load_dataset
from bnao.errors import ConfigError
from bnao.evaluation.fused import Fuser
from bnao.evaluation.scoring import OneShotScore, score_genotypes
from bnao.metrics import Estimate, defined, rank_agreement
from bnao.protocols import Scorer, State
from bnao.provenance import ABOUT, about_images, check_same_data
from bnao.run import read_config, read_json
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.strategies.fusion import Fusion
from bnao.strategies.inheritance import read_shared_weights
from bnao.strategies.journal import read_supernet, supernet_network
from bnao.strategies.result import read_result

log = logging.getLogger("bnao.cli")


@click.command("score", cls=SectionedCommand, params=options_of(MachineConfig, "Machine"))
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("genotypes", nargs=-1, metavar="[GENOTYPE...]")
@file_option
@click.option(
    "--top", type=click.IntRange(min=1), help="Without GENOTYPE: number of the run's best to score.  [default: all]"
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="Shared weights in place of the run's: a .keras file of a Supernet, or a .safetensors file.",
)
@click.option(
    "--rank-by", type=click.Choice(RANKINGS),
    help="Order them by the one-shot score, or by it joined with live size and zero-cost scores (fused), which are "
    "shown beside it.  [default: the run's]",
)  # fmt: skip
@click.option("--proxies", help=f"Rank by fused: zero-cost scores, by commas, or none: {', '.join(PROXIES)}.")
@click.option(
    "--landmarks", type=click.IntRange(min=0),
    help="Rank by fused: genotypes trained alone, from which the parts' weights are learned (>= 5); 0 = equal weights.",
)  # fmt: skip
@click.option("--landmark-epochs", type=click.IntRange(min=1), help="Epochs of each of these trainings.")
@long_option
@report_options("scores")
@click.pass_context
def command(
    context: click.Context,
    run: Path,
    genotypes: tuple[str, ...],
    file: Path | None,
    top: int | None,
    weights: Path | None,
    long: bool,
    as_json: bool,
    quiet: bool,
    rank_by: str | None,
    proxies: str | None,
    landmarks: int | None,
    landmark_epochs: int | None,
) -> None:
    """Score genotypes with the shared weights of a finished RUN of bnao search, on its dev images.

    Each GENOTYPE of the run's space is in any notation that bnao show reads, in quotes, or the name of a published cell
    (bnao zoo). Scores are accuracy and mean log-likelihood (the mean log p(label) of the dev images), each with its
    standard error. Without GENOTYPE, the run's own genotypes are scored again.

    --backend may be another than the run's: the weights are converted, and the scores show whether the ranking stays
    the same. With --weights they are those of another training, such as a fit in Keras. With --rank-by fused the scores
    are joined with live size and zero-cost scores, and all parts are shown. Settings that are not given are the run's.
    The run itself is not changed.
    """
    config = read_config(run, SearchConfig)
    machine = build(MachineConfig, given_settings(context), config.machine)
    ranking = {
        "rank_by": rank_by, "proxies": proxies, "landmarks": landmarks, "landmark_epochs": landmark_epochs
    }  # fmt: skip
    asked = {name: value for name, value in ranking.items() if value is not None}
    config = attrs.evolve(build(SearchConfig, asked, config), machine=machine)
    given = None
    if genotypes or file is not None:
        if top is not None:
            raise click.UsageError("--top is for the run's own genotypes; leave it out, or the genotypes")
        space = space_named(config.network.space, config.network.nodes)
        given = Given.of(genotypes, file).genotypes(space)
    start = time.monotonic()
    with telling(quiet):
        scored = _scored_own(run, config, top, weights) if given is None else _scored_given(run, config, given, weights)
    spent = Spent.since(start)
    if as_json:
        of = {} if weights is None else {"weights": str(weights)}
        click.echo(json.dumps(scored.content(run, config) | of | spent.to_json()))
    else:
        lines = [*scored.lines(config, long=long), *_joined_lines(scored.fusion), spent.line()]
        click.echo("\n".join(lines))


# --- the scores


def _weights(run: Path, config: SearchConfig, weights: Path | None) -> State:
    """Return the shared weights of a run, or those of a file in their place."""
    return read_supernet(run) if weights is None else read_shared_weights(weights, supernet_network(run, config))


def _supernet(run: Path, config: SearchConfig, state: State) -> Scorer:
    """Return the run's supernet with its images and these weights, in the backend that is asked for."""
    backend = backends.load(config.machine.backend)
    if backend.name == "table":
        raise ConfigError("backend 'table' has no weights; name a framework with --backend")
    dataset = load_dataset(config.data)
    before = read_json(run / ABOUT) if (run / ABOUT).is_file() else {}
    if before.get("data") is None:
        log.info("%s does not say which images it is of; taken are: %s", run, dataset.describe())
    else:
        check_same_data(run, before, about_images(dataset))
    supernet = backend.supernet(attrs.evolve(config, network=supernet_network(run, config)), dataset)
    supernet.load_state(state)
    return supernet


def _told(supernet: Scorer, genotypes: Sequence[Genotype]) -> list[OneShotScore]:
    with following("scores") as listen:
        return score_genotypes(genotypes, supernet, listen=listen)


def _joined(scores: Sequence[OneShotScore], config: SearchConfig) -> Fusion | None:
    """The scores joined with what else is known of the genotypes; None where that is not asked for."""
    if config.rank_by == "score":
        return None
    backend = backends.load(config.machine.backend)
    fuser = Fuser(config, backend, None if backend.name == "table" else load_dataset(config.data))
    return fuser([entry.genotype for entry in scores], [entry.by(config.score) for entry in scores])


def _with_parts(entries: Sequence[dict[str, Any]], fusion: Fusion | None) -> dict[str, Any]:
    """Entries of JSON, each with its joined score and the parts of it."""
    if fusion is None:
        return {"scores": entries}
    joined = [
        {**entry, "fused": value, "parts": {name: defined(float(part[at])) for name, part in fusion.parts.items()}}
        for at, (entry, value) in enumerate(zip(entries, fusion.values.tolist(), strict=True))
    ]
    return {"fusion": fusion.to_json(), "scores": joined}


def _order(n: int, fusion: Fusion | None) -> list[int]:
    """The places of n genotypes as they are shown: as they came, or by their joined scores."""
    return list(range(n)) if fusion is None else sorted(range(n), key=lambda at: -fusion.values[at])


def _part_heads(fusion: Fusion | None) -> list[str]:
    return [] if fusion is None else [*part_heads([name for name in fusion.parts if name != "score"]), "fused"]


def _part_cells(fusion: Fusion | None, at: int) -> list[str]:
    if fusion is None:
        return []
    parts = {name: defined(float(part[at])) for name, part in fusion.parts.items() if name != "score"}
    return [*part_cells(parts, list(parts)), f"{fusion.values[at]:.3f}"]


def _joined_lines(fusion: Fusion | None) -> list[str]:
    """What joined scores are made of."""
    if fusion is None:
        return []
    return [weights_line(fusion.weights, len(fusion.landmarks)), *fusion.undefined_lines()]


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
    fusion: Fusion | None

    def content(self, run: Path, config: SearchConfig) -> dict[str, Any]:
        about = {"format": 1, "run": str(run), "backend": config.machine.backend, "images": self.images}
        return {**about, **_with_parts([entry.to_json() for entry in self.scores], self.fusion)}

    def lines(self, config: SearchConfig, *, long: bool) -> list[str]:
        heads, rows = ["", "id", f"score by {config.machine.backend}"], []
        known = any(entry.log_likelihood is not None for entry in self.scores)
        for number, entry in enumerate(self.scores, start=1):
            error = "" if entry.standard_error is None else f" {plus_minus()} {percent(entry.standard_error)}"
            score = plain_score(entry.score, as_share=entry.standard_error is not None)
            rows.append(
                [str(number), entry.genotype.id, f"{score}{error}", *([_log_likelihood(entry)] if known else [])]
            )
        heads += ["log-likelihood"] * known + _part_heads(self.fusion)
        rows = [[*rows[at], *_part_cells(self.fusion, at)] for at in _order(len(rows), self.fusion)]
        lines = ["", *table(heads, rows), ""]
        lines += numbered([entry.genotype for entry in self.scores]) if long else []
        if not known:
            lines.append(f"backend {config.machine.backend!r} returns no logits, so there is no log-likelihood")
        if self.images is not None:
            errors = "errors are standard errors" if known else "the error is the standard error"
            lines.append(f"on {self.images:,} dev images; {errors}")
        return lines


def _scored_given(
    run: Path, config: SearchConfig, genotypes: Sequence[Genotype], weights: Path | None = None
) -> _Given:
    supernet: Scorer
    if config.machine.backend == "table" and config.table.table is not None:
        supernet = backends.load("table").supernet(config, None)
    else:
        supernet = _supernet(run, config, _weights(run, config, weights))
    scores = _told(supernet, genotypes)
    return _Given(scores, supernet.scored_images, _joined(scores, config))


# --- of a run's own genotypes


@frozen
class _Own:
    """A run's best genotypes as they are scored now, and the scores it gave them, accuracies or log-likelihoods."""

    scores: Sequence[OneShotScore]
    before: Sequence[float]
    kind: str
    fusion: Fusion | None

    def content(self, run: Path, config: SearchConfig) -> dict[str, Any]:
        entries = [
            {**entry.to_json(), "run_score": before} for entry, before in zip(self.scores, self.before, strict=True)
        ]
        estimates = {name: attrs.asdict(estimate) for name, estimate in self._agreement().items()}
        about = {"format": 1, "run": str(run), "backend": config.machine.backend}
        return {**about, **_with_parts(entries, self.fusion), "agreement": estimates}

    def lines(self, config: SearchConfig, *, long: bool) -> list[str]:
        known = any(entry.log_likelihood is not None for entry in self.scores)
        as_share = self.kind == "accuracy"
        rows, genotypes = [], []
        for at in _order(len(self.scores), self.fusion)[: config.top]:
            entry = self.scores[at]
            row = [str(at + 1), entry.genotype.id, percent(entry.score), plain_score(self.before[at], as_share)]
            rows.append([*row, *[_log_likelihood(entry)] * known, *_part_cells(self.fusion, at)])
            genotypes.append(f"{at + 1:>4}  {entry.genotype}")
        heads = ["rank in the run", "id", f"score by {config.machine.backend}", "score in the run"]
        heads += ["log-likelihood"] * known + _part_heads(self.fusion)
        lines = ["", *table(heads, rows), "", *(genotypes if long else [])]
        agreement = self._agreement()
        if agreement:
            lines += agreement_lines(agreement, "scores of now against those of the run")
        largest = abs(self._now() - np.array(self.before)).max()
        difference = percent(largest, 2) if as_share else f"{largest:.2g}"
        return [*lines, f"the largest difference of a score is {difference}"]

    def _now(self) -> NDArray[np.float64]:
        return np.array([entry.by(self.kind) for entry in self.scores])

    def _agreement(self) -> dict[str, Estimate]:
        return rank_agreement(self._now(), self.before) if len(self.scores) > 1 else {}


def _scored_own(run: Path, config: SearchConfig, top: int | None, weights: Path | None = None) -> _Own:
    state, ranked = _weights(run, config, weights), read_result(run).ranked
    if top is not None and top > len(ranked):
        raise click.UsageError(f"--top is {top}; {run} has {len(ranked)} genotypes")
    supernet = _supernet(run, config, state)
    scores = _told(supernet, [entry.genotype for entry in ranked[:top]])
    return _Own(scores, [entry.score for entry in ranked[:top]], config.score, _joined(scores, config))
