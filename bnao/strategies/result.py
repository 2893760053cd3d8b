"""The result of a search: every genotype that was scored, best first, and how its controller fared."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from attrs import evolve, field, frozen

from bnao.frames import frame
from bnao.metrics import defined, kendall_tau, pairwise_accuracy
from bnao.network.latency import LatencyModel
from bnao.protocols import HeldOut
from bnao.run import made_of, number, read_json, round_off, understanding
from bnao.space.genotype import Genotype
from bnao.space.spaces import parse_in
from bnao.strategies.front import Front
from bnao.strategies.fusion import Fusion
from bnao.strategies.journal import RESULT

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


@frozen
class Ranked:
    """One genotype of a finished search.

    Attributes:
        genotype: the architecture.
        score: one-shot accuracy by the last weights it was scored with, in [0, 1], or what the search scored by.
        standard_error: of that accuracy, from the number of dev images; None where the score is no share.
        size: what its chance was made of.
        parameters: trainable parameters of its own network.
        multiply_adds: of that network, for one image.
        round: in which it came, from 1.
        updates: steps its path was trained.
        expected_updates: what Eq. 4 says for them.
        reranked: accuracy after a short training of its own, where asked for.
        fused: what it is ranked by where scores are joined (``bnao.strategies.fusion``); None where they are not.
        parts: the scores that were joined, by name; None where one is not defined.
        latency: of that network in milliseconds, by the search's latency model; None without one.
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
    fused: float | None = None
    parts: Mapping[str, float | None] = field(factory=dict, hash=False)
    latency: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain data, the genotype in its text form and by its id; without what a search does not know."""
        about = {"genotype": str(self.genotype), "id": self.genotype.id}
        left_out = ["genotype", *(["fused", "parts"] if self.fused is None else [])]
        left_out += ["latency"] if self.latency is None else []
        values = attrs.asdict(self, recurse=False) | {"parts": dict(self.parts)}
        return about | {name: value for name, value in values.items() if name not in left_out}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], space: str) -> Ranked:
        """Return what ``to_json`` was made from, a genotype of the space of that name."""
        values = {name: value for name, value in content.items() if name != "id"}
        parts = values.get("parts") or {}
        return made_of(
            cls,
            {
                **values,
                "genotype": parse_in(space, content["genotype"]),
                **(
                    {"parts": {name: None if it is None else number(it) for name, it in parts.items()}} if parts else {}
                ),
            },
        )


@frozen
class Learning:
    """Accuracy of the controller's predictions for a round's proposals, and for held-out genotypes.

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
    def of(
        cls,
        round_index: int,
        held_out: HeldOut | None,
        predicted: Mapping[Genotype, float],
        scores: Mapping[Genotype, float],
    ) -> Learning:
        """Compare the scores that were predicted for a round's genotypes with those found."""
        found = [scores[genotype] for genotype in predicted]
        figures = [defined(figure(list(predicted.values()), found)) for figure in (pairwise_accuracy, kendall_tau)]
        return cls(round_index + 1, held_out, len(predicted), *figures)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Learning:
        """Read the object of which ``attrs.asdict`` made the content."""
        held_out = content["held_out"]
        return made_of(cls, {**content, "held_out": None if held_out is None else made_of(HeldOut, held_out)})


# genotypes that a notebook shows of a result
_SHOWN = 10


@frozen(repr=False)
class SearchResult:
    """All genotypes of a search, best first, and what its controller had learned round by round.

    A controller that predicts nothing and holds nothing out (random, evolution) leaves no ``learning``, and a ranking
    by the score alone no ``fusion``: the weights of the parts, and how many landmarks they are from. A strategy that
    decides at each update leaves its name, its number of updates, and what was seen after each epoch. A search for a
    front of score and cost (``SearchConfig.pareto``) ranks its members first, and leaves the ``front``.
    """

    space: str
    seed: int
    ranked: tuple[Ranked, ...]
    learning: tuple[Learning, ...] = ()
    fusion: Mapping[str, Any] | None = field(default=None, hash=False)
    strategy: Mapping[str, Any] | None = field(default=None, hash=False)
    front: Front | None = None

    @property
    def best(self) -> Genotype:
        """The genotype ranked first."""
        return self.ranked[0].genotype

    def __repr__(self) -> str:
        best = f", the best {self.ranked[0].score:.4g}: {self.best}" if self.ranked else ""
        return f"SearchResult({self.space}, seed {self.seed}, {len(self.ranked)} genotypes{best})"

    def _repr_html_(self) -> str:
        # how a notebook shows it
        names = ("rank", "score", "parameters", "multiply-adds", "genotype")
        rows = [
            (rank, f"{each.score:.4f}", f"{each.parameters:,}", f"{each.multiply_adds:,}", str(each.genotype))
            for rank, each in enumerate(self.ranked[:_SHOWN], start=1)
        ]
        lines = [f"<tr>{''.join(f'<td>{html.escape(str(value))}</td>' for value in row)}</tr>" for row in rows]
        head = "".join(f"<th>{name}</th>" for name in names)
        said = f"Search in space {self.space}, seed {self.seed}: {len(rows)} of {len(self.ranked)} genotypes"
        return f"<table><caption>{html.escape(said)}</caption><tr>{head}</tr>{''.join(lines)}</table>"

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as in result.json."""
        learning = {"learning": [attrs.asdict(entry) for entry in self.learning]} if self.learning else {}
        return {
            "space": self.space,
            "seed": self.seed,
            **learning,
            **({} if self.fusion is None else {"fusion": dict(self.fusion)}),
            **({} if self.strategy is None else {"strategy": dict(self.strategy)}),
            **({} if self.front is None else {"front": self.front.to_json()}),
            "ranked": [entry.to_json() for entry in self.ranked],
        }

    def to_frame(self) -> DataFrame:
        """Return the genotypes as a data frame of pandas: a row each, best first, its columns as in result.json.

        The scores that were joined in a fused ranking are columns of their own.

        Raises:
            BnaoError: pandas is not installed.
        """
        rows = [{"rank": rank, **entry.to_json()} for rank, entry in enumerate(self.ranked, start=1)]
        for row in rows:
            parts = row.pop("parts", {})
            row |= {name: value for name, value in parts.items() if name not in row}
        return frame(rows)

    def plot(self) -> Figure:
        """Plot scores against sizes, updates against Eq. 4, and the front if there is one, as a figure of matplotlib.

        Raises:
            BnaoError: matplotlib is not installed.
        """
        from bnao.strategies.plots import search_figure

        return search_figure(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> SearchResult:
        """Return the object that ``to_json`` wrote."""
        space = content["space"]
        ranked = [Ranked.from_json(entry, space) for entry in content["ranked"]]
        learning = tuple(Learning.from_json(entry) for entry in content.get("learning", ()))
        if not ranked:
            raise ValueError("a search ranks one genotype or more")
        return made_of(
            cls,
            {
                "space": space,
                "seed": content["seed"],
                "ranked": tuple(ranked),
                "learning": learning,
                "fusion": content.get("fusion"),
                "strategy": content.get("strategy"),
                "front": Front.from_json(content["front"], ranked) if "front" in content else None,
            },
        )


def rank_by_fusion(ranked: Sequence[Ranked], fusion: Fusion) -> list[Ranked]:
    """Rank genotypes by their joined scores, and keep the parts beside them.

    Args:
        ranked: n of them, in the order of the fusion's values; equal values stay in it.
        fusion: of n genotypes.
    """
    entries = [
        evolve(
            entry,
            fused=round_off(value),
            parts={name: None if math.isnan(part[at]) else float(part[at]) for name, part in fusion.parts.items()},
        )
        for at, (entry, value) in enumerate(zip(ranked, fusion.values.tolist(), strict=True))
    ]
    return [entries[at] for at in sorted(range(len(entries)), key=lambda at: -fusion.values[at])]


def read_result(folder: Path) -> SearchResult:
    """Read the result of the finished run in this folder.

    Raises:
        RunError: the run is not finished, or its result is not what a search wrote.
    """
    content = read_json(folder / RESULT)
    with understanding(folder / RESULT):
        return SearchResult.from_json(content)


def rank_by_training(ranked: Sequence[Ranked], accuracies: Mapping[str, float], top: int) -> list[Ranked]:
    """Return the first ``top`` in the order of their accuracies after a training alone, then the others as they were.

    Args:
        ranked: best first.
        accuracies: of each of the first, by its text.
        top: how many were trained.
    """
    best = [evolve(entry, reranked=accuracies[str(entry.genotype)]) for entry in ranked[:top]]
    return [*sorted(best, key=lambda entry: -accuracies[str(entry.genotype)]), *ranked[top:]]


def with_latencies(entries: Sequence[Ranked], model: LatencyModel | None) -> list[Ranked]:
    """Return the genotypes with their latencies by a model; as they are where there is none."""
    if model is None:
        return list(entries)
    latencies = model.predict([entry.genotype for entry in entries]).tolist()
    return [evolve(entry, latency=latency) for entry, latency in zip(entries, latencies, strict=True)]


def error_of_share(share: float, images: int | None) -> float | None:
    """Return the standard error of a share of images; None where there are none and the score is no share.

    >>> error_of_share(0.5, 100), error_of_share(0.5, None)
    (0.05, None)
    """
    return None if images is None else round_off((share * (1 - share) / images) ** 0.5)
