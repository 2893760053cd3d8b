"""Costs that a search weighs against its scores: which there are, and which settings go together."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from bnao.errors import ConfigError

if TYPE_CHECKING:
    from bnao.config.settings import SearchConfig

#: what ``--pareto`` may name
FRONT_COSTS = ("multiply-adds", "parameters", "latency", "size")


def check_costs(config: SearchConfig, with_scores: Collection[str]) -> None:
    """Check the settings of a search that concern costs.

    Args:
        config: all settings.
        with_scores: the strategies that score many genotypes, of which there is a front.

    Raises:
        ConfigError: a latency is asked for and no model is given, or a front of what has none.
    """
    wanted = {"max_latency": config.max_latency is not None}
    wanted |= {name: getattr(config, name) == "latency" for name in ("size", "pareto")}
    missing = [name for name, is_wanted in wanted.items() if is_wanted]
    if missing and config.latency is None:
        value = getattr(config, missing[0])
        raise ConfigError(
            f"{missing[0]} is {value}, and no model tells latencies; make one with bnao latency -o latency.json, and "
            "give it as latency"
        )
    if config.pareto is None:
        return
    if config.strategy not in with_scores:
        raise ConfigError(
            f"pareto is {config.pareto}, and strategy {config.strategy} derives one genotype by its rule and scores no "
            f"others; a front is that of a search with strategy {', '.join(with_scores)}"
        )
    if config.rank_by != "score":
        raise ConfigError(
            f"pareto is {config.pareto}, and rank_by is {config.rank_by}; a front is of scores, so it must be score"
        )
