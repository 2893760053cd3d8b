"""The supernet in Keras: every genotype of the space as a path through one network (SPEC section 3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from bnao.backends.keras.engine import ENGINE, traced, value_and_gradients
from bnao.backends.keras.forward import Forward
from bnao.backends.keras.machine import Machine
from bnao.backends.keras.operations import Tensor, tensor, to_numpy
from bnao.backends.keras.optimizer import PathUpdate, clipping
from bnao.backends.keras.stacks import Stack, canonical
from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.errors import BackendError, GenotypeError
from bnao.network.parameters import initial_weights, supernet_shapes
from bnao.network.state import MOMENTUM, checked_state
from bnao.protocols import Architecture, Mixture, Outcome, Pass, State, check_passes
from bnao.space.genotype import Genotype

if ENGINE == "tensorflow":
    import tensorflow as tf
else:
    import jax


class Supernet(keras.Model):
    """All genotypes of a space in one Keras model; the architecture is an input, beside the images.

    It is called with ``{"image": images, "arch": arch}``: images (b, height, width, channels), normalised; arch
    (b, length) whole numbers, one genotype as ``SearchSpace.encode`` gives it, in equal rows (a strategy splits a
    batch by rows; row 0 counts). It gives logits (b, classes). Under TensorFlow one graph serves every
    architecture: nothing is traced again. Under JAX each operation is compiled, and ``compile`` makes Keras run the
    network step by step (``run_eagerly``).

    What an arch is not allowed to hold - a source or operation that does not exist, unequal rows - is refused:
    where values are known with a GenotypeError, within a TensorFlow graph by an assertion that stops the step.

    Args:
        network: space, stack, classes and image.
        seed: of the first weights, which are those of every backend.
        **options: Keras' own: name, and dtype, such as "mixed_bfloat16".

    >>> supernet = Supernet(NetworkConfig(channels=4, cells=1, nodes=1, image=(8, 8, 3), classes=2))
    >>> genotype = supernet.space.random_genotypes(1, np.random.default_rng(0))
    >>> logits = supernet({"image": np.zeros((2, 8, 8, 3), "float32"), "arch": supernet.arch_of(genotype[0], 2)})
    >>> tuple(logits.shape)
    (2, 2)
    """

    def __init__(self, network: NetworkConfig, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.network = network
        self.forward = Forward(network, self.compute_dtype)
        self.space = self.forward.space
        values = initial_weights(supernet_shapes(network), seed)
        self.arrays = []
        for each in self.forward.stacks:
            value = each.of(values)
            self.arrays.append(
                self.add_weight(
                    value.shape, name=each.name, initializer=_constant(value), dtype="float32", autocast=False
                )
            )
        #: (cells, nodes, edges, 2) of the latest call
        self.arch: Any = None
        self.supports_jit = False  # XLA has no kernels for a CPU's depthwise convolutions that are worth the name
        self.built = True

    def arch_of(self, genotype: Genotype, b: int = 1) -> NDArray[np.int32]:
        """A genotype as the input "arch" of a batch: b equal rows, shape (b, length)."""
        row = self.space.encode([genotype]).reshape(1, -1).astype(np.int32)
        return np.repeat(row, b, axis=0)

    def compile(self, *arguments: Any, **options: Any) -> None:
        """As any Keras model's; under JAX networks that depend on values run step by step."""
        if ENGINE == "jax":
            options["run_eagerly"] = True
        super().compile(*arguments, **options)

    def call(self, inputs: Mapping[str, Tensor], training: bool | None = None) -> Tensor:
        """Logits (b, classes) of images along the path of an architecture; the same in training and testing."""
        arch = self._checked(inputs["arch"])
        values = [tensor(array) for array in self.arrays]
        if arch is None:  # Keras asks for shapes, or someone traces what must not be traced
            return ops.full((inputs["image"].shape[0], self.network.classes), float("nan"))
        self.arch = arch
        return self.forward(values, inputs["image"], arch)

    def _checked(self, arch: Any) -> Any:
        """The architecture (cells, nodes, edges, 2), edges in canonical order; None where values cannot be known."""
        if len(arch.shape) != 2 or arch.shape[1] != self.space.length:
            raise GenotypeError(
                f"arch has shape {tuple(arch.shape)}; a genotype of space {self.space.name!r} with "
                f"{self.space.nodes} nodes is {self.space.length} whole numbers, so it must be "
                f"(batch, {self.space.length}), in equal rows"
            )
        if ENGINE == "jax" and isinstance(arch, jax.core.Tracer):
            return None
        if ENGINE == "tensorflow" and not tf.executing_eagerly():
            rows = ops.cast(arch, "int32")
            with tf.control_dependencies(self._assertions(rows)):
                return canonical(self.space, ops.reshape(tf.identity(rows[0]), self.space.shape))
        rows = np.asarray(arch)
        if not len(rows) or (rows != rows[0]).any():
            raise GenotypeError("arch has rows that differ, or none; a batch is of one architecture, in equal rows")
        if (rows[0] != rows[0].astype(np.int64)).any():
            raise GenotypeError("arch holds numbers that are not whole; a genotype is whole numbers")
        try:
            (genotype,) = self.space.decode(rows[0].astype(np.int64))
        except GenotypeError as error:
            raise GenotypeError(f"arch is no genotype: {error}") from None
        known: NDArray[np.int32] = self.space.encode([genotype])[0].astype(np.int32)
        return ops.convert_to_tensor(known) if ENGINE == "tensorflow" else known

    def _assertions(self, rows: Tensor) -> list[Any]:
        """What stops a step within a graph whose architecture is none."""
        space = self.space
        edges = tf.reshape(rows[0], space.shape)
        states = np.broadcast_to((space.inputs + np.arange(space.nodes))[:, None], space.shape[:-1])
        allowed = np.stack([states, np.full_like(states, len(space.operations))], -1)
        inside = tf.reduce_all((edges >= 0) & (edges < allowed.astype(np.int32)))
        what = (
            f"arch is no genotype of space {space.name!r} with {space.nodes} nodes; it has no such source or operation:"
        )
        differ = "arch has rows that differ; a batch is of one architecture, in equal rows:"
        return [
            tf.debugging.Assert(inside, [what, rows[0]], 100),
            tf.debugging.Assert(tf.reduce_all(rows == rows[0]), [differ, rows[0]], 100),
        ]

    def state(self) -> dict[str, NDArray[np.float32]]:
        """Its parameters by canonical name, kernels as output x input x height x width."""
        return named(self.forward.stacks, self.arrays)

    def load_state(self, state: State) -> dict[str, NDArray[np.float32]]:
        """Take over parameters by canonical name; gives the state's momenta by parameter name.

        Raises:
            WeightsError: a parameter is missing, unknown or of another shape.
        """
        own, momenta = checked_state(state, supernet_shapes(self.network), {})
        for each, array in zip(self.forward.stacks, self.arrays, strict=True):
            array.assign(each.of(own))
        return momenta


def named(stacks: Sequence[Stack], arrays: Sequence[Any], prefix: str = "") -> dict[str, NDArray[np.float32]]:
    """The parameters in arrays by canonical name."""
    state = {}
    for stack, array in zip(stacks, arrays, strict=True):
        parameters = stack.parameters(to_numpy(array))
        state |= {prefix + name: value for name, value in parameters.items()}
    return state


def _constant(value: NDArray[np.float32]) -> Callable[..., Tensor]:
    return lambda shape, dtype=None: ops.convert_to_tensor(value, dtype)


class KerasSupernet:
    """The supernet's arithmetic in Keras, for one path a step; see ``bnao.protocols.Supernet``.

    Args:
        config: the search; seed, optimizer and machine follow from it.
        network: its network, with the data's classes and image.

    Raises:
        BackendError: the device is not there, or a setting that this backend does not know.
    """

    def __init__(self, config: SearchConfig, network: NetworkConfig) -> None:
        self.network = network
        self.machine = Machine(config.machine)
        training = config.training
        self._constants = training.momentum, training.weight_decay, training.gradient_norm, training.idle_momentum
        with self.machine.scope():
            #: the network as a Keras model, with the weights that are trained here
            self.net = Supernet(network, config.seed, dtype=self.machine.policy)
            self._momenta = [ops.zeros(array.shape) for array in self.net.arrays]

    def step(self, passes: Sequence[Pass], rate: float) -> list[Outcome]:
        """Update once by the gradient of one path."""
        check_passes(passes)
        genotype, one = _only_path(passes)
        arrays = self.net.arrays
        with self.machine.scope():
            given = (one.images, one.labels.astype(np.int32), self._arch(genotype), one.masks, np.float32(rate))
            values = [tensor(array) for array in arrays]
            loss, right, values, momenta = _trained(self.net.forward, *self._constants)(values, self._momenta, *given)
            outcome = Outcome(float(loss), float(right) / len(one.labels))
            if math.isfinite(outcome.loss):
                for array, value in zip(arrays, values, strict=True):
                    array.assign(value)
                self._momenta = momenta
        return [outcome]

    def logits(self, architecture: Architecture, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Shape (b, classes) for one batch (b, height, width, channels), normalised by its own statistics."""
        arch = self._arch(_path_of(architecture))
        with self.machine.scope():
            values = [tensor(array) for array in self.net.arrays]
            computed: NDArray[np.float32] = to_numpy(_tested(self.net.forward)(values, images, arch))
        return computed

    def _arch(self, genotype: Genotype) -> NDArray[np.int32]:
        return self.net.arch_of(genotype).reshape(self.net.space.shape)

    def state(self) -> State:
        """Weights, and the momenta that are not zero."""
        momenta = named(self.net.forward.stacks, self._momenta, MOMENTUM)
        return {**self.net.state(), **{name: value for name, value in momenta.items() if value.any()}}

    def load_state(self, state: State) -> None:
        """Restore ``state``."""
        momenta = self.net.load_state(state)
        zeros = {name: np.zeros(shape, np.float32) for name, shape in supernet_shapes(self.network).items()}
        with self.machine.scope():
            self._momenta = [ops.convert_to_tensor(each.of({**zeros, **momenta})) for each in self.net.forward.stacks]


def _path_of(architecture: Architecture) -> Genotype:
    if isinstance(architecture, Mixture):
        raise BackendError("backend 'keras' computes no mixtures yet; give it a genotype, or take --backend torch")
    return architecture


def _only_path(passes: Sequence[Pass]) -> tuple[Genotype, Pass]:
    """The one pass that this backend makes a step, and its path."""
    one, *others = passes
    genotype = _path_of(one.architecture)
    if others or not one.learn or one.weight != 1:
        raise BackendError(
            "backend 'keras' makes one pass a step yet, which learns with weight 1; give it one, or take "
            "--backend torch"
        )
    return genotype, one


@cache
def _trained(forward: Forward, momentum: float, decay: float, most: float, idle: str) -> Callable[..., Any]:
    """A training step: the loss, how many images are classified rightly, and what arrays and momenta become."""

    def loss_of(
        values: Sequence[Tensor], images: Tensor, labels: Tensor, arch: Tensor, masks: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        logits = forward(values, images, arch, masks)
        right = ops.sum(ops.cast(ops.equal(ops.argmax(logits, -1), ops.cast(labels, "int64")), "float32"))
        return ops.mean(ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)), right

    def update(
        values: Sequence[Tensor],
        momenta: Sequence[Tensor],
        gradients: Sequence[Tensor],
        arch: Tensor,
        rate: Tensor,
    ) -> tuple[list[Tensor], list[Tensor]]:
        constants = [ops.convert_to_tensor(number, "float32") for number in (momentum, decay)]
        of_stack = PathUpdate(forward, arch, idle, clipping(gradients, most), rate, *constants)
        moved = [of_stack(*arrays) for arrays in zip(forward.stacks, values, momenta, gradients, strict=True)]
        return [value for value, _ in moved], [momentum for _, momentum in moved]

    updated = traced(update)

    def step(
        values: Sequence[Tensor],
        momenta: Sequence[Tensor],
        images: Tensor,
        labels: Tensor,
        arch: Tensor,
        masks: Tensor | None,
        rate: Tensor,
    ) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:
        (loss, right), gradients = value_and_gradients(loss_of, values, images, labels, arch, masks, has_more=True)
        return loss, right, *updated(values, momenta, gradients, arch, rate)

    # JAX must know the path: its parts are compiled, and the update, which takes any
    return traced(step) if ENGINE == "tensorflow" else step


@cache
def _tested(forward: Forward) -> Callable[..., Tensor]:
    return traced(forward) if ENGINE == "tensorflow" else forward
