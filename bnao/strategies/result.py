"""The result of a search: every genotype that was scored, best first, and how its controller fared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen

from bnao.protocols import (
    HeldOut,
)
from bnao.run import read_json, understanding
from bnao.space.genotype import Genotype
from bnao.space.spaces import parse_in
from bnao.strategies.journal import RESULT


@frozen
class Ranked:
    """One genotype of a finished search.

    Attributes:
        genotype: the architecture.
        score: one-shot accuracy by the last weights it was scored with, in [0, 1].
        standard_error: of that accuracy, from the number of dev images; None where the score is no share.
        size: what its chance was made of.
        parameters: trainable parameters of its own network.
        multiply_adds: of that network, for one image.
        round: in which it came, from 1.
        updates: steps its path was trained.
        expected_updates: what Eq. 4 says for them.
        reranked: accuracy after a short training of its own, where asked for.
    """

    genotype: Genotype
    score: float
    standard_error: float | None
    size: float
    parameters: int
    multiply_adds: int
    round: int
    updates: int
    expected_updates: float
    reranked: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain data, the genotype in its text form and by its id."""
        about = {"genotype": str(self.genotype), "id": self.genotype.id}
        return about | {name: value for name, value in attrs.asdict(self, recurse=False).items() if name != "genotype"}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], space: str) -> Ranked:
        """Return what ``to_json`` was made from, a genotype of the space of that name."""
        values = {name: value for name, value in content.items() if name != "id"}
        return cls(**{**values, "genotype": parse_in(space, content["genotype"])})


@frozen
class Learning:
    """What the controller had learned when it proposed a round's genotypes, and how these then scored.

    Attributes:
        round: in which its proposals were trained, from 2.
        held_out: its figures on the scored genotypes it had not learned from; None where it holds out none.
        proposals: how many of the round's genotypes it had predicted scores for.
        pairwise_accuracy: share of their pairs that predicted scores and those found in the round order alike.
        kendall_tau: of the same; both None where they are not defined.
    """

    round: int
    held_out: HeldOut | None
    proposals: int
    pairwise_accuracy: float | None
    kendall_tau: float | None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Learning:
        """The object of which ``attrs.asdict`` made the content."""
        held_out = content["held_out"]
        return cls(**{**content, "held_out": None if held_out is None else HeldOut(**held_out)})


@frozen
class SearchResult:
    """All genotypes of a search, best first, and what its controller had learned round by round.

    A controller that predicts nothing and holds nothing out (random, evolution) leaves no ``learning``.
    """

    space: str
    seed: int
    ranked: tuple[Ranked, ...]
    learning: tuple[Learning, ...] = ()

    @property
    def best(self) -> Genotype:
        """The genotype ranked first."""
        return self.ranked[0].genotype

    def to_json(self) -> dict[str, Any]:
        """Plain data, as in result.json."""
        learning = {"learning": [attrs.asdict(entry) for entry in self.learning]} if self.learning else {}
        return {
            "space": self.space,
            "seed": self.seed,
            **learning,
            "ranked": [entry.to_json() for entry in self.ranked],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> SearchResult:
        """What ``to_json`` was made from."""
        space = content["space"]
        ranked = [Ranked.from_json(entry, space) for entry in content["ranked"]]
        learning = tuple(Learning.from_json(entry) for entry in content.get("learning", ()))
        return cls(space, content["seed"], tuple(ranked), learning)


def read_result(folder: Path) -> SearchResult:
    """The result of the finished run in this folder.

    Raises:
        RunError: the run is not finished, or its result is not what a search wrote.
    """
    content = read_json(folder / RESULT)
    with understanding(folder / RESULT):
        return SearchResult.from_json(content)


def round_off(value: float, digits: int = 6) -> float:
    """A value as files show it to people."""
    return float(round(value, digits))
