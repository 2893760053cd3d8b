"""Operations of other packages in PyTorch."""

from types import SimpleNamespace

import pytest

from bnao.errors import ExportError
from bnao.network.size import count_multiply_adds
from tests.backends.own_operations import OwnOperationContract

torch = pytest.importorskip("torch")

from bnao.backends import load  # noqa: E402  # only with torch
from bnao.backends.torch import exports  # noqa: E402
from bnao.backends.torch.standalone import Network  # noqa: E402


class TestTorchOwn(OwnOperationContract):
    @pytest.fixture
    def backend(self):
        return load("torch")

    def test_its_multiply_adds_are_those_of_the_convolutions_that_are_called(self, network, genotype, monkeypatch):
        called, convolve = [], torch.nn.functional.conv2d

        def counted(x, kernel, *others, **named):
            made = convolve(x, kernel, *others, **named)
            called.append(kernel.numel() * made.shape[2] * made.shape[3])
            return made

        built = Network(genotype, network, seed=0)
        monkeypatch.setattr(torch.nn.functional, "conv2d", counted)
        built(torch.zeros(1, 3, 32, 32))

        assert sum(called) + built.features() * network.classes == count_multiply_adds(genotype, network)

    def test_files_that_need_pytorch_alone_refuse_it(self, genotype, tmp_path):
        for write in (exports.write_program, exports.write_source):
            with pytest.raises(ExportError, match="operation 'inverted_3x3' is of another package"):
                write(SimpleNamespace(live=genotype), tmp_path / "network")
