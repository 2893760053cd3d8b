"""Progressive DARTS: Chen et al., P-DARTS, arXiv 1904.12760."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from attrs import evolve

from bnao.config.settings import NetworkConfig
from bnao.space.genotype import Genotype
from bnao.strategies.derivation import derive_accepted, limit_skips
from bnao.strategies.gradient import GradientStrategy
from bnao.strategies.logits import Array, softmax
from bnao.strategies.step_level import Request, SearchContext, StrategyState

STAGES = 3
# by epochs of a stage, once logits move (authors' code)
_DROPOUT_DECAY = 0.2


class PDarts(GradientStrategy):
    """DARTS in three stages: the network grows deeper while the weakest operations of each place are left out.

    Each stage begins with new logits, and with new weights where its depth is another; its logits do not move in its
    first part. Images drop identities the more, the later the stage (Sec. 3.3), and the derived normal cell has a
    number of them at most.
    """

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context, "p-darts", context.config.p_darts)
        self._own = context.config.p_darts
        self._stage = 0
        # which operations a place has; all in the first stage
        self._kept = np.ones(self.logits.shape, dtype=bool)

    def stage_of(self, step: int) -> int:
        """Return the stage (0-based) of a step; all are as long, as far as the number of steps allows."""
        return min(STAGES - 1, STAGES * step // max(1, self.context.steps))

    def _begun(self, stage: int) -> int:
        """Return the first step of a stage."""
        return -(-stage * self.context.steps // STAGES)

    def network(self, step: int) -> NetworkConfig:
        """Return the network of a step's stage."""
        return evolve(self.context.network, cells=self._own.depths[self.stage_of(step)])

    def moves_logits(self, step: int) -> bool:
        """Whether the stage's warm-up is over."""
        begun, length = self._begun(self.stage_of(step)), self.context.steps / STAGES
        return step - begun >= self._own.warm_up * length

    def shares(self) -> Array:
        """Return the softmax over the operations that are left at each place, exactly 0 for the others."""
        return softmax(np.where(self._kept, self.logits, -np.inf))

    def propose(self, step: int, turn: int) -> Sequence[Request]:
        """Return DARTS' requests, with identities dropped in those that learn."""
        while self._stage < self.stage_of(step):
            self._next_stage()
        rate = self.dropout(step)
        return [evolve(request, drop_identities=rate) for request in super().propose(step, turn)]

    def dropout(self, step: int) -> float:
        """Return the probability of dropping an identity: linear in the stage's epochs until logits move, then exp."""
        stage, length = self.stage_of(step), self.context.steps / STAGES
        first = self._own.skip_dropout[stage]
        epochs = length / self.context.epoch_steps
        epoch = (step - self._begun(stage)) // self.context.epoch_steps
        warm = self._own.warm_up * epochs
        if epoch < warm:
            return max(0.0, first * (epochs - epoch - 1) / epochs)
        return first * math.exp(-_DROPOUT_DECAY * (epoch - warm))

    def _next_stage(self) -> None:
        """Leave the weakest operations out, and begin with new logits."""
        self._stage += 1
        strengths = np.where(self._kept, self.shares(), -1.0)
        strongest = np.argsort(-strengths, axis=-1, kind="stable")[..., : self._own.kept[self._stage - 1]]
        kept = np.zeros_like(self._kept)
        np.put_along_axis(kept, strongest, True, -1)
        self._kept &= kept
        self.logits = self.first_logits(self._stage)
        self._adam = self.adam(self.logits.shape)

    def strengths(self) -> Array:
        """Return the shares, without those of identities that are too many."""
        return limit_skips(np.where(self._kept, self.shares(), -1.0), self.space, self._own.most_skips)

    def leading(self) -> Genotype | None:
        """Return the genotype that the rule derives now."""
        return derive_accepted(self.strengths(), self.space, self.context.accept)

    def figures(self) -> Mapping[str, float]:
        """Return the stage and the dropout of identities beside what all have."""
        step = max(0, self._step)
        return {"stage": float(self._stage + 1), "dropout": self.dropout(step), **super().figures()}

    def state(self) -> StrategyState:
        """Return the stage and which operations are left beside what all have."""
        return {**super().state(), "stage": np.array(self._stage), "kept": self._kept.copy()}

    def load_state(self, state: StrategyState) -> None:
        """Restore ``state``."""
        super().load_state(state)
        self._stage, self._kept = int(state["stage"]), np.array(state["kept"], bool)
