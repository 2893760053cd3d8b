"""A supernet that looks scores up in a benchmark table: no framework, no training, a search in a second."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray

from bnao.config import EvaluateConfig, NetworkConfig, SearchConfig
from bnao.data import Dataset
from bnao.errors import BackendError, DataError, GenotypeError
from bnao.formats import parse
from bnao.genotype import Cell, Edge, Genotype, Node
from bnao.protocols import Controller, StandAlone, State, Step
from bnao.space import SearchSpace, space_named

#: columns looked for where none is named, the first that is there
SCORE_COLUMNS = ("score", "accuracy", "best_test_acc")
SIZE_COLUMNS = ("size", "params", "parameters")


@frozen(eq=False)
class Table:
    """A benchmark table's rows: genotypes, scores and, where it has them, sizes."""

    genotypes: tuple[Genotype, ...]
    scores: NDArray[np.float64]
    sizes: NDArray[np.float64] | None


class TableSupernet:
    """Scores of given genotypes in place of a trained supernet.

    Args:
        genotypes: n >= 2 of them; of genotypes that are there twice the first counts.
        scores: shape (n,), finite; higher is better, in any unit.
        sizes: shape (n,), or None to count parameters.
        network: says the space and what parameters are counted for.

    Raises:
        DataError: fewer than two genotypes, not one score for each, or one that is not finite.

    >>> from bnao.space import SPACES
    >>> from bnao.streams import stream
    >>> pool = SPACES["nao"].random_genotypes(2, stream(0, "example"))
    >>> TableSupernet(pool, scores=[0.25, 0.75], network=NetworkConfig()).score(pool[::-1]).tolist()
    [0.75, 0.25]
    """

    epoch_steps = 0
    scored_images = None

    def __init__(
        self,
        genotypes: Sequence[Genotype],
        scores: ArrayLike,
        network: NetworkConfig,
        sizes: ArrayLike | None = None,
    ) -> None:
        values = np.asarray(scores, dtype=np.float64)
        if values.shape != (len(genotypes),):
            raise DataError(f"{len(genotypes)} genotypes but scores of shape {values.shape}; each needs one score")
        if not np.isfinite(values).all():
            raise DataError(f"scores[{int(np.flatnonzero(~np.isfinite(values))[0])}] is not finite")
        self.network = network
        self._scores: dict[Genotype, float] = {}
        self._sizes: dict[Genotype, float] = {}
        for genotype, score in zip(genotypes, values.tolist(), strict=True):
            self._scores.setdefault(genotype, score)
        if sizes is not None:
            for genotype, size in zip(genotypes, np.asarray(sizes, dtype=np.float64).tolist(), strict=True):
                self._sizes.setdefault(genotype, size)
        if len(self._scores) < 2:
            raise DataError(f"the table has {len(self._scores)} genotype; a search needs at least two")
        self.candidates: Sequence[Genotype] = tuple(self._scores)

    def train(
        self, pool: Sequence[Genotype], drawn: NDArray[np.int64], *, round: int, start: int = 0
    ) -> Iterator[Step]:
        """Nothing: a table's scores do not change."""
        return iter(())

    def score(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
        """The table's scores.

        Raises:
            GenotypeError: a genotype is not in the table.
        """
        for genotype in genotypes:
            if genotype not in self._scores:
                raise GenotypeError(f"the table has no row for {genotype}")
        return np.array([self._scores[genotype] for genotype in genotypes], dtype=np.float64)

    def sizes(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64] | None:
        """The table's sizes, or None where it has none."""
        return np.array([self._sizes[genotype] for genotype in genotypes]) if self._sizes else None

    def state(self) -> State:
        """Nothing: a table has no weights."""
        return {}

    def load_state(self, state: State) -> None:
        """Nothing to become."""


class TableBackend:
    """Benchmark tables as a backend."""

    name = "table"

    def versions(self) -> dict[str, str]:
        """Nothing beyond bnao is needed."""
        return {}

    def devices(self) -> list[str]:
        """A table needs none."""
        return []

    def supernet(self, config: SearchConfig, dataset: Dataset | None) -> TableSupernet:
        """The table that the settings name."""
        if config.table.table is None:
            raise BackendError("backend 'table' needs a table; name a CSV file with --table")
        network = config.network if dataset is None else dataset.network(config.network)
        space = space_named(network.space, network.nodes)
        columns = config.table
        table = read_table(Path(config.table.table), space, columns.score_column, columns.size_column)
        return TableSupernet(table.genotypes, table.scores, network, table.sizes)

    def controller(self, config: SearchConfig) -> Controller:
        """None: the NAO controller needs gradients."""
        raise BackendError(
            "backend 'table' has no NAO controller, which needs gradients; "
            "choose --controller evolution or random, or --controller-backend torch"
        )

    def stand_alone(self, genotype: Genotype, config: EvaluateConfig, dataset: Dataset, *, seed: int) -> StandAlone:
        """None: a table trains nothing."""
        raise BackendError("backend 'table' trains nothing; evaluate with --backend torch")


def read_table(path: Path, space: SearchSpace, score_column: str | None, size_column: str | None) -> Table:
    """The rows of a CSV file.

    A row has its genotype in a column ``genotype`` (any notation), or in ``normal`` and ``reduce`` as JSON
    lists of two [operation, source] pairs a node.

    Raises:
        DataError: no such file, a column is missing, or a row's score, size or genotype cannot be; with the line.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            columns = list(reader.fieldnames or [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read the table {path}: {error}") from None
    read = _genotype_reader(path, columns, space)
    score_name = _column(path, columns, "score", score_column, SCORE_COLUMNS)
    size_name = None
    if size_column is not None or any(name in columns for name in SIZE_COLUMNS):
        size_name = _column(path, columns, "size", size_column, SIZE_COLUMNS)
    genotypes, scores, sizes = [], [], []
    for line, row in enumerate(rows, start=2):
        try:
            genotypes.append(read(row))
            scores.append(_number(row, score_name, positive=False))
            if size_name is not None:
                sizes.append(_number(row, size_name, positive=True))
        except (GenotypeError, DataError) as error:
            raise DataError(f"{path}, line {line}: {error}") from None
    return Table(tuple(genotypes), np.array(scores), np.array(sizes) if size_name is not None else None)


def _column(path: Path, columns: Sequence[str], what: str, wanted: str | None, usual: Sequence[str]) -> str:
    for name in (wanted,) if wanted is not None else usual:
        if name in columns:
            return name
    missing = repr(wanted) if wanted is not None else " or ".join(usual)
    raise DataError(f"{path} has no column {missing} for the {what}; it has {', '.join(columns) or 'no columns'}")


def _number(row: Mapping[str, str | None], column: str, positive: bool) -> float:
    text = row[column] or ""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value) or (positive and value <= 0):
        raise DataError(f"{column} is {text!r}; it must be a finite number{' above 0' if positive else ''}")
    return value


def _genotype_reader(
    path: Path, columns: Sequence[str], space: SearchSpace
) -> Callable[[Mapping[str, str | None]], Genotype]:
    if "genotype" in columns:
        return lambda row: parse(row["genotype"] or "", space)
    if "normal" in columns and "reduce" in columns:
        return lambda row: space.check(Genotype(*(_pairs(row[name] or "", name) for name in ("normal", "reduce"))))
    raise DataError(
        f"{path} has no column genotype, nor normal and reduce; it has {', '.join(columns) or 'no columns'}"
    )


def _pairs(text: str, name: str) -> Cell:
    """A cell from JSON: two [operation, source] pairs a node."""
    try:
        edges = [Edge(source, operation) for operation, source in json.loads(text)]
        return Cell([Node(pair) for pair in zip(edges[::2], edges[1::2], strict=True)])
    except (ValueError, TypeError) as error:
        if isinstance(error, GenotypeError):
            raise GenotypeError(f"{name}: {error}") from None
        raise GenotypeError(f"{name} is {text[:60]!r}; it must be [[operation, source], ...], two a node") from None


BACKEND = TableBackend()
