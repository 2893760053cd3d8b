"""The paper's premise in benchmark tables: correlation of size and accuracy during training (Sec. 3)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.data.tables import SIZE_COLUMNS, Rows
from bnao.errors import DataError
from bnao.metrics import Estimate, rank_agreement

# accuracies after so many epochs, as benchmark tables name them
_AT_EPOCH = re.compile(r"(?:.*_)?ep(?:och)?_?(\d+)|.*(?:test|valid)_(\d+)")


@frozen(eq=False)
class SizeCorrelation:
    """Correlation of size and accuracy in one table.

    Attributes:
        name: the table's.
        n: its genotypes.
        epochs: after which accuracies are known.
        spearman: of size and accuracy, one an epoch.
        kendall: likewise.
        with_last: Spearman's rho of that accuracy and the last one.
    """

    name: str
    n: int
    epochs: tuple[int, ...]
    spearman: tuple[Estimate, ...]
    kendall: tuple[Estimate, ...]
    with_last: tuple[Estimate, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as in study.json."""
        entries = [
            {
                "epochs": epochs,
                "spearman": spearman.to_entry(),
                "kendall_tau": kendall.to_entry(),
                "spearman_with_last": last.to_entry(),
            }
            for epochs, spearman, kendall, last in zip(
                self.epochs, self.spearman, self.kendall, self.with_last, strict=True
            )
        ]
        return {"table": self.name, "n": self.n, "correlation": entries}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> SizeCorrelation:
        """Read the object that ``to_json`` wrote."""
        entries = content["correlation"]

        def estimates(name: str) -> tuple[Estimate, ...]:
            return tuple(Estimate.from_entry(entry[name]) for entry in entries)

        return cls(
            content["table"], int(content["n"]), tuple(int(entry["epochs"]) for entry in entries),
            estimates("spearman"), estimates("kendall_tau"), estimates("spearman_with_last"),
        )  # fmt: skip


def accuracy_columns(rows: Rows, wanted: Sequence[str]) -> dict[int, str]:
    """Return the columns of accuracies after so many epochs, by epochs: those wanted, or all whose names tell epochs.

    Raises:
        DataError: a column is not there, or no name has its epochs.

    >>> from pathlib import Path
    >>> rows = Rows(Path("t.csv"), ("params", "test_acc_ep5", "test_acc_ep50"), ())
    >>> accuracy_columns(rows, [])
    {5: 'test_acc_ep5', 50: 'test_acc_ep50'}
    """
    for name in wanted:
        rows.column("accuracies", name)
    found: dict[int, str] = {}
    for name in wanted or rows.columns:
        match = _AT_EPOCH.fullmatch(name)
        if match:
            found.setdefault(int(match[1] or match[2]), name)
        elif wanted:
            raise DataError(f"{rows.path}: the column {name!r} does not name its epochs, as test_acc_ep50 does")
    if not found:
        raise DataError(
            f"{rows.path} has no column of accuracies whose name has its epochs, such as test_acc_ep50; it has "
            f"{', '.join(rows.columns)}"
        )
    return dict(sorted(found.items()))


def study_size(rows: Rows, size_column: str | None, columns: Sequence[str], resamples: int) -> SizeCorrelation:
    """Correlate size with accuracy after each number of epochs in a table.

    Args:
        rows: the table.
        size_column: of sizes; by default size or params.
        columns: of accuracies; by default all whose names tell epochs.
        resamples: behind each interval.

    Raises:
        DataError: a column is missing, or a number is not finite.
    """
    usual = (*SIZE_COLUMNS, *(name for name in rows.columns if name.startswith("params")))
    sizes = rows.numbers(rows.column("size", size_column, usual), positive=True)
    found = {epochs: rows.numbers(name) for epochs, name in accuracy_columns(rows, columns).items()}
    last: NDArray[np.float64] = found[max(found)]
    by_size = [rank_agreement(sizes, accuracy, resamples=resamples) for accuracy in found.values()]
    by_last = [rank_agreement(accuracy, last, resamples=resamples) for accuracy in found.values()]
    return SizeCorrelation(
        rows.path.stem,
        len(sizes),
        tuple(found),
        tuple(figures["spearman"] for figures in by_size),
        tuple(figures["kendall_tau"] for figures in by_size),
        tuple(figures["spearman"] for figures in by_last),
    )


def sizes_to_json(correlations: Sequence[SizeCorrelation]) -> dict[str, Any]:
    """Return a study of the premise as plain data, as in study.json."""
    return {"kind": "size", "tables": [correlation.to_json() for correlation in correlations]}
