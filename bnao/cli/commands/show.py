"""``bnao show``: what genotypes are, in words, drawn, and how large their networks would be."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import click
from click.core import ParameterSource

from bnao.cli.figures import speaks_unicode
from bnao.cli.genotypes import Given, file_option, space_asked_for
from bnao.cli.listing import NETWORK, Sized, as_json_lines, image_options, list_options, sized
from bnao.cli.options import SectionedCommand, WholeNumber, given_settings, options_of
from bnao.cli.text import drawn, in_words
from bnao.config.fields import build
from bnao.config.settings import NetworkConfig
from bnao.network.mobile import IMAGENET, is_mobile_network, mobile_network
from bnao.space.notation.notations import to_text


@click.command("show", cls=SectionedCommand, params=options_of(NetworkConfig, "Network", defaults=NETWORK))
@click.argument("genotypes", nargs=-1, metavar="GENOTYPE...")
@file_option
@image_options
@click.option(
    "--max-multiply-adds", "budget", type=WholeNumber(),
    help="Refuse networks with more multiply-adds; with --channels auto, make each as wide as this allows.",
)  # fmt: skip
@list_options
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
    """Describe each GENOTYPE: its cells in words and as a drawing, and the size of its network.

    A genotype is bnao's text form, the name of a published cell (bnao zoo), the authors' integers, ENAS' arcs, a DARTS
    Genotype(...), a NAS-Bench-201 string or JSON, in quotes; or RUN:1, the first of a finished search or an evaluation
    in the folder RUN, or RUN:3f9a, by the first digits of its id there (at least 4); - reads genotypes from standard
    input, one per line. The notation is recognised; only the integers of NAO's first version need a prefix: "nao-v1: 0
    7 1 15 ...". Sizes are exact and computed without building the network: trainable parameters without the auxiliary
    head, and multiply-adds for one image. So are those of MobileNetV1, MobileNetV2 and MnasNet-A1, which are not made
    of cells: for ImageNet, unless --image and --classes say otherwise.
    """
    if as_json and notation is not None:
        raise click.UsageError("--json and --as exclude each other; --as json prints the genotype alone")
    mobile = [text for text in genotypes if is_mobile_network(text)]
    if mobile:
        if notation is not None:
            raise click.UsageError(f"{mobile[0]} is not made of cells, so no notation can express it; leave --as out")
        is_default = {
            name: context.get_parameter_source(name) is ParameterSource.DEFAULT for name in ("image", "classes")
        }
        for line in _mobile_lines(
            mobile, None if is_default["image"] else image, None if is_default["classes"] else classes, as_json
        ):
            click.echo(line)
        genotypes = tuple(text for text in genotypes if text not in mobile)
        if not genotypes and file is None:
            return
    given, texts = given_settings(context), Given.of(genotypes, file)
    network = attrs.evolve(build(NetworkConfig, given, NETWORK), classes=classes, image=image)
    readings = texts.readings(space_asked_for(given))
    if notation is not None:
        lines = [to_text(reading.genotype, reading.space, notation) for reading in readings]
    else:
        lines = list((as_json_lines if as_json else _for_people)(sized(readings, network, budget)))
    for line in lines:
        click.echo(line)


def _mobile_lines(
    names: Sequence[str], image: tuple[int, int, int] | None, classes: int | None, as_json: bool
) -> Iterator[str]:
    """Yield the sizes of networks that are not made of cells, for ImageNet where nothing else is asked for."""
    image, classes = image or IMAGENET[0], classes or IMAGENET[1]
    for name in names:
        network = mobile_network(name)
        parameters, multiply_adds = network.counts(image, classes)
        if as_json:
            claim = {"parameters": network.claim.parameters, "multiply_adds": network.claimed_multiply_adds}
            told = {"parameters": parameters, "multiply_adds": multiply_adds, "claimed_in_millions": claim}
            yield json.dumps({"network": network.name, **told, "imagenet_error": network.claim.error})
            continue
        yield network.name
        yield (
            f"{parameters:,} parameters, {multiply_adds:,} multiply-adds  "
            f"({classes} classes, images of {' x '.join(map(str, image))})"
        )
        yield (
            f"claimed: {network.claim.parameters:g} M parameters, {network.claimed_multiply_adds:g} M multiply-adds, "
            f"{network.claim.error:g} % top-1 error on ImageNet  [{network.claim.where}]"
        )


def _for_people(counted: Sequence[Sized]) -> Iterator[str]:
    ascii_only = not speaks_unicode()
    for place, each in enumerate(counted):
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
