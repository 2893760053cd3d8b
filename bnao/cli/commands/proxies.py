"""``bnao proxies``: genotypes scored without training them."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from bnao.backends import framework
from bnao.cli.figures import plain_score, plus_minus
from bnao.cli.genotypes import Given, file_option, long_option, searched
from bnao.cli.options import SectionedCommand, configured, layer_options, options_of, report_options
from bnao.cli.progress import following, telling
from bnao.cli.reports import Spent, numbered, table
from bnao.config.fields import to_toml
from bnao.config.settings import SearchConfig
from bnao.config.studies import ProxiesConfig
from bnao.data.dataset import Dataset, load_dataset
from bnao.proxies import ZeroCostScores, undefined_lines, zero_cost_scores
from bnao.run import read_config
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.strategies.result import read_result

log = logging.getLogger("bnao.cli")

# what a score takes of the data is the train part; and no weights are shared
_WITHOUT = (
    ("network", "slots"),
    *(
        ("data", name)
        for name in ("dev_images", "crop", "pad", "pad_with", "flip", "jitter", "hue", "cutout", "unreadable")
    ),
)


@click.command("proxies", cls=SectionedCommand, params=options_of(ProxiesConfig, "Zero-cost scores", without=_WITHOUT))
@click.argument("targets", nargs=-1, metavar="GENOTYPE... | RUN")
@layer_options(ProxiesConfig)
@file_option
@click.option("--top", type=click.IntRange(min=1), help="With RUN: number of its best genotypes.  [default: all]")
@long_option
@report_options("scores")
@click.pass_context
def command(
    context: click.Context,
    targets: tuple[str, ...],
    preset_name: str | None,
    config_file: Path | None,
    show_config: bool,
    file: Path | None,
    top: int | None,
    long: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Score genotypes without training them, by what their untrained networks make of one batch of images.

    Give GENOTYPEs in any notation that bnao show reads, in quotes, or names of published cells (bnao zoo); or the
    folder of one finished RUN of bnao search, whose genotypes are taken with its network, images and machine; so are
    single genotypes of it, named RUN:1 (by rank) or RUN:3f9a (by the first digits of the id).

    \b
    jacob_cov  how differently the logits react to different images (Mellor et al., v1)
    naswot     how well the states of all ReLUs tell images apart (Mellor et al., v3)
    synflow    sum of |weight x gradient| in a positive, linear network (Tanaka et al.)
    snip       sum of |weight x gradient| of the loss (Lee et al.)
    grad-norm  sum over layers of the norm of the loss's gradient

    Beside them stand the parameters and multiply-adds of what carries something of the image to the classifier
    ("live"), which order genotypes well by themselves. Higher is better for each; only the order of a score means
    something.
    """
    run, named = searched(targets, file)
    if run is None:
        if top is not None:
            raise click.UsageError("--top is for the folder of a run; give one RUN in place of genotypes")
        given = None if show_config and not targets and file is None else Given.of(targets, file)
        config = configured(
            context, ProxiesConfig, preset_name, config_file,
            below=lambda base: {} if given is None else given.settings(),
        )  # fmt: skip
    else:
        if named and top is not None:
            raise click.UsageError("--top is for the folder of a run; give one RUN in place of genotypes")
        of_run = read_config(run, SearchConfig)
        config = configured(
            context, ProxiesConfig, preset_name, config_file, below=lambda base: _settings_of_run(of_run)
        )
    if show_config:
        click.echo(to_toml(config), nl=False)
        return
    scores: dict[Genotype, float] | None = None
    if run is None:
        assert given is not None
        genotypes = given.genotypes(space_named(config.network.space, config.network.nodes))
    else:
        ranked = read_result(run).ranked
        scores = {entry.genotype: entry.score for entry in ranked}
        genotypes = [each.reading().genotype for each in named] or [entry.genotype for entry in ranked[:top]]
    start = time.monotonic()
    with telling(quiet):
        backend = framework(config.machine.backend, "trains and scores no network")
        dataset = load_dataset(config.data)
        log.info("%s", dataset.describe())
        with following("zero-cost scores") as listen:
            found = zero_cost_scores(genotypes, config, backend, dataset, listen=listen)
    spent = Spent.since(start)
    if as_json:
        click.echo(json.dumps({"format": 1, **_content(found, config, dataset, scores), **spent.to_json()}))
        return
    click.echo("\n".join(["", *_lines(found, config, scores, long=long), spent.line()]))


def _settings_of_run(config: SearchConfig) -> dict[str, dict[str, Any]]:
    """A run's network, images and machine."""
    network = {each.name: getattr(config.network, each.name) for each in attrs.fields(type(config.network))}
    machine = attrs.asdict(config.machine)
    if config.machine.backend == "table":  # which trains nothing
        del machine["backend"]
    decided_by_data = {"classes", "image"}
    return {
        "network": {name: value for name, value in network.items() if name not in decided_by_data},
        "data": attrs.asdict(config.data),
        "machine": machine,
    }


def _content(
    found: Sequence[ZeroCostScores], config: ProxiesConfig, dataset: Dataset, scores: Mapping[Genotype, float] | None
) -> dict[str, Any]:
    entries = [
        {**entry.to_json(), **({} if scores is None else {"run_score": scores[entry.genotype]})} for entry in found
    ]
    about = {"space": config.network.space, "channels": config.network.channels, "cells": config.network.cells}
    about |= {"seed": config.seed, "repeats": config.repeats, "batch": config.batch, "data": dataset.describe()}
    return {**about, "backend": config.machine.backend, "scores": entries}


def _lines(
    found: Sequence[ZeroCostScores], config: ProxiesConfig, scores: Mapping[Genotype, float] | None, *, long: bool
) -> list[str]:
    heads = ["", "id", "live parameters", "live multiply-adds", *config.proxies]
    heads += [] if scores is None else ["score in the run"]
    rows = []
    for number, entry in enumerate(found, start=1):
        row = [str(number), entry.genotype.id, f"{entry.size:,}", f"{entry.multiply_adds:,}"]
        row += [_value(entry, name) for name in config.proxies]
        row += [] if scores is None else [plain_score(scores[entry.genotype], as_share=False)]
        rows.append(row)
    network = config.network
    errors = "; errors are standard errors of the mean over repeats" if config.repeats > 1 else ""
    return [
        *table(heads, rows), "", *(numbered([entry.genotype for entry in found]) if long else []),
        f"untrained networks with C = {network.channels}, N = {network.cells}, on {config.batch} images of the train "
        f"part, seed {config.seed}, {config.repeats} repeat{'s' * (config.repeats > 1)}{errors}",
        *undefined_lines(found),
    ]  # fmt: skip


def _value(entry: ZeroCostScores, name: str) -> str:
    mean, error = entry.mean(name), entry.standard_error(name)
    if math.isnan(mean):
        return "not defined"
    return f"{mean:.6g}" + ("" if math.isnan(error) else f" {plus_minus()} {error:.2g}")
