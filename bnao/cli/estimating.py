"""The option ``--estimate``: what work will cost, in place of the work."""

from __future__ import annotations

import json

import click

from bnao.cli.figures import duration
from bnao.cli.reports import table
from bnao.reporting.estimates import MEASURED, Costs

#: the option ``--estimate``
estimate_option = click.option(
    "--estimate", is_flag=True,
    help="Make no folder and start nothing; print the time, memory and disk it will take, from three real steps.",
)  # fmt: skip


def show_costs(costs: Costs, as_json: bool) -> None:
    """Print what work will cost."""
    click.echo(json.dumps(costs.to_json()) if as_json else "\n".join(costs_report(costs)))


def costs_report(costs: Costs) -> list[str]:
    """Return costs for people.

    >>> from bnao.reporting.estimates import Work
    >>> work = Work("supernet", 888, "step", 0.05), Work("scores", 100, "genotype", 0.03)
    >>> for line in costs_report(Costs(work, memory=400 * 2**20, device_memory=None, disk=750_000)):
    ...     print(line)
    work      number         seconds each  time
    supernet  888 steps              0.05  0:44
    scores    100 genotypes          0.03  0:03
    total                                  0:47
    peak memory 400 MiB so far, disk at most 0.8 MB; measured on 3 steps
    """
    rows = [
        [work.name, f"{work.units:,} {work.unit}s", f"{work.seconds_each:.3g}", duration(work.seconds)]
        for work in costs.work
    ]
    lines = []
    if rows:
        rows.append(["total", "", "", duration(costs.seconds)])
        lines = table(["work", "number", "seconds each", "time"], rows, left=["work", "number"])
    held = [] if costs.memory is None else [f"peak memory {costs.memory / 2**20:,.0f} MiB so far"]
    held += [] if costs.device_memory is None else [f"on the device {costs.device_memory / 2**20:,.0f} MiB"]
    figures = ", ".join([*held, f"disk at most {costs.disk / 1e6:,.1f} MB"])
    return [*lines, f"{figures}; measured on {MEASURED} steps", *costs.notes]
