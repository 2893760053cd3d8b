"""``bnao show``: what genotypes are, in words, drawn, and how large their networks would be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import click
from attrs import frozen

from bnao.cli.figures import speaks_unicode
from bnao.cli.genotypes import Given, file_option, space_asked_for
from bnao.cli.options import SectionedCommand, WholeNumber, given_settings, options_of
from bnao.cli.words import drawn, in_words
from bnao.config import AUTO, EvaluateConfig, NetworkConfig
from bnao.formats import NOTATIONS, Reading, written
from bnao.genotype import Genotype
from bnao.settings import build
from bnao.size import multiply_adds, parameters, within_budget
from bnao.space import SearchSpace

# the network whose size is told is the one that ``bnao evaluate`` trains
_NETWORK = EvaluateConfig().network


def _image_shape(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, int, int]:
    match = re.fullmatch(r"(\d{1,9})x(\d{1,9})x(\d{1,9})", value)
    if match is None:
        raise click.BadParameter(f"{value!r} is no image shape; give HxWxC, such as 32x32x3")
    return int(match[1]), int(match[2]), int(match[3])


@click.command("show", cls=SectionedCommand, params=options_of(NetworkConfig, "Network", defaults=_NETWORK))
@click.argument("genotypes", nargs=-1, metavar="GENOTYPE...")
@file_option
@click.option(
    "--classes", type=WholeNumber(), default=_NETWORK.classes, show_default=True, help="Classes to tell apart."
)
@click.option(
    "--image", metavar="HxWxC", default="x".join(map(str, _NETWORK.image)), show_default=True, callback=_image_shape,
    help="Height, width and channels of an image.",
)  # fmt: skip
@click.option(
    "--max-multiply-adds", "budget", type=WholeNumber(),
    help="Refuse networks of more multiply-adds; with --channels auto each is as wide as keeps it.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a genotype, each on a line of its own.")
@click.option(
    "--as", "notation", type=click.Choice(NOTATIONS), help="Print each genotype in this notation, on a line of its own."
)
@click.pass_context
def command(
    context: click.Context,
    genotypes: tuple[str, ...],
    file: Path | None,
    classes: int,
    image: tuple[int, int, int],
    budget: int | None,
    as_json: bool,
    notation: str | None,
) -> None:
    """Say what each GENOTYPE is: in words, as a drawing, and the size of its own network.

    A genotype is bnao's text form, the name of a published cell (bnao zoo), the authors' integers, ENAS' arcs, a
    DARTS Genotype(...), a NAS-Bench-201 string or JSON, in quotes; - reads genotypes from standard input, one a line.
    Each notation is told apart by itself; only the numbers of NAO's first version need their name: "nao-v1: 0 7 1 15
    ...". Sizes are exact, by arithmetic: trainable parameters without the auxiliary head, and multiply-adds of one
    image.
    """
    if as_json and notation is not None:
        raise click.UsageError("--json and --as exclude each other; --as json prints the genotype alone")
    given, texts = given_settings(context), Given.of(genotypes, file)
    network = attrs.evolve(build(NetworkConfig, given, _NETWORK), classes=classes, image=image)
    readings = texts.readings(space_asked_for(given))
    if notation is not None:
        lines = [written(reading.genotype, reading.space, notation) for reading in readings]
    else:
        lines = list((_as_json if as_json else _for_people)(_sized(readings, network, budget)))
    for line in lines:
        click.echo(line)


@frozen
class _Sized:
    """A genotype, its space, the network it is counted in, and that network's size."""

    genotype: Genotype
    space: SearchSpace
    network: NetworkConfig
    parameters: int
    multiply_adds: int


def _sized(readings: Sequence[Reading], network: NetworkConfig, budget: int | None) -> list[_Sized]:
    """Each genotype with its size."""
    if budget is not None or network.channels == AUTO:
        return [_within(reading, network, budget) for reading in readings]
    by_space: dict[SearchSpace, list[int]] = {}
    for place, reading in enumerate(readings):
        by_space.setdefault(reading.space, []).append(place)
    sized: dict[int, _Sized] = {}
    for space, places in by_space.items():  # any number of them is counted at once
        own = attrs.evolve(network, space=space.name, nodes=space.nodes)
        genotypes = [readings[place].genotype for place in places]
        counts = parameters(genotypes, own).tolist(), multiply_adds(genotypes, own).tolist()
        for place, genotype, weights, products in zip(places, genotypes, *counts, strict=True):
            sized[place] = _Sized(genotype, space, own, weights, products)
    return [sized[place] for place in range(len(readings))]


def _within(reading: Reading, network: NetworkConfig, budget: int | None) -> _Sized:
    """A genotype in a network that keeps a budget of multiply-adds."""
    genotype, space = reading.genotype, reading.space
    own = within_budget(genotype, attrs.evolve(network, space=space.name, nodes=space.nodes), budget)
    return _Sized(genotype, space, own, parameters(genotype, own), multiply_adds(genotype, own))


def _as_json(sized: Sequence[_Sized]) -> Iterator[str]:
    for each in sized:
        yield json.dumps(
            {
                "genotype": str(each.genotype),
                "space": each.space.name,
                "nodes": each.space.nodes,
                "integers": written(each.genotype, each.space, "integers"),
                "channels": each.network.channels,
                "parameters": each.parameters,
                "multiply_adds": each.multiply_adds,
            }
        )


def _for_people(sized: Sequence[_Sized]) -> Iterator[str]:
    ascii_only = not speaks_unicode()
    for place, each in enumerate(sized):
        genotype, network = each.genotype, each.network
        if place:
            yield ""
        yield str(genotype)
        yield (
            f"{each.parameters:,} parameters, {each.multiply_adds:,} multiply-adds  "
            f"(space {each.space.name} with {each.space.nodes} nodes; C = {network.channels}, N = {network.cells}, "
            f"{network.network} stem, {network.classes} classes, images of {' x '.join(map(str, network.image))})"
        )
        names = {"": "Cell", "normal": "Normal cell", "reduction": "Reduction cell, stride 2 on a and b"}
        for name, cell in genotype.named_cells:
            outputs = cell.outputs(genotype.output)
            yield ""
            inputs = "a: the cell before the last, b: the last cell" if cell.inputs == 2 else "a: the last cell"
            yield f"{names[name]}  ({inputs})"
            yield from (f"  {line}" for line in in_words(cell, outputs))
            yield ""
            yield from (f"  {line}" for line in drawn(cell, outputs, ascii_only=ascii_only))
