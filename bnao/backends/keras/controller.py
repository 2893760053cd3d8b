"""The NAO controller in Keras (``bnao.strategies.nao``): it learns which genotypes score well and moves them uphill.

An epoch's training (but for its last, smaller batch), the gradient on the encoder's outputs and the decoding of a batch
are each one program: a TensorFlow graph, or compiled by XLA.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
from attrs import evolve, frozen
from keras import ops
from numpy.typing import NDArray

from bnao.backends.keras.engine import ENGINE, traced, value_and_gradients
from bnao.backends.keras.machine import Machine
from bnao.backends.keras.operations import Tensor, to_numpy
from bnao.backends.keras.optimizer import clipping
from bnao.config.settings import ControllerConfig, MachineConfig
from bnao.space.spaces import START, SearchSpace
from bnao.strategies.nao import GATES, TOGETHER, Block, Nao, Shapes, TrainingData, parameter_shapes

Parameters = Mapping[str, Tensor]

# Adam's, as PyTorch has them
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8
# what logits of tokens that may not stand there are set to; exp of it is 0 in float32
_NEVER = -1e9


def _unit(x: Tensor) -> Tensor:
    """Scaled to unit length along the last axis."""
    return x / ops.maximum(ops.sqrt(ops.sum(ops.square(x), -1, keepdims=True)), 1e-12)


def _corrected(beta: float, steps: Tensor) -> Tensor:
    """1 - beta^steps, Adam's correction of a mean that began at 0; exact in float32 at the first steps too."""
    return -ops.expm1(steps * math.log(beta))


def _linear(x: Tensor, p: Parameters, name: str) -> Tensor:
    return ops.matmul(x, ops.transpose(p[f"{name}.weights"])) + p[f"{name}.biases"]


def _gates(state: tuple[Tensor, Tensor], product: Tensor, recurrent: Tensor) -> tuple[Tensor, Tensor]:
    """Return an LSTM's next hidden state and cell, by the product of its input and biases, (b, 4 hidden)."""
    hidden, cell = state
    take, keep, new, show = ops.split(product + ops.matmul(hidden, recurrent), GATES, -1)
    cell = ops.sigmoid(keep) * cell + ops.sigmoid(take) * ops.tanh(new)
    return ops.sigmoid(show) * ops.tanh(cell), cell


def _states(products: Tensor, recurrent: Tensor, start: Tensor) -> Tensor:
    """An LSTM's hidden states (steps, b, hidden), by its products (steps, b, 4 hidden), started at (b, hidden)."""
    if ENGINE == "jax":

        def step(state: tuple[Tensor, Tensor], product: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
            state = _gates(state, product, recurrent)
            return state, state[0]

        return ops.scan(step, (start, start), products)[1]
    state, hidden = (start, start), []
    for product in ops.unstack(products, products.shape[0]):
        state = _gates(state, product, recurrent)
        hidden.append(state[0])
    return ops.stack(hidden)


@frozen
class _Network:
    """What the controller computes, of parameters by name; sequences have shape (b, length), steps come first."""

    space: SearchSpace
    config: ControllerConfig

    def parameters(self, flat: Tensor, shapes: Shapes) -> Parameters:
        """Parameters by name, from all of them in one row."""
        parts, at = {}, 0
        for name, shape in shapes.items():
            parts[name] = ops.reshape(flat[at : at + math.prod(shape)], shape)
            at += math.prod(shape)
        return parts

    def _products(self, p: Parameters, part: str, tokens: Tensor) -> Tensor:
        """Return an LSTM's products (steps, b, 4 hidden), of tokens (steps, b, k), k of them side by side.

        Embedding and input weights are multiplied once for each word of the vocabulary, not for each token.
        """
        embedding, weights = p[f"{part}.embedding"], p[f"{part}.lstm.input_weights"]
        steps, together = tokens.shape[0], tokens.shape[2]
        by_place = ops.reshape(weights, (weights.shape[0], together, embedding.shape[1]))
        words = ops.matmul(embedding, ops.transpose(by_place, (1, 2, 0)))  # (k, vocabulary, 4 hidden)
        symbols = ops.one_hot(tokens, self.space.vocabulary, dtype="float32")
        flat = ops.reshape(symbols, (-1, together * self.space.vocabulary))
        biases = p[f"{part}.lstm.input_biases"] + p[f"{part}.lstm.recurrent_biases"]
        products = ops.matmul(flat, ops.reshape(words, (-1, weights.shape[0]))) + biases
        return ops.reshape(products, (steps, -1, weights.shape[0]))

    def encoded(self, p: Parameters, tokens: Tensor) -> Tensor:
        """Return the encoder's outputs (steps, b, hidden), each of unit length."""
        edges = ops.reshape(ops.transpose(tokens), (self.space.length // TOGETHER, TOGETHER, -1))
        products = self._products(p, "encoder", ops.transpose(edges, (0, 2, 1)))
        recurrent = ops.transpose(p["encoder.lstm.recurrent_weights"])
        start = ops.zeros_like(products[0, :, : self.config.hidden])
        return _unit(_states(products, recurrent, start))

    def represented(self, outputs: Tensor) -> Tensor:
        """Return the mean over steps, of unit length: (b, hidden)."""
        return _unit(ops.mean(outputs, 0))

    def predicted(self, p: Parameters, outputs: Tensor, features: Tensor) -> Tensor:
        """Return the predicted score: (b,), in (0, 1), of the encoder's outputs and features (b, f)."""
        x = self.represented(outputs)
        if features.shape[1]:
            x = ops.concatenate([x, features], -1)
        for layer in range(self.config.mlp_layers):
            x = ops.relu(_linear(x, p, f"predictor.mlp.{layer}"))
        return ops.sigmoid(_linear(x, p, "predictor"))[:, 0]

    def _looked_at(self, p: Parameters, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return what attention compares decoder states with and what it mixes in, both (b, steps, hidden).

        They are made of the encoder's few outputs and not of the decoder's many states.
        """
        outputs = ops.transpose(outputs, (1, 0, 2))
        values = p["decoder.attention.mix"][:, : self.config.hidden]
        return ops.matmul(outputs, p["decoder.attention.query"]), ops.matmul(outputs, ops.transpose(values))

    def _logits(self, p: Parameters, states: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Logits (b, k, vocabulary) of k decoder states (b, k, hidden)."""
        attention = ops.softmax(ops.matmul(states, ops.transpose(keys, (0, 2, 1))), -1)
        own = p["decoder.attention.mix"][:, self.config.hidden :]
        mixed = ops.tanh(ops.matmul(attention, values) + ops.matmul(states, ops.transpose(own)))
        return _linear(mixed, p, "decoder.classifier")

    def _barred(self) -> NDArray[np.float32]:
        """Return what is added to the logits: (length, vocabulary)."""
        return np.where(self.space.token_mask(), 0, _NEVER).astype(np.float32)

    def loss(self, p: Parameters, tokens: Tensor, features: Tensor, targets: Tensor) -> Tensor:
        """Squared error of the prediction and cross-entropy of the reconstruction, weighted.

        Args:
            p: parameters.
            tokens: sequences (b, length).
            features: what the predictor reads besides, (b, f).
            targets: (b,).
        """
        outputs = self.encoded(p, tokens)
        error = ops.mean(ops.square(self.predicted(p, outputs, features) - targets))
        started = ops.concatenate([ops.full_like(tokens[:, :1], START), tokens[:, :-1]], 1)
        products = self._products(p, "decoder", ops.expand_dims(ops.transpose(started), -1))
        recurrent = ops.transpose(p["decoder.lstm.recurrent_weights"])
        states = ops.transpose(_states(products, recurrent, self.represented(outputs)), (1, 0, 2))
        logarithms = ops.log_softmax(self._logits(p, states, *self._looked_at(p, outputs)) + self._barred(), -1)
        right = ops.one_hot(tokens, self.space.vocabulary, dtype="float32")
        entropy = -ops.mean(ops.sum(logarithms * right, -1))
        weight = self.config.predictor_weight
        return weight * error + (1 - weight) * entropy

    def decoded(self, p: Parameters, outputs: Tensor) -> Tensor:
        """Return the sequences (b, length) that encoder outputs are decoded to, the likeliest token each time."""
        keys, values = self._looked_at(p, outputs)
        state = (self.represented(outputs),) * 2
        token = ops.full_like(ops.cast(outputs[0, :, 0], "int32"), START)
        recurrent = ops.transpose(p["decoder.lstm.recurrent_weights"])
        tokens = []
        for barred in self._barred():
            product = self._products(p, "decoder", ops.reshape(token, (1, -1, 1)))[0]
            state = _gates(state, product, recurrent)
            logits = self._logits(p, ops.expand_dims(state[0], 1), keys, values)[:, 0]
            token = ops.cast(ops.argmax(logits + barred, -1), "int32")
            tokens.append(token)
        return ops.stack(tokens, 1)


def _of_programs(config: ControllerConfig) -> ControllerConfig:
    """The settings, with those that no program reads at their defaults."""
    unread = (
        "epochs", "batch_size", "swaps", "eta", "most_steps", "held_out", "targets", "patience", "selection",
    )  # fmt: skip
    return evolve(config, **{name: getattr(ControllerConfig(), name) for name in unread})


class _Programs:
    """What controllers of one network compute, each a program that is built once for each shape of its arguments.

    Parameters come first, all of them in one row.
    """

    def __init__(self, net: _Network) -> None:
        self._net, self._shapes = net, parameter_shapes(net.space, net.config)
        self.taught = traced(self._batches_taught)
        self.encoded = traced(lambda flat, tokens: net.encoded(self._named(flat), tokens))
        self.predicted = traced(lambda flat, outputs, features: net.predicted(self._named(flat), outputs, features))
        self.decoded = traced(lambda flat, outputs: net.decoded(self._named(flat), outputs))
        self.represented = traced(net.represented)
        self.uphill = traced(self._gradient)
        self.moved = traced(lambda outputs, gradient, by: _unit(outputs + by * gradient))

    def _named(self, flat: Tensor) -> Parameters:
        return self._net.parameters(flat, self._shapes)

    def _batches_taught(
        self,
        flat: Tensor,
        first: Tensor,
        second: Tensor,
        steps: Tensor,
        all_tokens: Tensor,
        all_features: Tensor,
        all_targets: Tensor,
        batches: Tensor,
    ) -> tuple[Tensor, ...]:
        """Make a step of Adam on each batch in turn.

        Args:
            flat: parameters.
            first: Adam's mean of gradients.
            second: Adam's mean of their squares.
            steps: how many it has made.
            all_tokens: sequences (n, length).
            all_features: what the predictor reads of them besides, (n, f).
            all_targets: their scores (n,).
            batches: indices into them, (k, b).

        Returns:
            The sum of the k losses, and what the first four have become.
        """

        def step(index: Tensor, before: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            losses, *adam = before
            batch = ops.take(batches, index, 0)
            given = (ops.take(values, batch, 0) for values in (all_tokens, all_features, all_targets))
            loss, *adam = self._step(*adam, *given)
            return losses + loss, *adam

        return ops.fori_loop(0, batches.shape[0], step, (ops.zeros((), "float32"), flat, first, second, steps))

    def _step(
        self,
        flat: Tensor,
        first: Tensor,
        second: Tensor,
        steps: Tensor,
        tokens: Tensor,
        features: Tensor,
        targets: Tensor,
    ) -> tuple[Tensor, ...]:
        """Make a step of Adam on one batch; return the loss, and parameters, moments and steps after it."""

        def loss_of(values: list[Tensor]) -> Tensor:
            return self._net.loss(self._named(values[0]), tokens, features, targets)

        loss, (gradient,) = value_and_gradients(loss_of, [flat])
        gradient = gradient * clipping([gradient], self._net.config.gradient_norm)
        steps = steps + 1
        first = _BETA_1 * first + (1 - _BETA_1) * gradient
        second = _BETA_2 * second + (1 - _BETA_2) * ops.square(gradient)
        rate = self._net.config.learning_rate / _corrected(_BETA_1, steps)
        spread = ops.sqrt(second) / ops.sqrt(_corrected(_BETA_2, steps)) + _EPSILON
        return loss, flat - rate * first / spread, first, second, steps

    def _gradient(self, flat: Tensor, outputs: Tensor, features: Tensor) -> Tensor:
        """The predicted scores' gradients by the encoder's outputs."""
        p = self._named(flat)
        _, (gradient,) = value_and_gradients(
            lambda values: ops.sum(self._net.predicted(p, values[0], features)), [outputs]
        )
        return gradient


# a study makes many controllers of few networks, and a graph takes seconds to build
_programs = lru_cache(maxsize=4)(_Programs)


class NaoController(Nao):
    """Encoder, performance predictor and decoder in Keras: ``bnao.strategies.nao.Nao``.

    Args:
        space, config, seed: as there.
        machine: where it computes.

    >>> from bnao.space.spaces import SPACES
    >>> NaoController(SPACES["nao"], ControllerConfig(), seed=0).parameters
    80845
    """

    def __init__(
        self,
        space: SearchSpace,
        config: ControllerConfig,
        seed: int,
        machine: MachineConfig = MachineConfig(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__(space, config, seed)
        self._machine = Machine(machine)
        self._programs = _programs(_Network(space, _of_programs(self._config)))
        self._initialise(round_index=0)

    def _set_parameters(self, row: NDArray[np.float32]) -> None:
        with self._machine.scope():
            self._flat = ops.convert_to_tensor(row)

    def _row(self) -> NDArray[np.float32]:
        return to_numpy(self._flat)

    def _training_step(self, data: TrainingData) -> Callable[[NDArray[np.int64]], float]:
        with self._machine.scope():
            given = [ops.convert_to_tensor(values) for values in
                     (data.tokens.astype(np.int32), data.features, data.targets)]  # fmt: skip
            # Adam's two moments, and its steps so far
            moments = [ops.zeros_like(self._flat), ops.zeros_like(self._flat), ops.zeros((), "float32")]
        size = self._config.batch_size

        def train_epoch(order: NDArray[np.int64]) -> float:
            nonlocal moments
            whole, total = len(order) // size * size, 0.0
            with self._machine.scope():
                for batches in (order[:whole].reshape(-1, size), order[whole:].reshape(1, -1)):
                    if batches.size:
                        losses, self._flat, *moments = self._programs.taught(
                            self._flat, *moments, *given, batches.astype(np.int32)
                        )
                        total += float(losses) * batches.shape[1]
            return total / len(order)

        return train_epoch

    def _proposals(self, blocks: Sequence[Block]) -> Iterator[NDArray[np.int64]]:
        with self._machine.scope():
            outputs = ops.concatenate([self._outputs(tokens) for tokens, _ in blocks], 1)
            gradient = self._programs.uphill(self._flat, outputs, np.concatenate([features for _, features in blocks]))
        for step in range(1, self._config.most_steps + 1):
            with self._machine.scope():
                moved = self._programs.moved(outputs, gradient, np.float32(self._config.eta * step))
                tokens = to_numpy(self._programs.decoded(self._flat, moved))
            yield tokens

    def _scores(self, tokens: NDArray[np.int64], features: NDArray[np.float32]) -> NDArray[np.float32]:
        with self._machine.scope():
            return to_numpy(self._programs.predicted(self._flat, self._outputs(tokens), features))

    def _representations(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        with self._machine.scope():
            return to_numpy(self._programs.represented(self._outputs(tokens)))

    def _reconstructions(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        with self._machine.scope():
            return to_numpy(self._programs.decoded(self._flat, self._outputs(tokens)))

    def _outputs(self, tokens: NDArray[np.int64]) -> Tensor:
        """The encoder's outputs (steps, b, hidden) of sequences (b, length)."""
        return self._programs.encoded(self._flat, tokens.astype(np.int32))
