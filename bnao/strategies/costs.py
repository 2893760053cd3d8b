"""What a genotype's own network costs, by the name that settings give it, and the latency model that a search keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.network.latency import LatencyModel
from bnao.network.size import SIZES
from bnao.pareto import crowded_order
from bnao.protocols import Controller
from bnao.run import Folder
from bnao.space.genotype import Genotype

#: the latency model in a run's folder, so that what a search found does not depend on a file elsewhere
LATENCY = "latency.json"


#: what each of some genotypes costs, shape (n,), lower is better
Cost = Callable[[Sequence[Genotype]], NDArray[np.float64]]


@runtime_checkable
class Weighing(Controller, Protocol):
    """A controller that can weigh scores against a cost, for a search for a front of both."""

    def weigh(self, cost: Cost) -> None:
        """From now on prefer genotypes by the crowded comparison (``bnao.pareto``) of score and cost."""
        ...


def cost(
    name: str, genotypes: Sequence[Genotype], network: NetworkConfig, latency: LatencyModel | None
) -> NDArray[np.float64]:
    """Return what each genotype costs, shape (n,): a count, or a latency in milliseconds.

    Args:
        name: one of ``bnao.network.size.SIZES``, or ``latency``.
        genotypes: n of them.
        network: in which sizes are counted.
        latency: the model; None where no latency is asked for.

    >>> from bnao.space.spaces import SPACES
    >>> pool = SPACES["nao"].random_genotypes(2, np.random.default_rng(0))
    >>> (cost("parameters", pool, NetworkConfig(), None) > 0).all()
    np.True_
    """
    if name == "latency":
        assert latency is not None  # settings that ask for one name a model (``bnao.config.costs``)
        return latency.predict(genotypes)
    return SIZES[name](genotypes, network).astype(np.float64)


def front_cost(
    config: SearchConfig, network: NetworkConfig, latency: LatencyModel | None, sizes: Cost | None = None
) -> Cost | None:
    """Return the cost that a search for a front weighs scores against; None without a front.

    Args:
        config: names the cost.
        network: in which sizes are counted.
        latency: the search's model.
        sizes: what the search's chances are made of; None: ``config.size``.

    >>> from bnao.space.spaces import SPACES
    >>> pool = SPACES["nao"].random_genotypes(2, np.random.default_rng(0))
    >>> weighed = front_cost(SearchConfig(pareto="parameters"), NetworkConfig(), None)
    >>> weighed(pool).tolist() == cost("parameters", pool, NetworkConfig(), None).tolist()
    True
    """
    name = config.pareto
    if name is None:
        return None
    if name == "size" and sizes is not None:
        return sizes
    counted = config.size if name == "size" else name
    return lambda genotypes: cost(counted, genotypes, network, latency)


def weigh_front(
    config: SearchConfig, controller: Controller, network: NetworkConfig, latency: LatencyModel | None, sizes: Cost
) -> Cost | None:
    """Let the controller of a search for a front weigh its cost, if it can; return that cost, None without a front.

    Args:
        config, network, latency, sizes: as for ``front_cost``.
        controller: of the search.
    """
    weighed = front_cost(config, network, latency, sizes)
    if weighed is not None and isinstance(controller, Weighing):
        controller.weigh(weighed)
    return weighed


def best_first(scores: NDArray[np.float64], genotypes: Sequence[Genotype], weighed: Cost | None) -> NDArray[np.int64]:
    """Return the indices of genotypes, the one to prefer first: by score, or by score against what they cost.

    Args:
        scores: shape (n,), found or predicted.
        genotypes: n of them.
        weighed: what each costs; None: nothing is weighed.

    >>> from bnao.space.spaces import SPACES
    >>> pool = SPACES["nao"].random_genotypes(3, np.random.default_rng(0))
    >>> best_first(np.array([0.2, 0.3, 0.1]), pool, None).tolist()
    [1, 0, 2]
    >>> best_first(np.array([0.2, 0.3, 0.1]), pool, lambda genotypes: np.array([2.0, 3.0, 2.0])).tolist()
    [0, 1, 2]
    """
    if weighed is None or not genotypes:
        return np.argsort(-scores, kind="stable")
    return crowded_order(scores, weighed(genotypes))


def search_latency(config: SearchConfig, folder: Path | None = None) -> LatencyModel | None:
    """Return the latency model of a search: that in its folder, else that of ``config.latency``; None without one.

    Args:
        config: all settings.
        folder: of its run, where it has one.

    Raises:
        RunError: there is no such file, or it is damaged.
        ConfigError: it is of another space.
    """
    if config.latency is None:
        return None
    kept = None if folder is None else folder / LATENCY
    path = kept if kept is not None and kept.is_file() else Path(config.latency)
    model = LatencyModel.load(path)
    model.check_space(config.network, str(path))
    return model


def keep_latency(model: LatencyModel | None, run: Folder | None) -> None:
    """Keep a search's latency model in its folder, unless it is there."""
    if model is not None and run is not None and not run.has(LATENCY):
        run.write_json(LATENCY, model.to_json())
