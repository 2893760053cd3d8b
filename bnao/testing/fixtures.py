"""What the contract of a backend is tested on: images, settings and genotypes that are small."""

from __future__ import annotations

import pytest
from attrs import evolve

from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import DataConfig, NetworkConfig, SearchConfig, TrainingConfig
from bnao.data.dataset import Dataset
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.streams import stream
from bnao.testing.images import small_dataset

_NODES = 3


class ContractFixtures:
    """Fixtures of a backend's contract; a subclass supplies ``backend``, and may replace ``network``."""

    @pytest.fixture
    def dataset(self) -> Dataset:
        """Return images of four classes; its dev part is one batch of the size that is trained on."""
        dataset = small_dataset()
        return evolve(dataset, x_dev=dataset.x_dev[:32], y_dev=dataset.y_dev[:32])

    @pytest.fixture
    def network(self) -> NetworkConfig:
        """Return the supernet's settings; its space is what is tested."""
        return NetworkConfig(channels=4, cells=1, nodes=_NODES)

    @pytest.fixture
    def config(self, network: NetworkConfig) -> SearchConfig:
        """Return a search small enough for a test; its steps drop nothing, as single passes do."""
        return SearchConfig(
            rounds=2,
            network=network,
            data=DataConfig(pad=1, flip=False),  # mirrored, left is right
            training=TrainingConfig(batch_size=32, learning_rate=0.1, drop_path_keep=1.0),
        )

    @pytest.fixture
    def short(self, config: SearchConfig) -> EvaluateConfig:
        """Return a stand-alone training small enough for a test."""
        base = EvaluateConfig()
        training = evolve(base.training, batch_size=32, learning_rate=0.1, dropout_keep=0.9)
        return evolve(base, epochs=3, network=config.network, data=config.data, training=training)

    @pytest.fixture
    def genotypes(self, config: SearchConfig) -> list[Genotype]:
        """Return random genotypes of the test's space."""
        space = space_named(config.network.space, config.network.nodes)
        return space.random_genotypes(6, stream(0, "contract"))
