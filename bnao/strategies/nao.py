"""What the NAO controller is, whatever framework computes it: parameters, first values, data, and whom it proposes.

Source: *Neural Architecture Optimization*, Luo et al., arXiv 1808.07233, Sec. 3, in the form *Balanced One-shot
NAO* trains it (SPEC section 6): an encoder whose representation of a genotype a predictor turns into its score
and a decoder turns back into the genotype.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.config.settings import ControllerConfig
from bnao.errors import DivergedError
from bnao.metrics import defined, kendall_tau, pairwise_accuracy
from bnao.network.state import check_state
from bnao.protocols import Accept, Epoch, HeldOut
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace
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

    >>> from bnao.space.spaces import SPACES
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
class TrainingData:
    """What a controller learns from in a round, in the same order in every framework.

    Attributes:
        tokens: shape (n, length): each sequence in ``config.swaps`` copies, the first as it is and the others with
            the edges of its nodes in random order.
        targets: shape (n,), scores from 0 to 1.
        held_out: places of the genotypes that are not among them, rising.
    """

    tokens: NDArray[np.int64]
    targets: NDArray[np.float32]
    held_out: NDArray[np.int64]
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
    ) -> TrainingData:
        """The data of scored genotypes, at least one; a share of ``config.held_out``, drawn at random, is left out.

        Raises:
            DivergedError: a score is not finite.
        """
        held_out = _held_out(len(genotypes), config.held_out, seed, round)
        known = np.delete(space.tokens(genotypes), held_out, axis=0)
        scores = np.delete(scaled(np.asarray(scores, np.float64)), held_out)
        swaps = [space.swapped(known, stream(seed, "controller swaps", round, copy)) for copy in range(1, config.swaps)]
        targets = np.tile(scores, config.swaps).astype(np.float32)
        return cls(np.concatenate([known, *swaps]), targets, held_out, config, seed, round)

    def epochs(self, train_epoch: Callable[[NDArray[np.int64]], float]) -> Iterator[Epoch]:
        """Teach all epochs, one at each yield.

        Args:
            train_epoch: learns from one epoch, given the order of the sequences, (n,), and returns their mean loss.

        Raises:
            DivergedError: the loss is not finite.
        """
        rate = self._config.learning_rate
        for epoch in range(self._config.epochs):
            order = stream(self._seed, "controller order", self._round, epoch).permutation(len(self.targets))
            loss = train_epoch(order)
            if not math.isfinite(loss):
                raise DivergedError(
                    f"the controller's loss is {loss} in epoch {epoch} of round {self._round} "
                    f"at learning rate {rate:g}; a lower rate may hold"
                )
            yield Epoch(epoch, loss, rate)


def _held_out(n: int, share: float, seed: int, round: int) -> NDArray[np.int64]:
    """The places of a share of n genotypes, drawn at random, rising; none where they would be fewer than two."""
    held = int(np.rint(share * n))
    if held < 2:
        return np.empty(0, np.int64)
    return np.sort(stream(seed, "controller held out", round).permutation(n)[:held])


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


class Nao(ABC):
    """The NAO controller without its arithmetic, which a backend's own adds; it is trained anew in each round.

    Before the first ``fit`` (or ``load_state``) its parameters are their initial ones: a subclass calls
    ``_initialise(round=0)`` at the end of its ``__init__``.

    Args:
        space: the genotypes' space; sequence, vocabulary and masks follow from it.
        config: sizes and training.
        seed: with the round and the epoch it decides every random draw.
    """

    def __init__(self, space: SearchSpace, config: ControllerConfig, seed: int) -> None:
        self._space, self._config, self._seed = space, config, seed
        self._shapes = parameter_shapes(space, config)
        # of the last fit: how many were learned from, and the genotypes and scores that were not
        self._learned_from = 0
        self._unseen: tuple[list[Genotype], NDArray[np.float64]] = [], np.empty(0)

    @property
    def parameters(self) -> int:
        """How many numbers it learns."""
        return sum(math.prod(shape) for shape in self._shapes.values())

    def state(self) -> dict[str, NDArray[np.float32]]:
        """Its parameters by name."""
        ends = np.cumsum([math.prod(shape) for shape in self._shapes.values()])
        parts = np.split(self._row(), ends[:-1])
        return {
            name: part.reshape(shape).copy() for (name, shape), part in zip(self._shapes.items(), parts, strict=True)
        }

    def load_state(self, state: Mapping[str, NDArray[np.float32]]) -> None:
        """Become what ``state`` was taken from.

        Raises:
            WeightsError: a parameter is missing, unknown or of another shape.
        """
        check_state(state, self._shapes, "the controller's state")
        # one row holds them all: clipping and Adam take one operation each
        self._set_parameters(np.concatenate([np.asarray(state[name], np.float32).ravel() for name in self._shapes]))

    def fit(self, genotypes: Sequence[Genotype], scores: NDArray[np.float64], *, round: int) -> Iterator[Epoch]:
        """Learn from scored genotypes, from new initial parameters; yields after each epoch.

        A share of ``config.held_out`` of them, drawn at random, is not learned from: see ``held_out``.
        Each sequence is seen in ``config.swaps`` copies, the first as it is and the others with the edges of
        its nodes in random order. An epoch's loss is the mean over them.

        Raises:
            DivergedError: a score or the loss is not finite.
        """
        self._initialise(round)
        self._learned_from, self._unseen = 0, ([], np.empty(0))
        if not len(genotypes):
            return
        data = TrainingData.of(self._space, self._config, self._seed, round, genotypes, scores)
        self._unseen = [genotypes[place] for place in data.held_out], np.asarray(scores)[data.held_out]
        self._learned_from = len(genotypes) - len(data.held_out)
        yield from data.epochs(self._training_step(data))

    def propose(self, seeds: Sequence[Genotype], n: int, accept: Accept, *, round: int) -> list[Genotype]:
        """At most n distinct genotypes that ``accept`` admits, from the seeds' representations moved uphill.

        The encoder's outputs of each seed move by eta x 1, eta x 2, ... along the gradient of the predicted
        score, and are decoded; genotypes are taken in that order, and the best seed's first.
        """
        if not len(seeds):
            return []
        moved = self._proposals(list(self._blocks(seeds)))
        return accepted((self._space.from_tokens(tokens) for tokens in moved), n, accept)

    def predict(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
        """The predicted score of each, on the scale of ``scaled``: shape (n,), in [0, 1]."""
        return np.concatenate([np.empty(0), *map(self._scores, self._blocks(genotypes))], dtype=np.float64)

    def held_out(self) -> HeldOut | None:
        """Its figures on the genotypes that the last ``fit`` held out; None where that were none."""
        genotypes, scores = self._unseen
        if not genotypes:
            return None
        predicted = self.predict(genotypes)
        differs = self._space.tokens(self.reconstruct(genotypes)) != self._space.tokens(genotypes)
        return HeldOut(
            self._learned_from,
            len(genotypes),
            defined(pairwise_accuracy(predicted, scores)),
            defined(kendall_tau(predicted, scores)),
            float(differs.mean()),
        )

    def encode(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
        """Their representations: shape (n, hidden), each of unit length."""
        blocks = map(self._representations, self._blocks(genotypes))
        return np.concatenate([np.empty((0, self._config.hidden)), *blocks], dtype=np.float64)

    def reconstruct(self, genotypes: Sequence[Genotype]) -> list[Genotype]:
        """What the decoder makes of each one's representation; the same genotype, once it has learned."""
        blocks = map(self._reconstructions, self._blocks(genotypes))
        return [genotype for tokens in blocks for genotype in self._space.from_tokens(tokens)]

    def _initialise(self, round: int) -> None:
        self.load_state(initial_parameters(self._shapes, self._config.hidden, self._seed, round))

    def _blocks(self, genotypes: Sequence[Genotype]) -> Iterator[NDArray[np.int64]]:
        """Their sequences (b, length), a block of b genotypes at a time."""
        for start in range(0, len(genotypes), BLOCK):
            yield self._space.tokens(genotypes[start : start + BLOCK])

    # --- what a backend adds

    @abstractmethod
    def _set_parameters(self, row: NDArray[np.float32]) -> None:
        """Take over all parameters, in one row in the order of ``_shapes``."""

    @abstractmethod
    def _row(self) -> NDArray[np.float32]:
        """All parameters in one row."""

    @abstractmethod
    def _training_step(self, data: TrainingData) -> Callable[[NDArray[np.int64]], float]:
        """What ``data.epochs`` asks for, with an optimizer that has seen nothing yet."""

    @abstractmethod
    def _proposals(self, blocks: Sequence[NDArray[np.int64]]) -> Iterator[NDArray[np.int64]]:
        """What sequences are decoded to, moved by eta x 1, eta x 2, ...

        Args:
            blocks: the sequences, (b, length) each, n in all.

        Returns:
            For each distance the sequences (n, length), decoded when they are asked for.
        """

    @abstractmethod
    def _scores(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """The predicted scores (b,) of sequences (b, length)."""

    @abstractmethod
    def _representations(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """The representations (b, hidden) of sequences (b, length)."""

    @abstractmethod
    def _reconstructions(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """What sequences (b, length) are decoded to, unmoved."""
