"""``bnao stability``: several searches by each of some methods, their best trained from scratch (Tables 1 and 7)."""

from __future__ import annotations

import click

from bnao.cli.comparisons import compared
from bnao.cli.options import SectionedCommand, given_settings, options_of
from bnao.cli.reports import stability_report
from bnao.cli.studies import Output, study_options
from bnao.cli.workers import workers_option
from bnao.config.fields import build, merge
from bnao.config.stability import StabilityConfig


@click.command(
    "stability", cls=SectionedCommand,
    params=[
        click.Argument(["methods"], metavar="METHODS"),
        *options_of(StabilityConfig, "Comparison", without=[("methods",)]),
    ],
)  # fmt: skip
@workers_option
@study_options("stability", pictures=False)
@click.pass_context
def command(context: click.Context, methods: str, workers: str, output: Output) -> None:
    """Search several times with each of METHODS, given by commas, train each best from scratch, and compare.

    Each search has its own seed and its own split of train and dev images. Methods are strategies (bnao strategies),
    nao-uniform, which is nao with uniform sampling, or nao-ws, NAO before it was balanced; the first is what the others
    are compared with. Shown are mean, standard deviation and range of the test errors, as in the paper's Table 1,
    sizes, and 95% intervals by Student's t.
    """
    config = build(StabilityConfig, merge(given_settings(context), {"methods": methods}))
    output.told(lambda: compared(config, output.folder, workers), stability_report)
