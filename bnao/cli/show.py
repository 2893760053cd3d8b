"""``bnao show``: what genotypes are, in words, drawn, and how large their networks would be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import click
import numpy as np
from numpy.typing import NDArray

from bnao.cli.drawing import drawn, in_words
from bnao.cli.figures import speaks_unicode
from bnao.cli.genotypes import file_option, read_genotypes
from bnao.cli.options import SectionedCommand, WholeNumber, given_settings, options_of
from bnao.config import AUTO, EvaluateConfig, NetworkConfig
from bnao.genotype import Genotype
from bnao.settings import build
from bnao.size import multiply_adds, parameters, within_budget
from bnao.space import space_named

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
@click.option("--classes", type=int, default=_NETWORK.classes, show_default=True, help="Classes to tell apart.")
@click.option(
    "--image", metavar="HxWxC", default="x".join(map(str, _NETWORK.image)), show_default=True, callback=_image_shape,
    help="Height, width and channels of an image.",
)  # fmt: skip
@click.option(
    "--max-multiply-adds", "budget", type=WholeNumber(),
    help="Refuse networks of more multiply-adds; with --channels auto each is as wide as keeps it.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a genotype, each on a line of its own.")
@click.pass_context
def command(
    context: click.Context,
    genotypes: tuple[str, ...],
    file: Path | None,
    classes: int,
    image: tuple[int, int, int],
    budget: int | None,
    as_json: bool,
) -> None:
    """Say what each GENOTYPE is: in words, as a drawing, and the size of its own network.

    A genotype is bnao's text form, the authors' integers or a NAS-Bench-201 string, in quotes; - reads genotypes
    from standard input, one a line. Sizes are exact, by arithmetic: trainable parameters without the auxiliary head,
    and multiply-adds of one image.
    """
    network = build(NetworkConfig, given_settings(context), _NETWORK)
    network = attrs.evolve(network, classes=classes, image=image)
    read = read_genotypes(genotypes, file, space_named(network.space, network.nodes))
    networks = [network] * len(read)
    if budget is None and network.channels != AUTO:  # any number of them is counted at once
        sizes = parameters(read, network).tolist(), multiply_adds(read, network).tolist()
    else:
        networks = [within_budget(genotype, network, budget) for genotype in read]
        sizes = list(map(parameters, read, networks)), list(map(multiply_adds, read, networks))
    for line in (_as_json if as_json else _for_people)(read, *sizes, networks):
        click.echo(line)


def _as_json(
    genotypes: Sequence[Genotype], weights: Sequence[int], products: Sequence[int], networks: Sequence[NetworkConfig]
) -> Iterator[str]:
    space = space_named(networks[0].space, networks[0].nodes)
    integers: NDArray[np.int64] = space.encode(genotypes).reshape(len(genotypes), space.length)
    for genotype, numbers, size, products_of_one, network in zip(
        genotypes, integers.tolist(), weights, products, networks, strict=True
    ):
        yield json.dumps(
            {
                "genotype": str(genotype),
                "space": space.name,
                "nodes": space.nodes,
                "integers": " ".join(map(str, numbers)),
                "channels": network.channels,
                "parameters": size,
                "multiply_adds": products_of_one,
            }
        )


def _for_people(
    genotypes: Sequence[Genotype], weights: Sequence[int], products: Sequence[int], networks: Sequence[NetworkConfig]
) -> Iterator[str]:
    ascii_only = not speaks_unicode()
    nodes = space_named(networks[0].space, networks[0].nodes).nodes
    for place, (genotype, size, products_of_one, network) in enumerate(
        zip(genotypes, weights, products, networks, strict=True)
    ):
        about = (
            f"space {network.space} with {nodes} nodes; C = {network.channels}, N = {network.cells}, "
            f"{network.network} stem, {network.classes} classes, images of {' x '.join(map(str, network.image))}"
        )
        if place:
            yield ""
        yield str(genotype)
        yield f"{size:,} parameters, {products_of_one:,} multiply-adds  ({about})"
        names = {"": "Cell", "normal": "Normal cell", "reduction": "Reduction cell, stride 2 on a and b"}
        for name, cell in genotype.named_cells:
            yield ""
            inputs = "a: the cell before the last, b: the last cell" if cell.inputs == 2 else "a: the last cell"
            yield f"{names[name]}  ({inputs})"
            yield from (f"  {line}" for line in in_words(cell))
            yield ""
            yield from (f"  {line}" for line in drawn(cell, ascii_only=ascii_only))
