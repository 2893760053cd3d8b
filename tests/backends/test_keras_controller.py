"""The NAO controller in Keras: what every one does, one program for all its steps, and PyTorch's figures."""

import importlib.util
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from attrs import evolve

from bnao.backends import load
from bnao.config.settings import ControllerConfig
from bnao.errors import BackendError
from bnao.network.state import read_weights
from bnao.space.spaces import SPACES
from bnao.streams import stream
from bnao.testing import ControllerContract, convolutions

try:
    load("keras")
except BackendError as error:
    pytest.skip(str(error), allow_module_level=True)

from bnao.backends.keras import controller
from bnao.backends.keras.controller import NaoController

SPACE = SPACES["nao"]


class TestKerasController(ControllerContract):
    @pytest.fixture
    def make(self):
        return NaoController


def test_nothing_is_traced_again_after_the_first_epoch(monkeypatch):
    calls = []
    for name in ("loss", "decoded"):
        original = getattr(controller._Network, name)
        monkeypatch.setattr(
            controller._Network, name, lambda self, *a, o=original, n=name: calls.append(n) or o(self, *a)
        )
    genotypes = SPACE.random_genotypes(120, stream(0, "traces"))
    taught = NaoController(SPACE, ControllerConfig(epochs=5, swaps=1, batch_size=50, hidden=16), 0)  # of no other test

    for epoch in taught.fit(genotypes, convolutions(genotypes), round_index=0):
        if epoch.epoch == 0:
            before = len(calls)
    taught.propose(genotypes[:20], 10**6, lambda genotype: True, round_index=0)

    assert before == 2  # batches of 50 and of 20
    assert calls == ["loss", "loss", "decoded"]


def test_controllers_of_one_network_share_what_is_compiled_unless_they_compute_something_else():
    settings = (
        ControllerConfig(epochs=5),
        ControllerConfig(epochs=9, swaps=3, targets="ranks"),
        ControllerConfig(hidden=8),
    )

    one, longer, other = (NaoController(SPACE, config, seed) for seed, config in enumerate(settings))

    assert longer._programs is one._programs
    assert other._programs is not one._programs


IN_TORCH = """
    import sys
    import numpy as np
    from bnao.backends.torch.controller import NaoController
    from bnao.config.settings import ControllerConfig
    from bnao.space.spaces import SPACES
    from bnao.streams import stream
    from bnao.testing import convolutions
    from bnao.network.state import to_bytes

    genotypes = SPACES["nao"].random_genotypes(150, stream(0, "parity"))
    controller = NaoController(SPACES["nao"], ControllerConfig(epochs=3, swaps=2, mlp_layers=1), 0)
    losses = [epoch.loss for epoch in controller.fit(genotypes[:100], convolutions(genotypes[:100]), round_index=0)]
    open(sys.argv[1] + "/controller.safetensors", "wb").write(to_bytes(controller.state()))
    proposed = controller.propose(genotypes[:20], 10, lambda genotype: True, round_index=0)
    predicted, encoded = controller.predict(genotypes[100:]), controller.encode(genotypes[100:])
    said = {"losses": losses, "predicted": predicted, "encoded": encoded, "proposed": list(map(str, proposed))}
    np.savez(sys.argv[1] + "/said.npz", **said)
"""


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch beside Keras")
def test_it_learns_what_pytorchs_learns_and_by_its_parameters_says_the_same(tmp_path):
    subprocess.run([sys.executable, "-c", textwrap.dedent(IN_TORCH), str(tmp_path)], check=True, timeout=900)
    there = np.load(tmp_path / "said.npz")
    genotypes = SPACE.random_genotypes(150, stream(0, "parity"))
    here = NaoController(SPACE, evolve(ControllerConfig(), epochs=3, swaps=2, mlp_layers=1), 0)

    losses = [epoch.loss for epoch in here.fit(genotypes[:100], convolutions(genotypes[:100]), round_index=0)]
    here.load_state(read_weights(tmp_path / "controller.safetensors")[0])

    assert losses == pytest.approx(there["losses"].tolist(), rel=1e-4)
    assert here.predict(genotypes[100:]) == pytest.approx(there["predicted"], abs=1e-5)
    assert here.encode(genotypes[100:]) == pytest.approx(there["encoded"], abs=1e-5)
    proposed = here.propose(genotypes[:20], 10, lambda genotype: True, round_index=0)
    assert list(map(str, proposed)) == there["proposed"].tolist()
