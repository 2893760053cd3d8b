"""The Keras backend keeps the contract of every backend, on the engine that this environment has."""

import re

import numpy as np
import pytest
from attrs import evolve

from bnao.backends import load
from bnao.config.settings import NetworkConfig
from bnao.errors import BackendError
from bnao.network.size import count_parameters
from bnao.protocols import Pass
from bnao.space.mixture import mixture_of
from bnao.space.notation.notations import parse
from bnao.space.spaces import SPACES, space_named
from bnao.streams import stream
from bnao.testing import BackendContract
from bnao.testing.paths import path_names

try:
    load("keras")
except BackendError as error:
    pytest.skip(str(error), allow_module_level=True)

from bnao.backends.keras import ENGINE

# JAX takes half a minute to compile each; what differs between the spaces is the same code on both engines
SPACES_HERE = ["darts", "snas", "nasnet", "nao-large", "nas-bench-201"] if ENGINE == "tensorflow" else ["darts"]


class TestKeras(BackendContract):
    probed = 3 if ENGINE == "tensorflow" else 1

    @pytest.fixture
    def backend(self):
        return load("keras")

    @pytest.fixture
    def network(self):
        return NetworkConfig(channels=4, cells=1, nodes=2)  # its graph takes half the time to build of one of 3 nodes

    def test_trainings_of_one_genotype_share_what_is_compiled_unless_they_compute_something_else(
        self, backend, dataset, short, genotypes
    ):
        smoothed = evolve(short, training=evolve(short.training, label_smoothing=0.1))
        one, longer, other = (
            backend.stand_alone(genotypes[0], config, dataset, seed=seed)
            for config, seed in ((short, 0), (evolve(short, epochs=9), 1), (smoothed, 0))
        )

        assert longer._trained is one._trained
        assert other._trained is not one._trained

    @pytest.mark.parametrize("space", SPACES_HERE)
    def test_a_stand_alone_network_of_any_space_is_counted_and_learns(self, backend, dataset, short, space):
        nodes = 3 if SPACES[space].rules.residual else 2
        config = evolve(short, network=NetworkConfig(space=space, nodes=nodes, channels=4, cells=1))
        (genotype,) = space_named(space, nodes).random_genotypes(1, stream(1, "keras spaces"))

        network = backend.stand_alone(genotype, config, dataset, seed=0)
        losses = [step.loss for step in network.train()]

        assert network.parameters == count_parameters(genotype, dataset.network(config.network))
        assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])

    @pytest.mark.parametrize(
        "kept",
        [
            BackendContract.test_a_stand_alone_network_learns,
            BackendContract.test_stand_alone_weights_loaded_give_the_same_logits,
            BackendContract.test_stand_alone_training_that_was_stopped_goes_on_bit_for_bit,
            BackendContract.test_a_trained_network_by_itself_gives_the_same_logits,
        ],
    )
    def test_stand_alone_networks_of_nas_bench_201_keep_the_contract(self, backend, dataset, short, kept):
        cell = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
        network = NetworkConfig(space="nas-bench-201", channels=4, cells=1)

        kept(self, backend, dataset, evolve(short, network=network), [parse(cell, SPACES["nas-bench-201"])])

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
