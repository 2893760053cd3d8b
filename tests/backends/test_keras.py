"""The Keras backend keeps the contract of every backend, on the engine that this environment has."""

import pytest

from bnao.backends import load
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
