"""The Keras backend keeps the contract of every backend, on the engine that this environment has."""

import pytest
from attrs import evolve

from bnao.backends import load
from bnao.config import NetworkConfig
from bnao.errors import BackendError
from bnao.testing import BackendContract

try:
    load("keras")
except BackendError as error:
    pytest.skip(str(error), allow_module_level=True)


class TestKeras(BackendContract):
    @pytest.fixture
    def backend(self):
        return load("keras")

    def test_a_space_whose_supernet_it_lacks_is_refused_by_name(self, backend, dataset, config):
        network = NetworkConfig(space="nas-bench-201", channels=4, cells=1)

        with pytest.raises(BackendError, match="no supernet of space 'nas-bench-201' yet; take --backend torch"):
            backend.supernet(evolve(config, network=network), dataset)
