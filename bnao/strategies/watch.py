"""Alarms of a search that decides at each update: collapse to parameter-free operations, and the discretisation gap.

Sources: DARTS ends in cells of skip connections (Zela et al. 2020, arXiv 1909.09656; Dong and Yang 2020, arXiv
2001.00326); DARTS+ stops before (Liang et al. 2019, arXiv 1909.06035).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen

from bnao.config.strategies.watch import WatchConfig
from bnao.errors import ConfigError
from bnao.network.costs import is_free
from bnao.run import round_off
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace
from bnao.strategies.step_level import Strategy
from bnao.streams import stream
from bnao.training.shared_weights import SharedWeights

# random genotypes that the derived one is held against; of a small space at most a tenth
_POOL = 500
# it has more parameter-free edges, or skip connections, than all but this share of them: an alarm
_RARE = 0.05


def parameter_free_edges(genotype: Genotype) -> int:
    """Return how many edges of a genotype's cells have an operation without parameters: identities, pools, none.

    >>> from bnao.space.zoo import published_cell
    >>> parameter_free_edges(published_cell("NAONet-V2").genotype)
    7
    """
    return sum(is_free(edge.operation) for cell in genotype.cells for node in cell.nodes for edge in node.edges)


def skip_connections(genotype: Genotype) -> int:
    """Return the number of skip connections in the normal cell.

    >>> from bnao.space.zoo import published_cell
    >>> skip_connections(published_cell("DARTS_V2").genotype)
    2
    """
    return sum(edge.operation == "skip_connect" for node in genotype.normal.nodes for edge in node.edges)


@frozen
class Look:
    """What was seen after an epoch.

    Attributes:
        step: updates made so far.
        genotype: that which would be derived; None where a strategy derives none on the way.
        figures: by name: the strategy's own, and those of the alarms.
        order: the operations' order at every place, as text; None where there is no mixture.
        alarm: what is wrong; None where nothing is.
        stop: why the search shall end; None where it shall not.
    """

    step: int
    genotype: str | None
    figures: Mapping[str, float]
    order: str | None
    alarm: str | None
    stop: str | None

    def to_json(self) -> dict[str, Any]:
        """Return plain data, without what is None; the order of operations is left to the checkpoint."""
        content = {"step": self.step, "genotype": self.genotype, "figures": dict(self.figures)}
        content |= {"alarm": self.alarm, "stop": self.stop}
        return {name: value for name, value in content.items() if value is not None}


class Watch:
    """Looks at a strategy after each epoch.

    Args:
        settings: what is watched, and when the search stops.
        space: of its genotypes; random ones say how many parameter-free edges and skip connections are usual.
        seed: of these.

    Attributes:
        looks: one an epoch.
    """

    def __init__(self, settings: WatchConfig, space: SearchSpace, seed: int) -> None:
        self._settings, self._space = settings, space
        pool = space.random_genotypes(max(1, min(_POOL, space.genotypes // 10)), stream(seed, "watch"))
        self._free = np.array([parameter_free_edges(genotype) for genotype in pool])
        self._skips = np.array([skip_connections(genotype) for genotype in pool])
        self.looks: list[Look] = []

    def check(self, strategy: Strategy, name: str) -> None:
        """Raise ConfigError if the search shall stop by what this strategy does not show."""
        settings = self._settings
        for setting, value, known in (
            ("stop_at_skips", settings.stop_at_skips, strategy.leading()),
            ("stop_when_unchanged", settings.stop_when_unchanged, strategy.mixture()),
        ):
            if value is not None and known is None:
                raise ConfigError(
                    f"{setting} is {value}, and strategy {name} derives no genotype before its end; leave it out"
                )

    @property
    def stopped(self) -> str | None:
        """Why the search has ended early; None where it has not."""
        return self.looks[-1].stop if self.looks else None

    def look(self, step: int, strategy: Strategy, scorer: SharedWeights) -> Look:
        """Look at a strategy after so many updates; the result is kept."""
        genotype, mixture = strategy.leading(), strategy.mixture()
        figures = {name: round_off(value) for name, value in strategy.figures().items()}
        alarm = None
        if genotype is not None:
            figures |= {
                "parameter-free edges": float(parameter_free_edges(genotype)),
                "in random genotypes": round_off(float(self._free.mean())),
                "skips in normal cell": float(skip_connections(genotype)),
            }
            alarm = self._alarm(genotype)
        if genotype is not None and mixture is not None and self._settings.mixture_gap:
            mixed, path = (found.accuracy for found in scorer.classify([mixture, genotype]))
            figures |= {"mixture accuracy": mixed, "path accuracy": path, "gap": round_off(mixed - path)}
        order = None
        if mixture is not None:
            order = "".join(map(str, np.argsort(-mixture.weights, axis=-1, kind="stable").ravel().tolist()))
        text = None if genotype is None else str(genotype)
        stop = self._stop(genotype, order) or self._stop_by_ratio(figures.get("eigenvalue ratio"))
        self.looks.append(Look(step, text, figures, order, alarm, stop))
        return self.looks[-1]

    def _alarm(self, genotype: Genotype) -> str | None:
        usual = f"more than in {1 - _RARE:.0%} of random genotypes (mean"
        free, skips = parameter_free_edges(genotype), skip_connections(genotype)
        if float((self._free >= free).mean()) <= _RARE:
            edges = sum(len(node.edges) for cell in genotype.cells for node in cell.nodes)
            return (
                f"{free} of {edges} edges have no parameters, {usual} {self._free.mean():.1f}): the search may have "
                f"collapsed to such operations"
            )
        if float((self._skips >= skips).mean()) <= _RARE:
            edges = sum(len(node.edges) for node in genotype.normal.nodes)
            return (
                f"{skips} of {edges} edges of the normal cell are skip connections, {usual} {self._skips.mean():.1f}): "
                f"the search may have collapsed to them"
            )
        return None

    def _stop(self, genotype: Genotype | None, order: str | None) -> str | None:
        skips, epochs = self._settings.stop_at_skips, self._settings.stop_when_unchanged
        if skips is not None and genotype is not None and skip_connections(genotype) >= skips:
            return f"the normal cell has {skip_connections(genotype)} skip connections (stop_at_skips is {skips})"
        before = [look.order for look in self.looks[-epochs:]] if epochs is not None else []
        if epochs is not None and order is not None and len(before) == epochs and set(before) == {order}:
            return f"the order of the operations has not changed for {epochs} epochs (stop_when_unchanged)"
        return None

    def _stop_by_ratio(self, ratio: float | None) -> str | None:
        most = self._settings.stop_at_eigenvalue_ratio
        if most is None or ratio is None or ratio <= most:
            return None
        return f"the eigenvalue has grown {ratio:.2f} times (stop_at_eigenvalue_ratio is {most:g})"

    def state(self) -> list[dict[str, Any]]:
        """Return what was seen, as plain data."""
        return [{**look.to_json(), "order": look.order} for look in self.looks]

    def load_state(self, state: Sequence[Mapping[str, Any]]) -> None:
        """Restore ``state``."""
        self.looks = [
            Look(*(each.get(name) for name in ("step", "genotype", "figures", "order", "alarm", "stop")))  # type: ignore[arg-type]  # as state wrote them
            for each in state
        ]
