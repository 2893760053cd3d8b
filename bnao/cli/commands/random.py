"""``bnao random``: random genotypes of a space, as many and as large as are wanted."""

from __future__ import annotations

import attrs
import click

from bnao.cli.listing import NETWORK, genotype_lines, image_options, list_options
from bnao.cli.options import SectionedCommand, given_settings, options_of
from bnao.config.fields import build, settings_of
from bnao.config.settings import SearchConfig, width
from bnao.space.spaces import space_named
from bnao.studies.genotypes import random_genotypes

_BASE = SearchConfig(network=NETWORK)
_SETTINGS = {("seed",), ("distinct",), ("max_parameters",), ("max_multiply_adds",)}
_WITHOUT = {path for path, _ in settings_of(SearchConfig) if path not in _SETTINGS and path[0] != "network"}
# more at once would not fit a memory
_MOST = 1_000_000


@click.command(
    "random",
    cls=SectionedCommand,
    params=options_of(SearchConfig, "Genotypes", defaults=_BASE, without=_WITHOUT),
)
@click.argument("n", metavar="N", type=click.IntRange(1, _MOST))
@image_options
@list_options
@click.pass_context
def command(
    context: click.Context, n: int, classes: int, image: tuple[int, int, int], as_json: bool, notation: str | None
) -> None:
    """Print N distinct random genotypes, one per line, with sources and operations drawn uniformly.

    The output can be read again: bnao random 20 > pool.txt, then bnao evaluate --file pool.txt. Budgets apply to the
    network that bnao evaluate trains for each genotype.
    """
    config = build(SearchConfig, given_settings(context), _BASE)
    network = attrs.evolve(config.network, classes=classes, image=image)
    width(network)
    genotypes = random_genotypes(
        n, network,
        seed=config.seed, max_parameters=config.max_parameters, max_multiply_adds=config.max_multiply_adds,
        distinct=config.distinct,
    )  # fmt: skip
    space = space_named(network.space, network.nodes)
    for line in genotype_lines(genotypes, space, network, as_json=as_json, notation=notation):
        click.echo(line)
