"""Networks that are not made of cells: their sizes as published, and as others count them."""

import json
import pathlib
import re

import pytest

from bnao.errors import GenotypeError
from bnao.network.mobile import MOBILE_NETWORKS, mobile_network
from bnao.space.zoo import published_cell
from tests.cli.test_cli import bnao, refused, workplace  # noqa: F401  # the fixture is used by its name


@pytest.mark.parametrize("network", MOBILE_NETWORKS, ids=lambda network: network.name)
def test_a_count_is_what_its_authors_claim(network):
    parameters, multiply_adds = network.counts()

    # MobileNetV2 has 3.50 M, as its authors' own checkpoint: they say 3.4
    assert parameters / 1e6 == pytest.approx(network.claim.parameters, abs=0.11)
    assert multiply_adds / 1e6 == pytest.approx(network.claimed_multiply_adds, abs=1)


def test_parameters_are_those_of_the_networks_that_others_publish():
    # Keras' MobileNet has 4,253,864 with 21,888 running statistics; torchvision's MobileNetV2; timm's semnasnet_100
    assert [network.counts()[0] for network in MOBILE_NETWORKS] == [4_253_864 - 21_888, 3_504_872, 3_887_038]


def test_fewer_classes_take_their_weights_and_biases_alone():
    network = mobile_network("MobileNetV2")

    assert network.counts()[0] - network.counts(classes=10)[0] == 990 * 1281


def test_a_network_is_shown_by_its_name_beside_genotypes():
    shown = bnao("show", "MnasNet-A1", "NAONet-V2").stdout
    small = json.loads(bnao("show", "mobilenet-v2", "--json", "--classes", 10).stdout)

    assert "3,887,038 parameters, 311,579,072 multiply-adds  (1000 classes, images of 224 x 224 x 3)" in shown
    assert "4,387,654 parameters" in shown
    assert small["parameters"] == 3_504_872 - 990 * 1281
    assert "MobileNetV2 is not made of cells" in refused(2, "show", "MobileNetV2", "--as", "text")


def test_another_name_is_refused_with_the_nearest():
    with pytest.raises(GenotypeError, match="did you mean MobileNetV2"):
        mobile_network("MobileNet-V3")


def test_networks_for_comparison_are_evaluated_beside_genotypes():
    done = bnao("evaluate", "MobileNetV2", "DARTS_V2", "--backend", "pretend", "--quiet", "--out", "here")

    assert done.exit_code == 0, done.output
    entries = json.loads(pathlib.Path("here/evaluation.json").read_text())["evaluations"]
    assert [(entry["genotype"], entry["space"]) for entry in entries] == [
        ("MobileNetV2", "mobile"),
        (str(published_cell("DARTS_V2").genotype), "darts"),
    ]
    # 28 x 28 grey images of ten classes: a channel of the stem's kernels for three
    assert entries[0]["parameters"] == 3_504_872 - 990 * 1281 - 2 * 9 * 32
    assert "MobileNetV2" in done.stdout
    assert bnao("check", "here").exit_code == 0
    assert "here:1 is MobileNetV2, which is not made of cells" in refused(1, "show", "here:1")
    assert "space darts" in bnao("show", "here:2").stdout
    told = refused(2, "evaluate", "MobileNetV2", "--max-multiply-adds", 1000, "--backend", "pretend", "--quiet")
    assert re.search(r"MobileNetV2 has [\d,]+ multiply-adds, and max_multiply_adds is 1,000", told)
