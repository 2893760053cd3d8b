"""Settings of the strategies that train paths and then evolve genotypes by the trained weights."""

from collections.abc import Mapping

from attrs import frozen

from bnao.config.fields import Settings, setting
from bnao.errors import ConfigError


@frozen
class SposConfig:
    """Evolution on a trained supernet; the defaults are those of the authors of Single-Path One-Shot.

    Source: Guo et al. 2020, arXiv 1904.00420, ``src/Search/search.py``.
    """

    population: int = setting(50, "Evolution: genotypes of each generation.", least=2)
    generations: int = setting(20, "Evolution: generations, the random first one included.", least=1)
    parents: int = setting(10, "Evolution: best genotypes so far that children come from.", least=1)
    crossovers: int = setting(25, "Evolution: children of two parents in each generation.", least=0)
    mutations: int = setting(25, "Evolution: mutated children in each generation.", least=0)
    mutation_rate: float = setting(
        0.1, "Evolution: probability that a mutation draws an edge's operation or source anew.", least=0, most=1
    )

    def __attrs_post_init__(self) -> None:
        if self.crossovers + self.mutations > self.population:
            raise ConfigError(
                f"crossovers is {self.crossovers} and mutations is {self.mutations}; together they must be at most "
                f"population, which is {self.population}"
            )


@frozen
class FairnasConfig(SposConfig):
    """Evolution on a supernet that was trained with strict fairness, by the same rules."""


_SMALL: Settings = {"population": 20, "generations": 5, "parents": 5, "crossovers": 10, "mutations": 10}

#: what a preset changes besides for a search by this strategy; small is for all presets but paper
PRESETS: Mapping[str, Mapping[str, Settings]] = {
    "spos": {"small": {"spos": _SMALL}, "paper": {"rounds": 1, "epochs": 120}},
    "fairnas": {
        "small": {"fairnas": _SMALL},
        "quick": {"epochs": 2},
        "paper": {"rounds": 1, "epochs": 150},
    },
}
