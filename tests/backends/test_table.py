"""A benchmark table in place of a supernet."""

import json

import numpy as np
import pytest

from bnao.backends.table import BACKEND, TableSupernet
from bnao.config.settings import ControllerConfig, MachineConfig, NetworkConfig, SearchConfig, TableConfig
from bnao.data.tables import read_table
from bnao.errors import BackendError, DataError, GenotypeError
from bnao.metrics import kendall_tau
from bnao.searches import prepare_search
from bnao.space.spaces import SPACES, space_named
from bnao.streams import stream

SPACE = SPACES["nao"]
POOL = SPACE.random_genotypes(4, stream(0, "table test"))


@pytest.fixture
def write(tmp_path):
    def written(*lines):
        (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
        return tmp_path / "table.csv"

    return written


def read(path, space=SPACE, score=None, size=None):
    return read_table(path, space, score, size)


def test_rows_are_read_in_any_notation(write):
    integers = " ".join(map(str, SPACE.encode(POOL[1:2]).ravel()))
    path = write("genotype,score,size", f"{POOL[0]},0.5,1000", f'"{integers}",0.75,2000')

    table = read(path)

    assert table.genotypes == (POOL[0], POOL[1])
    assert table.scores.tolist() == [0.5, 0.75]
    assert table.sizes.tolist() == [1000, 2000]


def test_cells_are_read_from_json_pairs(write):
    cell = [["skip_connect", 0], ["max_pool_3x3", 1]]
    text = json.dumps(cell).replace('"', '""')
    path = write("normal,reduce,best_test_acc", f'"{text}","{text}",70.5')

    table = read(path, space_named("nao", 1))

    assert str(table.genotypes[0].normal) == "0:skip_connect+1:max_pool_3x3"
    assert table.sizes is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["genotype,points", "x,1"],
            "has no column score or accuracy or best_test_acc or c10_valid_200 for the score",
        ),
        (["name,score", "x,1"], "has no column genotype or arch_str, nor normal and reduce; it has name, score"),
        (["genotype,score", f"{POOL[0]},good"], "line 2: score is 'good'; it must be a finite number"),
        (["genotype,score", f"{POOL[0]},0.5", f"{POOL[1]},nan"], "line 3: score is 'nan'"),
        (["genotype,score,size", f"{POOL[0]},0.5,0"], "line 2: size is '0'; it must be a finite number above 0"),
        (["genotype,score", "1 2 3,0.5"], "line 2: 3 integers; a genotype of space 'nao' with 5 nodes has 40"),
        (["normal,reduce,score", "x,y,1"], r"line 2: normal is 'x'; it must be \[\[operation, source\], ...\]"),
        (["genotype,score", f"{POOL[0]}"], "line 2: score is ''"),
        (
            ["genotype,score", f"{POOL[0]},0.5", f"{POOL[1]},0.5", f"{POOL[0]},0.25"],
            "lines 2 and 4: one genotype has the score 0.5 and 0.25; keep one row, or their mean",
        ),
        (
            ["genotype,score,size", f"{POOL[0]},0.5,10", f"{POOL[0]},0.5,20"],
            "lines 2 and 3: one genotype has the size 10 and 20",
        ),
        (["[" * 1000, "x"], r"it has \[{40}…$"),
        (["genotype,score,score", f"{POOL[0]},0.5,0.25"], "has two columns 'score'"),
        (["normal,reduce,score", "[" * 50_000 + ",y,1"], r"line 2: normal is '\[\[\["),
        (["genotype,score", '{"a":' * 20_000 + ",0.5"], "line 2: "),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_with_its_place(write, lines, message):
    with pytest.raises(DataError, match=message):
        read(write(*lines))


def test_a_table_may_begin_with_a_byte_order_mark_and_have_a_row_twice(write):
    table = read(write("\ufeffgenotype,score", f"{POOL[0]},0.5", f"{POOL[1]},0.75", f"{POOL[0]},0.5"))

    assert table.scores.tolist() == [0.5, 0.75, 0.5]


def test_a_search_of_more_than_a_table_has_ends_at_once(write):
    path = write("genotype,score", *(f"{genotype},{number}" for number, genotype in enumerate(POOL)))
    config = SearchConfig(
        rounds=2, pool=2, new=1_000_000, rerank_epochs=0, machine=MachineConfig(backend="table"),
        table=TableConfig(table=str(path)), controller=ControllerConfig(controller="evolution"),
    )  # fmt: skip

    found = prepare_search(config).search()

    assert len(found.ranked) == 4


def test_a_named_column_that_is_missing_is_refused(write):
    with pytest.raises(DataError, match="has no column 'top5' for the score"):
        read(write("genotype,score", f"{POOL[0]},0.5"), score="top5")


def test_a_table_of_one_genotype_cannot_be_searched():
    with pytest.raises(DataError, match="has 1 genotype; a search needs at least two"):
        TableSupernet([POOL[0], POOL[0]], [0.5, 0.6], NetworkConfig())


def test_of_a_genotype_that_is_there_twice_the_first_row_counts():
    table = TableSupernet([POOL[0], POOL[1], POOL[0]], [0.5, 0.6, 0.7], NetworkConfig(), sizes=[1, 2, 3])

    assert table.score([POOL[0]]).tolist() == [0.5]
    assert table.sizes([POOL[0]]).tolist() == [1]


def test_a_genotype_that_is_not_there_has_no_score():
    with pytest.raises(GenotypeError, match="the table has no row for"):
        TableSupernet(POOL[:2], [0.5, 0.6], NetworkConfig()).score([POOL[3]])


def test_the_backend_needs_a_table_and_has_no_nao_controller():
    with pytest.raises(BackendError, match="name a CSV file with --table"):
        BACKEND.supernet(SearchConfig(), None)
    with pytest.raises(BackendError, match="choose --controller evolution or random, or --controller-backend torch"):
        BACKEND.controller(SearchConfig())


def test_enas_cells_trained_on_imagenet_are_a_table_and_larger_ones_are_better(shared_data):
    path = shared_data / "tables" / "nds_imagenet" / "ENAS_in.csv"
    config = SearchConfig(table=TableConfig(table=str(path)))

    table = BACKEND.supernet(config, None)

    assert len(table.candidates) == 117
    scores, sizes = table.score(table.candidates), table.sizes(table.candidates)
    assert scores.min() > 50 and scores.max() < 80  # % of ImageNet's top-1 after 50 epochs
    # the file's README: Spearman 0.80 with parameters; tau is lower but far from 0
    assert kendall_tau(sizes, scores) > 0.5
    assert np.isfinite(scores).all()
