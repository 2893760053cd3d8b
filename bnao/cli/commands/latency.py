"""``bnao latency``: networks' forward passes measured, and a model of them for searches within a latency."""

from __future__ import annotations

import json
import logging
import os
import shlex
import statistics
from collections.abc import Sequence
from pathlib import Path

import click
from attrs import evolve

from bnao.backends import framework
from bnao.cli.figures import cost_text, percent
from bnao.cli.genotypes import Given, file_option
from bnao.cli.listing import image_options
from bnao.cli.options import SectionedCommand, given_settings, options_of, report_options
from bnao.cli.progress import following, telling
from bnao.cli.reports import table
from bnao.config.fields import build, merge
from bnao.config.latency import LatencyConfig
from bnao.config.settings import width
from bnao.evaluation.latencies import (
    ForwardSeconds,
    conditions,
    framework_seconds,
    measure_latencies,
    measured_model,
)
from bnao.export import timing
from bnao.network.latency import FOLDS, LatencyModel, MeasuredLatency
from bnao.run import FORMAT
from bnao.space.spaces import space_named

log = logging.getLogger("bnao.cli")

# of a network its own layers alone are measured, and no images are read
_WITHOUT = (
    *(("network", name) for name in ("slots", "share_over", "partial_channels", "entangle")),
    ("machine", "workers"),
)


@click.command(
    "latency",
    cls=SectionedCommand,
    params=options_of(LatencyConfig, "Measurement", defaults=LatencyConfig(), without=_WITHOUT),
)
@click.argument("texts", nargs=-1, metavar="[GENOTYPE]...")
@file_option
@click.option(
    "-o", "--out", type=click.Path(path_type=Path),
    help="New file of the model, such as latency.json; needed unless GENOTYPEs are given.",
)  # fmt: skip
@click.option(
    "--model", "model_file", metavar="FILE", type=click.Path(path_type=Path),
    help="With GENOTYPEs: show what the model in this file predicts beside what is measured.",
)  # fmt: skip
@image_options
@report_options("latencies")
@click.pass_context
def command(
    context: click.Context,
    texts: tuple[str, ...],
    file: Path | None,
    out: Path | None,
    model_file: Path | None,
    classes: int,
    image: tuple[int, int, int],
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure the latency of networks, and fit a model of it for bnao search.

    Without GENOTYPE, random genotypes of the space are measured, and a model is fitted on them and written to the file
    of -o: the latency of a network is a base and a time for each edge, by operation, kind of cell and stride. Its error
    is that on genotypes it was not fitted on. bnao search takes it as --latency, for --max-latency, --size latency and
    --pareto latency.

    Each GENOTYPE, in any notation that bnao show reads, is measured by itself. The network is that of --channels,
    --cells and --image with random weights; it need not be as small as the supernet of a search. Nothing else should
    be running meanwhile.
    """
    one_by_one = bool(texts) or file is not None
    if one_by_one == (out is not None):
        raise click.UsageError("give GENOTYPEs to measure, or -o FILE for a model of random ones, and not both")
    if model_file is not None and not one_by_one:
        raise click.UsageError("--model is for GENOTYPEs that are measured")
    given = Given.of(texts, file) if one_by_one else None
    below = {} if given is None else given.settings()
    config = build(LatencyConfig, merge(below, given_settings(context)))
    config = evolve(config, network=evolve(config.network, classes=classes, image=image))
    width(config.network)
    if given is not None:
        model = None if model_file is None else LatencyModel.load(model_file)
        if model is not None:
            model.check_space(config.network, str(model_file))
        chosen = given.genotypes(space_named(config.network.space, config.network.nodes))
        with telling(quiet), following("latencies") as listen:
            measured = measure_latencies(chosen, config, _seconds(config)[0], listen=listen)
        _print_measured(measured, model, as_json)
        return
    assert out is not None
    _check_is_free(out)
    seconds, about = _seconds(config)
    with telling(quiet), following("latencies") as listen:
        fitted = measured_model(config, seconds, about, listen=listen)
    fitted.save(out)
    if as_json:
        click.echo(json.dumps({"format": FORMAT, "file": str(out), **fitted.to_json()}))
        return
    click.echo("\n".join(["", *_model_lines(fitted), str(out), _next(fitted, out)]))


def _check_is_free(out: Path) -> None:
    """Refuse, before anything is measured, a file that cannot be written in the end."""
    if out.exists():
        raise click.UsageError(f"{out} exists already; name another file with -o")
    if not os.access(out.parent, os.W_OK):
        raise click.UsageError(f"cannot write in the folder {out.parent}; name another file with -o")


def _seconds(config: LatencyConfig) -> tuple[ForwardSeconds, dict[str, object]]:
    """Return what measures, and what a model says of it."""
    if config.runtime == "onnxruntime":
        versions = {"onnxruntime": timing.onnxruntime_version()}
        return timing.forward_seconds, conditions(config, versions, "cpu")
    backend = framework(config.machine.backend, "computes no network")
    device = config.machine.device
    if device == "auto":
        device = next((name for name in backend.devices() if name != "cpu"), "cpu")
    return framework_seconds(backend), conditions(config, backend.versions(), device)


def _print_measured(measured: Sequence[MeasuredLatency], model: LatencyModel | None, as_json: bool) -> None:
    predicted = None if model is None else model.predict([each.genotype for each in measured]).tolist()
    if as_json:
        entries = [
            {"id": each.genotype.id, **each.to_json(), **({} if predicted is None else {"predicted": predicted[place]})}
            for place, each in enumerate(measured)
        ]
        click.echo(json.dumps({"format": FORMAT, "latencies": entries}))
        return
    heads = ["", "id", "latency", "spread", *["predicted"] * (predicted is not None)]
    rows = [
        [
            str(place + 1), each.genotype.id, cost_text(each.milliseconds, "latency"), percent(each.spread),
            *([] if predicted is None else [cost_text(predicted[place], "latency")]),
        ]
        for place, each in enumerate(measured)
    ]  # fmt: skip
    click.echo("\n".join(["", *table(heads, rows)]))


def _model_lines(model: LatencyModel) -> list[str]:
    """Return a model for people: what was measured, how far it can be trusted, and its times."""
    network, about = model.network, model.conditions
    times = [each.milliseconds for each in model.measured]
    low, middle, high = (cost_text(each, "latency") for each in (min(times), statistics.median(times), max(times)))
    spread = statistics.median(each.spread for each in model.measured)
    threads = "" if about["threads"] is None else f", threads {about['threads']}"
    tau = "not defined" if model.kendall_tau is None else f"{model.kendall_tau:.3f}"
    rows = [[name, f"{time:.4g}"] for name, time in model.milliseconds.items()]
    return [
        *table(["term", "ms"], rows, left=["term"]),
        "",
        f"{len(times)} genotypes of {network.space} with C = {network.channels}, N = {network.cells}, images "
        f"{'x'.join(map(str, network.image))}, batch {about['batch']}, by {about['runtime']} on "
        f"{about['device']}{threads}: {low} to {high}, median {middle}",
        f"repetitions of one differ by {percent(spread)} (interquartile range, median over genotypes)",
        f"model on genotypes held out ({FOLDS} parts in turn): mean absolute percentage error {percent(model.error)}, "
        f"Kendall tau {tau}",
    ]


def _next(model: LatencyModel, out: Path) -> str:
    """Return a search with the model, within the latency that half of the genotypes keep."""
    middle = statistics.median(each.milliseconds for each in model.measured)
    options = f"--latency {shlex.quote(str(out))} --max-latency {middle:.3g}ms"
    return f"next: bnao search --space {model.network.space} {options}"
