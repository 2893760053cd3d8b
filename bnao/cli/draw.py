"""``bnao draw``: a genotype's cells as graphs, in a file or on standard output."""

from __future__ import annotations

from pathlib import Path

import click

from bnao import drawing
from bnao.cli.genotypes import file_option, read_genotypes
from bnao.cli.options import SectionedCommand, given_settings, options_of
from bnao.config import NetworkConfig
from bnao.settings import build, settings_of
from bnao.space import space_named

# of a network its cells alone are drawn
_WITHOUT = {path for path, _ in settings_of(NetworkConfig)} - {("space",), ("nodes",)}


@click.command("draw", cls=SectionedCommand, params=options_of(NetworkConfig, "Network", without=_WITHOUT))
@click.argument("genotypes", nargs=-1, metavar="GENOTYPE")
@file_option
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="File for the picture: .svg, .png or .pdf.  [default: an SVG on stdout]",
)
@click.pass_context
def command(context: click.Context, genotypes: tuple[str, ...], file: Path | None, out: Path | None) -> None:
    """Draw the cells of GENOTYPE as graphs: what each node sums, and what makes the output.

    A genotype is bnao's text form, the authors' integers or a NAS-Bench-201 string, in quotes; - reads it from standard
    input. A thick frame marks a loose end, which no node reads, and thick lines run into the output. PNG and PDF need
    matplotlib.
    """
    network = build(NetworkConfig, given_settings(context))
    read = read_genotypes(genotypes, file, space_named(network.space, network.nodes))
    if len(read) > 1:
        raise click.UsageError(f"{len(read)} genotypes; a picture shows one")
    picture = read[0].picture()
    if out is None:
        click.echo(drawing.svg(picture), nl=False)
    else:
        drawing.save(picture, out)
        click.echo(str(out))
