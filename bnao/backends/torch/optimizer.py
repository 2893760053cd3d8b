"""SGD that touches only the path: momentum and coupled weight decay of the parameters that had a part in a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from bnao.config import StandAloneTrainingConfig, TrainingConfig


class PathSGD:
    """SGD with momentum, coupled weight decay and a bound on the gradient's norm, over given parameters alone.

    A parameter that is not among a step's path keeps its value and its momentum, exactly as if it had no
    gradient at all. Gradients are made in ``gradients`` and never stored on the parameters.
    """

    def __init__(self, weights: Mapping[str, Tensor], config: TrainingConfig | StandAloneTrainingConfig) -> None:
        self._momentum, self._decay = config.momentum, config.weight_decay
        self._most = config.gradient_norm
        self._names = {id(weight): name for name, weight in weights.items()}
        self._weights = weights
        self.momenta: dict[str, Tensor] = {}

    @torch.no_grad()
    def step(self, path: Sequence[Tensor], gradients: Sequence[Tensor], rate: float) -> None:
        """Move the path's parameters.

        Args:
            path: the parameters that had a part in the step.
            gradients: of each of them; they are overwritten.
            rate: the learning rate.
        """
        gradients = list(gradients)
        if self._most:
            norms = torch._foreach_norm(gradients)
            norm = torch.linalg.vector_norm(torch.stack(norms))
            torch._foreach_mul_(gradients, (self._most / (norm + 1e-6)).clamp_(max=1.0))
        if self._decay:
            torch._foreach_add_(gradients, path, alpha=self._decay)
        moving = [self._momentum_of(weight) for weight in path]
        torch._foreach_mul_(moving, self._momentum)
        torch._foreach_add_(moving, gradients)
        torch._foreach_add_(path, moving, alpha=-rate)

    def _momentum_of(self, weight: Tensor) -> Tensor:
        name = self._names[id(weight)]
        momentum = self.momenta.get(name)
        if momentum is None:
            # momentum x 0 + gradient: the first step moves by the gradient itself
            momentum = self.momenta[name] = torch.zeros_like(weight)
        return momentum

    def load(self, momenta: Mapping[str, Tensor]) -> None:
        """Take over momenta by parameter name; the others start at zero."""
        self.momenta = {name: momentum.to(self._weights[name].device, copy=True) for name, momentum in momenta.items()}
