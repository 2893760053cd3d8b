"""The supernet's arithmetic in Keras: passes over batches, and updates of what they use (docs/network.md)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import compress
from typing import Any

import numpy as np
from attrs import evolve, frozen
from keras import ops
from numpy.typing import NDArray

from bnao.backends.keras.engine import traced, value_and_gradients
from bnao.backends.keras.forward import Forward
from bnao.backends.keras.machine import Machine
from bnao.backends.keras.mixed import LEFT_OUT, Mixed, MixedCells, MixedData, as_data, mixed_cells
from bnao.backends.keras.model import Supernet, parameters_by_name, tell_of_the_first_step
from bnao.backends.keras.operations import Tensor, scoring_norm, tensor, to_numpy
from bnao.backends.keras.optimizer import PathUpdate, bounding, moved, moved_where
from bnao.backends.keras.replicas import Gradients, by_rows, check_is_a_path, divided, replicas
from bnao.backends.keras.used import used_slots
from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.network.parameters import supernet_shapes
from bnao.network.state import MOMENTUM
from bnao.protocols import Architecture, Mixture, Outcome, Pass, State
from bnao.space.genotype import Genotype
from bnao.training.partial import as_computed, computed_passes


class KerasSupernet:
    """The supernet's arithmetic in Keras; see ``bnao.protocols.Supernet``.

    Under TensorFlow one graph serves every path, and one every mixture. Under JAX a cell is one program for all paths,
    and mixtures are computed operation by operation, each compiled.

    Args:
        config: the search; seed, optimizer and machine follow from it.
        network: its network, with the data's classes and image.

    Raises:
        BackendError: the device is not there.
    """

    def __init__(self, config: SearchConfig, network: NetworkConfig) -> None:
        self.network = network
        self.machine = Machine(config.machine)
        training = config.training
        self._idle = training.idle_momentum
        # given to an update as data, so that one program serves all settings
        self._numbers = [np.float32(number) for number in (training.momentum, training.weight_decay)]
        self._most = np.float32(training.gradient_norm)
        with self.machine.scope():
            #: the network as a Keras model, with the weights that are trained here
            self.net = Supernet(network, config.seed, dtype=self.machine.policy)
            # JAX would compile ops.zeros, and a conversion without a dtype, for each shape
            self._momenta = [
                ops.convert_to_tensor(np.zeros(array.shape, np.float32), "float32") for array in self.net.arrays
            ]
        on_cpu = self.machine.device.startswith("cpu")  # elsewhere an engine's own sums are exact enough
        self._scoring = evolve(self.net.forward, norm=scoring_norm) if on_cpu else self.net.forward
        self._replicas = replicas()
        affine = training.norm_affine
        self._learns = tuple(affine or not each.is_operations_norm for each in self.net.forward.stacks)

    def step(self, passes: Sequence[Pass], rate: float) -> list[Outcome]:
        """Make the passes, sum the gradients of those that learn, and update once."""
        passes = computed_passes(passes, self.network)
        tell_of_the_first_step(self.net.forward)
        with self.machine.scope():
            values = [tensor(array) for array in self.net.arrays]
            if self._is_one_program(passes):
                return [self._stepped(values, passes[0], rate)]
            outcomes, learned, total = self._all_made(values, passes)
            if total is not None and all(math.isfinite(outcome.loss) for outcome in outcomes):
                self._update(values, total, learned, rate)
        return outcomes

    def gradients(self, passes: Sequence[Pass]) -> tuple[list[Outcome], State]:
        """Make the passes, and return the sum of the gradients of those that learn."""
        passes = computed_passes(passes, self.network)
        with self.machine.scope():
            outcomes, learned, total = self._all_made([tensor(array) for array in self.net.arrays], passes)
            if total is None:
                return outcomes, {}
            stacks = self.net.forward.stacks
            each_uses = [used_slots(self.network, each) for each in learned]
            slots = zip(stacks, *each_uses, strict=True)
            used = {name for each, *of in slots for name, one in zip(each.names, np.any(of, 0), strict=True) if one}
            return outcomes, {name: value for name, value in parameters_by_name(stacks, total).items() if name in used}

    def _all_made(
        self, values: Sequence[Tensor], passes: Sequence[Pass]
    ) -> tuple[list[Outcome], list[Genotype | MixedCells], Sequence[Tensor] | None]:
        """Make passes: what came out of them, the architectures that learn, the sum of their gradients."""
        made: list[_Made] = []
        learned: list[Genotype | MixedCells] = []
        total: Sequence[Tensor] | None = None
        for each in passes:
            check_is_a_path(each.architecture, self._replicas)
            architecture = self._known(each.architecture, each.slope)
            made.append(_made(self.net.forward, self._replicas, values, each, architecture, made))
            if each.learn:
                learned.append(architecture.cells if isinstance(architecture, Mixed) else each.architecture)
                total = _added(total, made[-1].gradients, made[-1].factor)
        return [each.outcome for each in made], learned, total

    def _is_one_program(self, passes: Sequence[Pass]) -> bool:
        """Whether a step is that of one path, for which gradients and update are one graph."""
        forward, first = self.net.forward, passes[0]
        plain = len(passes) == 1 and first.learn and first.weight == 1 and isinstance(first.architecture, Genotype)
        return plain and forward.has_graph and not forward.space.rules.residual

    def _stepped(self, values: Sequence[Tensor], one: Pass, rate: float) -> Outcome:
        """Make a step of one path."""
        given = one.images, one.labels.astype(np.int32), self._known(one.architecture), one.masks
        program = _path_stepped(self.net.forward, self._replicas, bool(self._most), self._idle, self._learns)
        loss, logits, values, momenta = program(values, self._momenta, *given, *self._numbers_at(rate))
        outcome = Outcome(float(loss), _accuracy(logits, one.labels))
        if math.isfinite(outcome.loss):
            self._assign(values, momenta)
        return outcome

    def _numbers_at(self, rate: float) -> tuple[np.float32, ...]:
        return np.float32(rate), *self._numbers, self._most

    def _assign(self, values: Sequence[Tensor], momenta: Sequence[Tensor]) -> None:
        self._momenta = momenta
        for array, value in zip(self.net.arrays, values, strict=True):
            array.assign(value)

    def _update(
        self,
        values: Sequence[Tensor],
        gradients: Sequence[Tensor],
        learned: Sequence[Genotype | MixedCells],
        rate: float,
    ) -> None:
        """Update what has a part in the architectures that have learned."""
        forward, given, numbers = self.net.forward, (values, self._momenta, gradients), self._numbers_at(rate)
        first, *others = learned
        as_data = forward.has_graph and not forward.space.rules.residual
        if as_data and isinstance(first, Genotype) and not others:
            update = _path_updated(forward, bool(self._most), self._idle, self._learns)
            self._assign(*update(*given, self._known(first), *numbers))
        else:
            each_uses = [used_slots(self.network, each) for each in learned]
            used = [ops.convert_to_tensor(np.any(slots, 0), "bool") for slots in zip(*each_uses, strict=True)]
            update = _union_updated(bool(self._most), self._idle, self._learns)
            self._assign(*update(*given, used, *numbers))

    def logits(self, architecture: Architecture, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Shape (b, classes) for one batch (b, height, width, channels), normalised by its own statistics."""
        known = self._known(as_computed(architecture, self.network))
        with self.machine.scope():
            values = [tensor(array) for array in self.net.arrays]
            return to_numpy(_tested(self._scoring, values, divided(images), known, None))

    def _known(self, architecture: Architecture, slope: str = "no") -> NDArray[np.int32] | Mixed:
        """Return an architecture as the network takes it."""
        if isinstance(architecture, Mixture):
            cells = mixed_cells(architecture, self.network, slope)
            return Mixed(cells, ops.convert_to_tensor(architecture.weights, "float32"))
        return self.net.arch_of(architecture).reshape(self.net.space.shape)

    def state(self) -> State:
        """Weights, and the momenta that are not zero."""
        momenta = parameters_by_name(self.net.forward.stacks, self._momenta, MOMENTUM)
        return {**self.net.state(), **{name: value for name, value in momenta.items() if value.any()}}

    def load_state(self, state: State) -> None:
        """Restore ``state``."""
        momenta = self.net.load_state(state)
        zeros = {name: np.zeros(shape, np.float32) for name, shape in supernet_shapes(self.network).items()}
        with self.machine.scope():
            self._momenta = [
                ops.convert_to_tensor(each.of({**zeros, **momenta}), "float32") for each in self.net.forward.stacks
            ]


@frozen(eq=False)
class _Made:
    """A pass that has been made, as later passes and the update of its step refer to it.

    Attributes:
        logits: shape (b, classes).
        outcome: what came out of it.
        factor: of its gradients: its weight, or 0 where its loss is not above the other that it should not exceed.
        gradients: of its own loss by the arrays; none where it does not learn.
    """

    logits: Tensor
    outcome: Outcome
    factor: float
    gradients: Sequence[Tensor]


def _made(
    forward: Forward,
    devices: tuple[str, ...],
    values: Sequence[Tensor],
    one: Pass,
    architecture: NDArray[np.int32] | Mixed,
    earlier: Sequence[_Made],
) -> _Made:
    """Make a pass by the arrays as they are, divided among TensorFlow's replicas if there are any."""
    images, masks = divided(one.images), None if one.masks is None else divided(one.masks, -1)
    targets = one.labels.astype(np.int32) if one.teacher is None else ops.softmax(earlier[one.teacher].logits)
    by_values: Sequence[Tensor] = ()
    by_mixture: Tensor | None = None
    if isinstance(architecture, Mixed) and (one.learn or one.slope != "no"):
        given = forward, values, images, targets, architecture, masks, one.learn, one.slope != "no"
        loss, logits, by_values, by_mixture = _mixture_gradients(*given)
    elif one.learn:
        gradients_of = _path_gradients(forward, devices)
        loss, logits, by_values = gradients_of(values, images, targets, architecture, masks)
    else:
        logits = _tested(forward, values, images, architecture, masks)
        loss = _loss(ops.convert_to_tensor(targets), logits)
    own = float(loss)
    factor = one.weight if one.above is None or own > earlier[one.above].outcome.loss else 0.0
    slope = None if one.slope == "no" else factor * to_numpy(by_mixture).astype(np.float64)
    return _Made(logits, Outcome(own, _accuracy(logits, one.labels), slope), factor, by_values)


def _accuracy(logits: Tensor, labels: NDArray[np.int64]) -> float:
    return float((to_numpy(logits).argmax(1) == labels).mean())


def _loss(targets: Tensor, logits: Tensor) -> Tensor:
    """Mean cross-entropy with labels (b,), or with probabilities (b, classes)."""
    of_labels = len(targets.shape) == 1
    cross_entropy = ops.sparse_categorical_crossentropy if of_labels else ops.categorical_crossentropy
    return ops.mean(cross_entropy(targets, logits, from_logits=True))


def _gradients_of_path(forward: Forward, devices: tuple[str, ...]) -> Gradients:
    """Return a path's loss and logits, and its loss's gradients by the arrays."""

    def loss_of(
        values: Sequence[Tensor], images: Tensor, targets: Tensor, arch: Tensor, masks: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        logits = forward(values, images, arch, masks)
        return _loss(targets, logits), logits

    def gradients_of(values: Sequence[Tensor], *others: Tensor | None) -> tuple[Tensor, Tensor, list[Tensor]]:
        (loss, logits), gradients = value_and_gradients(loss_of, values, *others, has_more=True)
        return loss, logits, gradients

    return by_rows(gradients_of, devices) if devices else gradients_of


@cache
def _path_gradients(forward: Forward, devices: tuple[str, ...]) -> Gradients:
    """Return the same as one program where that can be: JAX must know the path, whose cells are compiled."""
    computed = _gradients_of_path(forward, devices)
    return traced(computed) if forward.has_graph else computed


def _mixture_gradients(
    forward: Forward,
    values: Sequence[Tensor],
    images: Tensor,
    targets: Tensor,
    mixed: Mixed,
    masks: NDArray[np.float32] | None,
    learns: bool,
    has_slope: bool,
) -> tuple[Tensor, Tensor, Sequence[Tensor], Tensor]:
    """A mixture's loss and logits, and its loss's gradients by the arrays, where it learns, and by its weights."""
    if forward.has_graph:
        program = _mixture_program(forward, learns, has_slope)
        return program(values, images, targets, *as_data(mixed, forward.network), masks)
    given_masks = None if masks is None else ops.convert_to_tensor(masks, "float32")

    def logits_of(arrays: Sequence[Tensor], weights: Tensor) -> Tensor:
        return forward(arrays, images, Mixed(mixed.cells, weights), given_masks)

    return _gradients_of_mixture(logits_of, values, mixed.weights, ops.convert_to_tensor(targets), learns)


@cache
def _mixture_program(forward: Forward, learns: bool, has_slope: bool) -> Callable[..., Any]:
    """Return the same as one program, of a mixture that is data."""

    def gradients_of(
        values: Sequence[Tensor],
        images: Tensor,
        targets: Tensor,
        weights: Tensor,
        terms: Tensor,
        loose: Tensor,
        masks: Tensor | None,
    ) -> tuple[Tensor, Tensor, Sequence[Tensor], Tensor]:
        def logits_of(arrays: Sequence[Tensor], weights: Tensor) -> Tensor:
            return forward(arrays, images, MixedData(weights, terms, loose, learns, has_slope), masks)

        *found, by_mixture = _gradients_of_mixture(logits_of, values, weights, targets, learns)
        return *found, by_mixture * ops.cast(terms != LEFT_OUT, by_mixture.dtype)

    return traced(gradients_of)


def _gradients_of_mixture(
    logits_of: Callable[..., Tensor], values: Sequence[Tensor], weights: Tensor, targets: Tensor, learns: bool
) -> tuple[Tensor, Tensor, Sequence[Tensor], Tensor]:
    def loss_of(given: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        *arrays, weights = given if learns else (*values, *given)
        logits = logits_of(arrays, weights)
        return _loss(targets, logits), logits

    given = [*(values if learns else ()), weights]
    (loss, logits), (*by_values, by_mixture) = value_and_gradients(loss_of, given, has_more=True)
    return loss, logits, by_values, by_mixture


@cache
def _mixture_logits(forward: Forward) -> Callable[..., Tensor]:
    """Return the logits of a mixture that is data, as one program."""

    def logits_of(values: Sequence[Tensor], images: Tensor, *data: Tensor | None) -> Tensor:
        *data, masks = data
        return forward(values, images, MixedData(*data), masks)

    return traced(logits_of)


@traced
def _sum(total: Sequence[Tensor] | None, gradients: Sequence[Tensor], factor: Tensor) -> list[Tensor]:
    scaled = [factor * gradient for gradient in gradients]
    return scaled if total is None else [one + other for one, other in zip(total, scaled, strict=True)]


def _added(total: Sequence[Tensor] | None, gradients: Sequence[Tensor], factor: float) -> Sequence[Tensor]:
    """Return the sum of gradients so far, and a pass's, times its factor."""
    return gradients if total is None and factor == 1 else _sum(total, gradients, np.float32(factor))


def _update_of_path(forward: Forward, clips: bool, idle: str, learns: tuple[bool, ...]) -> Callable[..., Any]:
    """Return arrays and momenta after an update by the gradients of one path; those that do not learn stay."""

    def update(
        values: Sequence[Tensor],
        momenta: Sequence[Tensor],
        gradients: Sequence[Tensor],
        arch: Tensor,
        rate: Tensor,
        momentum: Tensor,
        decay: Tensor,
        most: Tensor,
    ) -> tuple[list[Tensor], list[Tensor]]:
        factor = bounding([*compress(gradients, learns)], most) if clips else ops.convert_to_tensor(1.0)
        of_stack = PathUpdate(forward, arch, idle, factor, rate, momentum, decay)
        new = [
            of_stack(stack, *arrays) if learn else arrays[:2]
            for learn, stack, *arrays in zip(learns, forward.stacks, values, momenta, gradients, strict=True)
        ]
        return [value for value, _ in new], [momentum for _, momentum in new]

    return update


@cache
def _path_updated(*settings: Any) -> Callable[..., Any]:
    """Return the same as one program, of the settings that ``_update_of_path`` takes."""
    return traced(_update_of_path(*settings))


@cache
def _path_stepped(
    forward: Forward, devices: tuple[str, ...], clips: bool, idle: str, learns: tuple[bool, ...]
) -> Callable[..., Any]:
    """Return a path's loss and logits, and arrays and momenta after the update, as one program."""
    gradients_of, update = _gradients_of_path(forward, devices), _update_of_path(forward, clips, idle, learns)

    def stepped(
        values: Sequence[Tensor],
        momenta: Sequence[Tensor],
        images: Tensor,
        labels: Tensor,
        arch: Tensor,
        masks: Tensor | None,
        *numbers: Tensor,
    ) -> tuple[Tensor, Tensor, Sequence[Tensor], Sequence[Tensor]]:
        loss, logits, gradients = gradients_of(values, images, labels, arch, masks)
        return loss, logits, *update(values, momenta, gradients, arch, *numbers)

    return traced(stepped)


@cache
def _union_updated(clips: bool, idle: str, learns: tuple[bool, ...]) -> Callable[..., Any]:
    """Return them after an update by gradients of any architectures, given which slots of each array they use."""

    def update(
        values: Sequence[Tensor],
        momenta: Sequence[Tensor],
        gradients: Sequence[Tensor],
        used: Sequence[Tensor],
        rate: Tensor,
        momentum: Tensor,
        decay: Tensor,
        most: Tensor,
    ) -> tuple[list[Tensor], list[Tensor]]:
        factor = bounding([*compress(gradients, learns)], most) if clips else ops.convert_to_tensor(1.0)
        numbers = factor, rate, momentum, decay

        def new_of(slots: Tensor, *arrays: Tensor) -> tuple[Tensor, Tensor]:
            return moved(*arrays, *numbers) if idle == "dense" else moved_where(*arrays, slots, *numbers)

        new = [
            new_of(*arrays) if learn else (arrays[1], arrays[2])
            for learn, *arrays in zip(learns, used, values, momenta, gradients, strict=True)
        ]
        return [value for value, _ in new], [momentum for _, momentum in new]

    return traced(update)


def _tested(
    forward: Forward, values: Sequence[Tensor], images: Tensor, arch: NDArray[np.int32] | Mixed, masks: Tensor | None
) -> Tensor:
    """Logits alone."""
    if not forward.has_graph:
        return forward(values, images, arch, masks)
    if isinstance(arch, Mixed):
        return _mixture_logits(forward)(values, images, *as_data(arch, forward.network), masks)
    return _graph(forward)(values, images, arch, masks)


_graph: Callable[[Forward], Callable[..., Tensor]] = cache(traced)
