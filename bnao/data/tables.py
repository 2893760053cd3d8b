"""Benchmark tables: what others measured of genotypes, read from a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.errors import DataError, GenotypeError
from bnao.files import MOST_TABLE, parse_json, read_regular
from bnao.space.genotype import Cell, Edge, Genotype, Node
from bnao.space.notation.notations import parse
from bnao.space.spaces import SearchSpace

#: columns looked for where none is named, the first that is there; the last is NAS-Bench-201's validation accuracy
SCORE_COLUMNS = ("score", "accuracy", "best_test_acc", "c10_valid_200")
SIZE_COLUMNS = ("size", "params", "parameters")
#: columns that hold a whole genotype, in any notation
GENOTYPE_COLUMNS = ("genotype", "arch_str")
# columns, and characters of each, that an error lists
_MOST_NAMES, _MOST_NAME = 30, 40


@frozen(eq=False)
class Rows:
    """A CSV file's rows as text, by column.

    Attributes:
        path: the file.
        columns: their names, in order.
        rows: a text by column's name for each row; row i stands in line i + 2 where no text spans lines.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, str | None], ...]

    def column(self, what: str, wanted: str | None, usual: Sequence[str] = ()) -> str:
        """Return the column that is wanted, or the first usual one that is there.

        Raises:
            DataError: there is none; all are named.
        """
        for name in (wanted,) if wanted is not None else usual:
            if name in self.columns:
                return name
        missing = repr(wanted) if wanted is not None else " or ".join(usual)
        raise DataError(f"{self.path} has no column {missing} for the {what}; it has {_listed(self.columns)}")

    def numbers(self, column: str, *, positive: bool = False) -> NDArray[np.float64]:
        """Return a column's numbers, shape (rows,).

        Raises:
            DataError: one is not finite, or not positive where it must be; its line is named.
        """
        values = np.empty(len(self.rows))
        for index, row in enumerate(self.rows):
            text = row[column] or ""
            try:
                values[index] = float(text)
            except ValueError:
                values[index] = np.nan
            if not np.isfinite(values[index]) or (positive and values[index] <= 0):
                raise DataError(
                    f"{self.path}, line {index + 2}: {column} is {text!r}; it must be a finite number"
                    f"{' above 0' if positive else ''}"
                )
        return values

    def genotypes(self, space: SearchSpace) -> tuple[Genotype, ...]:
        """Return each row's genotype: of a column ``genotype`` or ``arch_str`` in any notation, or of ``normal`` and
        ``reduce`` as JSON lists of two [operation, source] pairs a node.

        Raises:
            DataError: no such column, or a row's genotype cannot be or is of another space; its line is named.
        """
        read = _genotype_reader(self.path, self.columns, space)
        genotypes = []
        for line, row in enumerate(self.rows, start=2):
            try:
                genotypes.append(read(row))
            except GenotypeError as error:
                raise DataError(f"{self.path}, line {line}: {error}") from None
        return tuple(genotypes)


def read_rows(path: Path) -> Rows:
    """Read a CSV file's rows.

    Raises:
        DataError: no such file, no CSV, or two columns of one name.
    """
    try:
        # a byte-order mark, with which spreadsheets begin a file, is no part of the first column's name
        reader = csv.DictReader(io.StringIO(read_regular(path, MOST_TABLE).decode("utf-8-sig"), newline=""))
        rows = tuple(reader)
        columns = tuple(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"cannot read the table {path}: {reason}") from None
    twice = next((name for at, name in enumerate(columns) if name in columns[:at]), None)
    if twice is not None:
        raise DataError(f"{path} has two columns {twice!r}; a column's name must be its own")
    return Rows(path, columns, rows)


@frozen(eq=False)
class Table:
    """A benchmark table's genotypes, scores and, where it has them, sizes."""

    genotypes: tuple[Genotype, ...]
    scores: NDArray[np.float64]
    sizes: NDArray[np.float64] | None


def read_table(path: Path, space: SearchSpace, score_column: str | None, size_column: str | None) -> Table:
    """Read the genotypes, scores and sizes of a CSV file.

    Raises:
        DataError: no such file, a column is missing, a row's score, size or genotype cannot be, or two rows of one
            genotype differ; with the lines.
    """
    rows = read_rows(path)
    score_name = rows.column("score", score_column, SCORE_COLUMNS)
    size_name = None
    if size_column is not None or any(name in rows.columns for name in SIZE_COLUMNS):
        size_name = rows.column("size", size_column, SIZE_COLUMNS)
    sizes = None if size_name is None else rows.numbers(size_name, positive=True)
    genotypes, scores = rows.genotypes(space), rows.numbers(score_name)
    check_alike(path, genotypes, score_name, scores)
    if sizes is not None and size_name is not None:
        check_alike(path, genotypes, size_name, sizes)
    return Table(genotypes, scores, sizes)


def check_alike(path: Path, genotypes: Sequence[Genotype], column: str, values: NDArray[np.float64]) -> None:
    """Refuse two different values of one genotype.

    Raises:
        DataError: the lines of both rows are named.
    """
    lines: dict[Genotype, tuple[int, float]] = {}
    for line, (genotype, value) in enumerate(zip(genotypes, values.tolist(), strict=True), start=2):
        before, known = lines.setdefault(genotype, (line, value))
        if known != value:
            raise DataError(
                f"{path}, lines {before} and {line}: one genotype has the {column} {known:g} and {value:g}; keep one "
                f"row, or their mean"
            )


def read_truth(path: Path, space: SearchSpace, column: str | None) -> dict[Genotype, float]:
    """Read each genotype's accuracy in a CSV file; a genotype in two rows must have the same value.

    Raises:
        DataError: as for ``read_table``; or a genotype has two different values, both lines are named.
    """
    rows = read_rows(path)
    name = rows.column("accuracy", column, SCORE_COLUMNS)
    genotypes, values = rows.genotypes(space), rows.numbers(name)
    check_alike(path, genotypes, name, values)
    return dict(zip(genotypes, values.tolist(), strict=True))


def _listed(columns: Sequence[str]) -> str:
    """Return the names of columns as an error shows them: a file of something else may have any."""
    return (
        ", ".join(name if len(name) <= _MOST_NAME else f"{name[:_MOST_NAME]}…" for name in columns[:_MOST_NAMES])
        + (f" and {len(columns) - _MOST_NAMES} more" if len(columns) > _MOST_NAMES else "")
        or "no columns"
    )


def _genotype_reader(
    path: Path, columns: Sequence[str], space: SearchSpace
) -> Callable[[Mapping[str, str | None]], Genotype]:
    for name in GENOTYPE_COLUMNS:
        if name in columns:
            return lambda row: parse(row[name] or "", space)
    if "normal" in columns and "reduce" in columns:
        return lambda row: space.genotype_of(*(_pairs(row[name] or "", name) for name in ("normal", "reduce")))
    raise DataError(f"{path} has no column genotype or arch_str, nor normal and reduce; it has {_listed(columns)}")


def _pairs(text: str, name: str) -> Cell:
    """Return a cell from JSON: two [operation, source] pairs a node."""
    try:
        edges = [Edge(source, operation) for operation, source in parse_json(text)]
        return Cell([Node(pair) for pair in zip(edges[::2], edges[1::2], strict=True)])
    except (ValueError, TypeError) as error:
        if isinstance(error, GenotypeError):
            raise GenotypeError(f"{name}: {error}") from None
        raise GenotypeError(f"{name} is {text[:60]!r}; it must be [[operation, source], ...], two per node") from None
