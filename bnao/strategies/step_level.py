"""The seam of strategies that decide at every update what the supernet computes: DARTS, ENAS, Single-Path One-Shot, ...

A controller (``bnao.protocols.Controller``) decides between rounds which genotypes come next; a strategy decides before
each update. It asks for passes, sees what came of them, and in the end names the genotypes it chooses. It knows no
framework: images, masks, learning rates and the supernet are those of ``bnao.strategies.steps``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from attrs import field, frozen, validators
from numpy.typing import NDArray

from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.protocols import Architecture, Mixture, Outcome
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace, space_named
from bnao.strategies.costs import Cost

#: where a pass's images are from: those that weights are trained on; the other half of them, for the architecture
#: (only of a strategy that ``halves`` them); or those held out, as they are and in the order of epochs
SPLITS = ("train", "architecture", "dev")

#: arrays by name, of any type that a safetensors file holds; what a strategy resumes from
StrategyState = Mapping[str, NDArray[np.generic]]
#: one-shot accuracy of each genotype on all dev images by the shared weights, in [0, 1]
Score = Callable[[Sequence[Genotype]], NDArray[np.float64]]


@frozen(eq=False)
class Request:
    """A pass that a strategy asks for: a ``bnao.protocols.Pass`` without images, which the loop supplies.

    All requests of one proposal with the same split see the same batch. Paths that learn have the paths dropped that
    the settings say; passes that do not learn, and mixtures, drop nothing.

    Attributes:
        architecture: the path or the mixture.
        split: where its images are from, one of ``SPLITS``; those of ``dev`` are not augmented, and no weights learn
            from them.
        learn, slope, weight, teacher, above: as in ``Pass``; the last two name earlier requests of the proposal.
        ahead: whether the slope is the total derivative of the loss by weights that are one step ahead, made with the
            mixture on the update's train images (DARTS' second order, ``bnao.training.unrolled``). The only request of
            its proposal, and it does not learn.
        again: whether it sees the batch that the split's last proposal saw; not of ``train``, whose batch is the
            update's. Requests of one split say the same.
        drop_identities: probability that an image's identity (``skip_connect``) at a place of a mixture is dropped;
            the others are multiplied by what keeps their mean.
    """

    architecture: Architecture
    split: Literal["train", "architecture", "dev"] = field(
        default="train", validator=validators.in_(SPLITS), kw_only=True
    )
    learn: bool = field(default=True, kw_only=True)
    slope: Literal["no", "used", "all"] = field(
        default="no", validator=validators.in_(("no", "used", "all")), kw_only=True
    )
    weight: float = field(default=1.0, kw_only=True)
    teacher: int | None = field(default=None, kw_only=True)
    above: int | None = field(default=None, kw_only=True)
    ahead: bool = field(default=False, kw_only=True)
    again: bool = field(default=False, kw_only=True)
    drop_identities: float = field(default=0.0, kw_only=True)


@frozen(eq=False)
class SearchContext:
    """What a strategy is made from.

    Attributes:
        config: all settings; a strategy reads its own section, such as ``config.spos``.
        network: the supernet's, with the data's classes and image.
        steps: updates of the whole search.
        epoch_steps: updates of an epoch over the images that weights are trained on.
        accept: says of genotypes, in the order given, which the search may choose: those within the budgets that
            pass something of the image on; shape (n,).
        weighed: what genotypes cost in a search for a front (``SearchConfig.pareto``), by which ``best`` may prefer
            them (``bnao.strategies.costs.best_first``); None without a front.
    """

    config: SearchConfig
    network: NetworkConfig
    steps: int
    epoch_steps: int
    accept: Callable[[Sequence[Genotype]], NDArray[np.bool_]]
    weighed: Cost | None = None

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return space_named(self.network.space, self.network.nodes)

    @property
    def seed(self) -> int:
        """The seed of every draw: ``stream(context.seed, "<strategy>", step, turn)``."""
        return self.config.seed

    @property
    def epochs(self) -> int:
        """Epochs of the whole search, the last of which may be cut short."""
        return max(1, -(-self.steps // self.epoch_steps))


class Strategy(Protocol):
    """Decides at every update what the supernet computes.

    An update is one or more turns. At each the loop asks for a proposal, makes its passes in one ``Supernet.step``,
    and hands back what came of them. A proposal in which nothing learns leaves the weights as they are, and the next
    turn of the same update follows; one in which something learns ends the update. So DARTS proposes the mixture on
    architecture images at turn 0, moves its logits in ``observe``, and proposes it on train images at turn 1.

    A proposal is a function of the seed, the step, the turn and what was observed; ``state`` holds all of the latter,
    and is asked for only between updates.
    """

    #: whether the train images are halved: one half for the weights, the other for the architecture
    halves: bool

    def propose(self, step: int, turn: int) -> Sequence[Request]:
        """Return the passes of a turn (0-based) of an update (0-based, over the whole search), at least one."""
        ...

    def observe(self, step: int, turn: int, requests: Sequence[Request], outcomes: Sequence[Outcome]) -> None:
        """Take in what came of the turn's proposal, one outcome a request."""
        ...

    def leading(self) -> Genotype | None:
        """Return the genotype that would be derived now; None where that takes scores."""
        ...

    def mixture(self) -> Mixture | None:
        """Return the mixture that stands for all genotypes now, without noise; None for a strategy of paths."""
        ...

    def figures(self) -> Mapping[str, float]:
        """Return figures of its own to show, by a name of one or two words: entropy, temperature, baseline, ..."""
        ...

    def best(self, n: int, score: Score) -> list[Genotype]:
        """Return at most n distinct genotypes, the one it chooses first, after the last update.

        Args:
            n: how many, at least 1; a strategy whose rule derives one genotype returns one.
            score: by the trained weights; what was asked once is known, and not computed again on resume. A search
                for a front ranks all that was scored.

        All keep ``context.accept``; where the rule's own genotype does not, the nearest by the rule that does.
        """
        ...

    def state(self) -> StrategyState:
        """Return all that was learned: logits, moments, baseline. ``load_state`` of it gives the same bits."""
        ...

    def load_state(self, state: StrategyState) -> None:
        """Restore ``state``."""
        ...


@runtime_checkable
class Staged(Strategy, Protocol):
    """A strategy whose supernet changes on the way (P-DARTS): each stage begins with fresh weights."""

    def network(self, step: int) -> NetworkConfig:
        """Return the network of the supernet that a step trains; where it differs from the last, a new one begins."""
        ...
