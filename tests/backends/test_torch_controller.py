"""The NAO controller in PyTorch: it learns to tell good genotypes from bad ones and proposes better ones."""

import pytest

from bnao.testing import ControllerContract

pytest.importorskip("torch")

from bnao.backends.torch.controller import NaoController


class TestTorchController(ControllerContract):
    @pytest.fixture
    def make(self):
        return NaoController
