"""``bnao neighbours``: all genotypes that differ from one in a single edge's source or operation."""

from __future__ import annotations

import attrs
import click

from bnao.cli.genotypes import Given, space_asked_for
from bnao.cli.listing import NETWORK, genotype_lines, image_options, list_options
from bnao.cli.options import SectionedCommand, given_settings, options_of
from bnao.config.fields import build
from bnao.config.settings import NetworkConfig
from bnao.space.edits import neighbours


@click.command("neighbours", cls=SectionedCommand, params=options_of(NetworkConfig, "Network", defaults=NETWORK))
@click.argument("genotype", metavar="GENOTYPE")
@image_options
@list_options
@click.option("--limit", type=click.IntRange(min=1), help="Print at most this many.  [default: all]")
@click.option("--count", is_flag=True, help="Print only their number.")
@click.pass_context
def command(
    context: click.Context,
    genotype: str,
    classes: int,
    image: tuple[int, int, int],
    as_json: bool,
    notation: str | None,
    limit: int | None,
    count: bool,
) -> None:
    """Print all genotypes that differ from GENOTYPE in the source or operation of one edge, one per line.

    GENOTYPE is in any notation that bnao show reads, in quotes, or the name of a published cell (bnao zoo); - reads it
    from standard input. Each neighbour is printed once, whatever the order of its edges.
    """
    beside = [name for name, given in (("--limit", limit), ("--as", notation), ("--json", as_json)) if given]
    if count and beside:
        raise click.UsageError(f"--count prints a number alone; leave out {', '.join(beside)}")
    given = given_settings(context)
    readings = Given.of((genotype,), None).readings(space_asked_for(given))
    if len(readings) > 1:
        raise click.UsageError(f"{len(readings)} genotypes; give one")
    (reading,) = readings
    found = neighbours(reading.genotype, reading.space)
    if count:
        click.echo(str(len(found)))
        return
    network = build(NetworkConfig, given, NETWORK)
    own = attrs.evolve(network, space=reading.space.name, nodes=reading.space.nodes, classes=classes, image=image)
    for line in genotype_lines(found[:limit], reading.space, own, as_json=as_json, notation=notation):
        click.echo(line)
