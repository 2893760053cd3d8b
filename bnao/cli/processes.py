"""The option ``--processes``: trainings at once, each in a process of its own."""

from __future__ import annotations

import click

#: the option ``--processes``
processes_option = click.option(
    "--processes", type=click.IntRange(min=1), default=1, show_default=True,
    help="Trainings at once, each in a process of its own with its share of the CPUs. Results are the same as with one "
    "process, to the bit where --threads is given.",
)  # fmt: skip
