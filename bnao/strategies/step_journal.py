"""Files of a search that decides at each update, in its run's folder; they are those of any search.

A checkpoint holds the supernet, what the strategy learned and what was seen so far, in one file that is whole or
absent; scores that the strategy asked for at the end stand in another, so that none is computed twice.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from bnao.errors import WeightsError
from bnao.network.state import read_weights, to_bytes
from bnao.protocols import State
from bnao.run import Run, number, understanding
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace
from bnao.strategies.journal import CHECKPOINT, SearchFolder
from bnao.strategies.step_level import StrategyState

log = logging.getLogger("bnao")

SCORES = "scores.json"
_STRATEGY = "strategy."


@frozen(eq=False)
class Checkpoint:
    """All that a search resumes from.

    Attributes:
        step: updates made.
        supernet: weights and momenta.
        strategy: what it learned.
        about: batches used and what was seen, as plain data.
    """

    step: int
    supernet: State
    strategy: StrategyState
    about: Mapping[str, Any]


class StepJournal(SearchFolder):
    """The search's side of a run's folder; without a run it remembers nothing.

    Args:
        run: the folder; its log is cut back to the last checkpoint, and to nothing where that is damaged.
        space: of its genotypes.

    Raises:
        RunError: the folder's files do not belong together.
    """

    def __init__(self, run: Run | None, space: SearchSpace) -> None:
        super().__init__(run)
        self._space = space
        self.step = 0
        self.last: Checkpoint | None = None
        if run is None:
            return
        if run.has(CHECKPOINT):
            try:
                self.last = self._read(run)
                self.step = self.last.step
            except WeightsError as error:
                log.warning("warning: %s", error)
        # what follows the checkpoint will happen, and be logged, again; so will all that has no step
        run.rewind_log(lambda event: 0 < event.get("step", 0) <= self.step)

    def _read(self, run: Run) -> Checkpoint:
        arrays, about = read_weights(run.folder / CHECKPOINT, "the search begins anew")
        with understanding(run.folder / CHECKPOINT):
            step, content = int(about["step"]), dict(about["strategy"])
        own = {name: value for name, value in arrays.items() if not name.startswith(_STRATEGY)}
        learned = {name.removeprefix(_STRATEGY): value for name, value in arrays.items() if name not in own}
        return Checkpoint(step, own, learned, content)

    def checkpoint(self, made: Checkpoint) -> None:
        """Keep all that the search resumes from."""
        self.step = made.step
        if self._run:
            arrays = {**made.supernet, **{f"{_STRATEGY}{name}": value for name, value in made.strategy.items()}}
            about = {"round": 0, "step": made.step, "strategy": dict(made.about)}
            self._run.write(CHECKPOINT, to_bytes(arrays, about))  # type: ignore[arg-type]  # safetensors keeps any type

    def scores(self) -> dict[Genotype, float]:
        """Return the scores that the strategy asked for before."""
        read = self._known(
            SCORES, lambda of: {self._space.parse(entry["genotype"]): number(entry["score"]) for entry in of["scores"]}
        )
        return read or {}

    def keep_scores(self, scores: Mapping[Genotype, float]) -> None:
        """Keep all scores so far."""
        if self._run:
            entries = [{"genotype": str(genotype), "score": score} for genotype, score in scores.items()]
            self._run.write_json(SCORES, {"scores": entries})
