"""The table of strategies: what each is, what it needs and costs, and how it is made."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from bnao.strategies.enas import Enas
from bnao.strategies.single_path import FairPaths, UniformPaths
from bnao.strategies.step_level import SearchContext, Strategy


@frozen
class Method:
    """A row of the table.

    Attributes:
        title: its name in the field.
        paper: where it was published.
        rule: in a few words how it decides.
        needs: what it asks of a supernet: paths, several paths, mixtures, their gradient.
        cost: of an update, in those of one path, as text.
        memory: of an update, in those of one path, as text.
        make: makes the strategy; None for those that decide between rounds.
    """

    title: str
    paper: str
    rule: str
    needs: str
    cost: str
    memory: str
    make: Callable[[SearchContext], Strategy] | None = None

    @property
    def halves(self) -> bool:
        """Whether it takes one half of the train images for the weights and the other for the architecture."""
        return bool(getattr(self.make, "halves", False))


#: by the name that ``--strategy`` takes
METHODS: dict[str, Method] = {
    "nao": Method(
        "Balanced NAO", "Luo et al. 2019, arXiv 1909.10815",
        "paths in proportion to size; a controller proposes between rounds", "paths", "1", "1",
    ),
    "random": Method(
        "Random search", "Li and Talwalkar 2019, arXiv 1902.07638",
        "as nao, with random proposals", "paths", "1", "1",
    ),
    "evolution": Method(
        "Evolution", "Real et al. 2019, arXiv 1802.01548",
        "as nao, with children of tournament winners", "paths", "1", "1",
    ),
    "spos": Method(
        "Single-Path One-Shot", "Guo et al. 2020, arXiv 1904.00420",
        "uniform paths; evolution by the trained weights", "paths", "1", "1", UniformPaths,
    ),
    "fairnas": Method(
        "FairNAS", "Chu et al. 2021, arXiv 1907.01845",
        "a path for each operation in every update; evolution by the trained weights", "several paths",
        "operations (5 to 8)", "1", FairPaths,
    ),
    "enas": Method(
        "ENAS", "Pham et al. 2018, arXiv 1802.03268",
        "paths drawn from a policy, which learns from dev accuracy by REINFORCE", "paths", "1, and forward passes", "1",
        Enas,
    ),
}  # fmt: skip
