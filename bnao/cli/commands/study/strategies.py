"""``bnao study strategies``: what every strategy finds in the same seconds, judged by a benchmark table."""

from __future__ import annotations

from typing import Any

import click

from bnao.cli.comparisons import compare_methods, comparison_options
from bnao.cli.options import SectionedCommand, given_settings, options_of
from bnao.cli.studies import required
from bnao.config.fields import build
from bnao.config.stability import STRATEGIES, StabilityConfig

_DEFAULTS = StabilityConfig(methods=STRATEGIES, searches=3, space="nas-bench-201", seconds=120.0)

# the seconds say how long a search is, and the table what it found
_WITHOUT = [(name,) for name in ("epochs", "steps", "evaluate_epochs", "repeats")]


@click.command(
    "strategies", cls=SectionedCommand,
    params=options_of(StabilityConfig, "Comparison", defaults=_DEFAULTS, without=_WITHOUT),
)  # fmt: skip
@comparison_options("study")
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Search with every strategy for the same seconds, and judge what it finds by a benchmark table.

    Each search trains a supernet of its own, with its own seed and its own split of train and dev images. The table in
    --truth has the accuracy of what it finds. Shown are the mean test error of each strategy, its 95% interval by
    Student's t, the regret, which is how far it is from the table's best, edges without parameters, seconds and memory.
    It is bnao stability with other defaults, so the two take one another's folders.
    """
    config = build(StabilityConfig, given_settings(context), _DEFAULTS)
    required(config.truth, "--truth")
    compare_methods(config, "study", **options)
