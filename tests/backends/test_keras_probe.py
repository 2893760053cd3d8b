"""What Keras tells of untrained networks: by counts made by hand, and against PyTorch."""

import importlib.util
import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from attrs import evolve
from click.testing import CliRunner

from bnao.backends import load
from bnao.cli import main
from bnao.config.proxies import PROXIES
from bnao.config.settings import MachineConfig, NetworkConfig
from bnao.config.studies import ProxiesConfig
from bnao.errors import BackendError, GenotypeError
from bnao.proxies import undefined_lines, zero_cost_scores
from bnao.space.spaces import SPACES
from bnao.streams import stream
from bnao.testing import small_dataset

try:
    load("keras")
except BackendError as error:
    pytest.skip(str(error), allow_module_level=True)

from bnao.backends.keras import ENGINE
from bnao.backends.keras.operations import relu, watched_relus
from bnao.backends.keras.probe import KerasProbe

BACKEND = load("keras")
DEAD = SPACES["nas-bench-201"].parse("0:none;0:none+1:nor_conv_3x3;0:none+1:none+2:nor_conv_1x1")
CELLS = NetworkConfig(space="nas-bench-201", channels=4, cells=1)
# JAX compiles each shape of each operation anew; what differs between the spaces is the same code on both engines
SPACES_HERE = list(SPACES) if ENGINE == "tensorflow" else ["nas-bench-201"]

PARITY = """
    import json, sys
    from bnao.backends import load
    from bnao.config.proxies import PROXIES
    from bnao.config.settings import NetworkConfig
    from bnao.config.studies import ProxiesConfig
    from bnao.proxies import zero_cost_scores
    from bnao.space.spaces import SPACES
    from bnao.streams import stream
    from bnao.testing import small_dataset

    def scores_of(backend, spaces):
        found = {}
        for space in spaces:
            # each has an output that does not end in a norm; else jacob_cov would be of rounding alone, since sums of
            # what a norm gives out depend on no image
            genotypes = SPACES[space].random_genotypes(2, stream(1, "probe"))[: 1 + (space == "nas-bench-201")]
            network = NetworkConfig(space=space, channels=4, cells=1)
            config = ProxiesConfig(proxies=tuple(PROXIES), batch=8, seed=3, network=network)
            for number, each in enumerate(zero_cost_scores(genotypes, config, load(backend), small_dataset())):
                found |= {f"{space} {number} {name}": each.mean(name) for name in PROXIES}
        return found
"""


def in_torch(spaces):
    code = textwrap.dedent(PARITY) + "\nprint(json.dumps(scores_of('torch', sys.argv[1:])))"
    done = subprocess.run([sys.executable, "-c", code, *spaces], check=True, timeout=900, capture_output=True)
    return json.loads(done.stdout)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch beside Keras")
def test_scores_are_those_of_pytorch():
    names = {}
    exec(textwrap.dedent(PARITY), names)
    expected = in_torch(SPACES_HERE)

    scores = names["scores_of"]("keras", SPACES_HERE)

    assert len(expected) == (len(SPACES_HERE) + 1) * len(PROXIES)
    # synflow is computed in float64; the others are sums of float32 gradients, and counts of signs
    within = {name: 1e-6 if name.endswith("synflow") else 1e-4 for name in expected}
    assert {name: scores[name] for name in expected} == {
        name: pytest.approx(value, rel=within[name]) for name, value in expected.items()
    }


def test_watched_relus_are_seen_within_the_block_alone():
    seen = []
    x = np.array([-1.0, 2.0], np.float32)

    with watched_relus(lambda state: seen.append(np.asarray(state).tolist())):
        relu(x)
    relu(x)

    assert seen == [[-1.0, 2.0]]


def test_each_operation_has_a_relu_of_its_own():
    dataset = small_dataset()
    network = dataset.network(CELLS)
    height, width, _ = network.image
    pixels = [-(-height // s) * -(-width // s) for s in (1, 2, 4)]
    around = pixels[0] * 4 + pixels[1] * 8 + pixels[1] * 8 + pixels[2] * 16 + pixels[2] * 16  # residuals and head

    def units(cell):
        probe = KerasProbe(SPACES["nas-bench-201"].parse(cell), network, MachineConfig(), 0)
        return probe.agreements(dataset.normalised(dataset.x_train[:2]))[0, 0]

    within = pixels[0] * 4 + pixels[1] * 8 + pixels[2] * 16  # one ReLU in each cell
    assert units("0:skip_connect;0:none+1:none;0:skip_connect+1:none+2:none") == around
    assert units("0:nor_conv_3x3;0:nor_conv_1x1+1:none;0:none+1:skip_connect+2:nor_conv_3x3") == around + 3 * within


def test_a_cell_that_passes_nothing_on_has_one_line_for_each_score_that_is_not_defined():
    config = ProxiesConfig(proxies="jacob_cov,naswot,snip,synflow", batch=8, network=CELLS)
    (fine,) = SPACES["nas-bench-201"].random_genotypes(1, stream(1, "probe"))

    found = zero_cost_scores([fine, DEAD], config, BACKEND, small_dataset())

    assert [found[1].to_json()["proxies"][name]["mean"] for name in ("jacob_cov", "naswot")] == [None, None]
    assert [line.partition(":")[0] for line in undefined_lines(found)] == [
        f"{name} is not defined for 1 of 2 genotypes, the first is number 2" for name in ("jacob_cov", "naswot")
    ]


def test_the_flow_of_a_deep_network_is_beyond_float32_and_finite():
    network = small_dataset().network(evolve(CELLS, cells=5, channels=16))
    cell = "0:nor_conv_3x3;0:nor_conv_3x3+1:nor_conv_3x3;0:nor_conv_3x3+1:nor_conv_3x3+2:nor_conv_3x3"
    probe = KerasProbe(SPACES["nas-bench-201"].parse(cell), network, MachineConfig(), 0)

    gradients = probe.flow_gradients()

    assert {each.dtype for each in gradients.values()} == {np.dtype(np.float64)}
    assert max(each.max() for each in gradients.values()) > np.finfo(np.float32).max
    assert all(np.isfinite(each).all() for each in gradients.values())


def test_another_spaces_genotype_and_a_device_that_is_not_there_are_refused():
    config = ProxiesConfig(batch=8, network=evolve(CELLS, space="nao"))

    with pytest.raises(GenotypeError):
        zero_cost_scores([DEAD], config, BACKEND, small_dataset())
    with pytest.raises(BackendError, match="no device 'mars'"):
        KerasProbe(DEAD, small_dataset().network(CELLS), MachineConfig(device="mars"), 0)


@pytest.mark.skipif(ENGINE != "tensorflow", reason="the command is the same on both engines")
def test_the_command_scores_genotypes_on_this_backend(tmp_path):
    dataset = small_dataset()
    parts = ("x_train", "y_train", "x_test", "y_test")
    np.savez(tmp_path / "images.npz", **{name: getattr(dataset, name) for name in parts})
    network = ("--space", "nas-bench-201", "--channels", "4", "--cells", "1", "--data", str(tmp_path / "images.npz"))
    options = ("--batch", "8", "--proxies", "jacob_cov", "--backend", "keras", "--quiet", "--json")
    fine = "0:skip_connect;0:none+1:none;0:skip_connect+1:none+2:none"

    result = CliRunner().invoke(main, ["proxies", *network, *options, str(DEAD), fine])

    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    means = [entry["proxies"]["jacob_cov"]["mean"] for entry in found["scores"]]
    assert (found["backend"], means[0]) == ("keras", None)
    assert means[1] < -8  # -n, of n images, where no two are correlated
