"""NAO controller without its framework: parameters, initial values, training data and proposals.

Source: *Neural Architecture Optimization*, Luo et al., arXiv 1808.07233, Sec. 3, in the form *Balanced One-shot
NAO* trains it (docs/algorithm.md): an encoder whose representation of a genotype a predictor turns into its score
and a decoder turns back into the genotype.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from bnao.config.settings import ControllerConfig
from bnao.errors import DivergedError
from bnao.metrics import defined, kendall_tau, pairwise_accuracy
from bnao.network.state import check_state
from bnao.protocols import Accept, Epoch, HeldOut
from bnao.space.edits import neighbours
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace
from bnao.strategies.costs import Cost, best_first
from bnao.strategies.features import features_length, standardised
from bnao.strategies.targets import can_learn, check_finite, rank_targets, scaled
from bnao.streams import stream

Shapes = dict[str, tuple[int, ...]]

#: an edge's two tokens, source and operation, are one step of the encoder
TOGETHER = 2
#: of an LSTM: input, forget, cell, output
GATES = 4
#: sequences encoded or decoded at once, where nothing is learned from them
BLOCK = 1000
#: genotypes held out without which training does not end early: an error on fewer is mostly chance
LEAST_HELD_OUT = 10
#: sequences (b, length), and features that the predictor reads beside them, (b, f)
Block = tuple[NDArray[np.int64], NDArray[np.float32]]


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
    """Return every parameter of the controller.

    >>> from bnao.space.spaces import SPACES
    >>> sum(math.prod(shape) for shape in parameter_shapes(SPACES["nao"], ControllerConfig()).values())
    80845
    """
    vocabulary, hidden = space.vocabulary, config.hidden
    shapes: Shapes = {"encoder.embedding": (vocabulary, config.embedding)}
    shapes |= _lstm_shapes("encoder.lstm", TOGETHER * config.embedding, hidden)
    width = hidden + (features_length(space) if config.features == "structure" else 0)
    for layer in range(config.mlp_layers):
        shapes |= _linear_shapes(f"predictor.mlp.{layer}", width, config.mlp_hidden)
        width = config.mlp_hidden
    shapes |= _linear_shapes("predictor", width, 1)
    shapes["decoder.embedding"] = (vocabulary, hidden)
    shapes |= _lstm_shapes("decoder.lstm", hidden, hidden)
    shapes["decoder.attention.query"] = (hidden, hidden)
    shapes["decoder.attention.mix"] = (hidden, 2 * hidden)
    return shapes | _linear_shapes("decoder.classifier", hidden, vocabulary)


def features_of(genotypes: Sequence[Genotype], space: SearchSpace, config: ControllerConfig) -> NDArray[np.float32]:
    """What the predictor reads of genotypes beside their representations, (n, f); f = 0 where that is nothing."""
    if config.features == "none":
        return np.empty((len(genotypes), 0), np.float32)
    return standardised(genotypes, space).astype(np.float32)


def initial_parameters(shapes: Shapes, hidden: int, seed: int, round_index: int) -> dict[str, NDArray[np.float32]]:
    """Return initial values, each a function of the seed, the round and the parameter's name alone.

    Embeddings are standard normal; an LSTM is uniform within 1 / sqrt(hidden), a linear layer within
    1 / sqrt(features).
    """
    values = {}
    for name, shape in shapes.items():
        rng = stream(seed, f"controller initial {name}", round_index)
        if name.endswith(".embedding"):
            values[name] = rng.standard_normal(shape, np.float32)
            continue
        features = hidden if ".lstm." in name else shapes[name.replace(".biases", ".weights")][-1]
        values[name] = (rng.uniform(-1, 1, shape) / math.sqrt(features)).astype(np.float32)
    return values


def paper_form(config: ControllerConfig) -> ControllerConfig:
    """Return the settings with targets, features, patience and selection as the paper has them.

    >>> paper_form(ControllerConfig(targets="ranks", patience=20)).targets
    'scores'
    """
    return evolve(config, targets="scores", features="none", patience=0, selection="distance")


#: what the predictor learns, from the scores, by the name settings give it
TARGETS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {"scores": scaled, "ranks": rank_targets}


@frozen(eq=False)
class TrainingData:
    """Training data of the controller in a round, in the same order in every framework.

    Attributes:
        tokens: shape (n, length): each sequence in ``config.swaps`` copies, the first as it is and the others with
            the edges of its nodes in random order.
        features: shape (n, f): structural features that the predictor reads too; f = 0 where it reads none.
        targets: shape (n,), scores or ranks from 0 to 1.
    """

    tokens: NDArray[np.int64]
    features: NDArray[np.float32]
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
        round_index: int,
        genotypes: Sequence[Genotype],
        targets: NDArray[np.float64],
    ) -> TrainingData:
        """Make the data of at least one genotype and of targets from 0 to 1."""
        known = space.tokens(genotypes)
        streams = (stream(seed, "controller swaps", round_index, copy) for copy in range(1, config.swaps))
        swaps = [space.swapped(known, rng) for rng in streams]
        features = np.tile(features_of(genotypes, space, config), (config.swaps, 1))
        repeated = np.tile(np.asarray(targets, np.float64), config.swaps).astype(np.float32)
        return cls(np.concatenate([known, *swaps]), features, repeated, config, seed, round_index)

    def __add__(self, other: TrainingData) -> TrainingData:
        """Both, one after the other."""
        return evolve(
            self,
            tokens=np.concatenate([self.tokens, other.tokens]),
            features=np.concatenate([self.features, other.features]),
            targets=np.concatenate([self.targets, other.targets]),
        )

    def __mul__(self, times: int) -> TrainingData:
        """As many copies of all."""
        return evolve(
            self,
            tokens=np.tile(self.tokens, (times, 1)),
            features=np.tile(self.features, (times, 1)),
            targets=np.tile(self.targets, times),
        )

    def epochs(self, train_epoch: Callable[[NDArray[np.int64]], float], epochs: range) -> Iterator[Epoch]:
        """Train these epochs, one at each yield.

        Args:
            train_epoch: learns from one epoch, given the order of the sequences, (n,), and returns their mean loss.
            epochs: their numbers, which decide the order of the sequences.

        Raises:
            DivergedError: the loss is not finite.
        """
        rate = self._config.learning_rate
        for epoch in epochs:
            order = stream(self._seed, "controller order", self._round, epoch).permutation(len(self.targets))
            loss = train_epoch(order)
            if not math.isfinite(loss):
                raise DivergedError(
                    f"the controller's loss is {loss} in epoch {epoch} of round {self._round} "
                    f"at learning rate {rate:g}; a lower rate may hold"
                )
            yield Epoch(epoch, loss, rate)


def _held_out(n: int, share: float, seed: int, round_index: int) -> NDArray[np.int64]:
    """Return the places of a share of n genotypes, drawn at random, rising; none where they would be fewer than two."""
    held = int(np.rint(share * n))
    if held < 2:
        return np.empty(0, np.int64)
    return np.sort(stream(seed, "controller held out", round_index).permutation(n)[:held])


def accepted(decoded: Iterable[Sequence[Genotype]], n: int, accept: Accept) -> list[Genotype]:
    """Return up to n distinct genotypes that ``accept`` admits, in the order in which they come.

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
        self._config = config = paper_form(config) if config.controller == "nao-paper" else config
        self._space, self._seed = space, seed
        self._shapes = parameter_shapes(space, config)
        # of the last fit: how many were learned from, and the genotypes and scores that were not
        self._learned_from = 0
        self._unseen: tuple[list[Genotype], NDArray[np.float64]] = [], np.empty(0)
        self._unseen_targets: NDArray[np.float64] = np.empty(0)
        self._weighed: Cost | None = None

    def weigh(self, cost: Cost) -> None:
        """From now on, with ``config.selection`` predicted or neighbours, take the front of prediction and cost."""
        self._weighed = cost

    @property
    def parameters(self) -> int:
        """The number of trainable parameters."""
        return sum(math.prod(shape) for shape in self._shapes.values())

    def state(self) -> dict[str, NDArray[np.float32]]:
        """Return its parameters by name."""
        ends = np.cumsum([math.prod(shape) for shape in self._shapes.values()])
        parts = np.split(self._row(), ends[:-1])
        return {
            name: part.reshape(shape).copy() for (name, shape), part in zip(self._shapes.items(), parts, strict=True)
        }

    def load_state(self, state: Mapping[str, NDArray[np.float32]]) -> None:
        """Restore ``state``.

        Raises:
            WeightsError: a parameter is missing, unknown or of another shape.
        """
        check_state(state, self._shapes, "the controller's state")
        # one row holds them all: clipping and Adam take one operation each
        self._set_parameters(np.concatenate([np.asarray(state[name], np.float32).ravel() for name in self._shapes]))

    def fit(self, genotypes: Sequence[Genotype], scores: NDArray[np.float64], *, round_index: int) -> Iterator[Epoch]:
        """Learn from scored genotypes, from new initial parameters; yields after each epoch.

        A share of ``config.held_out`` of them, drawn at random, is not learned from: see ``held_out``.
        Each sequence is seen in ``config.swaps`` copies, the first as it is and the others with the edges of
        its nodes in random order. An epoch's loss is the mean over them. With ``config.patience`` training ends
        after so many epochs in which the squared error on the held-out part did not fall, and the parameters become
        those of the best epoch; this needs at least ten genotypes held out.

        Raises:
            DivergedError: a score or the loss is not finite.
        """
        if not len(genotypes):
            self._initialise(round_index)
            self._learned_from, self._unseen = 0, ([], np.empty(0))
            return
        yield from self.train(self.prepare(genotypes, scores, round_index), range(self._config.epochs))

    def prepare(self, genotypes: Sequence[Genotype], scores: NDArray[np.float64], round_index: int) -> TrainingData:
        """Begin a round with its initial parameters: hold out a part of what is scored and return the rest's data."""
        self._initialise(round_index)
        values = np.asarray(scores, np.float64)
        check_finite(values)
        can_learn(values, least=2)
        targets = TARGETS[self._config.targets](values)
        held_out = _held_out(len(genotypes), self._config.held_out, self._seed, round_index)
        self._unseen = [genotypes[place] for place in held_out], values[held_out]
        self._unseen_targets = targets[held_out]
        self._learned_from = len(genotypes) - len(held_out)
        barred = set(held_out.tolist())
        known = [genotype for place, genotype in enumerate(genotypes) if place not in barred]
        return TrainingData.of(self._space, self._config, self._seed, round_index, known, np.delete(targets, held_out))

    def train(self, data: TrainingData, epochs: range) -> Iterator[Epoch]:
        """Train these epochs, at most; see ``fit`` for when it ends before, and for the parameters it then has."""
        patience = self._config.patience if len(self._unseen[0]) >= LEAST_HELD_OUT else 0
        best, best_row, waited = math.inf, self._row().copy(), 0
        for epoch in data.epochs(self._training_step(data), epochs):
            yield epoch
            if not patience:
                continue
            error = float(np.square(self.predict(self._unseen[0]) - self._unseen_targets).mean())
            if error < best:
                best, best_row, waited = error, self._row().copy(), 0
            else:
                waited += 1
            if waited >= patience:
                break
        if patience:
            self._set_parameters(best_row)

    def propose(self, seeds: Sequence[Genotype], n: int, accept: Accept, *, round_index: int) -> list[Genotype]:
        """Propose up to n distinct genotypes that ``accept`` admits, by gradient ascent from the seeds.

        The encoder's outputs of each seed move by eta x 1, eta x 2, ... along the gradient of the predicted
        score, and are decoded; genotypes are taken in that order, and the best seed's first. With
        ``config.selection`` predicted all of them are decoded, and those of the highest predicted score are taken;
        with neighbours the seeds' own neighbours are compared too.
        """
        if not len(seeds):
            return []
        moved = self._proposals(list(self._blocks(seeds)))
        decoded = (self._space.from_tokens(tokens) for tokens in moved)
        if self._config.selection == "distance":
            return accepted(decoded, n, accept)
        candidates = dict.fromkeys(genotype for genotypes in decoded for genotype in genotypes)
        if self._config.selection == "neighbours":
            candidates |= dict.fromkeys(other for seed in seeds for other in neighbours(seed, self._space))
        distinct = list(candidates)
        order = best_first(self.predict(distinct), distinct, self._weighed)
        return accepted([[distinct[place] for place in order]], n, accept)

    def predict(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
        """Return the predicted target of each, a scaled score or a rank: shape (n,), in [0, 1]."""
        scores = (self._scores(*block) for block in self._blocks(genotypes))
        return np.concatenate([np.empty(0), *scores], dtype=np.float64)

    def held_out(self) -> HeldOut | None:
        """Return its figures on the genotypes that the last ``fit`` held out; None where that were none."""
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
        """Return the genotypes' representations: shape (n, hidden), each of unit length."""
        blocks = (self._representations(tokens) for tokens, _ in self._blocks(genotypes))
        return np.concatenate([np.empty((0, self._config.hidden)), *blocks], dtype=np.float64)

    def reconstruct(self, genotypes: Sequence[Genotype]) -> list[Genotype]:
        """Return each genotype decoded from its representation; the same genotype, once the decoder is trained."""
        blocks = (self._reconstructions(tokens) for tokens, _ in self._blocks(genotypes))
        return [genotype for tokens in blocks for genotype in self._space.from_tokens(tokens)]

    def _initialise(self, round_index: int) -> None:
        self.load_state(initial_parameters(self._shapes, self._config.hidden, self._seed, round_index))

    def _blocks(self, genotypes: Sequence[Genotype]) -> Iterator[Block]:
        """Yield the genotypes' sequences (b, length) and features (b, f), a block of b genotypes at a time."""
        for start in range(0, len(genotypes), BLOCK):
            some = genotypes[start : start + BLOCK]
            yield self._space.tokens(some), features_of(some, self._space, self._config)

    # --- what a backend adds

    @abstractmethod
    def _set_parameters(self, row: NDArray[np.float32]) -> None:
        """Take over all parameters, in one row in the order of ``_shapes``."""

    @abstractmethod
    def _row(self) -> NDArray[np.float32]:
        """Return all parameters in one row."""

    @abstractmethod
    def _training_step(self, data: TrainingData) -> Callable[[NDArray[np.int64]], float]:
        """Return the function that ``data.epochs`` calls once per epoch, with a new optimizer."""

    @abstractmethod
    def _proposals(self, blocks: Sequence[Block]) -> Iterator[NDArray[np.int64]]:
        """Return the sequences decoded after moves of eta x 1, eta x 2, ...

        Args:
            blocks: the sequences, (b, length), and features, (b, f), each; n in all.

        Returns:
            For each distance the sequences (n, length), decoded when they are asked for.
        """

    @abstractmethod
    def _scores(self, tokens: NDArray[np.int64], features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the predicted scores (b,) of sequences (b, length) with features (b, f)."""

    @abstractmethod
    def _representations(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the representations (b, hidden) of sequences (b, length)."""

    @abstractmethod
    def _reconstructions(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the sequences decoded from those of (b, length), unmoved."""
