"""Short ids in tables, and RUN:1 and RUN:id wherever a command takes a genotype."""

import json
import pathlib
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

import bnao
from bnao.cli import main
from bnao.strategies.result import read_result
from tests.commands import workplace  # noqa: F401  # the fixture is used by its name

SEARCH = "search --backend pretend --rounds 2 --pool 12 --new 6 --steps 8 --controller-epochs 3 --quiet --out run"


def command(line, code=0):
    result = CliRunner().invoke(main, line.split())
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def found():
    """What a search in the folder ``run`` found."""
    command(SEARCH)
    return read_result(pathlib.Path("run")).ranked


def test_a_search_prints_ids_and_its_texts_on_demand(found):
    short, long = command(f"{SEARCH} --out short"), command(f"{SEARCH} --out long --long")

    for rank, entry in enumerate(found[:5], start=1):
        assert re.search(rf"^ +{rank}  {entry.genotype.id} ", short, re.M)
        assert f"   {rank}  {entry.genotype}\n" in long
    assert ";" not in short.split("\n\n")[0]
    assert "|" not in short


def test_every_command_that_takes_a_genotype_takes_a_rank_or_an_id_of_a_run(found):
    first, second = (entry.genotype for entry in found[:2])

    assert command("show run:2").startswith(f"{second}\n")
    assert command(f"show run:{first.id} --as text") == f"{first}\n"
    assert json.loads(command(f"show run:{second.id[:6]} --json"))["id"] == second.id
    assert f"<desc>{first}</desc>" in command("draw run:1")
    assert command("neighbours run:1 --count") == command(f"neighbours {first} --count")
    scores = json.loads(command("score run run:2 run:1 --json --quiet"))["scores"]
    assert [entry["id"] for entry in scores] == [second.id, first.id]


def test_genotypes_of_a_search_are_evaluated_on_its_images_beside_their_scores(found):
    said = command("evaluate run:2 run:1 --backend pretend --epochs 1 --out done --quiet")

    rows = [line for line in said.splitlines() if "rank " in line]
    assert [row.split()[1] for row in rows] == [found[1].genotype.id, found[0].genotype.id]
    assert [row.rpartition("  ")[2] for row in rows] == ["rank 2", "rank 1"]
    assert "one-shot scores against stand-alone accuracies" in said
    before, after = (pathlib.Path(name, "config.toml").read_text() for name in ("run", "done"))
    assert 'dataset = "fashion-mnist"' in before and 'dataset = "fashion-mnist"' in after
    assert re.search(r"^next: bnao show done:[12]$", said, re.M)
    number = int(re.search(r"done:(\d)", said)[1])
    assert command(f"show done:{number}").startswith(f"{found[2 - number].genotype}\n")


def test_a_rank_is_no_run_for_top_and_random(found):
    told = command("evaluate run:1 --top 1", code=2)

    assert told == "bnao: error: --top is for the folder of a run; give one RUN in place of genotypes\n"


@pytest.mark.parametrize("line", ["export {} --to note --backend pretend", "test {} --quiet"])
def test_trained_networks_are_found_by_rank_in_a_search_and_by_number_in_an_evaluation(found, line):
    command("evaluate run:2 run:1 --backend pretend --epochs 1 --out run/done --quiet")

    # a pretended network's weights fit no real one, and the refusal names the file that was taken
    for source, rank in [
        ("run:2", 2),
        ("run run:1", 1),
        ("run/done:1", 2),
        (f"run/done run:{found[0].genotype.id}", 1),
    ]:
        told = command(line.format(source), code=1)
        assert f"run/done/trainings/{found[rank - 1].genotype.digest}-seed-0.safetensors lacks" in told


def test_what_a_run_does_not_have_is_refused_in_one_line(found):
    told = command("show run:99", code=1)

    assert told.startswith("bnao: error: run:99 is not a genotype of run, which has 18; give a number from 1 to 18")
    assert told.count("\n") == 1


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "bnao", "--version"], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout) == (0, f"bnao {bnao.__version__}\n")
