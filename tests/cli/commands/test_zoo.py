"""``bnao zoo``: published cells, claimed and counted."""

import json

from click.testing import CliRunner

from bnao.cli import main
from bnao.space.zoo import zoo


def bnao(*arguments):
    return CliRunner().invoke(main, ["zoo", *arguments])


def test_every_cell_stands_in_the_list_with_claimed_and_counted_sizes():
    result = bnao()

    assert result.exit_code == 0
    for entry in zoo():
        assert any(line.startswith(entry.name) for line in result.stdout.splitlines())
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("NAONet-V2")]
    assert line.split() == ["NAONet-V2", "nao", "cifar10", "36", "6", "3.8!", "4.39", "684", "2.6", "%"]


def test_of_one_cell_all_is_told():
    result = bnao("darts_v2")

    assert "from github.com/quark0/darts at f276dd3, cnn/genotypes.py" in result.stdout
    assert "claimed: 4.7 M parameters, 26.7 % test error (top-5 8.7 %) on imagenet" in result.stdout
    assert "counted: 4,718,752 parameters, 529,911,552 multiply-adds (C = 48, N = 4, imagenet stem)" in result.stdout


def test_a_cell_that_cannot_be_expressed_says_so():
    result = bnao("BayesNAS-0.01")

    assert "note: Not expressible: node 0 of the normal cell sums five edges" in result.stdout
    assert "counted" not in result.stdout


def test_json_is_an_object_a_cell():
    lines = bnao("--json").stdout.splitlines()

    content = [json.loads(line) for line in lines]
    assert [each["name"] for each in content] == [entry.name for entry in zoo()]
    (naonet,) = [each for each in content if each["name"] == "NAONet-V2"]
    assert naonet["networks"][0]["agrees"] is False
    assert naonet["networks"][0]["parameters"] == 4_387_654


def test_a_name_that_is_none_is_refused_with_the_nearest():
    result = bnao("NAONet-V3")

    assert result.exit_code == 1
    assert result.stderr == "bnao: error: no published cell 'NAONet-V3'; did you mean NAONet-V2?\n"
