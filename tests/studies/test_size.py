"""Size against accuracy along training, in tables."""

import numpy as np
import pytest

from bnao.data.tables import read_rows
from bnao.errors import DataError
from bnao.studies.size import SizeCorrelation, sizes_to_json, study_size


@pytest.fixture
def table(tmp_path):
    def written(**columns):
        path = tmp_path / "made.csv"
        rows = zip(*columns.values(), strict=True)
        path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n")
        return read_rows(path)

    return written


SIZES = list(range(1, 31))


def test_small_ones_lead_early_and_large_ones_late_as_the_paper_has_it(table):
    rows = table(params=SIZES, test_acc_ep1=[-s for s in SIZES], test_acc_ep50=SIZES, best_test_acc=SIZES)

    found = study_size(rows, None, [], resamples=100)

    assert found.epochs == (1, 50)
    assert [estimate.value for estimate in found.spearman] == pytest.approx([-1, 1])
    assert [estimate.value for estimate in found.with_last] == pytest.approx([-1, 1])
    assert SizeCorrelation.from_json(found.to_json()).to_json() == found.to_json()
    assert sizes_to_json([found])["tables"][0]["n"] == 30


@pytest.mark.parametrize("name", ["test_acc_ep7", "test_ep7", "acc_epoch_7", "c10_test_7", "c10_valid_7"])
def test_a_columns_name_tells_its_epochs(table, name):
    found = study_size(table(params=SIZES, **{name: SIZES}), None, [], resamples=100)

    assert found.epochs == (7,)


def test_a_table_without_such_columns_or_with_a_wrong_number_is_refused(table):
    with pytest.raises(DataError, match="has no column of accuracies whose name has its epochs"):
        study_size(table(params=SIZES, accuracy=SIZES), None, [], resamples=100)
    with pytest.raises(DataError, match="does not name its epochs"):
        study_size(table(params=SIZES, accuracy=SIZES), None, ["accuracy"], resamples=100)
    with pytest.raises(DataError, match="line 2: params is '0'; it must be a finite number above 0"):
        study_size(table(params=[0, *SIZES[1:]], test_ep5=SIZES), None, [], resamples=100)
    with pytest.raises(DataError, match="line 4: test_ep5 is 'nan'; it must be a finite number"):
        study_size(table(params=SIZES, test_ep5=[1, 2, np.nan, *SIZES[3:]]), None, [], resamples=100)
