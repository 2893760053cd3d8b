"""The search by a strategy that decides at each update: propose, compute, observe; in the end derive and score.

The sister of ``bnao.strategies.rounds``: it names no backend either, tells its events to the same listeners and leaves
the same files, from which a search that was killed resumes bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.data.dataset import Dataset
from bnao.errors import ConfigError, ProtocolError
from bnao.network.latency import LatencyModel
from bnao.network.size import count_multiply_adds, count_parameters
from bnao.protocols import Listener, Outcome, Step, check_provides
from bnao.provenance import About, keep_about, origin
from bnao.run import Run, round_off
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.strategies.candidates import budgets_text, within_budgets
from bnao.strategies.costs import cost, front_cost, keep_latency, search_latency
from bnao.strategies.curvature import CurvatureWatch
from bnao.strategies.ending import Rerank, final_ranking
from bnao.strategies.front import Front
from bnao.strategies.fusion import Fuse
from bnao.strategies.inheritance import load_first_weights
from bnao.strategies.plan import SCORED_AT_ONCE, steps_plan
from bnao.strategies.result import Ranked, SearchResult, error_of_share, with_latencies
from bnao.strategies.step_journal import Checkpoint, StepJournal
from bnao.strategies.step_level import Request, SearchContext, Staged, Strategy
from bnao.strategies.supply import Supply
from bnao.strategies.telling import Telling
from bnao.strategies.watch import Look, Watch
from bnao.training import loop
from bnao.training.shared_weights import SharedWeights
from bnao.training.steps import check_loss
from bnao.training.unrolled import slope_ahead

#: makes a freshly initialised supernet, with the images of the search
MakeSupernet = Callable[[NetworkConfig], SharedWeights]
#: makes a strategy, such as its class
MakeStrategy = Callable[[SearchContext], Strategy]

# turns of an update, beyond which a strategy is taken to have forgotten that something must learn
_MOST_TURNS = 10_000


def search_by_steps(
    config: SearchConfig,
    make_strategy: MakeStrategy,
    make_supernet: MakeSupernet,
    dataset: Dataset,
    *,
    halves: bool | None = None,
    run: Run | None = None,
    about: About | None = None,
    rerank: Rerank | None = None,
    fuse: Fuse | None = None,
    listen: Listener = lambda event: None,
) -> SearchResult:
    """Search by a strategy that decides at each update, from fresh weights to the ranking of what it chooses.

    Args:
        config: all settings; the updates are those of all rounds together, in one piece with one learning rate
            schedule. ``config.top`` genotypes are asked of the strategy. With ``config.pareto`` all that it scored
            are ranked, their front first.
        make_strategy: makes the strategy from the search's context, such as a class of ``bnao.strategies.methods``.
        make_supernet: makes the supernet of a network, such as ``lambda network: backend.supernet(...)``.
        dataset: its images.
        halves: whether one half of the train images is for the weights, the other for the architecture; None: as the
            attribute of ``make_strategy``, which a strategy's class has, says.
        run, about, rerank, fuse, listen: as for ``bnao.search``.

    Returns:
        The genotypes chosen, the strategy's first choice first, with one-shot scores; and what was seen on the way.

    Raises:
        DivergedError, RunError, WeightsError: as ``bnao.search``.
        ConfigError: the budgets admit no genotype, ``from_supernet`` is of another network, or the search shall stop
            by what its strategy does not show.
        ProtocolError: the strategy lacks a method, or proposes what cannot be made.
    """
    begun = StepSearch(config, make_strategy, make_supernet, dataset, halves=halves)
    return begun.result(run, about=about, rerank=rerank, fuse=fuse, listen=listen)


def make_update(
    strategy: Strategy, step: int, compute: Callable[[Sequence[Request]], Sequence[Outcome]]
) -> list[Outcome]:
    """Make an update: turns of proposing, computing and observing, until something has learned.

    Args:
        strategy: proposes and observes.
        step: of the update, from 0.
        compute: makes the passes of a proposal, and updates the weights by those that learn.

    Returns:
        The outcomes of the requests that learned.

    Raises:
        ProtocolError: nothing has learned after very many turns.
    """
    for turn in range(_MOST_TURNS):
        requests = strategy.propose(step, turn)
        outcomes = compute(requests)
        strategy.observe(step, turn, requests, outcomes)
        learned = [outcome for each, outcome in zip(requests, outcomes, strict=True) if each.learn]
        if learned:
            return learned
    raise ProtocolError(f"nothing learns at step {step + 1} after {_MOST_TURNS:,} proposals; one of them must")


class StepSearch(Telling):
    """One search, once: its supernet, strategy and files; ``load_weights`` finds out whether first weights fit.

    Args and errors: as ``search_by_steps``.
    """

    journal: StepJournal

    def __init__(
        self,
        config: SearchConfig,
        make_strategy: MakeStrategy,
        make_supernet: MakeSupernet,
        dataset: Dataset,
        *,
        halves: bool | None = None,
        latency: LatencyModel | None = None,
    ) -> None:
        self.config, self.make_supernet = config, make_supernet
        self.latency = search_latency(config) if latency is None else latency
        halves = bool(getattr(make_strategy, "halves", False)) if halves is None else halves
        self.network = dataset.network(config.network)
        self.space = space_named(self.network.space, self.network.nodes)
        self.supply = Supply(config, dataset, halves=halves)
        self.steps = self.supply.steps
        weighed = front_cost(config, self.network, self.latency)
        context = SearchContext(config, self.network, self.steps, self.supply.epoch_steps, self.accept, weighed)
        self.strategy = make_strategy(context)
        check_provides(self.strategy, Strategy, "strategy")
        if config.watch.eigenvalue_every is not None:
            self.strategy = CurvatureWatch(context, self.strategy)
        if self.strategy.halves != halves:
            raise ProtocolError(
                f"the strategy's halves is {self.strategy.halves}, and its context was made with {halves}; let the "
                f"function that makes it have the attribute, or give halves={self.strategy.halves}"
            )
        self.watch = Watch(config.watch, self.space, config.seed)
        self.watch.check(self.strategy, config.strategy)
        self.supernet = make_supernet(self.network_at(0))
        self.made = 0
        self.scores: dict[Genotype, float] = {}
        self.asked: dict[Genotype, None] = {}

    # --- begin and resume

    def accept(self, genotypes: Sequence[Genotype]) -> NDArray[np.bool_]:
        """Return which genotypes the search may choose: within the budgets, and passing something on."""
        return self.space.passes_on(genotypes) & within_budgets(genotypes, self.config, self.network, self.latency)

    def network_at(self, step: int) -> NetworkConfig:
        """Return the network of the supernet that a step trains."""
        return self.strategy.network(step) if isinstance(self.strategy, Staged) else self.network

    def load_weights(self) -> bool:
        """Begin with the weights of ``config.from_supernet``; returns whether there are any."""
        source = self.config.from_supernet
        if source is not None:
            load_first_weights(source, self.supernet)
        return source is not None

    def restore(self, last: Checkpoint) -> None:
        """Become what a checkpoint was made of."""
        network = self.network_at(max(0, last.step - 1))
        if network != self.supernet.network:
            self.supernet = self.make_supernet(network)
        self.supernet.load_state(last.supernet)
        self.strategy.load_state(last.strategy)
        self.made = last.step
        self.supply.load_state(last.about["batches"])
        self.watch.load_state(last.about["looks"])

    def checkpoint(self, step: int) -> None:
        """Keep all that the search resumes from after so many updates."""
        about = {"batches": dict(self.supply.state()), "looks": self.watch.state()}
        self.journal.checkpoint(Checkpoint(step, self.supernet.state(), self.strategy.state(), about))

    # --- the search

    def result(
        self,
        run: Run | None = None,
        *,
        about: About | None = None,
        rerank: Rerank | None = None,
        fuse: Fuse | None = None,
        listen: Listener = lambda event: None,
    ) -> SearchResult:
        """Search to the end, in a run's folder if there is one."""
        self.journal, self.listen = StepJournal(run, self.space), listen
        if run is not None:
            keep_about(run, about or origin(None, self.config.machine))
            keep_latency(self.latency, run)
        self.scores = self.journal.scores()
        images = self.supernet.scored_images or 0
        plan = steps_plan(self.config, self.steps, images, reranks=rerank is not None)
        self.tell_plan(plan)
        if self.journal.last is not None:
            self.restore(self.journal.last)
        elif self.load_weights():
            self.checkpoint(0)  # so that resuming needs the other run no more
        self.train()
        ranked, fusion = final_ranking(self.ranked(), self.config, self.journal, rerank, fuse, self.tell_event)
        looks = [look.to_json() for look in self.watch.looks]
        seen: dict[str, Any] = {
            "name": self.config.strategy,
            "updates": self.made,
            "scored": len(self.asked),
            "epochs": looks,
        }
        if self.supernet.network.cells != self.network.cells:
            seen["cells"] = self.supernet.network.cells  # of the last stage, whose weights are left
        front = None if self.config.pareto is None else Front.of(ranked, self.config.pareto)
        result = SearchResult(self.space.name, self.config.seed, tuple(ranked), (), fusion, seen, front)
        return self.finish(result, self.supernet.state())

    def train(self) -> None:
        """Make the updates that are left, until the strategy's alarms stop it or there are no more."""
        loop.train(
            self.updates(self.made),
            self.report,
            self.checkpoint if self.journal.keeps else None,
            every=self.config.checkpoint_seconds,
            milestones={self.steps},
        )
        if self.made != self.journal.step:  # stopped by what was seen
            self.checkpoint(self.made)

    def updates(self, start: int) -> Iterator[Step]:
        """Make an update after the other from one on, and look at the strategy after each epoch."""
        for step in range(start, self.steps):
            if self.watch.stopped is not None:
                return
            self.enter_stage(step)
            rate = self.supply.rate(step)
            learned = make_update(self.strategy, step, partial(self.compute, step, rate))
            if self.ends_epoch(step):
                self.watch.look(step + 1, self.strategy, self.supernet)
            yield Step(step, 0, float(np.mean([outcome.loss for outcome in learned])), rate)

    def ends_epoch(self, step: int) -> bool:
        """Return whether an update is the last of an epoch."""
        return (step + 1) % self.supply.epoch_steps == 0 or step + 1 == self.steps

    def enter_stage(self, step: int) -> None:
        """Begin with a new supernet where a strategy's next stage has another network."""
        network = self.network_at(step)
        if network != self.supernet.network:
            self.supernet = self.make_supernet(network)

    def compute(self, step: int, rate: float, requests: Sequence[Request]) -> list[Outcome]:
        """Make the passes of a proposal."""
        supernet, network = self.supernet.supernet, self.supernet.network
        if requests and requests[0].ahead:
            dev, train = self.supply.passes([*requests, Request(requests[0].architecture)], step, network)
            outcomes = [slope_ahead(supernet, dev, train, rate, self.config.training)]
        else:
            outcomes = supernet.step(self.supply.passes(requests, step, network), rate)
        for each, outcome in zip(requests, outcomes, strict=True):
            check_loss(outcome.loss, f"step {step + 1}", rate, _named(each))
        return outcomes

    def report(self, step: Step, seconds: float) -> None:
        """Tell of an update, and of what was seen after it."""
        self.made = step.step + 1
        self.tell(
            "update", step=step.step + 1, steps=self.steps, loss=step.loss, rate=step.rate, seconds=round_off(seconds)
        )
        if self.ends_epoch(step.step):
            self.tell_look(self.watch.looks[-1])

    def tell_look(self, look: Look) -> None:
        """Tell what was seen after an epoch."""
        epoch = -(-look.step // self.supply.epoch_steps)
        epochs = -(-self.steps // self.supply.epoch_steps)
        self.tell(
            "look", step=look.step, epoch=epoch, epochs=epochs, genotype=look.genotype, figures=dict(look.figures),
            alarm=look.alarm, stop=look.stop,
        )  # fmt: skip

    # --- the end

    def score(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
        """Score by the shared weights, each genotype once in a search."""
        new = [genotype for genotype in dict.fromkeys(genotypes) if genotype not in self.asked]
        for start in range(0, len(new), SCORED_AT_ONCE):
            some = new[start : start + SCORED_AT_ONCE]
            unknown = [genotype for genotype in some if genotype not in self.scores]
            if unknown:
                self.scores |= zip(unknown, self.supernet.score(unknown).tolist(), strict=True)
                self.journal.keep_scores(self.scores)
            self.asked |= dict.fromkeys(some)
            self.tell("scored", scored=len(self.asked), best=max(self.scores[genotype] for genotype in self.asked))
        return np.array([self.scores[genotype] for genotype in genotypes])

    def ranked(self) -> list[Ranked]:
        """Return the genotypes the strategy chooses, its first choice first, with scores and sizes.

        Of a search for a front all genotypes follow that were scored and may be chosen.
        """
        chosen = self.strategy.best(self.config.top, self.score)
        if not chosen:
            raise ConfigError(
                f"strategy {self.config.strategy} found no genotype that keeps the budget "
                f"({budgets_text(self.config) or 'and passes anything on'}); allow more"
            )
        if self.config.pareto is not None:
            others = [genotype for genotype in self.asked if genotype not in set(chosen)]
            chosen = [*chosen, *(each for each, good in zip(others, self.accept(others), strict=True) if good)]
        images = self.supernet.scored_images if self.config.score == "accuracy" else None
        counts = (
            cost(self.config.size, chosen, self.network, self.latency),
            *(count(chosen, self.network) for count in (count_parameters, count_multiply_adds)),
        )
        entries = [
            Ranked(genotype, score, error_of_share(score, images), size, parameters, products, 1, 0, 0.0)
            for genotype, score, size, parameters, products in zip(
                chosen, self.score(chosen).tolist(), *(each.tolist() for each in counts), strict=True
            )
        ]
        return with_latencies(entries, self.latency)


def _named(request: Request) -> object:
    return request.architecture if isinstance(request.architecture, Genotype) else "a mixture"
