"""SGD that touches only the path: momentum and coupled weight decay of the parameters that had a part in a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from bnao.config.evaluation import StandAloneTrainingConfig
from bnao.config.settings import TrainingConfig


class PathSGD:
    """SGD with momentum, coupled weight decay and a bound on the gradient's norm, over given parameters alone.

    A parameter that is not among a step's path keeps its value and its momentum, exactly as if it had no
    gradient at all; or, with ``idle`` dense, goes on with momentum and weight decay as if its gradient were 0.
    Gradients are handed over and never stored on the parameters.
    """

    def __init__(
        self, weights: Mapping[str, Tensor], config: TrainingConfig | StandAloneTrainingConfig, idle: str = "path"
    ) -> None:
        self._momentum, self._decay = config.momentum, config.weight_decay
        self._most = config.gradient_norm
        self._names = {id(weight): name for name, weight in weights.items()}
        self._weights = weights
        self.momenta: dict[str, Tensor] = {}
        self._flat: tuple[Tensor, Tensor] | None = None
        if idle == "dense":
            self._flat = self._in_one(weights)

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
        if self._flat is not None:
            weights, momenta = self._flat
            momenta.mul_(self._momentum).add_(weights, alpha=self._decay)
            torch._foreach_add_([self._momentum_of(weight) for weight in path], gradients)
            weights.add_(momenta, alpha=-rate)
            return
        if self._decay:
            torch._foreach_add_(gradients, path, alpha=self._decay)
        moving = [self._momentum_of(weight) for weight in path]
        torch._foreach_mul_(moving, self._momentum)
        torch._foreach_add_(moving, gradients)
        torch._foreach_add_(path, moving, alpha=-rate)

    @torch.no_grad()
    def _in_one(self, weights: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Lay all weights into one array, and zero momenta into another, so that all are moved by a few operations.

        Each parameter stays the same tensor, with its own memory format, and becomes a part of the array.
        """
        count = sum(weight.numel() for weight in weights.values())
        like = next(iter(weights.values()))
        flat, momenta = like.new_empty(count, requires_grad=False), like.new_zeros(count, requires_grad=False)
        start = 0
        for name, weight in weights.items():
            part = flat.as_strided(weight.shape, weight.stride(), start)
            part.copy_(weight)
            self.momenta[name] = momenta.as_strided(weight.shape, weight.stride(), start)
            weight.data = part
            start += weight.numel()
        return flat, momenta

    def name_of(self, weight: Tensor) -> str:
        """A parameter's name."""
        return self._names[id(weight)]

    def _momentum_of(self, weight: Tensor) -> Tensor:
        name = self._names[id(weight)]
        momentum = self.momenta.get(name)
        if momentum is None:
            # momentum x 0 + gradient: the first step moves by the gradient itself
            momentum = self.momenta[name] = torch.zeros_like(weight)
        return momentum

    def load(self, momenta: Mapping[str, Tensor]) -> None:
        """Take over momenta by parameter name; the others start at zero."""
        if self._flat is not None:
            self._flat[1].zero_()
            for name, momentum in momenta.items():
                self.momenta[name].copy_(momentum)
            return
        self.momenta = {name: momentum.to(self._weights[name].device, copy=True) for name, momentum in momenta.items()}
