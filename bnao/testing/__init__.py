"""Contracts of a backend, as tests that its own tests inherit (needs pytest; imported by nothing).

::

    class TestMine(BackendContract):
        @pytest.fixture
        def backend(self):
            return bnao.load_backend("mine")
"""

from bnao.testing.backends import BackendContract, SharedWeightsContract
from bnao.testing.controllers import ControllerContract, convolutions
from bnao.testing.images import learnable_images, save_images, small_dataset
from bnao.testing.stand_alone import StandAloneContract
from bnao.testing.strategies import ToyScorer, ToySupernet

__all__ = [
    "BackendContract",
    "ControllerContract",
    "SharedWeightsContract",
    "StandAloneContract",
    "ToyScorer",
    "ToySupernet",
    "convolutions",
    "learnable_images",
    "save_images",
    "small_dataset",
]
