"""Which of two genotypes should be the better, before either is trained: what a ranking loss goes by."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bnao.config.proxies import PROXIES
from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.config.studies import ProxiesConfig
from bnao.data.dataset import Dataset
from bnao.errors import BackendError
from bnao.network.size import SIZES
from bnao.protocols import Backend
from bnao.proxies import zero_cost_scores
from bnao.space.genotype import Genotype


class Priors:
    """A size or a zero-cost score of genotypes, counted once for each.

    Args:
        config: of the search; its ``training.rank_loss`` names what is counted, or is ``none``.
        network: of the supernet.
        dataset: what zero-cost scores see is of its train part.
        backend: makes the untrained networks; for zero-cost scores alone.

    Raises:
        BackendError: a zero-cost score is asked for, and there is no backend.

    >>> from bnao.config.settings import TrainingConfig
    >>> from bnao.space.spaces import SPACES
    >>> from bnao.testing import small_dataset
    >>> network = NetworkConfig(space="nas-bench-201", channels=8, cells=1)
    >>> config = SearchConfig(network=network, training=TrainingConfig(rank_loss="parameters"))
    >>> pool = [SPACES["nas-bench-201"].parse(f"0:{name};0:none+1:none;0:none+1:none+2:none")
    ...         for name in ("skip_connect", "nor_conv_1x1")]
    >>> list(Priors(config, small_dataset().network(network), small_dataset())(pool).values())
    [18540.0, 19996.0]
    """

    def __init__(
        self, config: SearchConfig, network: NetworkConfig, dataset: Dataset, backend: Backend | None = None
    ) -> None:
        self._name, self._config, self._dataset = config.training.rank_loss, config, dataset
        self._network, self._backend = network, backend
        self._known: dict[Genotype, float] = {}
        if self._name in PROXIES and backend is None:
            raise BackendError(
                f"rank_loss is {self._name}, which untrained networks are asked for, and there is no backend that "
                "makes them: give SharedWeights the backend, or let rank_loss be a size"
            )

    def __call__(self, genotypes: Sequence[Genotype]) -> dict[Genotype, float]:
        """Return the prior of each genotype, the higher the better, -inf where it is not defined; empty without any."""
        if self._name == "none":
            return {}
        new = [genotype for genotype in dict.fromkeys(genotypes) if genotype not in self._known]
        self._known |= zip(new, self._zero_cost(new) if self._name in PROXIES else self._sizes(new), strict=True)
        return {genotype: self._known[genotype] for genotype in genotypes}

    def _sizes(self, genotypes: Sequence[Genotype]) -> list[float]:
        return [float(size) for size in SIZES[self._name](genotypes, self._network)]

    def _zero_cost(self, genotypes: Sequence[Genotype]) -> list[float]:
        assert self._backend is not None
        config = ProxiesConfig(
            proxies=(self._name,), batch=min(64, self._dataset.n_train), seed=self._config.seed,
            network=self._config.network, data=self._config.data, machine=self._config.machine,
        )  # fmt: skip
        scored = zero_cost_scores(genotypes, config, self._backend, self._dataset)
        values = [entry.mean(self._name) for entry in scored]
        return [-math.inf if math.isnan(value) else value for value in values]
