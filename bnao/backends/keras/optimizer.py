"""SGD for a Keras supernet that touches only the path: momentum and weight decay of what had a part in a step."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from bnao.backends.keras.engine import ENGINE, by_shape, compiled_by_rank
from bnao.backends.keras.operations import Tensor, tensor
from bnao.backends.keras.stacks import chosen_slots, used_of_fixed_edges
from bnao.backends.keras.used import used_slots
from bnao.errors import BackendError
from bnao.network.stacked import Stack

if ENGINE == "tensorflow":
    import tensorflow as tf

if TYPE_CHECKING:
    from bnao.backends.keras.forward import Forward
    from bnao.backends.keras.model import Supernet


def _replicas() -> int:
    return int(tf.distribute.get_strategy().num_replicas_in_sync) if ENGINE == "tensorflow" else 1


def clipping(gradients: Sequence[Tensor], most: float) -> Tensor:
    """Return the factor that clips gradients to a global norm; 1 if theirs is 0."""
    return bounding(gradients, most) if most else ops.convert_to_tensor(1.0)


def bounding(gradients: Sequence[Tensor], most: float | Tensor) -> Tensor:
    """The same where there is a bound, which may be a tensor."""
    norm = ops.sqrt(sum(_square_sum(gradient) for gradient in gradients))
    return ops.minimum(most / (norm + 1e-6), 1.0)


@by_shape
def _square_sum(gradient: Tensor) -> Tensor:
    return ops.sum(ops.square(gradient))


@compiled_by_rank
def moved(
    weight: Tensor, momentum: Tensor, gradient: Tensor, factor: Tensor, rate: Tensor, keep: Tensor, decay: Tensor
) -> tuple[Tensor, Tensor]:
    """Return a weight and its momentum after a step of SGD with coupled (L2) weight decay."""
    momentum = keep * momentum + factor * gradient + decay * weight
    return weight - rate * momentum, momentum


@compiled_by_rank
def _moved_slots(
    weight: Tensor, momentum: Tensor, gradient: Tensor, slots: Tensor, chosen: Tensor, *numbers: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the same of a stack: of these slots, those that are chosen; a slot given twice is moved once."""
    rows = [ops.take(each, slots, 0) for each in (weight, momentum, gradient)]
    used = ops.reshape(chosen, (-1, *(1,) * (len(weight.shape) - 1)))
    at = ops.expand_dims(slots, -1)
    new_weight, new_momentum = moved(*rows, *numbers)
    return (
        ops.scatter_update(weight, at, ops.where(used, new_weight, rows[0])),
        ops.scatter_update(momentum, at, ops.where(used, new_momentum, rows[1])),
    )


@compiled_by_rank
def moved_where(
    weight: Tensor, momentum: Tensor, gradient: Tensor, used: Tensor, *numbers: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the same of the slots of an array that are used, shape (slots,)."""
    where = ops.reshape(used, (-1, *(1,) * (len(weight.shape) - 1)))
    new_weight, new_momentum = moved(weight, momentum, gradient, *numbers)
    return ops.where(where, new_weight, weight), ops.where(where, new_momentum, momentum)


class PathUpdate:
    """One step of SGD over the path of one architecture: what an array and its momentum become.

    What the architecture does not use keeps its value and its momentum, exactly as if it had no gradient at all
    (docs/network.md). The path follows from the architecture, not from gradients that happen to be zero.

    Args:
        forward: the supernet's forward pass.
        arch: (cells, nodes, edges, 2); it must be a NumPy array where no graph serves every path.
        idle: what parameters off the path do: keep value and momentum (path), or go on with momentum and weight decay
            as if their gradient were 0 (dense).
        factor: what all gradients are multiplied by; see ``clipping``.
        rate: the learning rate.
        momentum, decay: SGD's momentum and coupled weight decay.
    """

    def __init__(
        self,
        forward: Forward,
        arch: Tensor,
        idle: str,
        factor: Tensor,
        rate: Tensor,
        momentum: Tensor,
        decay: Tensor,
    ) -> None:
        self._forward, self._arch, self._dense = forward, arch, idle == "dense"
        self._numbers = factor, rate, momentum, decay
        self._slots: dict[tuple[object, ...], tuple[Tensor, Tensor] | None] = {}
        self._fixed: dict[object, Tensor] = {}
        self._used: dict[str, NDArray[np.bool_]] | None = None
        if not forward.has_graph:
            (genotype,) = forward.space.decode(arch)
            used = used_slots(forward.network, genotype)
            self._used = {each.name: slots for each, slots in zip(forward.stacks, used, strict=True)}

    def __call__(self, stack: Stack, weight: Tensor, momentum: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return the array and its momentum after the step."""
        if self._dense:
            return moved(weight, momentum, gradient, *self._numbers)
        if self._used is not None:
            used = ops.convert_to_tensor(self._used[stack.name], "bool")
            return moved_where(weight, momentum, gradient, used, *self._numbers)
        if self._forward.space.rules.residual:
            # edges of one operation use the same slots in each cell; of others all is used that passes something on
            part = stack.operations if stack.kind == "edge" else stack.name.partition(".")[0]
            if part not in self._fixed:
                self._fixed[part] = used_of_fixed_edges(self._forward.network, self._arch, stack)
            return moved_where(weight, momentum, gradient, self._fixed[part], *self._numbers)
        # stacks of one kind have the same slots chosen
        key = stack.kind, stack.reduction, stack.operations, len(stack.names)
        if key not in self._slots:
            self._slots[key] = chosen_slots(self._forward.network, self._arch, stack)
        chosen = self._slots[key]
        if chosen is None:
            return moved(weight, momentum, gradient, *self._numbers)
        return _moved_slots(weight, momentum, gradient, *chosen, *self._numbers)


@keras.saving.register_keras_serializable("bnao")
class PathSGD(keras.optimizers.Optimizer):
    """SGD with momentum, coupled weight decay and a bound on the gradient's norm, over a supernet's path alone.

    What the step's architecture did not use keeps its value and its momentum. Any other optimizer of Keras can
    train the supernet too, but moves all of it: by momentum and weight decay.

    Args:
        supernet: whose weights it moves; the architecture is that of its latest call. None: the one that is compiled
            with it.
        learning_rate: a number or a schedule.
        momentum: of SGD.
        weight_decay: coupled (L2), as in PyTorch's SGD.
        gradient_norm: gradients are scaled down to this norm; 0 = never.
        idle_momentum: whether parameters off the path keep value and momentum (path), or go on with momentum and
            weight decay (dense).
        name: the optimizer's.

    The defaults are the paper's (docs/training.md).
    """

    def __init__(
        self,
        supernet: Supernet | None = None,
        learning_rate: Any = 0.025,
        momentum: float = 0.9,
        weight_decay: float = 3e-4,
        gradient_norm: float = 5.0,
        idle_momentum: str = "path",
        name: str = "path_sgd",
    ) -> None:
        super().__init__(learning_rate=learning_rate, name=name)
        self._of: Callable[[], Supernet | None] = lambda: None
        if supernet is not None:
            self.bind(supernet)
        self._momentum, self._decay, self._most = momentum, weight_decay, gradient_norm
        self._idle = idle_momentum
        self.momenta: list[Any] = []
        self._update: PathUpdate | None = None  # of the step that is being made

    def bind(self, supernet: Supernet) -> None:
        """Move this supernet's weights."""
        self._of = weakref.ref(supernet)  # or Keras would save the model as a part of its optimizer, without end

    def _supernet(self) -> Supernet:
        if (supernet := self._of()) is None:
            raise BackendError("PathSGD moves a Supernet's weights: give it one, or compile one with it")
        return supernet

    def build(self, variables: Sequence[Any]) -> None:
        """Make a momentum for each of the supernet's arrays."""
        if self.built:
            return
        super().build(variables)
        self.momenta = [self.add_variable_from_reference(variable, "momentum") for variable in variables]

    def apply(self, grads: Sequence[Tensor | None], trainable_variables: Sequence[Any] | None = None) -> None:
        """Move the weights; over several replicas by the sum of their gradients, bounded as a whole."""
        variables = self._trainable_variables if trainable_variables is None else trainable_variables
        # TensorFlow has none for an array that the path does not use
        pairs = zip(grads, variables, strict=True)
        grads = [ops.zeros_like(tensor(variable)) if grad is None else grad for grad, variable in pairs]
        whole = grads
        if _replicas() > 1:  # Keras sums them over the replicas only after this
            whole = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, grads)
        scale = self.loss_scale_factor or 1.0
        factor = clipping([gradient / scale for gradient in whole] if scale != 1.0 else whole, self._most)
        supernet = self._supernet()
        numbers = (factor, self._get_current_learning_rate(), self._momentum, self._decay)
        tensors = [ops.convert_to_tensor(tensor(number), "float32") for number in numbers]
        self._update = PathUpdate(supernet.forward, supernet.arch, self._idle, *tensors)
        super().apply(grads, trainable_variables)

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        """Move one array's chosen slots."""
        assert self._update is not None  # apply comes first
        index = self._get_variable_index(variable)
        supernet = self._supernet()
        stack, momentum = supernet.forward.stacks[index], self.momenta[index]
        new_weight, new_momentum = self._update(stack, tensor(variable), tensor(momentum), gradient)
        self.assign(variable, new_weight)
        self.assign(momentum, new_momentum)

    def get_config(self) -> dict[str, Any]:
        """Return its numbers; the supernet is not among them."""
        config = super().get_config()
        return {
            "name": config["name"],
            "learning_rate": config["learning_rate"],
            "momentum": self._momentum,
            "weight_decay": self._decay,
            "gradient_norm": self._most,
            "idle_momentum": self._idle,
        }
