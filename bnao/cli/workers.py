"""The option ``--workers``: trainings at once, in processes of this machine or of a cluster."""

from __future__ import annotations

import click

from bnao.errors import ConfigError
from bnao.parallel.engines import Workers


def _parsed(context: click.Context, parameter: click.Parameter, text: str) -> str:
    """Return the value if it is one; what it needs is found before anything is made."""
    try:
        workers = Workers.parse(text)
    except ConfigError as error:
        raise click.BadParameter(str(error)) from None
    workers.check_installed()
    return text


#: the option ``--workers``
workers_option = click.option(
    "--workers", metavar="N|ray|dask", default="1", show_default=True, callback=_parsed,
    help="Trainings at once: N processes, each with its share of the CPUs as threads, or --threads of them. Or ray, "
    "ray://HOST:PORT, dask, dask://HOST:PORT: as many as the CPUs of a cluster allow at --threads each, by default 1. "
    "Results are those of one process, to the bit where --threads is given. The same command started again, here or on "
    "a machine with the same disk, takes its share.",
)  # fmt: skip
