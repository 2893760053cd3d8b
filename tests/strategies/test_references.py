"""Genotypes named by their run: by rank, by the digits of their id, or refused."""

import json

import pytest

from bnao.backends.table import TableSupernet
from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import ControllerConfig, NetworkConfig, SearchConfig
from bnao.errors import GenotypeError, RunError
from bnao.run import Folder, Run
from bnao.space.spaces import SPACES
from bnao.strategies import references
from bnao.strategies.random_search import RandomController
from bnao.strategies.references import Reference, read_genotype, reference
from bnao.strategies.rounds import search
from bnao.streams import stream

SPACE = SPACES["darts"]


@pytest.fixture
def found(tmp_path, monkeypatch):
    """The result of a search in the folder ``run`` of the working folder."""
    monkeypatch.chdir(tmp_path)
    network = NetworkConfig(space="darts")
    pool = SPACE.random_genotypes(30, stream(0, "example"))
    table = TableSupernet(pool, scores=[at / 30 for at in range(30)], network=network)
    config = SearchConfig(rounds=1, pool=30, network=network)
    with Run.create("run", config) as run:
        return search(config, table, RandomController(SPACE, ControllerConfig(), 0), run=run)


def test_a_rank_and_the_first_digits_of_an_id_name_a_genotype_with_its_space(found):
    second = found.ranked[1].genotype

    for text in ("run:2", " run:2 ", f"run:{second.id}", f"run:{second.id[:5].upper()}", f"run:{second.digest}"):
        reading = read_genotype(text)

        assert reading.genotype == second
        assert (reading.genotype.output, reading.space, reading.told) == ("nodes", SPACE, True)


@pytest.mark.parametrize("place", ["0", "31", "abcdefabcdef"])
def test_what_a_run_does_not_have_is_refused(found, place):
    with pytest.raises(
        GenotypeError, match=f"run:{place} is not a genotype of run, which has 30; give a number from 1 to"
    ):
        read_genotype(f"run:{place}")


def test_fewer_than_four_digits_are_no_id(found):
    digits = next(d for d in (entry.genotype.id[:3] for entry in found.ranked) if not d.isdecimal())

    with pytest.raises(GenotypeError, match=r"or the digits of an id \(an id needs at least 4 digits\)"):
        read_genotype(f"run:{digits}")


class Named:
    """What stands for a genotype where its digits alone matter."""

    def __init__(self, digest):
        self.digest, self.id = digest, digest[:8]


def test_digits_of_several_are_refused_by_their_names():
    several = [Named("abcd00000000"), Named("abcd11111111"), Named("beef00000000")]

    assert references._chosen(Reference("run", "abcd0"), several) is several[0]
    with pytest.raises(GenotypeError, match="run:abcd means 2 genotypes: abcd00000000, abcd11111111; give more digits"):
        references._chosen(Reference("run", "abcd"), several)


def test_a_number_that_is_a_rank_and_an_id_too_is_refused_by_its_names():
    many = [Named(f"{at:012x}") for at in range(1999)]
    many.append(Named("100012345678"))

    with pytest.raises(
        GenotypeError, match=r"run:1000 means 2 genotypes: 1000 by rank \(id 00000000\), 100012345678; give more"
    ):
        references._chosen(Reference("run", "1000"), many)
    assert references._chosen(Reference("run", "10001"), many) is many[-1]


def test_a_genotype_of_another_space_than_is_asked_for_is_refused(found):
    with pytest.raises(
        GenotypeError, match="run:1 is of space 'darts' with 4 nodes, where space 'nao' with 5 is asked"
    ):
        read_genotype("run:1", SPACES["nao"])


def test_a_folder_that_is_not_there_or_holds_nothing_finished_is_named(found, tmp_path):
    (tmp_path / "empty").mkdir()

    with pytest.raises(RunError, match="no folder nowhere; a genotype is named RUN:1 or RUN:3f9a"):
        read_genotype("nowhere:1")
    with pytest.raises(
        RunError, match=r"empty has no result.json, evaluation.json or study.json; genotypes are named by"
    ):
        read_genotype("empty:1")


def test_a_genotype_of_an_evaluation_is_named_by_its_number_in_the_table(found, tmp_path):
    chosen = [found.ranked[at].genotype for at in (4, 2)]
    with Run.create("evaluated", EvaluateConfig(network=NetworkConfig(space="darts", channels=4, cells=1))) as run:
        run.write_json("evaluation.json", {"evaluations": [{"genotype": str(genotype)} for genotype in chosen]})

    assert [read_genotype(f"evaluated:{number}").genotype for number in (1, 2)] == chosen


def test_a_genotype_of_a_ranking_study_is_named_by_its_number_or_its_id(found, tmp_path):
    chosen = [found.ranked[at].genotype for at in (4, 2)]
    studied = Folder(tmp_path / "studied")
    genotypes = [{"genotype": str(genotype)} for genotype in chosen]
    studied.write_json("study.json", {"kind": "ranking", "space": "darts", "genotypes": genotypes})

    assert [read_genotype(f"studied:{place}").genotype for place in (1, 2, chosen[1].id)] == [*chosen, chosen[1]]
    assert read_genotype("studied:1").space == SPACE
    studied.write_json("study.json", {"kind": "size"})
    with pytest.raises(RunError, match="studied is of a study of kind 'size', which ranks no genotypes"):
        read_genotype("studied:1")


@pytest.mark.parametrize(
    "text", ["0:skip_connect", "DARTS_V2", "nao: 0 1 1 4", "nao:1", "0:1", "0:none;1:12", "", ":1"]
)
def test_texts_of_genotypes_are_no_references(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert reference(text) is None


def test_files_and_results_tell_the_id_beside_the_text(found, tmp_path):
    content = json.loads((tmp_path / "run" / "result.json").read_text())

    assert [entry["id"] for entry in content["ranked"]] == [entry.genotype.digest[:8] for entry in found.ranked]
    assert [entry["genotype"] for entry in content["ranked"]] == [str(entry.genotype) for entry in found.ranked]
