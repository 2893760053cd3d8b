"""``bnao study strategies``: what every strategy finds in the same seconds, judged by a benchmark table."""

from __future__ import annotations

import click

from bnao.cli.comparisons import compared
from bnao.cli.options import SectionedCommand, given_settings, options_of
from bnao.cli.reports import stability_report
from bnao.cli.studies import Output, required, study_options
from bnao.cli.workers import workers_option
from bnao.config.fields import build
from bnao.config.settings import STRATEGIES
from bnao.config.stability import StabilityConfig

_DEFAULTS = StabilityConfig(methods=STRATEGIES, searches=3, space="nas-bench-201", seconds=120.0)

# the seconds say how long a search is, and the table what it found
_WITHOUT = [(name,) for name in ("epochs", "steps", "evaluate_epochs", "repeats")]


@click.command(
    "strategies", cls=SectionedCommand,
    params=options_of(StabilityConfig, "Comparison", defaults=_DEFAULTS, without=_WITHOUT),
)  # fmt: skip
@workers_option
@study_options(pictures=False)
@click.pass_context
def command(context: click.Context, workers: str, output: Output) -> None:
    """Search with every strategy for the same seconds, and judge what it finds by a benchmark table.

    Each search trains a supernet of its own, with its own seed and its own split of train and dev images. The table in
    --truth has the accuracy of what it finds. Shown are the mean test error of each strategy, its 95% interval by
    Student's t, the regret, which is how far it is from the table's best, edges without parameters, seconds and memory.
    It is bnao stability with other defaults, so the two take one another's folders.
    """
    config = build(StabilityConfig, given_settings(context), _DEFAULTS)
    required(config.truth, "--truth")
    output.told(lambda: compared(config, output.folder, workers), stability_report)
