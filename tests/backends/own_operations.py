"""What a backend makes of the example of docs/writing-a-space.md: an operation of another package and its space."""

import pathlib

import numpy as np
import pytest
from attrs import evolve

from bnao.config.evaluation import EvaluateConfig, StandAloneTrainingConfig
from bnao.config.settings import MachineConfig, NetworkConfig, SearchConfig, TrainingConfig
from bnao.network.size import count_parameters, supernet_parameters
from bnao.space.own import own_space
from bnao.space.spaces import space_named
from bnao.testing import small_dataset

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
NAME = "own_operation:space"


class OwnOperationContract:
    """Supplies tests; a subclass has the fixture ``backend``."""

    @pytest.fixture(autouse=True)
    def example(self, monkeypatch):
        monkeypatch.syspath_prepend(str(EXAMPLES))
        own_space.cache_clear()
        yield
        own_space.cache_clear()

    @pytest.fixture
    def network(self):
        return NetworkConfig(space=NAME, nodes=2, channels=4, cells=1)

    @pytest.fixture
    def genotype(self):
        """Every edge but one the own operation, from inputs at stride 2 and from a node at stride 1."""
        cell = "0:inverted_3x3+1:inverted_3x3;1:skip_connect+2:inverted_3x3"
        return space_named(NAME, 2).parse(f"{cell}|{cell}")

    def test_its_own_network_has_the_parameters_that_are_counted_and_learns(self, backend, network, genotype):
        dataset = small_dataset()
        config = EvaluateConfig(
            epochs=3, network=network, machine=MachineConfig(backend=backend.name, device="cpu"),
            training=StandAloneTrainingConfig(batch_size=20, learning_rate=0.1, auxiliary=0.0, dropout_keep=1.0),
        )  # fmt: skip

        trained = backend.stand_alone(genotype, config, dataset, seed=0)
        losses = [step.loss for step in trained.train()]

        assert trained.parameters == count_parameters(genotype, dataset.network(network))
        assert np.mean(losses[-4:]) < np.mean(losses[:4])

    def test_a_supernet_trains_it_and_a_path_alone(self, backend, network, genotype):
        dataset = small_dataset()
        config = SearchConfig(
            network=network, training=TrainingConfig(batch_size=20, drop_path_keep=0.9),
            machine=MachineConfig(backend=backend.name, device="cpu"),
        )  # fmt: skip
        supernet = backend.supernet(config, dataset)
        before = {name: np.array(value) for name, value in supernet.state().items()}

        losses = [step.loss for step in supernet.train([genotype], np.zeros(3, np.int64), round_index=0)]

        after = supernet.state()
        moved = {name for name, value in before.items() if not np.array_equal(value, after[name])}
        assert sum(value.size for value in before.values()) == supernet_parameters(dataset.network(network))
        assert any("inverted_3x3" in name and name.endswith("depthwise") for name in moved)
        assert not any("sep_conv_3x3" in name for name in moved)
        assert np.isfinite(losses).all()
        assert 0 <= supernet.score([genotype])[0] <= 1
        other = backend.supernet(evolve(config, seed=1), dataset)
        other.load_state(after)
        images = dataset.x_test[:8]
        assert np.allclose(other.logits(genotype, images), supernet.logits(genotype, images), atol=1e-5)
