"""Operations of other packages in Keras, on the engine that this environment has."""

import pytest

from bnao.backends import load
from bnao.errors import BackendError
from tests.backends.own_operations import OwnOperationContract

try:
    load("keras")
except BackendError as error:
    pytest.skip(str(error), allow_module_level=True)


class TestKerasOwn(OwnOperationContract):
    @pytest.fixture
    def backend(self):
        return load("keras")
