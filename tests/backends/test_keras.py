"""The Keras backend's supernets keep the contract, on the engine that this environment has; see test_keras_alone.py."""

import re

import numpy as np
import pytest
from attrs import evolve

from bnao.backends import load
from bnao.config.settings import NetworkConfig
from bnao.errors import BackendError
from bnao.protocols import Pass
from bnao.space.mixture import mixture_of
from bnao.space.spaces import SPACES, space_named
from bnao.streams import stream
from bnao.testing import SharedWeightsContract
from bnao.testing.paths import path_names

try:
    load("keras")
except BackendError as error:
    pytest.skip(str(error), allow_module_level=True)

from bnao.backends.keras import ENGINE


class TestKeras(SharedWeightsContract):
    @pytest.fixture
    def backend(self):
        return load("keras")

    @pytest.fixture
    def network(self):
        if ENGINE == "jax":  # a cell of nao takes minutes to compile for all tests: test_keras_supernet.py has it
            return NetworkConfig(space="nas-bench-201", channels=4, cells=1)
        # of 2 nodes its graphs take twice the time to build: test_keras_supernet.py has nodes that read nodes
        return NetworkConfig(channels=4, cells=1, nodes=1)

    # of all spaces those with the most rules of their own; PyTorch's have the same names and numbers
    @pytest.mark.parametrize("space", ["snas", "nas-bench-201"] if ENGINE == "tensorflow" else ["nas-bench-201"])
    def test_the_supernet_of_any_space_trains_its_paths_and_mixes_them(self, backend, dataset, config, space):
        nodes = SPACES[space].nodes if space == "nas-bench-201" else 1
        network = NetworkConfig(space=space, nodes=nodes, channels=2, cells=1, share_over="source")
        supernet = backend.supernet(evolve(config, network=network), dataset).supernet
        (genotype,) = space_named(space, nodes).random_genotypes(1, stream(1, "keras supernets"))
        images = stream(0, "keras supernets").standard_normal((8, *supernet.network.image), np.float32)
        before = {name: np.array(value) for name, value in supernet.state().items()}

        mixed = supernet.logits(mixture_of(genotype, space_named(space, nodes)), images)
        logits = supernet.logits(genotype, images)
        supernet.step([Pass(genotype, images, np.arange(8) % 4)], rate=0.1)

        assert mixed == pytest.approx(logits, rel=1e-4, abs=1e-4)
        after = supernet.state()
        moved = {name for name in before if (after[name] != before[name]).any()}
        alone = path_names(genotype, evolve(supernet.network, share_over="edge"))
        path = {re.sub(r"\.edges\.\d+(?=.*\.source\.)", "", name) for name in alone}
        assert moved <= path
        assert {name for name in path if before[name].ndim == 4} <= moved
