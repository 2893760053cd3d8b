"""The supernet as a Keras model, whose architecture is an input (docs/network.md)."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import attrs
import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from bnao.backends.keras.engine import ENGINE
from bnao.backends.keras.forward import Forward
from bnao.backends.keras.operations import Tensor, tensor, to_numpy
from bnao.backends.keras.optimizer import PathSGD
from bnao.backends.keras.stacks import canonical
from bnao.config.settings import NetworkConfig
from bnao.errors import BackendError, DataError, GenotypeError
from bnao.network.parameters import initial_weights, supernet_shapes
from bnao.network.stacked import Stack
from bnao.network.state import checked_state
from bnao.protocols import State
from bnao.space.genotype import Genotype
from bnao.training.partial import check_whole

if ENGINE == "tensorflow":
    import tensorflow as tf
else:
    import jax


log = logging.getLogger(__name__)


@cache
def tell_of_the_first_step(forward: Forward) -> None:
    """Log once, for all supernets of a shape, why the first step takes longer than the others."""
    if forward.has_graph:
        log.info("The first steps build TensorFlow graphs for all that follow, and take longer than these.")
    elif ENGINE == "jax":
        log.info("The first step compiles one program for each shape of a cell, and takes longer than the next ones.")


@keras.saving.register_keras_serializable("bnao")
class Supernet(keras.Model):
    """All genotypes of a space in one Keras model; the architecture is an input, beside the images.

    It is called with ``{"image": images, "arch": arch}``: images (b, height, width, channels), normalised; arch
    (b, length) whole numbers, one genotype as ``SearchSpace.encode`` gives it, in equal rows (a strategy splits a
    batch by rows; row 0 counts). It gives logits (b, classes). Under TensorFlow one graph serves every
    architecture: nothing is traced again. Under JAX, where each cell is a program, ``compile`` makes Keras run the
    network step by step (``run_eagerly``).

    What an arch is not allowed to hold - a source or operation that does not exist, unequal rows - is refused:
    where values are known with a GenotypeError, within a TensorFlow graph by an assertion that stops the step.

    ``save`` keeps it whole in a ``.keras`` file, with optimizer and momenta where it is compiled;
    ``keras.saving.load_model`` reads it where ``bnao.backends.keras`` has been imported.

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
        self.network, self._seed = network, seed
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

    def compile(self, optimizer: Any = "rmsprop", *arguments: Any, **options: Any) -> None:
        """Compile as any Keras model; where no graph serves all architectures, networks run step by step."""
        if not self.forward.has_graph:
            options["run_eagerly"] = True
        super().compile(optimizer, *arguments, **options)
        own = getattr(self.optimizer, "inner_optimizer", self.optimizer)  # where a float16 loss is scaled
        if isinstance(own, PathSGD):
            own.bind(self)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as it was when it was saved."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    def get_config(self) -> dict[str, Any]:
        """Return what it is made of, but for the weights."""
        return {
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "network": attrs.asdict(self.network),
            "seed": self._seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Supernet:
        """Make one from what ``get_config`` returned."""
        network = {**config["network"], "image": tuple(config["network"]["image"])}
        options = {"name": config["name"], "dtype": keras.dtype_policies.get(config["dtype"])}
        return cls(NetworkConfig(**network), config["seed"], **options)

    def export(self, filepath: Any, *arguments: Any, **options: Any) -> Any:
        """Export the program of all architectures, as any Keras model; its inputs are known.

        Raises:
            BackendError: no graph serves all architectures of the space on this engine.
        """
        if not self.forward.has_graph:
            raise BackendError(
                f"the supernet of space {self.space.name!r} is no one program in {ENGINE}, so it cannot be exported; "
                f"save it, or export a genotype's own network (bnao export)"
            )
        signature = {
            "image": keras.InputSpec(shape=(None, *self.network.image), dtype="float32"),
            "arch": keras.InputSpec(shape=(None, self.space.length), dtype="int32"),
        }
        return super().export(filepath, *arguments, **{"input_signature": [signature], **options})

    def summary(self, *arguments: Any, print_fn: Callable[[str], Any] = print, **options: Any) -> None:
        """Print the number of parameters of stem, cells and classifier, which are no Keras layers."""
        counts: dict[str, int] = {}
        for each, array in zip(self.forward.stacks, self.arrays, strict=True):
            part = ".".join(each.name.split(".")[: 2 if each.name.startswith("cells.") else 1])
            counts[part] = counts.get(part, 0) + math.prod(array.shape)
        height, width, channels = self.network.image
        print_fn(
            f"Supernet {self.name!r}: space {self.space.name}, {self.space.nodes} nodes, images {height} x {width} x "
            f"{channels}, {self.network.classes} classes, {self.dtype_policy.name}"
        )
        reductions = {f"cells.{each.index}" for each in self.forward.positions if each.reduction}
        for part, count in counts.items():
            kind = "" if not part.startswith("cells.") else " reduction" if part in reductions else " normal"
            print_fn(f"  {part + kind:<20}{count:>14,}")
        print_fn(f"  {'parameters':<20}{sum(counts.values()):>14,}")

    def call(self, inputs: Mapping[str, Tensor], training: bool | None = None) -> Tensor:
        """Return logits (b, classes) of images along the path of an architecture; the same in training and testing."""
        check_whole(self.network)
        self._check_inputs(inputs)
        arch = self._checked(inputs["arch"])
        values = [tensor(array) for array in self.arrays]
        if arch is None:  # Keras asks for shapes, or someone traces what must not be traced
            return ops.full((ops.shape(inputs["image"])[0], self.network.classes), float("nan"))
        tell_of_the_first_step(self.forward)
        self.arch = arch
        return self.forward(values, inputs["image"], arch)

    def _check_inputs(self, inputs: Any) -> None:
        """Raise DataError if they are not the two it needs, or the images of another size."""
        if not isinstance(inputs, Mapping) or not {"image", "arch"} <= set(inputs):
            given = sorted(inputs) if isinstance(inputs, Mapping) else type(inputs).__name__
            raise DataError(f'a supernet is called with {{"image": images, "arch": arch}}, and not with {given}')
        shape = tuple(inputs["image"].shape)
        if len(shape) != 4 or any(
            each not in (None, own) for each, own in zip(shape[1:], self.network.image, strict=True)
        ):
            height, width, channels = self.network.image
            raise DataError(
                f"image has shape {shape}; this supernet's images are (batch, {height}, {width}, {channels})"
            )

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
            if not self.forward.has_graph:
                return None
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
        return ops.convert_to_tensor(known) if self.forward.has_graph else known

    def _assertions(self, rows: Tensor) -> list[Any]:
        """What stops a step within a graph whose architecture is none."""
        space = self.space
        edges = tf.reshape(rows[0], space.shape)
        sources = [space.sources(*place) for place in space.places]
        least = np.array([(each[0], 0) for each in sources], np.int32).reshape(space.shape[1:])
        most = np.array([(each[-1], len(space.operations) - 1) for each in sources], np.int32).reshape(space.shape[1:])
        inside = tf.reduce_all((edges >= least) & (edges <= most))
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
        return parameters_by_name(self.forward.stacks, self.arrays)

    def load_state(self, state: State) -> dict[str, NDArray[np.float32]]:
        """Take over parameters by canonical name; gives the state's momenta by parameter name.

        Raises:
            WeightsError: a parameter is missing, unknown or of another shape.
        """
        own, momenta = checked_state(state, supernet_shapes(self.network), {})
        for each, array in zip(self.forward.stacks, self.arrays, strict=True):
            array.assign(each.of(own))
        return momenta


def parameters_by_name(
    stacks: Sequence[Stack], arrays: Sequence[Any], prefix: str = ""
) -> dict[str, NDArray[np.float32]]:
    """Return the parameters in arrays by canonical name."""
    state = {}
    for stack, array in zip(stacks, arrays, strict=True):
        parameters = stack.parameters(to_numpy(array))
        state |= {prefix + name: value for name, value in parameters.items()}
    return state


def _constant(value: NDArray[np.float32]) -> Callable[..., Tensor]:
    return lambda shape, dtype=None: ops.convert_to_tensor(value, dtype)
