"""The supernet in PyTorch: every genotype of the space as a path through one network (SPEC section 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bnao.backends.torch.cell import one_cell, states_of
from bnao.backends.torch.kernels import is_for_grouping, operations_for
from bnao.backends.torch.layers import Layers
from bnao.backends.torch.machine import Machine, prepare
from bnao.backends.torch.operations import Operations
from bnao.backends.torch.optimizer import PathSGD
from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.data.dataset import Dataset, epoch_batches
from bnao.network.parameters import supernet_shapes
from bnao.network.stack import stack, stem_channels
from bnao.protocols import State, Step
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.training.steps import check_loss, scored_batches, supernet_steps


class Network:
    """The supernet's forward pass for one genotype at a time.

    Args:
        network: space, stack, classes and image.
        seed: of the first weights.
        machine: where and how it computes.
    """

    def __init__(self, network: NetworkConfig, seed: int, machine: Machine = Machine()) -> None:  # noqa: B008  # frozen
        self.network = network
        self.space = space_named(network.space, network.nodes)
        self.machine, self.device = machine, machine.device
        self.positions = stack(network)
        self.layers = Layers(supernet_shapes(network), seed, self.device)
        self.rules = self.space.rules
        self._groups = is_for_grouping(self.space)
        self._names = [
            [f"cells.{p.index}.output.state.{s}" for s in range(self.space.inputs + self.space.nodes)]
            for p in self.positions
        ]

    def __call__(
        self, images: Tensor, genotype: Genotype, masks: NDArray[np.float32] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Logits (b, classes) of images (b, channels, height, width), and the path: the parameters used.

        Args:
            images: normalised.
            genotype: the path through the network.
            masks: of drop path, shape (cells, nodes, edges, b); None: nothing is dropped.
        """
        operations = operations_for(self.machine, images, self.network.channels, separable=self._groups)
        path: list[Tensor] = []
        with self.machine.forward_pass():
            before, last = stem_states(operations, self.layers, self.network, images, path)
            dropped = None if masks is None else torch.from_numpy(masks).to(self.device)
            for position, names in zip(self.positions, self._names, strict=True):
                cell = genotype.cell(position.reduction)
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
            if self.network.share_over != "edge":
                path = list({id(parameter): parameter for parameter in path}.values())
            return F.linear(operations.pooled(last), weight, bias).float(), path


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
    """The norm and ReLU in front of the classifier of NAS-Bench-201's networks."""
    norm = layers.norm("head.norm")
    path += (norm.scale, norm.shift)
    return operations.relu(operations.norm(last, norm))


def gradients_of(loss: Tensor, path: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The parameters of a path that the loss depends on, and its gradient by each.

    A cell that passes nothing on (all its edges ``none``) cuts off what stands before it.
    """
    gradients = torch.autograd.grad(loss, path, allow_unused=True)
    used = [(weight, gradient) for weight, gradient in zip(path, gradients, strict=True) if gradient is not None]
    return [weight for weight, _ in used], [gradient for _, gradient in used]


def images_of(batch: NDArray[np.float32], device: torch.device) -> Tensor:
    """A batch (b, height, width, channels) as (b, channels, height, width), channels last in memory."""
    return torch.from_numpy(batch).to(device).permute(0, 3, 1, 2)


class TorchSupernet:
    """What a search trains and scores with.

    Raises:
        BackendError: the device is not there.
    """

    candidates = None

    def __init__(self, config: SearchConfig, dataset: Dataset) -> None:
        self._config, self._dataset = config, dataset
        self.network = dataset.network(config.network)
        self.net = Network(self.network, config.seed, prepare(config.machine))
        self.epoch_steps = epoch_batches(len(dataset.y_train), config.training.batch_size)
        self.scored_images = len(dataset.y_dev)
        self._optimizer = PathSGD(self.net.layers.weights, config.training, config.training.idle_momentum)

    def train(
        self, pool: Sequence[Genotype], drawn: NDArray[np.int64], *, round: int, start: int = 0
    ) -> Iterator[Step]:
        """Train the path of pool[drawn[step]] on one batch, for each step from ``start`` on."""
        for step in supernet_steps(self._config, self._dataset, self.network, pool, drawn, round, start):
            logits, path = self.net(images_of(step.images, self.net.device), step.genotype, step.masks)
            loss = F.cross_entropy(logits, torch.from_numpy(step.labels).to(self.net.device))
            value = float(loss.detach())
            check_loss(value, f"round {round + 1}, step {step.step + 1}", step.rate, step.genotype)
            self._optimizer.step(*gradients_of(loss, path), step.rate)
            yield Step(step.step, step.index, value, step.rate)

    @torch.inference_mode()
    def logits(self, genotype: Genotype, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Shape (n, classes) for images (n, height, width, channels), normalised by each batch's statistics."""
        return np.concatenate(
            [
                self.net(images_of(self._dataset.normalised(some), self.net.device), genotype)[0].cpu().numpy()
                for some in scored_batches(images)
            ]
        )

    @torch.inference_mode()
    def score(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
        """One-shot accuracy of each on the dev part."""
        right = np.zeros(len(genotypes))
        for images, labels in zip(
            scored_batches(self._dataset.x_dev), scored_batches(self._dataset.y_dev), strict=True
        ):
            batch = images_of(self._dataset.normalised(images), self.net.device)
            for index, genotype in enumerate(genotypes):
                logits, _ = self.net(batch, genotype)
                right[index] += (logits.argmax(1).cpu().numpy() == labels).sum()
        return right / self.scored_images

    def sizes(self, genotypes: Sequence[Genotype]) -> None:
        """None: sizes are counted."""

    def state(self) -> State:
        """Weights and momenta."""
        return self.net.layers.state(self._optimizer.momenta)

    def load_state(self, state: State) -> None:
        """Become what ``state`` was taken from."""
        self._optimizer.load(self.net.layers.load(state))
