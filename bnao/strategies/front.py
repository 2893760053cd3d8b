"""The front of a search for two objectives: the genotypes that no other beats in score at as low a cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from bnao.config.costs import FRONT_COSTS
from bnao.pareto import hypervolume, non_dominated_ranks, spread
from bnao.run import number

if TYPE_CHECKING:
    from bnao.strategies.result import Ranked


def cost_of(entry: Ranked, cost: str) -> float:
    """Return what a genotype of a finished search costs; ``cost`` is one of ``FRONT_COSTS``.

    Raises:
        ValueError: it is another, or a latency that the search did not know.
    """
    value = getattr(entry, cost.replace("-", "_")) if cost in FRONT_COSTS else None
    if value is None:
        raise ValueError(f"no {cost} is known of {entry.genotype}")
    return float(value)


@frozen
class Front:
    """The genotypes of a search that none dominates: none has at least their score at a cost that is as low.

    Attributes:
        cost: its name, one of ``bnao.config.costs.FRONT_COSTS``.
        reference: the score and the cost against which the hypervolume is measured: the lower of 0 and the lowest
            score, and the highest cost of all genotypes that the search scored.
        hypervolume: area between the front and that point, in units of score x cost.
        entries: the members, the one of the highest score, and so of the highest cost, first.
    """

    cost: str
    reference: tuple[float, float]
    hypervolume: float
    entries: tuple[Ranked, ...]

    @classmethod
    def of(cls, ranked: Sequence[Ranked], cost: str) -> Front:
        """Return the front of at least one genotype."""
        scores, costs = [entry.score for entry in ranked], [cost_of(entry, cost) for entry in ranked]
        reference = min(0.0, *scores), max(costs)
        members = [ranked[index] for index in (non_dominated_ranks(scores, costs) == 0).nonzero()[0]]
        ordered = sorted(members, key=lambda entry: -entry.score)
        return cls(cost, reference, hypervolume(scores, costs, reference), tuple(ordered))

    @property
    def mean_best(self) -> float:
        """The best score within a budget, on average over budgets from 0 to the cost of the reference.

        Below the cheapest member it is the reference's score.
        """
        score, most = self.reference
        return score + self.hypervolume / most if most > 0 else score

    def hypervolume_against(self, score: float, cost: float) -> float:
        """Return the hypervolume against another reference point, so that fronts of several searches compare."""
        scores = [entry.score for entry in self.entries]
        return hypervolume(scores, [cost_of(entry, self.cost) for entry in self.entries], (score, cost))

    def spread(self, n: int) -> tuple[Ranked, ...]:
        """Return n members that span the front, its ends among them; all where it has no more.

        See ``bnao.pareto.spread``.
        """
        scores = [entry.score for entry in self.entries]
        chosen = spread(scores, [cost_of(entry, self.cost) for entry in self.entries], n)
        return tuple(self.entries[index] for index in chosen)

    def to_json(self) -> dict[str, Any]:
        """Return plain data, the members by their texts."""
        return {
            "cost": self.cost,
            "reference": {"score": self.reference[0], "cost": self.reference[1]},
            "hypervolume": self.hypervolume,
            "genotypes": [str(entry.genotype) for entry in self.entries],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], ranked: Sequence[Ranked]) -> Front:
        """Return what ``to_json`` was made from, the members among the genotypes of a search."""
        known = {str(entry.genotype): entry for entry in ranked}
        reference = number(content["reference"]["score"]), number(content["reference"]["cost"])
        entries = tuple(known[text] for text in content["genotypes"])
        front = cls(str(content["cost"]), reference, number(content["hypervolume"]), entries)
        for entry in entries:
            cost_of(entry, front.cost)
        return front


def rank_by_front(ranked: Sequence[Ranked], cost: str) -> list[Ranked]:
    """Return genotypes in the order of their fronts, and within each by score: the non-dominated ones first."""
    ranks = non_dominated_ranks([entry.score for entry in ranked], [cost_of(entry, cost) for entry in ranked])
    order = sorted(range(len(ranked)), key=lambda index: (ranks[index], -ranked[index].score))
    return [ranked[index] for index in order]


def with_trainings(ranked: Sequence[Ranked], accuracies: Mapping[str, float]) -> list[Ranked]:
    """Return genotypes in their order, with the accuracies of those that were trained alone, by their texts."""
    return [
        evolve(entry, reranked=accuracies[str(entry.genotype)]) if str(entry.genotype) in accuracies else entry
        for entry in ranked
    ]
