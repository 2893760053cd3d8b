"""The supernet in PyTorch: every genotype of the space as a path through one network (docs/network.md)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bnao.backends.torch.cell import one_cell, states_of
from bnao.backends.torch.kernels import is_for_grouping, operations_for
from bnao.backends.torch.layers import Layers
from bnao.backends.torch.machine import Machine, prepare
from bnao.backends.torch.mixed import Mixed
from bnao.backends.torch.operations import Operations
from bnao.backends.torch.optimizer import PathSGD
from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.network.parameters import operation_norms, supernet_shapes
from bnao.network.stack import stack, stem_channels
from bnao.protocols import Architecture, Outcome, Pass, State
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.training.partial import as_computed, computed_passes


class Network:
    """The supernet's forward pass for one genotype at a time.

    Args:
        network: space, stack, classes and image.
        seed: of the first weights.
        machine: where and how it computes.

    Attributes:
        operations: how layers are computed; None: as is quickest.
    """

    operations: Operations | None = None

    def __init__(self, network: NetworkConfig, seed: int, machine: Machine = Machine()) -> None:  # noqa: B008  # frozen
        self.network = network
        self.space = space_named(network.space, network.nodes)
        self.machine, self.device = machine, machine.device
        self.positions = stack(network)
        entangled = self.space.operations if network.entangle else ()
        self.layers = Layers(supernet_shapes(network), seed, self.device, entangled=entangled)
        self.rules = self.space.rules
        # groups of samples lie where parts of channels are taken
        self._groups = is_for_grouping(self.space) and network.partial_channels == 1
        self._names = [
            [f"cells.{p.index}.output.state.{s}" for s in range(self.space.inputs + self.space.nodes)]
            for p in self.positions
        ]

    def __call__(
        self,
        images: Tensor,
        architecture: Genotype | Mixed,
        masks: NDArray[np.float32] | None = None,
        scoring: bool = False,
    ) -> tuple[Tensor, list[Tensor]]:
        """Logits (b, classes) of images (b, channels, height, width), and the path: the parameters used.

        Args:
            images: normalised.
            architecture: the path through the network, or the mixture.
            masks: of drop path, shape (cells, nodes, edges, b), or of a mixture's identities, shape (cells, places, b);
                None: nothing is dropped.
            scoring: whether norms take the time that exact sums need.
        """
        operations = self.operations or operations_for(
            self.machine, images, self.network.channels, separable=self._groups, scoring=scoring
        )
        path: list[Tensor] = []
        with self.machine.forward_pass():
            before, last = stem_states(operations, self.layers, self.network, images, path)
            dropped = None if masks is None else torch.from_numpy(masks).to(self.device)
            if dropped is not None and isinstance(architecture, Mixed):
                dropped = dropped[:, None]  # one row of places, as of a node's edges
            for position, names in zip(self.positions, self._names, strict=True):
                cell = architecture.cell(position.reduction)
                mask = None if dropped is None else operations.masks(dropped[position.index], position.channels)
                if self.rules.residual:
                    last = one_cell(
                        operations, self.layers, position, cell, last, mask, path, self.rules, self.network.share_over
                    )
                    continue
                states = states_of(
                    operations, self.layers, position, cell, before, last, mask, path, self.rules,
                    self.network.slots, self.network.share_over,
                )  # fmt: skip
                if not self.rules.mixes:
                    before, last = last, operations.concatenated(states)
                    continue
                kernels = [self.layers.weights[names[state]] for state in cell.outputs(self.rules.output)]
                norm = self.layers.norm(f"cells.{position.index}.output.norm")
                path += (*kernels, norm.scale, norm.shift)
                before, last = last, operations.mixed([operations.relu(state) for state in states], kernels, norm)
            if self.rules.residual:
                last = head(operations, self.layers, last, path)
            weight, bias = self.layers.weights["classifier.weight"], self.layers.weights["classifier.bias"]
            path += (weight, bias)
            # each once, though edges that share weights use them twice
            return F.linear(operations.pooled(last), weight, bias).float(), list(dict.fromkeys(path))


def stem_states(
    operations: Operations, layers: Layers, network: NetworkConfig, images: Tensor, path: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """States 0 and 1 of the first cell."""
    before = last = images
    for index, _ in enumerate(stem_channels(network)):
        layer = layers.convolution(f"stem.{index}")
        assert layer is not None
        path += layer.trained
        stride = 1 if network.network == "cifar" else 2
        if index:
            last = operations.relu(last)
        before, last = last, operations.stem(last, layer, stride)
    return (last, last) if network.network == "cifar" else (before, last)


def head(operations: Operations, layers: Layers, last: Tensor, path: list[Tensor]) -> Tensor:
    """Return the norm and ReLU before the classifier of NAS-Bench-201's networks."""
    norm = layers.norm("head.norm")
    path += (norm.scale, norm.shift)
    return operations.relu(operations.norm(last, norm))


def gradients_of(loss: Tensor, path: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Return the parameters of a path that the loss depends on, and its gradient by each.

    A cell that passes nothing on (all its edges ``none``) cuts off what stands before it.
    """
    gradients = torch.autograd.grad(loss, path, allow_unused=True)
    used = [(weight, gradient) for weight, gradient in zip(path, gradients, strict=True) if gradient is not None]
    return [weight for weight, _ in used], [gradient for _, gradient in used]


def to_numpy(tensor: Tensor) -> NDArray[np.float32]:
    """A tensor as an array of its own."""
    array: NDArray[np.float32] = tensor.detach().cpu().numpy().copy()
    return array


def images_of(batch: NDArray[np.float32], device: torch.device) -> Tensor:
    """A batch (b, height, width, channels) as (b, channels, height, width), channels last in memory."""
    return torch.from_numpy(batch).to(device).permute(0, 3, 1, 2)


class TorchSupernet:
    """The supernet's arithmetic in PyTorch; see ``bnao.protocols.Supernet``.

    Args:
        config: the search; seed, optimizer and machine follow from it.
        network: its network, with the data's classes and image.

    Raises:
        BackendError: the device is not there.
    """

    def __init__(self, config: SearchConfig, network: NetworkConfig) -> None:
        self.network = network
        self.net = Network(network, config.seed, prepare(config.machine))
        weights = self.net.layers.weights
        if not config.training.norm_affine:
            for name in operation_norms(network):
                weights[name].requires_grad_(False)
        trained = {name: weight for name, weight in weights.items() if weight.requires_grad}
        self._optimizer = PathSGD(trained, config.training, config.training.idle_momentum)

    def step(self, passes: Sequence[Pass], rate: float) -> list[Outcome]:
        """Make the passes, sum the gradients of those that learn, and update once."""
        outcomes, gradients = self._all_made(passes)
        if gradients and all(math.isfinite(outcome.loss) for outcome in outcomes):
            self._optimizer.step(list(gradients), list(gradients.values()), rate)
        return outcomes

    def gradients(self, passes: Sequence[Pass]) -> tuple[list[Outcome], State]:
        """Make the passes, and return the sum of the gradients of those that learn."""
        outcomes, gradients = self._all_made(passes)
        return outcomes, {self._optimizer.name_of(weight): to_numpy(found) for weight, found in gradients.items()}

    def _all_made(self, passes: Sequence[Pass]) -> tuple[list[Outcome], dict[Tensor, Tensor]]:
        passes = computed_passes(passes, self.network)
        made: list[_Made] = []
        gradients: dict[Tensor, Tensor] = {}
        for each in passes:
            made.append(self._made(each, made, gradients))
        return [each.outcome for each in made], gradients

    def _made(self, one: Pass, earlier: Sequence[_Made], gradients: dict[Tensor, Tensor]) -> _Made:
        """Make a pass, and add its gradients to those of the step so far."""
        architecture = self._known(one.architecture, one.slope)
        mixture = architecture.weights if isinstance(architecture, Mixed) and one.slope != "no" else None
        with torch.set_grad_enabled(one.learn or mixture is not None), self.net.layers.constant(not one.learn):
            labels = torch.from_numpy(one.labels).to(self.net.device)
            logits, path = self.net(images_of(one.images, self.net.device), architecture, one.masks)
            loss = F.cross_entropy(logits, labels if one.teacher is None else earlier[one.teacher].probabilities)
            term = self._term(one, loss, earlier)
        learning = [weight for weight in path if weight.requires_grad] if one.learn else []
        wanted = [*learning, *([] if mixture is None else [mixture])]
        slope = None if mixture is None else np.zeros(mixture.shape)
        # of a mixture that passes nothing on, with weights that do not learn, the loss depends on nothing
        depends = bool(wanted) and term.requires_grad
        for weight, gradient in zip(*gradients_of(term, wanted), strict=True) if depends else ():
            if weight is mixture:
                slope = gradient.cpu().numpy().astype(np.float64)
            else:
                gradients[weight] = gradients[weight] + gradient if weight in gradients else gradient
        logits, right = logits.detach(), (logits.argmax(1) == labels).sum()
        value, count = torch.stack([loss.detach(), right.float()]).tolist()
        return _Made(logits, loss.detach(), Outcome(value, count / len(labels), slope))

    def _term(self, one: Pass, loss: Tensor, earlier: Sequence[_Made]) -> Tensor:
        """Return a pass's term of the update's loss."""
        term = loss if one.above is None else F.relu(loss - earlier[one.above].outcome.loss)
        return term if one.weight == 1 else term * one.weight

    def _known(self, architecture: Architecture, slope: str) -> Genotype | Mixed:
        """An architecture as the network takes it."""
        if isinstance(architecture, Genotype):
            return architecture
        return Mixed(architecture, self.network, slope, self.net.device)

    @torch.inference_mode()
    def logits(self, architecture: Architecture, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Shape (b, classes) for one batch (b, height, width, channels), normalised by its own statistics."""
        known = self._known(as_computed(architecture, self.network), "no")
        logits, _ = self.net(images_of(images, self.net.device), known, scoring=True)
        computed: NDArray[np.float32] = logits.cpu().numpy()
        return computed

    def state(self) -> State:
        """Weights and momenta."""
        return self.net.layers.state(self._optimizer.momenta)

    def load_state(self, state: State) -> None:
        """Restore ``state``."""
        self._optimizer.load(self.net.layers.load(state))


@dataclass(slots=True)
class _Made:
    """A pass that has been made, as later passes of its step refer to it."""

    logits: Tensor
    loss: Tensor
    outcome: Outcome

    @property
    def probabilities(self) -> Tensor:
        return F.softmax(self.logits, 1)
