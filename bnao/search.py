"""Algorithm 1: the only loop over rounds. Train by size, score, learn from the scores, propose.

The loop names no backend: it is handed a supernet and a controller, and tells whoever listens what happens
as plain events. After each step that can be lost, the run's folder holds what is needed to go on.
"""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from attrs import evolve, frozen
from numpy.typing import ArrayLike, NDArray

from bnao.config import SearchConfig
from bnao.errors import ConfigError, GenotypeError
from bnao.genotype import Genotype
from bnao.journal import RESULT, Journal
from bnao.protocols import Controller, Listener, Supernet, check_provides
from bnao.run import Run, read_json, understanding
from bnao.sampler import ProportionalSampler, sampler_of_round
from bnao.size import SIZES, multiply_adds, parameters
from bnao.space import space_named
from bnao.streams import stream

SizeFunction = Callable[[Sequence[Genotype]], ArrayLike]

# genotypes scored between two signs of life
_SCORED_AT_ONCE = 10
# random genotypes looked at for each one wanted, before a budget is called too tight
_TRIES = 300


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
        """Plain data, the genotype in its text form."""
        return {**attrs.asdict(self, recurse=False), "genotype": str(self.genotype)}


@frozen
class SearchResult:
    """All genotypes of a search, best first."""

    space: str
    seed: int
    ranked: tuple[Ranked, ...]

    @property
    def best(self) -> Genotype:
        """The genotype ranked first."""
        return self.ranked[0].genotype

    def to_json(self) -> dict[str, Any]:
        """Plain data, as in result.json."""
        return {"space": self.space, "seed": self.seed, "ranked": [entry.to_json() for entry in self.ranked]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> SearchResult:
        """What ``to_json`` was made from."""
        output = space_named(content["space"]).rules.output
        ranked = [
            Ranked(**{**entry, "genotype": evolve(Genotype.parse(entry["genotype"]), output=output)})
            for entry in content["ranked"]
        ]
        return cls(content["space"], content["seed"], tuple(ranked))


def read_result(folder: Path) -> SearchResult:
    """The result of the finished run in this folder.

    Raises:
        RunError: the run is not finished, or its result is not what a search wrote.
    """
    content = read_json(folder / RESULT)
    with understanding(folder / RESULT):
        return SearchResult.from_json(content)


def search(
    config: SearchConfig,
    supernet: Supernet,
    controller: Controller,
    *,
    run: Run | None = None,
    size: SizeFunction | None = None,
    rerank: Callable[[Genotype], float] | None = None,
    listen: Listener = lambda event: None,
) -> SearchResult:
    """Balanced one-shot NAO from the first random pool to the ranking.

    Paper: Alg. 1 and Sec. 4.

    Args:
        config: all settings.
        supernet: holds and trains the weights all genotypes share: attributes ``network``, ``epoch_steps``,
            ``scored_images`` and ``candidates``, methods ``train``, ``score``, ``sizes``, ``state`` and
            ``load_state``; see ``bnao.protocols.Supernet``.
        controller: proposes the genotypes of each later round: methods ``fit`` and ``propose``; see
            ``bnao.protocols.Controller``.
        run: a folder to keep everything in; a run that was killed goes on from it, bit for bit. None: nothing is kept.
        size: sizes of genotypes, any unit, in place of ``config.size``.
        rerank: a genotype's accuracy after a short training of its own, by which the best ``config.top`` are ranked at
            the end, such as ``bnao.evaluate.short_training``; None: they stay in the order of their scores.
        listen: is called with every event; ``bnao.protocols.EVENTS`` lists them.

    Returns:
        Every genotype that was scored, best first.

    Raises:
        DivergedError: the supernet's loss is not finite.
        RunError: the folder cannot be written; what was finished is kept.
        ConfigError: the budget admits too few genotypes.
        SizeError: ``size`` gave one that is not finite and positive.
        ProtocolError: the supernet or the controller lacks an attribute or a method; all of them are named.

    >>> from bnao.backends.table import TableSupernet
    >>> from bnao.controllers import RandomController
    >>> from bnao.config import ControllerConfig, NetworkConfig
    >>> space = space_named("nao", 5)
    >>> pool = space.random_genotypes(20, stream(0, "example"))
    >>> table = TableSupernet(pool, scores=np.linspace(0.5, 0.9, 20), network=NetworkConfig())
    >>> config = SearchConfig(rounds=2, pool=10, new=10)
    >>> result = search(config, table, RandomController(space, ControllerConfig(), seed=0))
    >>> result.best == pool[-1]
    True
    """
    return _Search(config, supernet, controller, Journal(run), size, listen).result(rerank)


def check_budgets(config: SearchConfig, supernet: Supernet, controller: Controller) -> None:
    """Find out, before anything is trained, whether enough genotypes keep the budgets.

    Raises:
        ConfigError: the budgets admit too few for the first pool.
    """
    _Search(config, supernet, controller, Journal(None), None, lambda event: None).random(config.pool, round=0)


class _Search:
    """The state of one search: every genotype so far, when it came, its score and its updates."""

    def __init__(
        self,
        config: SearchConfig,
        supernet: Supernet,
        controller: Controller,
        journal: Journal,
        size: SizeFunction | None,
        listen: Listener,
    ) -> None:
        check_provides(supernet, Supernet, "supernet")
        check_provides(controller, Controller, "controller")
        self.config, self.supernet, self.controller, self.journal = config, supernet, controller, journal
        self.size, self.listen = size, listen
        self.network = supernet.network
        self.space = space_named(self.network.space, self.network.nodes)
        # an epoch of no steps: a table, which trains nothing
        self.steps = supernet.epoch_steps and (config.steps or config.epochs * supernet.epoch_steps)
        self.born: dict[Genotype, int] = {}
        self.scores: dict[Genotype, float] = {}
        self.updates: Counter[Genotype] = Counter()
        self.expected: defaultdict[Genotype, float] = defaultdict(float)

    def result(self, rerank: Callable[[Genotype], float] | None) -> SearchResult:
        config = self.config
        if self.journal.state is not None:
            self.supernet.load_state(self.journal.state)
        for round in range(config.rounds):
            fresh = self.pool(round)
            if not fresh:
                self.tell("exhausted", round=round + 1, message="every genotype there is has been scored")
                break
            self.born |= dict.fromkeys(fresh, round)
            everything = list(self.born)
            self.train(round, everything if config.sample_from == "all" else fresh)
            # new weights make last round's scores stale, so by default the whole pool is scored again
            self.score(round, everything if config.rescore == "all" else fresh)
        result = SearchResult(self.space.name, config.seed, tuple(self.ranked(rerank)))
        self.tell("end", best=str(result.best), score=result.ranked[0].score)
        self.journal.finish(result.to_json(), self.supernet.state())
        return result

    def tell(self, kind: str, **values: Any) -> None:
        event = {"event": kind, **values}
        self.journal.log(event)
        self.listen(event)

    # --- train and score

    def train(self, round: int, genotypes: list[Genotype]) -> None:
        """Train the supernet for a round: who is trained at each step is drawn in proportion to size."""
        sampler = self.sampler(round, genotypes)
        drawn = sampler.draw(self.steps)
        counts = np.bincount(drawn, minlength=len(genotypes)).tolist()
        self.updates.update(dict(zip(genotypes, counts, strict=True)))
        for genotype, expected in zip(genotypes, sampler.expected(self.steps).tolist(), strict=True):
            self.expected[genotype] += expected
        start = self.journal.steps_made(round)
        if start == self.steps or self.journal.scores(round) is not None:
            return
        saved = last = time.monotonic()
        for step in self.supernet.train(genotypes, drawn, round=round, start=start):
            now = time.monotonic()
            self.tell(
                "step", round=round + 1, step=step.step + 1, steps=self.steps, loss=step.loss, rate=step.rate,
                genotype=step.index, seconds=round_off(now - last),
            )  # fmt: skip
            last = now
            due = now - saved >= self.config.checkpoint_seconds
            if self.journal.keeps and (due or step.step + 1 == self.steps):
                self.journal.checkpoint(round, step.step + 1, self.supernet.state())
                saved = last = time.monotonic()

    def sampler(self, round: int, genotypes: Sequence[Genotype]) -> ProportionalSampler[Genotype]:
        """Who draws the genotypes of a round's steps."""
        config = self.config
        return sampler_of_round(
            config.sampler, genotypes, self.sizes(genotypes),
            seed=config.seed, alpha=config.alpha, round=round, steps=self.steps,
        )  # fmt: skip

    def score(self, round: int, genotypes: list[Genotype]) -> None:
        """Score with the shared weights, every genotype on the same dev images."""
        known = self.journal.scores(round)
        if known is not None:
            self.scores |= known
            return
        best = -math.inf
        for start in range(0, len(genotypes), _SCORED_AT_ONCE):
            some = genotypes[start : start + _SCORED_AT_ONCE]
            scores = self.supernet.score(some).tolist()
            self.scores |= zip(some, scores, strict=True)
            best = max(best, *scores)
            self.tell("score", round=round + 1, scored=start + len(some), of=len(genotypes), best=best)
        entries = [
            {
                "genotype": str(genotype),
                "score": self.scores[genotype],
                "standard_error": self.standard_error(self.scores[genotype]),
                "updates": self.updates[genotype],
                "expected_updates": round_off(self.expected[genotype]),
            }
            for genotype in genotypes
        ]
        self.journal.keep_scores(round, entries)
        best_genotype = max(self.scores, key=self.scores.__getitem__)
        self.tell(
            "round", round=round + 1, rounds=self.config.rounds, best=self.scores[best_genotype],
            genotype=str(best_genotype),
        )  # fmt: skip

    # --- where genotypes come from

    def pool(self, round: int) -> list[Genotype]:
        """The genotypes that are new in this round: random ones first, then the controller's proposals."""
        known = self.journal.pool(round)
        if known is not None:
            return known
        if round == 0:
            genotypes = self.random(self.config.pool, round)
            sources = {"random": len(genotypes)}
        else:
            genotypes, sources = self.proposed(round)
        if genotypes:
            self.journal.keep_pool(round, self.space.name, genotypes, self.sizes(genotypes).tolist(), sources)
            self.tell("pool", round=round + 1, genotypes=len(genotypes), sources=sources)
        return genotypes

    def proposed(self, round: int) -> tuple[list[Genotype], dict[str, int]]:
        """The controller's proposals; where it has too few, random genotypes, and how many of each."""
        config = self.config
        known = list(self.scores)
        scores = np.array(list(self.scores.values()))
        for epoch in self.controller.fit(known, scores, round=round):
            self.tell(
                "controller", round=round, epoch=epoch.epoch + 1, epochs=config.controller.epochs, loss=epoch.loss,
                rate=epoch.rate,
            )  # fmt: skip
        seeds = [known[index] for index in np.argsort(-scores, kind="stable")[: config.n_seeds]]
        if self.supernet.candidates is None:
            made = self.controller.propose(seeds, config.new, self.wanted, round=round)
        else:
            wishes = self.controller.propose(seeds, config.new, lambda g: g not in self.born, round=round)
            made = self.nearest(wishes, self.unseen(self.supernet.candidates))
        filled = self.random(config.new - len(made), round, barred=made)
        return [*made, *filled], {config.controller.controller: len(made), "random": len(filled)}

    def wanted(self, genotype: Genotype) -> bool:
        """Whether a proposal is new and keeps the budgets."""
        return genotype not in self.born and bool(self.within_budget([genotype])[0])

    def within_budget(self, genotypes: Sequence[Genotype]) -> NDArray[np.bool_]:
        """Which of the genotypes keep the budgets, shape (n,)."""
        within = np.ones(len(genotypes), dtype=bool)
        for most, count in (
            (self.config.max_parameters, parameters),
            (self.config.max_multiply_adds, multiply_adds),
        ):
            if most is not None and genotypes:
                within &= count(genotypes, self.network) <= most
        return within

    def random(self, n: int, round: int, barred: Sequence[Genotype] = ()) -> list[Genotype]:
        """n new random genotypes within the budgets; fewer only where there are no more, and never in round 0."""
        rng = stream(self.config.seed, "pool", round)
        if self.supernet.candidates is not None:
            left = self.unseen(self.supernet.candidates, barred)
            if round == 0 and len(left) < 2:
                raise ConfigError(
                    f"only {len(left)} of the table's {len(self.supernet.candidates):,} genotypes keep the budget "
                    f"({self.budget()}); a search needs two, allow more"
                )
            return [left[index] for index in rng.permutation(len(left))[:n]]
        chosen: list[Genotype] = []
        looked_at = 0
        while len(chosen) < n:
            try:
                some = self.space.random_genotypes(n, rng, exclude=[*self.born, *barred, *chosen])
                looked_at += n
                chosen += itertools.compress(some, self.within_budget(some))
                if looked_at > _TRIES * n and len(chosen) < n:
                    raise ConfigError(
                        f"only {len(chosen)} of {looked_at:,} random genotypes keep the budget ({self.budget()}), and "
                        f"{n} are wanted; allow more, or take fewer channels, cells or genotypes"
                    )
            except (ConfigError, GenotypeError):
                if round == 0:
                    raise
                break  # a search that is under way goes on with what there is
        return chosen[:n]

    def budget(self) -> str:
        """The budgets in words."""
        config = self.config
        limits = (("parameters", config.max_parameters), ("multiply-adds", config.max_multiply_adds))
        return ", ".join(f"at most {most:,} {name}" for name, most in limits if most is not None)

    def unseen(self, candidates: Sequence[Genotype], barred: Sequence[Genotype] = ()) -> list[Genotype]:
        """The candidates that are new and keep the budgets."""
        known = {*self.born, *barred}
        left = [genotype for genotype in candidates if genotype not in known]
        return list(itertools.compress(left, self.within_budget(left)))

    def nearest(self, wishes: Sequence[Genotype], left: Sequence[Genotype]) -> list[Genotype]:
        """For each wish the free candidate that differs in the fewest integers: a table holds but a few."""
        place = {genotype: index for index, genotype in enumerate(left)}
        free = np.ones(len(left), dtype=bool)
        codes: NDArray[np.int64] | None = None
        chosen: list[Genotype] = []
        for wish in wishes[: len(left)]:
            index = place.get(wish, -1)
            if index < 0 or not free[index]:
                if codes is None:
                    codes = self.space.encode(left).reshape(len(left), self.space.length)
                code = self.space.encode([wish]).reshape(self.space.length)
                differences = np.where(free, (codes != code).sum(1), self.space.length + 1)
                index = int(differences.argmin())
            free[index] = False
            chosen.append(left[index])
        return chosen

    # --- sizes and the ranking

    def sizes(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
        """What the chances are made of: the caller's function, the table's column, or exact counts."""
        if self.size is not None:
            return np.asarray(self.size(genotypes), dtype=np.float64)
        known = self.supernet.sizes(genotypes)
        return known if known is not None else SIZES[self.config.size](genotypes, self.network).astype(np.float64)

    def standard_error(self, score: float) -> float | None:
        """Of a share of the dev images; None where the score is none."""
        images = self.supernet.scored_images
        return None if images is None else round_off((score * (1 - score) / images) ** 0.5)

    def ranked(self, rerank: Callable[[Genotype], float] | None) -> list[Ranked]:
        """Every scored genotype, best first; the top by their own short training where asked for."""
        order = sorted(self.scores, key=lambda genotype: -self.scores[genotype])
        counts = zip(
            self.sizes(order).tolist(),
            parameters(order, self.network).tolist(),
            multiply_adds(order, self.network).tolist(),
            strict=True,
        )
        ranked = [
            Ranked(
                genotype=genotype,
                score=self.scores[genotype],
                standard_error=self.standard_error(self.scores[genotype]),
                size=size,
                parameters=weights,
                multiply_adds=products,
                round=self.born[genotype] + 1,
                updates=self.updates[genotype],
                expected_updates=round_off(self.expected[genotype]),
            )
            for genotype, (size, weights, products) in zip(order, counts, strict=True)
        ]
        if rerank is None:
            return ranked
        top, rest = ranked[: self.config.top], ranked[self.config.top :]
        accuracies = self.journal.reranked()
        for number, entry in enumerate(top):
            text = str(entry.genotype)
            if text not in accuracies:
                accuracies[text] = rerank(entry.genotype)
                self.journal.keep_reranked(accuracies)
            self.tell("rerank", trained=number + 1, of=len(top), accuracy=accuracies[text])
        top = [evolve(entry, reranked=accuracies[str(entry.genotype)]) for entry in top]
        return sorted(top, key=lambda entry: -accuracies[str(entry.genotype)]) + rest


def round_off(value: float, digits: int = 6) -> float:
    """A value as files show it to people."""
    return float(round(value, digits))
