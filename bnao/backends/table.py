"""Scores looked up in a benchmark table in place of a supernet: no framework, no training, a search in a second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.data.dataset import Dataset, LabelledImages
from bnao.data.tables import read_table
from bnao.errors import BackendError, DataError, GenotypeError
from bnao.protocols import Controller, StandAlone, State, Step
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named


class TableSupernet:
    """Scores of given genotypes in place of a trained supernet.

    Args:
        genotypes: n >= 2 of them; of genotypes that are there twice the first counts.
        scores: shape (n,), finite; higher is better, in any unit.
        sizes: shape (n,), or None to count parameters.
        network: says the space and what parameters are counted for.

    Raises:
        DataError: fewer than two genotypes, not one score for each, or one that is not finite.

    >>> from bnao.space.spaces import SPACES
    >>> from bnao.streams import stream
    >>> pool = SPACES["nao"].random_genotypes(2, stream(0, "example"))
    >>> TableSupernet(pool, scores=[0.25, 0.75], network=NetworkConfig()).score(pool[::-1]).tolist()
    [0.75, 0.25]
    """

    epoch_steps = 0
    scored_images: int | None = None

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
        self, pool: Sequence[Genotype], drawn: NDArray[np.int64], *, round_index: int, start: int = 0
    ) -> Iterator[Step]:
        """Nothing: a table's scores do not change."""
        return iter(())

    def score(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
        """Return the table's scores.

        Raises:
            GenotypeError: a genotype is not in the table.
        """
        for genotype in genotypes:
            if genotype not in self._scores:
                raise GenotypeError(f"the table has no row for {genotype}")
        return np.array([self._scores[genotype] for genotype in genotypes], dtype=np.float64)

    def sizes(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64] | None:
        """Return the table's sizes, or None where it has none."""
        return np.array([self._sizes[genotype] for genotype in genotypes]) if self._sizes else None

    def state(self) -> State:
        """Nothing: a table has no weights."""
        return {}

    def load_state(self, state: State) -> None:
        """Do nothing: there is nothing to restore."""


class TableBackend:
    """Benchmark tables as a backend."""

    name = "table"

    def versions(self) -> dict[str, str]:
        """Nothing beyond bnao is needed."""
        return {}

    def devices(self) -> list[str]:
        """Return none: nothing is computed."""
        return []

    def supernet(self, config: SearchConfig, dataset: Dataset | None) -> TableSupernet:
        """Return the table that the settings name."""
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

    def stand_alone(
        self, genotype: Genotype, config: EvaluateConfig, dataset: LabelledImages, *, seed: int
    ) -> StandAlone:
        """None: a table trains nothing."""
        raise BackendError("backend 'table' trains nothing; evaluate with --backend torch")


BACKEND = TableBackend()
