"""Published scores against published accuracies."""

import csv

import numpy as np
import pytest

from bnao.data.tables import read_rows
from bnao.errors import ConfigError, DataError
from bnao.metrics import mean_ranks
from bnao.space.spaces import SPACES
from bnao.streams import stream
from bnao.studies.agreement import AgreementStudy, study_agreement

SPACE = SPACES["nas-bench-201"]


@pytest.fixture
def rows(tmp_path):
    """Sixty cells: the score is the truth but for size, which it holds against the large ones."""
    path = tmp_path / "scored.csv"
    genotypes = SPACE.random_genotypes(60, stream(0, "agreement"))
    sizes = np.arange(1, 61)
    truth = stream(0, "agreement truth").permutation(60)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["genotype", "params", "truth", "biased", "right"])
        writer.writerows(zip(genotypes, sizes, truth, truth - sizes / 2, truth, strict=True))
    return read_rows(path)


def test_scores_that_hold_size_against_the_large_show_it(rows):
    found = study_agreement(rows, "truth", ["biased", "right"], draws=20, resamples=100)

    biased, right, size = found.agreements
    assert size.column == "size alone"
    assert right.figures["kendall_tau"].value == 1
    assert right.of_draws == (1, 0)
    assert biased.figures["kendall_tau"].value < 1
    assert biased.gained_by_size < -0.5
    assert right.gained_by_size is None  # nobody gains a rank
    assert AgreementStudy.from_json(found.to_json()).to_json()["n"] == found.n == 60


def test_only_the_genotypes_asked_for_are_looked_at(rows):
    some = rows.genotypes(SPACE)[10:20]

    found = study_agreement(rows, "truth", ["right"], space=SPACE, among=some, draw=5, draws=5, resamples=100)

    assert found.n == 10
    with pytest.raises(ConfigError, match="a draw has 50 genotypes, and there are 10"):
        study_agreement(rows, "truth", ["right"], space=SPACE, among=some)
    (stranger,) = SPACE.random_genotypes(1, stream(1, "stranger"), exclude=rows.genotypes(SPACE))
    with pytest.raises(DataError, match=r"has no row for 1 of the 11 genotypes; the first is 0:"):
        study_agreement(rows, "truth", ["right"], space=SPACE, among=[*some, stranger])


def test_tied_scores_share_their_mean_rank():
    assert mean_ranks(np.array([3.0, 1.0, 3.0, 0.0])).tolist() == [2.5, 1.0, 2.5, 0.0]


def test_the_published_one_shot_scores_have_the_published_agreement(shared_data):
    path = shared_data / "tables" / "nasbench201_oneshot" / "nasbench201_oneshot.csv"
    found = study_agreement(
        read_rows(path), "standalone_test_200", ["oneshot_supernet", "fewshot_supernet"],
        space=SPACE, draws=300, resamples=2,
    )  # fmt: skip

    one, few, size, live = found.agreements
    assert found.n == 15_625
    assert round(one.figures["kendall_tau"].value, 3) == 0.485
    assert round(few.figures["kendall_tau"].value, 3) == 0.551
    assert round(one.figures["tau_in_better_half"].value, 2) == -0.05
    assert round(one.figures["partial_tau_given_size"].value, 2) == 0.26
    assert round(size.figures["kendall_tau"].value, 3) == 0.578
    assert round(live.figures["kendall_tau"].value, 3) == 0.654
    assert round(live.figures["tau_in_better_half"].value, 3) == 0.419
    # 0.746 over other draws of 50
    assert one.of_draws[0] == pytest.approx(0.746, abs=4 * one.of_draws[1] / 300**0.5)
