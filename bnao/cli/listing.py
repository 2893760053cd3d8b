"""Output lines of the commands that print genotypes, and the network in which sizes are counted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

import attrs
import click
from attrs import frozen

from bnao.cli.options import WholeNumber, all_of
from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import AUTO, NetworkConfig
from bnao.network.size import count_multiply_adds, count_parameters, within_budget
from bnao.space.genotype import Genotype
from bnao.space.notation.notations import NOTATIONS, Reading, to_text
from bnao.space.spaces import SearchSpace

#: the network whose size is told is the one that ``bnao evaluate`` trains
NETWORK = EvaluateConfig().network


def _image_shape(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, int, int]:
    match = re.fullmatch(r"(\d{1,9})x(\d{1,9})x(\d{1,9})", value)
    if match is None:
        raise click.BadParameter(f"{value!r} is not an image shape; give HxWxC, such as 32x32x3")
    return int(match[1]), int(match[2]), int(match[3])


#: the options ``--classes`` and ``--image``
image_options = all_of(
    click.option(
        "--classes", type=WholeNumber(), default=NETWORK.classes, show_default=True, help="Number of classes.",
    ),
    click.option(
        "--image", metavar="HxWxC", default="x".join(map(str, NETWORK.image)), show_default=True, callback=_image_shape,
        help="Height, width and channels of an image.",
    ),
)  # fmt: skip

#: the options ``--json`` and ``--as``
list_options = all_of(
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object per genotype, each on its own line."),
    click.option(
        "--as", "notation", type=click.Choice(NOTATIONS),
        help="Print each genotype in this notation, each on its own line.",
    ),
)  # fmt: skip


def genotype_lines(
    genotypes: Sequence[Genotype], space: SearchSpace, network: NetworkConfig, *, as_json: bool, notation: str | None
) -> Iterator[str]:
    """Return a line per genotype: its text, its text in a notation, or a JSON object with its sizes.

    Raises:
        click.UsageError: both JSON and a notation are asked for.
        GenotypeError: the notation cannot express one.
    """
    if as_json and notation is not None:
        raise click.UsageError("--json and --as exclude each other; --as json prints the genotype alone")
    if as_json:
        return as_json_lines(sized([Reading(genotype, space, told=True) for genotype in genotypes], network, None))
    return iter([to_text(genotype, space, notation or "text") for genotype in genotypes])


@frozen
class Sized:
    """A genotype, its space, the network it is counted in, and that network's size."""

    genotype: Genotype
    space: SearchSpace
    network: NetworkConfig
    parameters: int
    multiply_adds: int


def sized(readings: Sequence[Reading], network: NetworkConfig, budget: int | None) -> list[Sized]:
    """Return each genotype with its size.

    Args:
        readings: the genotypes, each with its space.
        network: what they are counted in; its channels may be auto.
        budget: most multiply-adds of a network, or None.
    """
    if budget is not None or network.channels == AUTO:
        return [_within(reading, network, budget) for reading in readings]
    by_space: dict[SearchSpace, list[int]] = {}
    for place, reading in enumerate(readings):
        by_space.setdefault(reading.space, []).append(place)
    found: dict[int, Sized] = {}
    for space, places in by_space.items():  # any number of them is counted at once
        own = attrs.evolve(network, space=space.name, nodes=space.nodes)
        genotypes = [readings[place].genotype for place in places]
        counts = count_parameters(genotypes, own).tolist(), count_multiply_adds(genotypes, own).tolist()
        for place, genotype, weights, products in zip(places, genotypes, *counts, strict=True):
            found[place] = Sized(genotype, space, own, weights, products)
    return [found[place] for place in range(len(readings))]


def _within(reading: Reading, network: NetworkConfig, budget: int | None) -> Sized:
    """Return a genotype in a network that keeps a budget of multiply-adds."""
    genotype, space = reading.genotype, reading.space
    own = within_budget(genotype, attrs.evolve(network, space=space.name, nodes=space.nodes), budget)
    return Sized(genotype, space, own, count_parameters(genotype, own), count_multiply_adds(genotype, own))


def as_json_lines(counted: Sequence[Sized]) -> Iterator[str]:
    """Yield a JSON object per genotype, with its space, its integers and its sizes."""
    for each in counted:
        yield json.dumps(
            {
                "genotype": str(each.genotype),
                "id": each.genotype.id,
                "space": each.space.name,
                "nodes": each.space.nodes,
                "integers": to_text(each.genotype, each.space, "integers"),
                "channels": each.network.channels,
                "parameters": each.parameters,
                "multiply_adds": each.multiply_adds,
            }
        )
