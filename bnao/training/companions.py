"""Which paths an update trains beside the drawn one: none, as in the paper, or several, whose gradients are summed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bnao.config.settings import NetworkConfig, TrainingConfig
from bnao.network.size import count_parameters
from bnao.protocols import Pass
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace, space_named
from bnao.streams import stream


class Companions:
    """The passes of each update of a round.

    ``none``: the drawn path alone. ``fair``: as many paths as there are operations, which read what the drawn one
    reads and together use every operation once at every edge (strict fairness: FairNAS, Chu et al. 2021, arXiv
    1907.01845); the drawn one is the first. ``sandwich``: the pool's largest genotype by the labels, and the drawn
    one by the probabilities that the largest gives (sandwich rule and in-place distillation: Yu and Huang 2019,
    arXiv 1903.05134).

    With a ranking loss (``rank_loss``) another path of the pool, drawn uniformly, learns beside the drawn one, and the
    one that should be the better by a prior, a size or a zero-cost score, has a further pass, whose term is max(0, its
    loss - the other's) (Prior-Guided One-shot NAS: Dong et al. 2022, arXiv 2206.13329).

    Args:
        training: its ``companions`` is the rule.
        network: its space says which operations there are.
        pool: the genotypes drawn from.
        seed: with the step it decides every random draw.
        steps: of the whole training, over which the ranking loss's weight grows.
        priors: of the pool, by which the ranking loss orders a pair (``bnao.training.priors``); empty without one.

    >>> from bnao.space.spaces import SPACES
    >>> pool = SPACES["nas-bench-201"].random_genotypes(2, stream(0, "example"))
    >>> network = NetworkConfig(space="nas-bench-201")
    >>> fair = Companions(TrainingConfig(companions="fair"), network, pool, seed=0, steps=10)
    >>> paths = fair.genotypes(pool[0], step=7)
    >>> paths[0] == pool[0], sorted(path.normal.nodes[0].edges[0].operation for path in paths)
    (True, ['avg_pool_3x3', 'none', 'nor_conv_1x1', 'nor_conv_3x3', 'skip_connect'])
    """

    def __init__(
        self,
        training: TrainingConfig,
        network: NetworkConfig,
        pool: Sequence[Genotype],
        seed: int,
        *,
        steps: int,
        priors: Mapping[Genotype, float] = {},  # never changed
    ) -> None:
        self._rule, self._seed = training.companions, seed
        self._training, self._pool, self._steps = training, pool, steps
        self._space = space_named(network.space, network.nodes)
        self._largest = pool[int(np.argmax(count_parameters(pool, network)))] if self._rule == "sandwich" else None
        self._priors = priors

    def genotypes(self, drawn: Genotype, step: int) -> list[Genotype]:
        """Return the paths of a step, counted over all rounds, in the order of their passes."""
        if self._rule == "fair":
            return fair_paths(self._space, drawn, self._seed, step)
        if self._priors:
            other = self._pool[int(stream(self._seed, "rank loss", step).integers(len(self._pool)))]
            return [drawn] if other == drawn else sorted([drawn, other], key=self._priors.__getitem__)
        return [drawn] if self._largest is None or self._largest == drawn else [self._largest, drawn]

    def passes(
        self,
        drawn: Genotype,
        step: int,
        images: NDArray[np.float32],
        labels: NDArray[np.int64],
        masks: NDArray[np.float32] | None,
    ) -> list[Pass]:
        """Return the passes of a step, all over one batch and with the same paths dropped."""
        teaches = self._rule == "sandwich"
        genotypes = self.genotypes(drawn, step)
        passes = [
            Pass(genotype, images, labels, masks, teacher=0 if teaches and number else None)
            for number, genotype in enumerate(genotypes)
        ]
        weight = rank_weight(self._training, step, self._steps)
        if weight and len({self._priors.get(genotype) for genotype in genotypes}) == 2:
            passes.append(Pass(genotypes[1], images, labels, masks, weight=weight, above=0))
        return passes

    def place(self, passes: Sequence[Pass], drawn: Genotype) -> int:
        """Return which of the passes is the drawn genotype's."""
        return next(place for place, each in enumerate(passes) if each.architecture == drawn)


def rank_weight(training: TrainingConfig, step: int, steps: int) -> float:
    """Return the weight of the ranking loss at a step: it grows from 0 in a line, and then stays.

    >>> training = TrainingConfig(rank_loss="live-parameters", rank_weight=2, rank_growth=0.5)
    >>> [rank_weight(training, step, steps=8) for step in (0, 1, 4, 7)]
    [0.0, 0.5, 2.0, 2.0]
    """
    if training.rank_loss == "none":
        return 0.0
    growth = training.rank_growth * steps
    return training.rank_weight * (min(1.0, step / growth) if growth else 1.0)


def fair_paths(space: SearchSpace, drawn: Genotype, seed: int, step: int) -> list[Genotype]:
    """Return paths that use every operation once at every edge, the first of them the one given.

    At each edge the operations follow in an order of its own, drawn anew at each step. Edges keep their places, so
    the two edges of a node may be sorted otherwise in the genotype that comes of it.
    """
    count = len(space.operations)
    (code,) = space.encode([drawn])  # (cells, edges, 2): source and operation
    rng = stream(seed, "fair", step)
    others = np.argsort(rng.random((*code.shape[:-1], count - 1)), axis=-1) + 1
    shifts = np.concatenate([np.zeros((*code.shape[:-1], 1), np.int64), others], axis=-1)
    operations = (code[..., 1, None] + shifts) % count
    codes = np.repeat(code[None], count, axis=0)
    codes[..., 1] = np.moveaxis(operations, -1, 0)
    return space.decode(codes)
