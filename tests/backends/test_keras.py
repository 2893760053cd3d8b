"""The Keras backend keeps the contract of every backend, on the engine that this environment has."""

import numpy as np
import pytest
from attrs import evolve

from bnao.backends import load
from bnao.config.settings import NetworkConfig
from bnao.errors import BackendError
from bnao.network.size import count_parameters
from bnao.space.notation.notations import parse
from bnao.space.spaces import SPACES
from bnao.streams import stream
from bnao.testing import BackendContract

try:
    load("keras")
except BackendError as error:
    pytest.skip(str(error), allow_module_level=True)

from bnao.backends.keras import ENGINE

# JAX takes half a minute to compile each; what differs between the spaces is the same code on both engines
SPACES_HERE = ["darts", "snas", "nasnet", "nao-large", "nas-bench-201"] if ENGINE == "tensorflow" else ["darts"]


class TestKeras(BackendContract):
    several_passes = False
    mixtures = False

    @pytest.fixture
    def backend(self):
        return load("keras")

    @pytest.mark.parametrize("space", SPACES_HERE)
    def test_a_stand_alone_network_of_any_space_is_counted_and_learns(self, backend, dataset, short, space):
        config = evolve(short, network=NetworkConfig(space=space, channels=4, cells=1))
        (genotype,) = SPACES[space].random_genotypes(1, stream(1, "keras spaces"))

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

    def test_a_space_whose_supernet_it_lacks_is_refused_by_name(self, backend, dataset, config):
        network = NetworkConfig(space="nas-bench-201", channels=4, cells=1)

        with pytest.raises(BackendError, match="no supernet of space 'nas-bench-201' yet; take --backend torch"):
            backend.supernet(evolve(config, network=network), dataset)
