"""Keras as a backend: what the entry point names."""

from __future__ import annotations

import importlib.metadata
from functools import partial

import keras

from bnao.backends.keras.controller import NaoController
from bnao.backends.keras.engine import ENGINE
from bnao.backends.keras.machine import devices
from bnao.backends.keras.plain import EXPORTERS, network_logits
from bnao.backends.keras.probe import KerasProbe
from bnao.backends.keras.replicas import check_devices
from bnao.backends.keras.standalone import KerasStandAlone
from bnao.backends.keras.supernet import KerasSupernet
from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import MachineConfig, NetworkConfig, SearchConfig
from bnao.data.dataset import Dataset, LabelledImages
from bnao.errors import BackendError
from bnao.network.mobile import MobileNetwork, Trainable
from bnao.network.trained import Trained
from bnao.protocols import Logits
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.training.shared_weights import SharedWeights


class KerasBackend:
    """Supernet, stand-alone network and NAO controller in Keras 3, on TensorFlow or JAX."""

    name = "keras"
    exporters = EXPORTERS

    def versions(self) -> dict[str, str]:
        """Keras' version, and the version of the engine that it computes with."""
        names = {"tensorflow": ("tensorflow", "tensorflow_cpu", "tensorflow-intel"), "jax": ("jax",)}[ENGINE]
        for name in names:
            try:
                return {"keras": str(keras.__version__), ENGINE: importlib.metadata.version(name)}
            except importlib.metadata.PackageNotFoundError:
                continue
        return {"keras": str(keras.__version__), ENGINE: "unknown"}

    def devices(self) -> list[str]:
        """Return the devices that ``--device`` can name here."""
        return devices()

    def supernet(self, config: SearchConfig, dataset: Dataset | None) -> SharedWeights:
        """Return a freshly initialised supernet with its images."""
        if dataset is None:
            raise BackendError("backend 'keras' trains on images; give it a data set")
        check_devices()
        make = partial(KerasSupernet, config)
        return SharedWeights(make(dataset.network(config.network)), config, dataset, make, self)

    def controller(self, config: SearchConfig) -> NaoController:
        """Return the NAO controller."""
        space = space_named(config.network.space, config.network.nodes)
        return NaoController(space, config.controller, config.seed, config.machine)

    def stand_alone(
        self, genotype: Trainable, config: EvaluateConfig, dataset: LabelledImages, *, seed: int
    ) -> KerasStandAlone:
        """Return a freshly initialised network of one genotype.

        Raises:
            BackendError: it is a network for comparison, which is not made of cells.
        """
        if isinstance(genotype, MobileNetwork):
            raise BackendError(
                f"backend 'keras' trains networks of cells, and {genotype} is not made of them; --backend torch has it"
            )
        return KerasStandAlone(genotype, config, dataset, seed)

    def probe(self, genotype: Genotype, network: NetworkConfig, machine: MachineConfig, *, seed: int) -> KerasProbe:
        """Return a freshly initialised network of one genotype, to be asked for what zero-cost scores are made of."""
        return KerasProbe(genotype, network, machine, seed)

    def logits(self, trained: Trained) -> Logits:
        """Return what a trained network computes."""
        return network_logits(trained)


BACKEND = KerasBackend()
