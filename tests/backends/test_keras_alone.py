"""The Keras backend's stand-alone networks keep the contract, on the engine that this environment has."""

import numpy as np
import pytest
from attrs import evolve

from bnao.backends import load
from bnao.config.settings import NetworkConfig
from bnao.errors import BackendError
from bnao.network.size import count_parameters
from bnao.space.notation.notations import parse
from bnao.space.spaces import SPACES, space_named
from bnao.streams import stream
from bnao.testing import StandAloneContract

try:
    load("keras")
except BackendError as error:
    pytest.skip(str(error), allow_module_level=True)

from bnao.backends.keras import ENGINE

# JAX takes half a minute to compile each; what differs between the spaces is the same code on both engines
SPACES_HERE = ["darts", "snas", "nasnet", "nao-large", "nas-bench-201"] if ENGINE == "tensorflow" else ["darts"]


class TestKerasAlone(StandAloneContract):
    probed = 3 if ENGINE == "tensorflow" else 1

    @pytest.fixture
    def backend(self):
        return load("keras")

    @pytest.fixture
    def network(self):
        if ENGINE == "jax":  # a network of nao takes half a minute to compile: darts, below, has such cells
            return NetworkConfig(space="nas-bench-201", channels=4, cells=1)
        return NetworkConfig(channels=4, cells=1, nodes=2)  # its graph takes half the time to build of one of 3 nodes

    @pytest.fixture
    def genotypes(self, network):
        space = space_named(network.space, network.nodes)
        if not space.rules.residual:
            return space.random_genotypes(6, stream(0, "contract"))
        drawn = space.random_genotypes(20, stream(0, "contract"))
        return [genotype for genotype in drawn if 0 in genotype.normal.live_states][:6]  # they pass their input on

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

    @pytest.mark.skipif(ENGINE == "jax", reason="the contract above is that of nas-bench-201 there")
    @pytest.mark.parametrize(
        "kept",
        [
            StandAloneContract.test_a_stand_alone_network_learns,
            StandAloneContract.test_stand_alone_weights_loaded_give_the_same_logits,
            StandAloneContract.test_stand_alone_training_that_was_stopped_goes_on_bit_for_bit,
            StandAloneContract.test_a_trained_network_by_itself_gives_the_same_logits,
        ],
    )
    def test_stand_alone_networks_of_nas_bench_201_keep_the_contract(self, backend, dataset, short, kept):
        cell = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
        network = NetworkConfig(space="nas-bench-201", channels=4, cells=1)

        kept(self, backend, dataset, evolve(short, network=network), [parse(cell, SPACES["nas-bench-201"])])
