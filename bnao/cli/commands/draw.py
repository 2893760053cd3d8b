"""``bnao draw``: a genotype's cells as graphs, in a file or on standard output."""

from __future__ import annotations

from pathlib import Path

import click

from bnao.cli.genotypes import Given, file_option, space_asked_for
from bnao.cli.options import SectionedCommand, given_settings, options_of
from bnao.config.fields import settings_of
from bnao.config.settings import NetworkConfig
from bnao.space import drawing

# of a network its cells alone are drawn
_WITHOUT = {path for path, _ in settings_of(NetworkConfig)} - {("space",), ("nodes",)}


@click.command("draw", cls=SectionedCommand, params=options_of(NetworkConfig, "Network", without=_WITHOUT))
@click.argument("genotypes", nargs=-1, metavar="GENOTYPE")
@file_option
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="File of the picture: .svg, .png or .pdf.  [default: an SVG on stdout]",
)
@click.pass_context
def command(context: click.Context, genotypes: tuple[str, ...], file: Path | None, out: Path | None) -> None:
    """Draw the cells of GENOTYPE as graphs: the inputs of each node, and the states that form the output.

    GENOTYPE is in any notation that bnao show reads, in quotes, or the name of a published cell (bnao zoo); - reads it
    from standard input. A thick frame marks a loose end, a state that no node reads; thick lines lead to the output.
    PNG and PDF need matplotlib.
    """
    readings = Given.of(genotypes, file).readings(space_asked_for(given_settings(context)))
    if len(readings) > 1:
        raise click.UsageError(f"{len(readings)} genotypes; a picture shows one")
    picture = readings[0].genotype.picture()
    if out is None:
        click.echo(drawing.svg(picture), nl=False)
    else:
        drawing.save(picture, out)
        click.echo(str(out))
