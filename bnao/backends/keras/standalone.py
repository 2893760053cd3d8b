"""One genotype's own network in Keras, and its training by the paper's recipe (docs/network.md, docs/training.md)."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from functools import lru_cache
from typing import Any

import numpy as np
from attrs import fields, frozen
from keras import ops
from numpy.typing import NDArray

from bnao.backends.keras.cell import Weights, fitted, mixed_by_name, states_of, stem_states
from bnao.backends.keras.engine import traced, value_and_gradients
from bnao.backends.keras.machine import Machine
from bnao.backends.keras.one_cell import one_cell
from bnao.backends.keras.operations import (
    Norm,
    RunningNorm,
    Tensor,
    linear,
    pooled,
    relu,
    to_numpy,
    unpadded_convolution,
)
from bnao.backends.keras.optimizer import clipping, moved
from bnao.config.evaluation import EvaluateConfig, StandAloneTrainingConfig
from bnao.config.settings import NetworkConfig
from bnao.data.dataset import LabelledImages
from bnao.network.parameters import auxiliary_cell, initial_weights, stand_alone_shapes
from bnao.network.stack import rules, stack
from bnao.network.stacked import to_canonical, to_keras
from bnao.network.state import MOMENTUM, checked_state
from bnao.protocols import State, Step
from bnao.space.genotype import Genotype
from bnao.training.steps import StandAloneStep, check_loss, stand_alone_epoch_steps, stand_alone_steps

_TESTED_AT_ONCE = 500

Arrays = dict[str, Tensor]


class Network:
    """The stand-alone network's forward pass as a function of its arrays, by canonical name.

    Args:
        genotype: its cells.
        network: stack, classes and image.
        dtype: number format of states and kernels; norms and the classifier are float32, or float64 with float64.
        auxiliary: whether it has the auxiliary head; NAS-Bench-201's networks have none.
    """

    def __init__(self, genotype: Genotype, network: NetworkConfig, dtype: str, auxiliary: bool) -> None:
        self.genotype, self.network = genotype, network
        self.rules = rules(network)
        self.auxiliary = auxiliary and not self.rules.residual
        self.shapes = stand_alone_shapes(genotype, network, auxiliary)
        #: running means and variances beside every norm's scale
        self.statistics = {
            f"{name.removesuffix('.scale')}.{statistic}": shape
            for name, shape in self.shapes.items()
            if name.endswith(".scale")
            for statistic in ("mean", "variance")
        }
        #: inputs of the classifier
        self.features = self.shapes["classifier.weight"][1]
        self._dtype = dtype
        self._positions = stack(network)

    def __call__(
        self,
        weights: Arrays,
        statistics: Arrays,
        images: Tensor,
        training: bool = False,
        masks: Tensor | None = None,
        dropout: Tensor | None = None,
        norm: Norm | None = None,
    ) -> tuple[Tensor, Tensor | None, Arrays]:
        """Logits (b, classes), the auxiliary head's in training, and what the statistics become.

        Args:
            weights, statistics: the arrays.
            images: (b, height, width, channels), normalised.
            training: norms use the batch's statistics and update the running ones.
            masks: of drop path, shape (cells, nodes, edges, b).
            dropout: what the features in front of the classifier are multiplied by, shape (b, features).
            norm: how batch norms are computed, without statistics; None: by them or by the batch, as ``training`` says.
        """
        running = RunningNorm(statistics, training)
        norm = norm or running
        weights = {
            name: ops.cast(value, self._dtype) if len(value.shape) == 4 else value for name, value in weights.items()
        }
        head = None
        before, last = stem_states(self.network, ops.cast(images, self._dtype), weights, norm)
        for position in self._positions:
            cell = self.genotype.cell(position.reduction)
            mask = None if masks is None else masks[position.index]
            if self.rules.residual:
                last = one_cell(position, cell, self.rules, last, weights, norm, mask)
                continue
            inputs = fitted(position, before, last, weights, norm)
            states = states_of(position, cell, self.rules, inputs, weights, norm, mask)
            before, last = last, ops.concatenate(states, -1)
            if training and self.auxiliary and position.index == auxiliary_cell(self.network):
                head = self._head(last, weights, norm)
        if self.rules.residual:
            last = relu(norm(last, weights["head.norm.scale"], weights["head.norm.shift"], "head.norm"))
        features = ops.cast(pooled(last), "float64" if self._dtype == "float64" else "float32")
        if dropout is not None:
            features = features * dropout
        logits = linear(features, weights["classifier.weight"], weights["classifier.bias"])
        return logits, head, {**statistics, **running.updated}

    def _head(self, x: Tensor, weights: Weights, norm: Norm) -> Tensor:
        """Return the auxiliary head's logits; images too small for its 5x5 pooling are pooled to 2 x 2."""
        x = relu(x)
        stride = 3 if self.network.network == "cifar" else 2
        x = ops.average_pool(x, 5, stride, "valid") if min(x.shape[1:3]) >= 5 + stride else _quarters(x)
        x = relu(mixed_by_name(x, weights, "auxiliary.0", norm))
        kernel, scale, shift = (weights[f"auxiliary.1.{part}"] for part in ("kernel", "norm.scale", "norm.shift"))
        x = relu(norm(unpadded_convolution(x, kernel), scale, shift, "auxiliary.1.norm"))
        features = ops.cast(pooled(x), "float32")
        return linear(features, weights["auxiliary.classifier.weight"], weights["auxiliary.classifier.bias"])


def _quarters(x: Tensor) -> Tensor:
    """Means over the quarters of an image: (b, 2, 2, channels); of an odd size the middle is in both halves."""
    rows, columns = (((0, (size + 1) // 2), (size // 2, size)) for size in x.shape[1:3])
    return ops.stack(
        [ops.stack([ops.mean(x[:, a:b, c:d], (1, 2)) for c, d in columns], 1) for a, b in rows],
        1,
    )


def _cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Mean cross-entropy, so much of the target spread evenly over the classes."""
    logarithms = ops.log_softmax(logits, -1)
    right = ops.mean(ops.take_along_axis(logarithms, labels[:, None], -1))
    return -(1 - smoothing) * right - smoothing * ops.mean(logarithms)


class KerasStandAlone:
    """What an evaluation trains and tests.

    Raises:
        BackendError: the device is not there, or a setting that this backend does not know.
        GenotypeError: a genotype of another space.
    """

    def __init__(self, genotype: Genotype, config: EvaluateConfig, dataset: LabelledImages, seed: int) -> None:
        self._config, self._dataset, self._seed = config, dataset, seed
        self.epoch_steps = stand_alone_epoch_steps(config, dataset)
        self._machine = Machine(config.machine)
        dtype = "float32" if config.machine.precision == "float32" else "bfloat16"
        numbers = _Numbers.of(config.training)
        self._net, self._trained, self._tested = _programs(genotype, dataset.network(config.network), dtype, numbers)
        shapes, statistics = self._net.shapes, self._net.statistics
        self.parameters = sum(math.prod(shape) for name, shape in shapes.items() if not name.startswith("auxiliary."))
        first = {name: np.full(shape, name.endswith(".variance"), np.float32) for name, shape in statistics.items()}
        self.load_state({**initial_weights(shapes, seed), **first})

    def train(self, start: int = 0) -> Generator[Step, None, None]:
        """Train to the end by the paper's recipe, from step ``start`` on; yields after each step."""
        net = self._net
        features = net.features
        for step in stand_alone_steps(
            net.genotype, self._config, self._dataset, net.network, features, self._seed, start
        ):
            loss = self._step(step)
            check_loss(loss, step.place, step.rate, net.genotype)
            yield Step(step.step, 0, loss, step.rate)

    def _step(self, step: StandAloneStep) -> float:
        given = (step.images, step.labels.astype(np.int32), step.masks, step.dropout, np.float32(step.rate))
        with self._machine.scope():
            loss, *self._arrays = self._trained(*self._arrays, *given)
            return float(loss)

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return logits of shape (n, classes) for images (n, height, width, channels), by the running statistics."""
        weights, _, statistics = self._arrays
        parts = [images[at : at + _TESTED_AT_ONCE] for at in range(0, len(images), _TESTED_AT_ONCE)]
        with self._machine.scope():
            batches = (self._dataset.normalised(part) for part in parts)
            return np.concatenate([to_numpy(self._tested(weights, statistics, b)) for b in batches])

    def state(self) -> State:
        """Weights, running statistics, and the momenta that are not zero."""
        weights, momenta, statistics = (
            {name: np.array(to_canonical(name, to_numpy(value))) for name, value in arrays.items()}
            for arrays in self._arrays
        )
        return {**weights, **statistics, **{MOMENTUM + name: value for name, value in momenta.items() if value.any()}}

    def load_state(self, state: State) -> None:
        """Become what ``state`` was taken from."""
        shapes, statistics = self._net.shapes, self._net.statistics
        own, momenta = checked_state(state, shapes, statistics)
        zeros = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        parts = ({name: own[name] for name in shapes}, {**zeros, **momenta}, {name: own[name] for name in statistics})
        with self._machine.scope():
            self._arrays: list[Arrays] = [
                {name: ops.convert_to_tensor(to_keras(name, value), "float32") for name, value in part.items()}
                for part in parts
            ]


@frozen
class _Numbers:
    """The settings that a training step computes with."""

    label_smoothing: float
    auxiliary: float
    gradient_norm: float
    momentum: float
    weight_decay: float

    @classmethod
    def of(cls, training: StandAloneTrainingConfig) -> _Numbers:
        """Return those of a training."""
        return cls(**{each.name: getattr(training, each.name) for each in fields(cls)})


# trainings of one genotype, from several seeds or resumed, stand side by side; of a large network a graph is large
@lru_cache(maxsize=2)
def _programs(
    genotype: Genotype, network: NetworkConfig, dtype: str, numbers: _Numbers
) -> tuple[Network, Callable[..., Any], Callable[..., Any]]:
    """Return a network, the program of its training step, and that of its logits."""
    net = Network(genotype, network, dtype, numbers.auxiliary > 0)
    tested = traced(lambda weights, statistics, images: net(weights, statistics, images)[0])
    return net, traced(_step_of(net, numbers)), tested


def _step_of(net: Network, numbers: _Numbers) -> Callable[..., Any]:
    """A training step: the loss, and what weights, momenta and running statistics become."""

    def step(
        weights: Arrays,
        momenta: Arrays,
        statistics: Arrays,
        images: Tensor,
        labels: Tensor,
        masks: Tensor | None,
        dropout: Tensor | None,
        rate: Tensor,
    ) -> tuple[Tensor, Arrays, Arrays, Arrays]:
        names = list(weights)

        def loss_of(values: list[Tensor]) -> tuple[Tensor, Arrays]:
            arrays = dict(zip(names, values, strict=True))
            logits, head, updated = net(arrays, statistics, images, True, masks, dropout)
            loss = _cross_entropy(logits, labels, numbers.label_smoothing)
            if head is not None:
                loss = loss + numbers.auxiliary * _cross_entropy(head, labels, numbers.label_smoothing)
            return loss, updated

        (loss, updated), gradients = value_and_gradients(loss_of, [weights[name] for name in names], has_more=True)
        factor = clipping(gradients, numbers.gradient_norm)
        constants = [ops.convert_to_tensor(each, "float32") for each in (numbers.momentum, numbers.weight_decay)]
        new = [
            moved(weights[name], momenta[name], gradient, factor, rate, *constants)
            for name, gradient in zip(names, gradients, strict=True)
        ]
        return (
            loss,
            {name: weight for name, (weight, _) in zip(names, new, strict=True)},
            {name: momentum for name, (_, momentum) in zip(names, new, strict=True)},
            updated,
        )

    return step
