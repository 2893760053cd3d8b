"""PyTorch as a backend: what the entry point names."""

from __future__ import annotations

from functools import partial

import torch

from bnao.backends.torch.controller import NaoController
from bnao.backends.torch.exports import EXPORTERS, network_logits
from bnao.backends.torch.machine import device_memory, devices, prepare
from bnao.backends.torch.probe import TorchProbe
from bnao.backends.torch.ranks import RankedWeights, TorchRanks, join
from bnao.backends.torch.standalone import TorchStandAlone
from bnao.backends.torch.supernet import TorchSupernet
from bnao.backends.torch.timing import forward_seconds
from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import MachineConfig, NetworkConfig, SearchConfig
from bnao.data.dataset import Dataset, LabelledImages
from bnao.errors import BackendError
from bnao.network.mobile import Trainable
from bnao.network.trained import Trained
from bnao.protocols import Logits
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.training.shared_weights import SharedWeights


class TorchBackend:
    """Supernet, stand-alone network and NAO controller in PyTorch."""

    name = "torch"
    exporters = EXPORTERS

    def versions(self) -> dict[str, str]:
        """PyTorch's version."""
        return {"torch": str(torch.__version__)}

    def devices(self) -> list[str]:
        """Return the devices that ``--device`` can name here."""
        return devices()

    def device_memory(self) -> int | None:
        """Return the most bytes that a CUDA device held in this process; None without one."""
        return device_memory()

    def ranks(self, config: SearchConfig) -> TorchRanks | None:
        """Join the processes that were started together; None where the settings ask for one alone."""
        return join(config)

    def supernet(self, config: SearchConfig, dataset: Dataset | None) -> SharedWeights:
        """A freshly initialised supernet with its images."""
        if dataset is None:
            raise BackendError("backend 'torch' trains on images; give it a data set")
        among = join(config)
        if among is not None:
            return RankedWeights(among, config, dataset, self)
        make = partial(TorchSupernet, config)
        return SharedWeights(make(dataset.network(config.network)), config, dataset, make, self)

    def controller(self, config: SearchConfig) -> NaoController:
        """Return the NAO controller."""
        space = space_named(config.network.space, config.network.nodes)
        return NaoController(space, config.controller, config.seed, prepare(config.machine).device)

    def stand_alone(
        self, genotype: Trainable, config: EvaluateConfig, dataset: LabelledImages, *, seed: int
    ) -> TorchStandAlone:
        """Return a freshly initialised network of one genotype, or one for comparison."""
        return TorchStandAlone(genotype, config, dataset, seed)

    def probe(self, genotype: Genotype, network: NetworkConfig, machine: MachineConfig, *, seed: int) -> TorchProbe:
        """Return one genotype's untrained network, for zero-cost scores."""
        return TorchProbe(genotype, network, machine, seed)

    def forward_seconds(
        self,
        genotype: Genotype,
        network: NetworkConfig,
        machine: MachineConfig,
        *,
        batch: int,
        warm_up: int,
        repetitions: int,
    ) -> list[float]:
        """Return the seconds of some forward passes of one genotype's untrained network."""
        return forward_seconds(genotype, network, machine, batch=batch, warm_up=warm_up, repetitions=repetitions)

    def logits(self, trained: Trained) -> Logits:
        """Return what a trained network computes."""
        return network_logits(trained)


BACKEND = TorchBackend()
