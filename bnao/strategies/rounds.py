"""Algorithm 1: the only loop over rounds. Train by size, score, learn from the scores, propose.

The loop names no backend: it is handed a supernet and a controller, and tells whoever listens what happens
as plain events. After each step that can be lost, the run's folder holds what is needed to go on.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bnao.config.settings import SearchConfig
from bnao.errors import ConfigError, GenotypeError
from bnao.network.size import count_multiply_adds, count_parameters
from bnao.parallel.ranks import Ranks
from bnao.protocols import (
    Choosing,
    Controller,
    HeldOut,
    Listener,
    Measured,
    Predicting,
    Reporting,
    Scorer,
    Step,
    check_provides,
)
from bnao.provenance import About, keep_about, origin
from bnao.run import Run, round_off
from bnao.sampler import ProportionalSampler, sampler_of_round
from bnao.space.canonical import distinct_key, distinct_ones
from bnao.space.genotype import Genotype
from bnao.space.notation.notations import read_lines
from bnao.space.spaces import space_named
from bnao.strategies.candidates import Pool, budgets_text, nearest, shared_pool, within_budgets
from bnao.strategies.costs import best_first, cost, keep_latency, search_latency, weigh_front
from bnao.strategies.ending import Rerank, final_ranking
from bnao.strategies.front import Front
from bnao.strategies.fusion import Fuse
from bnao.strategies.inheritance import load_first_weights
from bnao.strategies.journal import Journal
from bnao.strategies.plan import SCORED_AT_ONCE, search_plan
from bnao.strategies.references import read_genotype
from bnao.strategies.result import Learning, Ranked, SearchResult, error_of_share, with_latencies
from bnao.strategies.telling import Telling
from bnao.streams import stream
from bnao.training import loop

SizeFunction = Callable[[Sequence[Genotype]], ArrayLike]

# random genotypes looked at for each one wanted, before a budget is called too tight
_TRIES = 300


def search(
    config: SearchConfig,
    supernet: Scorer,
    controller: Controller,
    *,
    run: Run | None = None,
    about: About | None = None,
    size: SizeFunction | None = None,
    rerank: Rerank | None = None,
    fuse: Fuse | None = None,
    ranks: Ranks | None = None,
    listen: Listener = lambda event: None,
) -> SearchResult:
    """Balanced one-shot NAO from the first random pool to the ranking.

    Paper: Alg. 1 and Sec. 4.

    Args:
        config: all settings.
        supernet: trains the weights that all genotypes share, and scores by them; that of a backend, a
            ``TableSupernet`` or ``StandAloneScores``, or anything with the attributes ``network``, ``epoch_steps``,
            ``scored_images`` and ``candidates`` and the methods ``train``, ``score``, ``sizes``, ``state`` and
            ``load_state``; see ``bnao.protocols.Scorer``.
        controller: proposes the genotypes of each later round: methods ``fit`` and ``propose``; see
            ``bnao.protocols.Controller``.
        run: a folder to keep everything in; a run that was killed goes on from it, bit for bit. None: nothing is kept.
        about: for the folder's run.json, of ``bnao.provenance.origin``; None: versions of what needs no backend, and
            no data.
        size: sizes of genotypes, any unit, in place of ``config.size``.
        rerank: a genotype's accuracy after a short training of its own, by which the best ``config.top`` are ranked at
            the end, such as ``bnao.evaluation.short.short_training``; None: they stay in the order of their scores.
        fuse: joins the scores with what else is known, to rank all at the end, such as ``bnao.Fuser``; None: no.
        ranks: the processes that make this search together, of which the first alone proposes; None: this one.
        listen: is called with every event; ``bnao.events.EVENTS`` lists them.

    Returns:
        Every genotype that was scored, best first.

    Raises:
        DivergedError: the supernet's loss is not finite.
        RunError: the folder cannot be written; what was finished is kept. Or it was begun with other data, or the run
            of ``config.from_supernet`` is not finished.
        ConfigError: the budget admits too few genotypes, or not those of ``config.pool_file``; the supernet of
            ``config.from_supernet`` is another; ``config.sharing`` is none, and the supernet shares weights;
            ``config.rank_by`` is fused, and there is no ``fuse``.
        GenotypeError: a line of ``config.pool_file`` is not a genotype of the space.
        WeightsError: the weights of ``config.from_supernet`` are damaged, or of other shapes.
        SizeError: ``size`` gave one that is not finite and positive.
        ProtocolError: the supernet or the controller lacks an attribute or a method; all of them are named.

    >>> from bnao.backends.table import TableSupernet
    >>> from bnao.strategies.random_search import RandomController
    >>> from bnao.config.settings import ControllerConfig, NetworkConfig
    >>> space = space_named("nao", 5)
    >>> pool = space.random_genotypes(20, stream(0, "example"))
    >>> table = TableSupernet(pool, scores=np.linspace(0.5, 0.9, 20), network=NetworkConfig())
    >>> config = SearchConfig(rounds=2, pool=10, new=10)
    >>> result = search(config, table, RandomController(space, ControllerConfig(), seed=0))
    >>> result.best == pool[-1]
    True
    """
    if config.rank_by == "fused" and fuse is None:
        raise ConfigError("rank_by is fused, and nothing is given that joins scores; give fuse=bnao.Fuser(...)")
    begun = _Search(config, supernet, controller, run, size, listen, ranks)
    if run is not None:
        keep_about(run, about or origin(None, config.machine))
        keep_latency(begun.latency, run)
    return begun.result(rerank, fuse)


def check_start(config: SearchConfig, supernet: Scorer, controller: Controller) -> None:
    """Find out, before anything is trained, whether a search can begin: its first pool and its first weights.

    Raises:
        Errors as ``search``; among them ConfigError where the budgets admit too few for the first pool.
    """
    begun = _Search(config, supernet, controller, None, None, lambda event: None)
    begun.first_pool()
    begun.load_weights()


class _Search(Telling):
    """The state of one search: every genotype so far, when it came, its score and its updates."""

    journal: Journal

    def __init__(
        self,
        config: SearchConfig,
        supernet: Scorer,
        controller: Controller,
        run: Run | None,
        size: SizeFunction | None,
        listen: Listener,
        ranks: Ranks | None = None,
    ) -> None:
        check_provides(supernet, Scorer, "supernet")
        check_provides(controller, Controller, "controller")
        if config.sharing == "none" and supernet.epoch_steps:
            raise ConfigError(
                f"sharing is none, and the supernet, of class {type(supernet).__name__}, trains weights that are "
                "shared; take a bnao.evaluation.candidates.StandAloneScores"
            )
        self.config, self.supernet, self.controller = config, supernet, controller
        self.size, self.listen, self.ranks = size, listen, ranks
        self.network = supernet.network
        # that a score is a share of
        self.images = supernet.scored_images if config.score == "accuracy" else None
        self.space = space_named(self.network.space, self.network.nodes)
        self.journal = Journal(run, self.space)
        # an epoch of no steps: a table, which trains nothing
        self.steps = supernet.epoch_steps and (config.steps or config.epochs * supernet.epoch_steps)
        self.born: dict[Genotype, int] = {}
        # what the genotypes so far are told apart by
        self.keys: set[object] = set()
        candidates = supernet.candidates
        # of a table, those that pass something of the image on
        self.candidates = (
            None if candidates is None else list(itertools.compress(candidates, self.space.passes_on(candidates)))
        )
        self.scores: dict[Genotype, float] = {}
        self.updates: Counter[Genotype] = Counter()
        self.expected: defaultdict[Genotype, float] = defaultdict(float)
        self.latency = search_latency(config, None if run is None else run.folder)
        # what a front weighs against the score
        self.weighed = weigh_front(config, controller, self.network, self.latency, self.sizes)
        # what the controller says of each round's pool
        self.predicted: dict[int, tuple[Mapping[Genotype, float], HeldOut | None]] = {}
        self.learning: list[Learning] = []
        self.has_trained = False

    def result(self, rerank: Rerank | None, fuse: Fuse | None) -> SearchResult:
        config = self.config
        plan = search_plan(config, self.supernet, self.steps, fuses=bool(fuse), reranks=bool(rerank))
        self.tell_plan(plan)
        if self.journal.state is not None:
            self.supernet.load_state(self.journal.state)
        elif self.load_weights():
            # so that resuming needs the other run no more
            self.journal.checkpoint(0, 0, self.supernet.state())
        for round_index in range(config.rounds):
            fresh = self.pool(round_index)
            if not fresh:
                self.tell("exhausted", round=round_index + 1, message="every genotype there is has been scored")
                break
            self.born |= dict.fromkeys(fresh, round_index)
            self.keys |= {distinct_key(genotype, config.distinct) for genotype in fresh}
            trained = self.trained(fresh)
            self.train(round_index, trained)
            # new weights make last round's scores stale, so by default the whole pool is scored again
            self.score(round_index, {"all": list(self.born), "new": fresh, "trained": trained}[config.rescore])
        ranked, about = final_ranking(self.ranked(), config, self.journal, rerank, fuse, self.tell_event)
        front = None if config.pareto is None else Front.of(ranked, config.pareto)
        result = SearchResult(self.space.name, config.seed, tuple(ranked), tuple(self.learning), about, front=front)
        return self.finish(result, self.supernet.state())

    def alone(self, round_index: int, genotype: Genotype, values: Mapping[str, Any]) -> None:
        """Pass on an epoch of a genotype's own training; the log does without."""
        pool = [other for other, born in self.born.items() if born == self.born[genotype]]
        self.listen({"event": "alone", "round": round_index + 1, "genotype": pool.index(genotype), **values})

    # --- train and score

    def load_weights(self) -> bool:
        """Begin with the weights of ``config.from_supernet``; returns whether there are any."""
        source = self.config.from_supernet
        if source is None:
            return False
        if not self.supernet.epoch_steps:
            raise ConfigError(f"from_supernet is {source}, and no supernet is trained here")
        load_first_weights(source, self.supernet)
        return True

    def trained(self, fresh: list[Genotype]) -> list[Genotype]:
        """Return the genotypes that a round trains: its new ones, or with older ones among them."""
        if self.config.sample_from == "new":
            return fresh
        if self.config.sample_from == "all":
            return list(self.born)
        best = sorted(self.scores, key=self.scores.__getitem__, reverse=True)
        return [*best[: max(0, self.config.pool - len(fresh))], *fresh]

    def train(self, round_index: int, genotypes: list[Genotype]) -> None:
        """Train the supernet for a round: who is trained at each step is drawn in proportion to size."""
        sampler = self.sampler(round_index, genotypes)
        draws = self.steps * self.config.ranks.paths_a_step
        drawn = sampler.draw(draws)
        counts = np.bincount(drawn, minlength=len(genotypes)).tolist()
        self.updates.update(dict(zip(genotypes, counts, strict=True)))
        for genotype, expected in zip(genotypes, sampler.expected(draws).tolist(), strict=True):
            self.expected[genotype] += expected
        start = self.journal.steps_made(round_index)
        if start == self.steps or self.journal.scores(round_index) is not None:
            return
        if round_index and not start and not self.has_trained:
            self.journal.check_reached(round_index - 1, self.steps)
        self.has_trained = True
        loop.train(
            self.supernet.train(genotypes, drawn, round_index=round_index, start=start),
            partial(self.report_step, round_index),
            partial(self.checkpoint, round_index) if self.journal.keeps else None,
            every=self.config.checkpoint_seconds,
            milestones={self.steps},
        )

    def report_step(self, round_index: int, step: Step, seconds: float) -> None:
        self.tell(
            "step", round=round_index + 1, step=step.step + 1, steps=self.steps, loss=step.loss, rate=step.rate,
            genotype=step.index, seconds=round_off(seconds),
        )  # fmt: skip

    def checkpoint(self, round_index: int, steps: int) -> None:
        self.journal.checkpoint(round_index, steps, self.supernet.state())

    def sampler(self, round_index: int, genotypes: Sequence[Genotype]) -> ProportionalSampler[Genotype]:
        """Who draws the genotypes of a round's steps."""
        config = self.config
        return sampler_of_round(
            config.sampler, genotypes, self.sizes(genotypes),
            seed=config.seed, alpha=config.alpha, round_index=round_index,
            steps=self.steps * config.ranks.paths_a_step,
        )  # fmt: skip

    def score(self, round_index: int, genotypes: list[Genotype]) -> None:
        """Score with the shared weights, every genotype on the same dev images."""
        if self.config.rescore == "trained":
            self.scores = {}
        known = self.journal.scores(round_index, genotypes)
        if known is not None:
            self.scores |= known
            self.compare(round_index)
            return
        if isinstance(self.supernet, Reporting):
            self.supernet.report_to(partial(self.alone, round_index))
        best = -math.inf
        for start in range(0, len(genotypes), SCORED_AT_ONCE):
            some = genotypes[start : start + SCORED_AT_ONCE]
            scores = self.supernet.score(some).tolist()
            self.scores |= zip(some, scores, strict=True)
            best = max(best, *scores)
            self.tell("score", round=round_index + 1, scored=start + len(some), of=len(genotypes), best=best)
        entries = [
            {
                "genotype": str(genotype),
                "score": self.scores[genotype],
                "standard_error": error_of_share(self.scores[genotype], self.images),
                "updates": self.updates[genotype],
                "expected_updates": round_off(self.expected[genotype]),
            }
            for genotype in genotypes
        ]
        learning = self.compare(round_index)
        proposals = {}
        if learning is not None and learning.proposals:
            proposals = {
                "proposals": learning.proposals,
                "pairwise_accuracy": learning.pairwise_accuracy,
                "kendall_tau": learning.kendall_tau,
            }
            self.tell("proposals", round=round_index + 1, **proposals)
        self.journal.keep_scores(round_index, entries, **({"predicted": proposals} if proposals else {}))
        best_genotype = max(self.scores, key=self.scores.__getitem__)
        self.tell(
            "round", round=round_index + 1, rounds=self.config.rounds, best=self.scores[best_genotype],
            genotype=str(best_genotype),
        )  # fmt: skip

    def compare(self, round_index: int) -> Learning | None:
        """Compare what the controller had predicted for a round's proposals with their scores."""
        if round_index not in self.predicted:
            return None
        predicted, held_out = self.predicted[round_index]
        self.learning.append(Learning.of(round_index, held_out, predicted, self.scores))
        return self.learning[-1]

    # --- where genotypes come from

    def pool(self, round_index: int) -> list[Genotype]:
        """Return the genotypes that are new in this round: random ones first, then the controller's proposals."""
        known = self.journal.pool(round_index)
        if known is not None:
            self.remember(round_index, *self.journal.learned(round_index))
            return known
        make = partial(self.proposed, round_index) if round_index else self.first_pool
        pool = shared_pool(self.ranks, self.space, make)
        if pool.genotypes:
            self.remember(round_index, pool.predicted, pool.held_out)
            sizes = self.sizes(pool.genotypes).tolist()
            self.journal.keep_pool(round_index, pool.genotypes, sizes, pool.sources, pool.predicted, pool.held_out)
            self.tell(
                "pool", round=round_index + 1, genotypes=len(pool.genotypes), sources=pool.sources,
                duplicates=pool.duplicates,
            )  # fmt: skip
        return pool.genotypes

    def remember(self, round_index: int, predicted: Mapping[Genotype, float], held_out: HeldOut | None) -> None:
        """Remember what the controller says of a round's pool until that is scored."""
        if predicted or held_out is not None:
            self.predicted[round_index] = predicted, held_out

    def first_pool(self) -> Pool:
        """Return the genotypes of the pool's file, if there is one, and random ones up to ``config.pool``."""
        path = self.config.pool_file
        if path is None:
            genotypes = self.random(self.config.pool, round_index=0)
            return Pool(genotypes, {"random": len(genotypes)})
        lines = read_lines(path, self.space, read_genotype)
        places = {genotype: where for where, genotype in reversed(lines)}
        given = list(dict.fromkeys(genotype for _, genotype in lines))
        barred = list(itertools.compress(given, ~self.within(given)))
        if barred:
            raise ConfigError(
                f"{places[barred[0]]}: the genotype does not keep the budget ({budgets_text(self.config)})"
                + (f", nor do {len(barred) - 1:,} others" if len(barred) > 1 else "")
            )
        if self.supernet.candidates is not None:
            table = set(self.supernet.candidates)
            absent = [genotype for genotype in given if genotype not in table]
            if absent:
                raise ConfigError(f"{places[absent[0]]}: the table has no row for the genotype {absent[0]}")
        missing = self.config.pool - len(given)
        filled = self.random(missing, round_index=0, barred=given) if missing > 0 else []
        return Pool([*given, *filled], {"file": len(given), "random": len(filled)}, len(lines) - len(given))

    def proposed(self, round_index: int) -> Pool:
        """Return the controller's proposals; where it has too few, random genotypes."""
        config = self.config
        known = list(self.scores)
        scores = np.array(list(self.scores.values()))
        for epoch in self.controller.fit(known, scores, round_index=round_index):
            self.tell(
                "controller", round=round_index, epoch=epoch.epoch + 1, epochs=config.controller.epochs,
                loss=epoch.loss, rate=epoch.rate,
            )  # fmt: skip
        held_out = self.controller.held_out() if isinstance(self.controller, Measured) else None
        if held_out is not None:
            self.tell("measured", round=round_index, **attrs.asdict(held_out))
        seeds = [known[index] for index in best_first(scores, known, self.weighed)[: config.n_seeds]]
        candidates = self.supernet.candidates
        # a table of the whole space has whatever is proposed
        if candidates is None or len(candidates) == self.space.genotypes:
            left = config.new if candidates is None else min(config.new, len(candidates) - len(self.born))
            made = self.controller.propose(seeds, left, self.wanted, round_index=round_index)
        else:
            made = self.from_table(seeds, self.unseen(candidates), round_index)
        made = distinct_ones(made, config.distinct)
        predicted = {}
        if made and isinstance(self.controller, Predicting):
            predicted = dict(zip(made, self.controller.predict(made).tolist(), strict=True))
        filled = self.random(config.new - len(made), round_index, barred=made)
        sources = {config.controller.controller: len(made), "random": len(filled)}
        return Pool([*made, *filled], sources, predicted=predicted, held_out=held_out)

    def from_table(self, seeds: Sequence[Genotype], left: Sequence[Genotype], round_index: int) -> list[Genotype]:
        """The controller's choice among a table's unseen genotypes, or the nearest ones to what it proposes."""
        n = min(self.config.new, len(left))
        if isinstance(self.controller, Choosing):
            return self.controller.choose(left, n, round_index=round_index)
        wishes = self.controller.propose(seeds, n, lambda genotype: genotype not in self.born, round_index=round_index)
        return nearest(self.space, wishes, left)

    def wanted(self, genotype: Genotype) -> bool:
        """Return whether a proposal is new, passes something of the image on and keeps the budgets."""
        return (
            genotype not in self.born
            and distinct_key(genotype, self.config.distinct) not in self.keys
            and bool(self.space.passes_on([genotype])[0])
            and bool(self.within([genotype])[0])
        )

    def random(self, n: int, round_index: int, barred: Sequence[Genotype] = ()) -> list[Genotype]:
        """n new random genotypes within the budgets; fewer only where there are no more, and never in round 0."""
        if not n:
            return []
        rng = stream(self.config.seed, "pool", round_index)
        if self.candidates is not None:
            left = self.unseen(self.candidates, barred)
            if round_index == 0 and len(left) + len(barred) < 2:
                raise ConfigError(
                    f"only {len(left)} of the table's {len(self.candidates):,} genotypes keep the budget "
                    f"({budgets_text(self.config)}); a search needs two, allow more"
                )
            return distinct_ones([left[index] for index in rng.permutation(len(left))], self.config.distinct)[:n]
        chosen: list[Genotype] = []
        looked_at = 0
        while len(chosen) < n:
            try:
                some = self.space.random_genotypes(
                    n, rng, exclude=[*self.born, *barred, *chosen], distinct=self.config.distinct
                )
                looked_at += n
                chosen += itertools.compress(some, self.within(some))
                if looked_at > _TRIES * n and len(chosen) < n:
                    raise ConfigError(
                        f"only {len(chosen)} of {looked_at:,} random genotypes keep the budget "
                        f"({budgets_text(self.config)}), and {n} are wanted; allow more, or take fewer channels, "
                        "cells or genotypes"
                    )
            except (ConfigError, GenotypeError):
                if round_index == 0:
                    raise
                break  # a search that is under way goes on with what there is
        return chosen[:n]

    def unseen(self, candidates: Sequence[Genotype], barred: Sequence[Genotype] = ()) -> list[Genotype]:
        """Return the candidates that are new and keep the budgets."""
        distinct = self.config.distinct
        known = self.keys | {distinct_key(genotype, distinct) for genotype in barred}
        left = [genotype for genotype in candidates if distinct_key(genotype, distinct) not in known]
        return list(itertools.compress(left, self.within(left)))

    def sizes(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
        """Return the sizes that the chances are made of: the caller's function, the table's column, or exact counts."""
        if self.size is not None:
            return np.asarray(self.size(genotypes), dtype=np.float64)
        known = self.supernet.sizes(genotypes)
        return known if known is not None else cost(self.config.size, genotypes, self.network, self.latency)

    def within(self, genotypes: Sequence[Genotype]) -> NDArray[np.bool_]:
        """Return which genotypes keep the budgets."""
        return within_budgets(genotypes, self.config, self.network, self.latency)

    def ranked(self) -> list[Ranked]:
        """Every scored genotype, best first."""
        order = sorted(self.scores, key=lambda genotype: -self.scores[genotype])
        counts = (self.sizes(order), count_parameters(order, self.network), count_multiply_adds(order, self.network))
        entries = [
            Ranked(
                genotype, self.scores[genotype], error_of_share(self.scores[genotype], self.images), size, weights,
                products, self.born[genotype] + 1, self.updates[genotype], round_off(self.expected[genotype]),
            )
            for genotype, size, weights, products in zip(order, *(each.tolist() for each in counts), strict=True)
        ]  # fmt: skip
        return with_latencies(entries, self.latency)
