"""The NAO controller in PyTorch: it learns which genotypes score well and moves the best ones uphill.

Source: *Neural Architecture Optimization*, Luo et al., arXiv 1808.07233, Sec. 3, in the form *Balanced One-shot
NAO* trains it (SPEC section 6): an encoder whose representation of a genotype a predictor turns into its score
and a decoder turns back into the genotype.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bnao.config import ControllerConfig
from bnao.errors import DivergedError
from bnao.genotype import Genotype
from bnao.protocols import Accept, Epoch
from bnao.space import SearchSpace
from bnao.streams import stream
from bnao.weights import check_state

Shapes = dict[str, tuple[int, ...]]
Parameters = Mapping[str, Tensor]

# an edge's two tokens, source and operation, are one step of the encoder
_TOGETHER = 2
_GATES = 4  # of an LSTM: input, forget, cell, output
# sequences encoded or decoded at once, where nothing is learned from them
_BLOCK = 1000


def _linear(name: str, features: int, width: int) -> Shapes:
    return {f"{name}.weights": (width, features), f"{name}.biases": (width,)}


def _lstm(name: str, features: int, hidden: int) -> Shapes:
    return {
        f"{name}.input_weights": (_GATES * hidden, features),
        f"{name}.recurrent_weights": (_GATES * hidden, hidden),
        f"{name}.input_biases": (_GATES * hidden,),
        f"{name}.recurrent_biases": (_GATES * hidden,),
    }


def parameter_shapes(space: SearchSpace, config: ControllerConfig) -> Shapes:
    """Every parameter of the controller.

    >>> from bnao.space import SPACES
    >>> sum(math.prod(shape) for shape in parameter_shapes(SPACES["nao"], ControllerConfig()).values())
    80845
    """
    vocabulary, hidden = space.vocabulary, config.hidden
    shapes: Shapes = {"encoder.embedding": (vocabulary, config.embedding)}
    shapes |= _lstm("encoder.lstm", _TOGETHER * config.embedding, hidden)
    width = hidden
    for layer in range(config.mlp_layers):
        shapes |= _linear(f"predictor.mlp.{layer}", width, config.mlp_hidden)
        width = config.mlp_hidden
    shapes |= _linear("predictor", width, 1)
    shapes["decoder.embedding"] = (vocabulary, hidden)
    shapes |= _lstm("decoder.lstm", hidden, hidden)
    shapes["decoder.attention.query"] = (hidden, hidden)
    shapes["decoder.attention.mix"] = (hidden, 2 * hidden)
    return shapes | _linear("decoder.classifier", hidden, vocabulary)


def initial_parameters(shapes: Shapes, hidden: int, seed: int, round: int) -> dict[str, NDArray[np.float32]]:
    """First values, each a function of the seed, the round and the parameter's name alone.

    Embeddings are standard normal; an LSTM is uniform within 1 / sqrt(hidden), a linear layer within
    1 / sqrt(features).
    """
    values = {}
    for name, shape in shapes.items():
        rng = stream(seed, f"controller initial {name}", round)
        if name.endswith(".embedding"):
            values[name] = rng.standard_normal(shape, np.float32)
            continue
        features = hidden if ".lstm." in name else shapes[name.replace(".biases", ".weights")][-1]
        values[name] = (rng.uniform(-1, 1, shape) / math.sqrt(features)).astype(np.float32)
    return values


def scaled(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores from 0, the lowest, to 1, the highest; all 0.5 where they are equal.

    Raises:
        DivergedError: a score is not finite.

    >>> scaled(np.array([0.5, 0.75, 1.0])).tolist(), scaled(np.array([0.3, 0.3])).tolist()
    ([0.0, 0.5, 1.0], [0.5, 0.5])
    """
    wrong = np.flatnonzero(~np.isfinite(scores))
    if len(wrong):
        raise DivergedError(f"scores[{wrong[0]}] is {scores[wrong[0]]}; the controller learns from finite scores")
    low, high = scores.min(), scores.max()
    return np.full(len(scores), 0.5) if low == high else (scores - low) / (high - low)


class NaoController:
    """Encoder, performance predictor and decoder, trained anew in each round.

    Before the first ``fit`` (or ``load_state``) its parameters are their initial ones.

    Args:
        space: the genotypes' space; sequence, vocabulary and masks follow from it.
        config: sizes and training.
        seed: with the round and the epoch it decides every random draw.
        device: where it computes.

    >>> from bnao.space import SPACES
    >>> NaoController(SPACES["nao"], ControllerConfig(), seed=0).parameters
    80845
    """

    def __init__(
        self, space: SearchSpace, config: ControllerConfig, seed: int, device: torch.device | str = "cpu"
    ) -> None:
        self._space, self._config, self._seed = space, config, seed
        self._device = torch.device(device)
        self._shapes = parameter_shapes(space, config)
        allowed = torch.from_numpy(space.token_mask())
        # what is added to the logits: shape (length, vocabulary)
        self._mask = torch.zeros(allowed.shape).masked_fill_(~allowed, -math.inf).to(self._device)
        self._one_hot = torch.eye(space.vocabulary, device=self._device)
        self._initialise(round=0)

    @property
    def parameters(self) -> int:
        """How many numbers it learns."""
        return self._flat.numel()

    def state(self) -> dict[str, NDArray[np.float32]]:
        """Its parameters by name."""
        return {name: value.detach().cpu().numpy().copy() for name, value in self._named().items()}

    def load_state(self, state: Mapping[str, NDArray[np.float32]]) -> None:
        """Become what ``state`` was taken from.

        Raises:
            WeightsError: a parameter is missing, unknown or of another shape.
        """
        check_state(state, self._shapes, "the controller's state")
        values = np.concatenate([np.asarray(state[name], np.float32).ravel() for name in self._shapes])
        # one tensor holds them all: clipping and Adam take one call each
        self._flat = torch.from_numpy(values).to(self._device).requires_grad_()

    def fit(self, genotypes: Sequence[Genotype], scores: NDArray[np.float64], *, round: int) -> Iterator[Epoch]:
        """Learn from all scored genotypes, from new initial parameters; yields after each epoch.

        Each sequence is seen in ``config.swaps`` copies, the first as it is and the others with the edges of
        its nodes in random order. An epoch's loss is the mean over them.

        Raises:
            DivergedError: a score or the loss is not finite.
        """
        config, space = self._config, self._space
        self._initialise(round)
        if not len(genotypes):
            return
        known = space.tokens(genotypes)
        swaps = [space.swapped(known, stream(self._seed, "controller swaps", round, i)) for i in range(1, config.swaps)]
        tokens = self._tensor(np.concatenate([known, *swaps]))
        targets = self._tensor(np.tile(scaled(np.asarray(scores, np.float64)), config.swaps).astype(np.float32))
        optimizer = torch.optim.Adam([self._flat], config.learning_rate, fused=True)
        n = len(tokens)
        for epoch in range(config.epochs):
            order = self._tensor(stream(self._seed, "controller order", round, epoch).permutation(n))
            total = 0.0
            for batch in order.split(config.batch_size):
                loss = self._loss(tokens[batch], targets[batch])
                self._flat.grad = None
                loss.backward()
                if config.gradient_norm:
                    torch.nn.utils.clip_grad_norm_([self._flat], config.gradient_norm)
                optimizer.step()
                total += loss.item() * len(batch)
            if not math.isfinite(total):
                raise DivergedError(
                    f"the controller's loss is {total} in epoch {epoch} of round {round} "
                    f"at learning rate {config.learning_rate:g}; a lower rate may hold"
                )
            yield Epoch(epoch, total / n, config.learning_rate)

    def propose(self, seeds: Sequence[Genotype], n: int, accept: Accept, *, round: int) -> list[Genotype]:
        """At most n distinct genotypes that ``accept`` admits, from the seeds' representations moved uphill.

        The encoder's outputs of each seed move by eta x 1, eta x 2, ... along the gradient of the predicted
        score, and are decoded; genotypes are taken in that order, and the best seed's first.
        """
        if not len(seeds):
            return []
        p = self._named()
        outputs = self._encoded(p, self._tensor(self._space.tokens(seeds))).detach().requires_grad_()
        predicted = self._predicted(p, _representation(outputs))
        (gradient,) = torch.autograd.grad(predicted.sum(), outputs)
        seen, chosen = set[Genotype](), list[Genotype]()
        for step in range(1, self._config.most_steps + 1):
            moved = F.normalize(outputs.detach() + self._config.eta * step * gradient, dim=-1)
            for genotype in self._decoded(moved):
                if len(chosen) >= n:
                    return chosen
                if genotype not in seen and accept(genotype):
                    chosen.append(genotype)
                seen.add(genotype)
        return chosen

    def predict(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
        """The predicted score of each, scaled as in ``scaled``: shape (n,), in [0, 1]."""
        return self._each(genotypes, lambda p, outputs: self._predicted(p, _representation(outputs)), ())

    def encode(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
        """Their representations: shape (n, hidden), each of unit length."""
        return self._each(genotypes, lambda p, outputs: _representation(outputs), (self._config.hidden,))
