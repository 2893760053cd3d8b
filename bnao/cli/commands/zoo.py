"""``bnao zoo``: published cells, and what was claimed of them beside what is counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs
import click

from bnao.cli.reports import table
from bnao.network.claims import Counted, count_claims
from bnao.space.zoo import Published, published_cell, zoo


@click.command("zoo")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per cell, each on its own line.")
def command(names: tuple[str, ...], as_json: bool) -> None:
    """List published cells; with NAMEs, show all that is known about them.

    Sizes claimed by papers and repositories are shown beside those counted by bnao for the same network. A name can be
    used wherever bnao takes a genotype: bnao show DARTS_V2, bnao evaluate DARTS_V2.
    """
    entries = [published_cell(name) for name in names] if names else list(zoo())
    if as_json:
        lines = [json.dumps(_plain(entry)) for entry in entries]
    elif names:
        lines = [line for place, entry in enumerate(entries) for line in ([""] * bool(place) + _told(entry))]
    else:
        lines = [*_listed(entries), "", "C and N are the network's channels and cells, sizes are in millions;"]
        lines.append("!: the count does not round to the claim. More of one: bnao zoo NAME")
    click.echo("\n".join(lines))


def _listed(entries: Sequence[Published]) -> list[str]:
    rows = []
    for entry in entries:
        for number, each in enumerate(count_claims(entry)):
            name, space = ("", "") if number else (entry.name, "-" if entry.space is None else entry.space.name)
            rows.append([name, space, *_figures(each)])
    heads = ["cell", "space", "data", "C", "N", "claimed", "counted", "multiply-adds", "test error"]
    return table(heads, rows, left=["cell", "space", "data"])


def _figures(each: Counted) -> list[str]:
    """Return data, C, N, claimed and counted parameters, multiply-adds and the claimed test error."""
    claim = each.claim
    claimed = "-" if claim is None or claim.parameters is None else f"{claim.parameters:g}"
    channels, cells = (each.network.channels, each.network.cells) if each.network else ("-", "-")
    return [
        "cifar10" if claim is None else claim.data,
        str(channels),
        str(cells),
        claimed + "!" * (each.agrees is False),
        "-" if each.parameters is None else f"{each.parameters / 1e6:.2f}",
        "-" if each.multiply_adds is None else f"{each.multiply_adds / 1e6:,.0f}",
        "-" if claim is None else f"{claim.error:g} %",
    ]


def _told(entry: Published) -> list[str]:
    """Return all of one cell."""
    lines = [entry.name, f"  from {entry.source}"]
    if entry.genotype is not None and entry.space is not None:
        lines += [f"  space {entry.space.name}", f"  {entry.genotype}"]
    for each in count_claims(entry):
        claim = each.claim
        if claim is not None:
            told = [] if claim.parameters is None else [f"{claim.parameters:g} M parameters"]
            top_5 = "" if claim.top_5_error is None else f" (top-5 {claim.top_5_error:g} %)"
            told.append(f"{claim.error:g} % test error{top_5} on {claim.data}")
            lines.append(
                f"  claimed: {', '.join(told)}{f', {claim.setting}' if claim.setting else ''}  [{claim.where}]"
            )
        if each.network is not None:
            lines.append(
                f"  counted: {each.parameters:,} parameters, {each.multiply_adds:,} multiply-adds "
                f"(C = {each.network.channels}, N = {each.network.cells}, {each.network.network} stem)"
            )
    return lines + [f"  note: {note}" for note in entry.notes]


def _plain(entry: Published) -> dict[str, Any]:
    return {
        "name": entry.name,
        "space": None if entry.space is None else entry.space.name,
        "genotype": None if entry.genotype is None else str(entry.genotype),
        "source": entry.source,
        "networks": [
            {
                "claim": None if each.claim is None else attrs.asdict(each.claim),
                "channels": None if each.network is None else each.network.channels,
                "cells": None if each.network is None else each.network.cells,
                "parameters": each.parameters,
                "multiply_adds": each.multiply_adds,
                "agrees": each.agrees,
            }
            for each in count_claims(entry)
        ],
        "notes": list(entry.notes),
    }
