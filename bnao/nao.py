"""What the NAO controller is, whatever framework computes it: parameters, first values, lessons, and whom it proposes.

Source: *Neural Architecture Optimization*, Luo et al., arXiv 1808.07233, Sec. 3, in the form *Balanced One-shot
NAO* trains it (SPEC section 6): an encoder whose representation of a genotype a predictor turns into its score
and a decoder turns back into the genotype.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.config import ControllerConfig
from bnao.errors import DivergedError
from bnao.genotype import Genotype
from bnao.protocols import Accept, Epoch
from bnao.space import SearchSpace
from bnao.streams import stream

Shapes = dict[str, tuple[int, ...]]

#: an edge's two tokens, source and operation, are one step of the encoder
TOGETHER = 2
#: of an LSTM: input, forget, cell, output
GATES = 4
#: sequences encoded or decoded at once, where nothing is learned from them
BLOCK = 1000


def _linear_shapes(name: str, features: int, width: int) -> Shapes:
    return {f"{name}.weights": (width, features), f"{name}.biases": (width,)}


def _lstm_shapes(name: str, features: int, hidden: int) -> Shapes:
    return {
        f"{name}.input_weights": (GATES * hidden, features),
        f"{name}.recurrent_weights": (GATES * hidden, hidden),
        f"{name}.input_biases": (GATES * hidden,),
        f"{name}.recurrent_biases": (GATES * hidden,),
    }


def parameter_shapes(space: SearchSpace, config: ControllerConfig) -> Shapes:
    """Every parameter of the controller.

    >>> from bnao.space import SPACES
    >>> sum(math.prod(shape) for shape in parameter_shapes(SPACES["nao"], ControllerConfig()).values())
    80845
    """
    vocabulary, hidden = space.vocabulary, config.hidden
    shapes: Shapes = {"encoder.embedding": (vocabulary, config.embedding)}
    shapes |= _lstm_shapes("encoder.lstm", TOGETHER * config.embedding, hidden)
    width = hidden
    for layer in range(config.mlp_layers):
        shapes |= _linear_shapes(f"predictor.mlp.{layer}", width, config.mlp_hidden)
        width = config.mlp_hidden
    shapes |= _linear_shapes("predictor", width, 1)
    shapes["decoder.embedding"] = (vocabulary, hidden)
    shapes |= _lstm_shapes("decoder.lstm", hidden, hidden)
    shapes["decoder.attention.query"] = (hidden, hidden)
    shapes["decoder.attention.mix"] = (hidden, 2 * hidden)
    return shapes | _linear_shapes("decoder.classifier", hidden, vocabulary)


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


@frozen(eq=False)
class Lessons:
    """What a controller learns from in a round, in the same order in every framework.

    Attributes:
        tokens: shape (n, length): each sequence in ``config.swaps`` copies, the first as it is and the others with
            the edges of its nodes in random order.
        targets: shape (n,), scores from 0 to 1.
    """

    tokens: NDArray[np.int64]
    targets: NDArray[np.float32]
    _config: ControllerConfig
    _seed: int
    _round: int

    @classmethod
    def of(
        cls,
        space: SearchSpace,
        config: ControllerConfig,
        seed: int,
        round: int,
        genotypes: Sequence[Genotype],
        scores: NDArray[np.float64],
    ) -> Lessons:
        """The lessons of scored genotypes, at least one.

        Raises:
            DivergedError: a score is not finite.
        """
        known = space.tokens(genotypes)
        swaps = [space.swapped(known, stream(seed, "controller swaps", round, copy)) for copy in range(1, config.swaps)]
        targets = np.tile(scaled(np.asarray(scores, np.float64)), config.swaps).astype(np.float32)
        return cls(np.concatenate([known, *swaps]), targets, config, seed, round)

    def epochs(self, taught: Callable[[NDArray[np.int64]], float]) -> Iterator[Epoch]:
        """Teach all epochs, one at each yield.

        Args:
            taught: learns from one epoch, given the order of the sequences, (n,), and gives the mean loss over them.

        Raises:
            DivergedError: the loss is not finite.
        """
        rate = self._config.learning_rate
        for epoch in range(self._config.epochs):
            order = stream(self._seed, "controller order", self._round, epoch).permutation(len(self.targets))
            loss = taught(order)
            if not math.isfinite(loss):
                raise DivergedError(
                    f"the controller's loss is {loss} in epoch {epoch} of round {self._round} "
                    f"at learning rate {rate:g}; a lower rate may hold"
                )
            yield Epoch(epoch, loss, rate)


def accepted(decoded: Iterable[Sequence[Genotype]], n: int, accept: Accept) -> list[Genotype]:
    """At most n distinct genotypes that ``accept`` admits, in the order in which they come.

    Args:
        decoded: what the seeds moved by eta x 1, eta x 2, ... were decoded to, the best seed's first; no more of
            it is asked for than is needed.
        n: how many are wanted.
        accept: says whether a genotype is wanted.
    """
    seen, chosen = set[Genotype](), list[Genotype]()
    for genotypes in decoded:
        for genotype in genotypes:
            if len(chosen) >= n:
                return chosen
            if genotype not in seen and accept(genotype):
                chosen.append(genotype)
            seen.add(genotype)
    return chosen
