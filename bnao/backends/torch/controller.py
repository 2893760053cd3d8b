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
from bnao.space import START, SearchSpace
from bnao.streams import stream
from bnao.weights import check_state

Shapes = dict[str, tuple[int, ...]]
Parameters = Mapping[str, Tensor]

# an edge's two tokens, source and operation, are one step of the encoder
_TOGETHER = 2
_GATES = 4  # of an LSTM: input, forget, cell, output
# sequences encoded or decoded at once, where nothing is learned from them
_BLOCK = 1000


def _linear_shapes(name: str, features: int, width: int) -> Shapes:
    return {f"{name}.weights": (width, features), f"{name}.biases": (width,)}


def _lstm_shapes(name: str, features: int, hidden: int) -> Shapes:
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
    shapes |= _lstm_shapes("encoder.lstm", _TOGETHER * config.embedding, hidden)
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
        outputs = torch.cat([block.detach() for block in self._outputs(p, seeds)]).requires_grad_()
        (gradient,) = torch.autograd.grad(_predicted(p, _representation(outputs)).sum(), outputs)
        seen, chosen = set[Genotype](), list[Genotype]()
        for step in range(1, self._config.most_steps + 1):
            moved = F.normalize(outputs.detach() + self._config.eta * step * gradient, dim=-1)
            for genotype in self._decoded(p, moved):
                if len(chosen) >= n:
                    return chosen
                if genotype not in seen and accept(genotype):
                    chosen.append(genotype)
                seen.add(genotype)
        return chosen

    def predict(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
        """The predicted score of each, on the scale of ``scaled``: shape (n,), in [0, 1]."""
        p = self._named()
        with torch.inference_mode():
            blocks = [_predicted(p, _representation(outputs)) for outputs in self._outputs(p, genotypes)]
        return _joined(blocks, (0,))

    def encode(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
        """Their representations: shape (n, hidden), each of unit length."""
        p = self._named()
        with torch.inference_mode():
            blocks = [_representation(outputs) for outputs in self._outputs(p, genotypes)]
        return _joined(blocks, (0, self._config.hidden))

    def reconstruct(self, genotypes: Sequence[Genotype]) -> list[Genotype]:
        """What the decoder makes of each one's representation; the same genotype, once it has learned."""
        p = self._named()
        with torch.inference_mode():
            return [genotype for outputs in self._outputs(p, genotypes) for genotype in self._decoded(p, outputs)]

    def _initialise(self, round: int) -> None:
        self.load_state(initial_parameters(self._shapes, self._config.hidden, self._seed, round))

    def _named(self) -> dict[str, Tensor]:
        parts = self._flat.split([math.prod(shape) for shape in self._shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)}

    def _tensor(self, values: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(values).to(self._device)

    def _outputs(self, p: Parameters, genotypes: Sequence[Genotype]) -> Iterator[Tensor]:
        """The encoder's outputs, a block of genotypes at a time."""
        for start in range(0, len(genotypes), _BLOCK):
            tokens = self._tensor(self._space.tokens(genotypes[start : start + _BLOCK]))
            yield _encoded(p, self._one_hot[tokens])

    def _loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Of a batch: tokens (b, length), targets (b,)."""
        p, weight = self._named(), self._config.predictor_weight
        symbols = self._one_hot[tokens]  # (b, length, vocabulary)
        outputs = _encoded(p, symbols)
        representation = _representation(outputs)
        error = F.mse_loss(_predicted(p, representation), targets)
        start = self._one_hot[START].expand(len(tokens), 1, -1)
        hidden = _lstm(p, "decoder", torch.cat([start, symbols[:, :-1]], 1), representation)
        logits = _attended(p, hidden, outputs) + self._mask
        reconstruction = F.cross_entropy(logits.flatten(0, 1), tokens.flatten())
        return weight * error + (1 - weight) * reconstruction

    def _decoded(self, p: Parameters, outputs: Tensor) -> list[Genotype]:
        """The genotypes that the encoder's outputs (b, steps, hidden) are decoded to, the likeliest token each time."""
        hidden = cell = _representation(outputs)
        token = torch.full((len(outputs),), START, device=self._device)
        tokens = []
        for mask in self._mask:
            hidden, cell = torch.lstm_cell(
                p["decoder.embedding"][token], (hidden, cell), *_lstm_parameters(p, "decoder")
            )
            token = (_attended(p, hidden[:, None], outputs)[:, 0] + mask).argmax(-1)
            tokens.append(token)
        return self._space.from_tokens(torch.stack(tokens, 1).cpu().numpy())


def _joined(blocks: Sequence[Tensor], empty: tuple[int, ...]) -> NDArray[np.float64]:
    return np.concatenate([np.empty(empty), *(block.cpu().numpy() for block in blocks)], dtype=np.float64)


def _lstm_parameters(p: Parameters, part: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    names = ("input_weights", "recurrent_weights", "input_biases", "recurrent_biases")
    weights = [p[f"{part}.lstm.{name}"] for name in names]
    return weights[0], weights[1], weights[2], weights[3]


def _lstm(p: Parameters, part: str, symbols: Tensor, start: Tensor) -> Tensor:
    """The hidden states (b, steps, hidden) of an LSTM that reads one-hot symbols (b, steps, n x vocabulary).

    Embedding and input weights are multiplied once for the vocabulary, not once for each token.
    """
    input_weights, *others = _lstm_parameters(p, part)
    embedding = p[f"{part}.embedding"]
    parts = input_weights.view(len(input_weights), -1, embedding.shape[1]) @ embedding.t()  # (4 hidden, n, vocabulary)
    weights = (parts.flatten(1), *others)
    states = (start[None], start[None])
    return torch.lstm(symbols.transpose(0, 1), states, weights, True, 1, 0.0, True, False, False)[0].transpose(0, 1)


def _encoded(p: Parameters, symbols: Tensor) -> Tensor:
    """The encoder's outputs (b, steps, hidden), each of unit length, for one-hot tokens (b, length, vocabulary)."""
    b, length, vocabulary = symbols.shape
    start = symbols.new_zeros(b, p["encoder.lstm.recurrent_weights"].shape[1])
    pairs = symbols.reshape(b, length // _TOGETHER, _TOGETHER * vocabulary)
    return F.normalize(_lstm(p, "encoder", pairs, start), dim=-1)


def _representation(outputs: Tensor) -> Tensor:
    """The mean over steps, of unit length: (b, hidden)."""
    return F.normalize(outputs.mean(1), dim=-1)


def _predicted(p: Parameters, representation: Tensor) -> Tensor:
    """The predicted score: (b,), in (0, 1)."""
    x, layer = representation, 0
    while f"predictor.mlp.{layer}.weights" in p:
        x = F.relu(F.linear(x, p[f"predictor.mlp.{layer}.weights"], p[f"predictor.mlp.{layer}.biases"]))
        layer += 1
    return torch.sigmoid(F.linear(x, p["predictor.weights"], p["predictor.biases"]))[:, 0]


def _attended(p: Parameters, hidden: Tensor, outputs: Tensor) -> Tensor:
    """The logits (b, length, vocabulary) of decoder states (b, length, hidden) that look at the encoder's outputs."""
    attention = torch.softmax(F.linear(hidden, p["decoder.attention.query"]) @ outputs.transpose(1, 2), -1)
    mixed = torch.tanh(F.linear(torch.cat([attention @ outputs, hidden], -1), p["decoder.attention.mix"]))
    return F.linear(mixed, p["decoder.classifier.weights"], p["decoder.classifier.biases"])
