"""One genotype's own network in PyTorch, and its training by the paper's recipe (docs/network.md, docs/training.md)."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bnao.backends.torch.cell import one_cell, states_of
from bnao.backends.torch.kernels import is_for_grouping, operations_for
from bnao.backends.torch.layers import Layers
from bnao.backends.torch.machine import Machine, prepare
from bnao.backends.torch.mobile import MobileNet
from bnao.backends.torch.operations import Operations
from bnao.backends.torch.optimizer import PathSGD
from bnao.backends.torch.supernet import gradients_of, head, images_of, stem_states
from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import NetworkConfig
from bnao.data.dataset import LabelledImages
from bnao.network.mobile import MobileNetwork, Trainable
from bnao.network.parameters import auxiliary_cell, stand_alone_shapes
from bnao.network.stack import stack
from bnao.protocols import State, Step
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.training.steps import StandAloneStep, check_loss, stand_alone_epoch_steps, stand_alone_steps

_TESTED_AT_ONCE = 500


class Network:
    """The stand-alone network's forward pass.

    Args:
        genotype: its cells.
        network: stack, classes and image.
        seed: of the first weights.
        machine: where and how it computes.
        auxiliary: whether it has the auxiliary head; NAS-Bench-201's networks have none.
    """

    def __init__(
        self,
        genotype: Genotype,
        network: NetworkConfig,
        seed: int,
        machine: Machine = Machine(),  # noqa: B008  # frozen
        auxiliary: bool = False,
    ) -> None:
        self.genotype, self.network = genotype, network
        self.machine, self.device = machine, machine.device
        self.positions = stack(network)
        space = space_named(network.space, network.nodes)
        self.rules, self._groups = space.rules, is_for_grouping(space)
        self.auxiliary = auxiliary and not self.rules.residual
        self.layers = Layers(stand_alone_shapes(genotype, network, auxiliary), seed, self.device, running=True)

    def __call__(
        self,
        images: Tensor,
        training: bool = False,
        masks: NDArray[np.float32] | None = None,
        dropout: NDArray[np.float32] | None = None,
        operations: Operations | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Logits (b, classes) of images (b, channels, height, width), and the auxiliary head's in training.

        Args:
            images: normalised.
            training: norms use the batch's statistics and update the running ones.
            masks: of drop path, shape (cells, nodes, edges, b).
            dropout: what the features in front of the classifier are multiplied by, shape (b, features).
            operations: how layers are computed; None: as is quickest here.
        """
        if operations is None:
            operations = operations_for(self.machine, images, self.network.channels, training, self._groups)
        auxiliary = None
        used: list[Tensor] = []  # all parameters are the path here; the list is not needed
        with self.machine.forward_pass():
            before, last = stem_states(operations, self.layers, self.network, images, used)
            dropped = None if masks is None else torch.from_numpy(masks).to(self.device)
            for position in self.positions:
                cell = self.genotype.cell(position.reduction)
                mask = None if dropped is None else operations.masks(dropped[position.index], position.channels)
                if self.rules.residual:
                    last = one_cell(operations, self.layers, position, cell, last, mask, used, self.rules)
                    continue
                states = states_of(
                    operations, self.layers, position, cell, before, last, mask, used, self.rules, slots=None
                )
                before, last = last, operations.concatenated(states)
                if training and self.auxiliary and position.index == auxiliary_cell(self.network):
                    auxiliary = self._auxiliary(operations, last)
            if self.rules.residual:
                last = head(operations, self.layers, last, used)
            features = operations.pooled(last)
            if dropout is not None:
                features = features * torch.from_numpy(dropout).to(self.device)
            return self._linear("classifier", features), auxiliary

    def features(self) -> int:
        """Inputs of the classifier."""
        return self.layers.shapes["classifier.weight"][1]

    def _linear(self, name: str, features: Tensor) -> Tensor:
        weights = self.layers.weights
        return F.linear(features, weights[f"{name}.weight"], weights[f"{name}.bias"]).float()

    def _auxiliary(self, operations: Operations, x: Tensor) -> Tensor:
        """Return the auxiliary head's logits; images too small for its 5x5 pooling are pooled to 2 x 2."""
        x = operations.plain(x).relu()
        stride = 3 if self.network.network == "cifar" else 2
        x = (
            F.avg_pool2d(x, 5, stride, count_include_pad=False)
            if min(x.shape[2:]) >= 5 + stride
            else F.adaptive_avg_pool2d(x, 2)
        )
        plain = Operations(operations.training)
        for index in (0, 1):
            layer = self.layers.convolution(f"auxiliary.{index}")
            assert layer is not None
            x = plain.norm(F.conv2d(x, layer.kernel), layer.norm).relu()
        return self._linear("auxiliary.classifier", x.mean((2, 3)))


class TorchStandAlone:
    """What an evaluation trains and tests.

    Raises:
        BackendError: the device is not there.
        GenotypeError: a genotype of another space.
    """

    def __init__(self, genotype: Trainable, config: EvaluateConfig, dataset: LabelledImages, seed: int) -> None:
        self._config, self._dataset, self._seed = config, dataset, seed
        self.epoch_steps = stand_alone_epoch_steps(config, dataset)
        network, machine = dataset.network(config.network), prepare(config.machine)
        self.net: Network | MobileNet
        if isinstance(genotype, MobileNetwork):
            self.net = MobileNet(genotype, network, seed, machine)
        else:
            self.net = Network(genotype, network, seed, machine, auxiliary=config.training.auxiliary > 0)
        self.parameters = self.net.layers.count()
        self._optimizer = PathSGD(self.net.layers.weights, config.training)

    def train(self, start: int = 0) -> Generator[Step, None, None]:
        """Train to the end by the paper's recipe, from step ``start`` on; yields after each step."""
        net = self.net
        features = net.features()
        for step in stand_alone_steps(
            net.genotype, self._config, self._dataset, net.network, features, self._seed, start
        ):
            loss = self._step(step)
            check_loss(loss, step.place, step.rate, net.genotype)
            yield Step(step.step, 0, loss, step.rate)

    def _step(self, step: StandAloneStep) -> float:
        training, net = self._config.training, self.net
        images = images_of(step.images, net.device)
        logits, head = net(images, training=True, masks=step.masks, dropout=step.dropout)
        targets = torch.from_numpy(step.labels).to(net.device)
        loss = F.cross_entropy(logits, targets, label_smoothing=training.label_smoothing)
        if head is not None:
            smoothed = F.cross_entropy(head, targets, label_smoothing=training.label_smoothing)
            loss = loss + training.auxiliary * smoothed
        weights = list(net.layers.weights.values())
        self._optimizer.step(*gradients_of(loss, weights), step.rate)
        return float(loss.detach())

    @torch.inference_mode()
    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return logits of shape (n, classes) for images (n, height, width, channels), by the running statistics."""
        parts = [images[at : at + _TESTED_AT_ONCE] for at in range(0, len(images), _TESTED_AT_ONCE)]
        batches = (images_of(self._dataset.normalised(part), self.net.device) for part in parts)
        return np.concatenate([self.net(batch)[0].cpu().numpy() for batch in batches])

    def state(self) -> State:
        """Weights, running statistics and momenta."""
        return self.net.layers.state(self._optimizer.momenta)

    def load_state(self, state: State) -> None:
        """Become what ``state`` was taken from."""
        self._optimizer.load(self.net.layers.load(state))
