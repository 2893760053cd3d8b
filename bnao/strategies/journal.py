"""Files of a search in its run's folder, from which it resumes after it was killed.

A round leaves its pool, then checkpoints of the supernet, then its scores. What comes after the last of
these happens again, with the same bits, since every random draw is a function of the seed and of its place.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from attrs import asdict, evolve

from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.errors import ConfigError, GenotypeError, RunError, WeightsError
from bnao.network.state import read_weights, to_bytes, without_momenta
from bnao.protocols import HeldOut, State
from bnao.run import Run, made_of, number, read_json, understanding
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace, parse_in

log = logging.getLogger("bnao")

T = TypeVar("T")

CHECKPOINT = "checkpoint.safetensors"
#: the last checkpoint of the round before, from which a search resumes where the last one is damaged
EARLIER = "checkpoint-earlier.safetensors"
WEIGHTS = "supernet.safetensors"
RESULT = "result.json"
RERANK = "rerank.json"


def pool_name(round_index: int) -> str:
    """Return the file of a round's pool; rounds are counted from 0 here and from 1 in names.

    >>> pool_name(0), scores_name(0)
    ('round-1-pool.json', 'round-1-scores.json')
    """
    return f"round-{round_index + 1}-pool.json"


def scores_name(round_index: int) -> str:
    """Return the file of a round's scores."""
    return f"round-{round_index + 1}-scores.json"


def read_pool(folder: Path, round_index: int) -> list[Genotype]:
    """Read the genotypes that were new in a round of the run in this folder.

    Raises:
        RunError: the file is absent, or is not what a search wrote.
    """
    path = folder / pool_name(round_index)
    content = read_json(path)
    with understanding(path):
        return _pool(content)


def _pool(content: Mapping[str, Any]) -> list[Genotype]:
    return [parse_in(content["space"], entry["genotype"]) for entry in content["pool"]]


def rounds_begun(folder: Path) -> int:
    """Return how many rounds of the run in this folder have a pool."""
    return next(round_index for round_index in itertools.count() if not (folder / pool_name(round_index)).is_file())


def _rounds_kept(folder: Path) -> int:
    """Return the number of the last round that has a file, be there gaps before it or not."""
    numbers = (path.name.split("-")[1] for path in folder.glob("round-*-*.json"))
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def read_supernet(folder: Path) -> State:
    """Read the supernet's weights that the finished run in this folder left.

    Raises:
        RunError: it is not finished, or nothing was trained in it.
        WeightsError: the file is damaged.
    """
    if not (folder / RESULT).is_file():
        raise RunError(f"{folder} is not finished; only then it has weights and scores")
    if not (folder / WEIGHTS).is_file():
        raise RunError(f"{folder} has no {WEIGHTS}: its genotypes share no weights (sharing none, or a table)")
    remedy = f"delete it and {RESULT}, and resume ({folder}), which writes both again"
    return read_weights(folder / WEIGHTS, remedy)[0]


def _read_checkpoint(path: Path) -> tuple[State, tuple[int, int]]:
    """Read a supernet's state, and after how many steps of which round it was kept.

    Raises:
        WeightsError: it is damaged.
        RunError: it does not say its round and step.
    """
    state, about = read_weights(path, "an earlier one takes its place")
    try:
        return state, (int(about["round"]), int(about["step"]))
    except (KeyError, TypeError, ValueError):
        raise RunError(f"{path} does not say its round and step") from None


def supernet_network(folder: Path, config: SearchConfig) -> NetworkConfig:
    """Return the network of the supernet that the run in this folder leaves.

    It is that of the run's settings, but for the cells of a strategy whose stages have other depths, which a finished
    run knows.

    Raises:
        RunError: the result is not what a search wrote.
    """
    if not (folder / RESULT).is_file():
        return config.network
    strategy = read_json(folder / RESULT).get("strategy") or {}
    with understanding(folder / RESULT):
        return evolve(config.network, cells=int(strategy.get("cells", config.network.cells)))


class SearchFolder:
    """What every search keeps in its run's folder; without a run it remembers nothing.

    Args:
        run: the folder.
    """

    def __init__(self, run: Run | None) -> None:
        self._run = run

    def _known(self, name: str, read: Callable[[Mapping[str, Any]], T]) -> T | None:
        return self._run.known(name, read) if self._run else None

    @property
    def keeps(self) -> bool:
        """Whether there is a folder to keep anything in."""
        return self._run is not None

    def keep_plan(self, plan: Mapping[str, Any]) -> None:
        """Keep the event that says what the search will do."""
        if self._run:
            self._run.keep_plan(plan)

    def log(self, event: Mapping[str, Any]) -> None:
        """Add an event to the run's log."""
        if self._run:
            self._run.log(event)

    def reranked(self) -> dict[str, float]:
        """Return the accuracies of the short trainings that were finished before."""
        read = self._known(RERANK, lambda of: {text: number(value) for text, value in of["accuracies"].items()})
        return read or {}

    def keep_reranked(self, accuracies: Mapping[str, float]) -> None:
        """Keep the accuracies of the short trainings so far."""
        if self._run:
            self._run.write_json(RERANK, {"accuracies": dict(accuracies)})

    def finish(self, result: Mapping[str, Any], state: State) -> None:
        """Keep the supernet's weights and, last of all, the result: a run with a result is finished."""
        if self._run:
            weights = without_momenta(state)
            if weights:
                self._run.write(WEIGHTS, to_bytes(weights))
            self._run.write_json(RESULT, result)


class Journal(SearchFolder):
    """The search's side of a run's folder; without a run it remembers nothing.

    Args:
        run: the folder.
        space: of its genotypes.

    Raises:
        RunError: the folder's files do not belong together.
    """

    def __init__(self, run: Run | None, space: SearchSpace) -> None:
        super().__init__(run)
        self._space = space
        self._place: tuple[int, int] | None = None
        self.state: State | None = None
        if run is None:
            return
        self._load_checkpoint(run)
        self._rewind(run)

    def _load_checkpoint(self, run: Run) -> None:
        """Read the last checkpoint that can be resumed from, and forget what was made after it.

        Not so is one that is damaged, or of a later round than one whose scores are lost, which would be made with its
        weights. Where there is none the search begins anew.
        """
        rounds = _rounds_kept(run.folder)
        unscored = next((each for each in range(rounds) if not run.has(scores_name(each))), rounds)
        useless = []
        for name in filter(run.has, (CHECKPOINT, EARLIER)):
            try:
                state, place = _read_checkpoint(run.folder / name)
                if place[0] > unscored:
                    raise WeightsError(
                        f"{run.folder / scores_name(unscored)} is missing, and {name} is of a later round"
                    )
            except WeightsError as error:
                useless.append(name)
                log.warning("warning: %s", error)
            else:
                self.state, self._place = state, place
                break
        if not (useless or (self._place is not None and not run.has(CHECKPOINT))):
            return
        trained = 0 if self._place is None else self._place[0] + 1
        where = f"from the end of round {trained}" if trained else "from the beginning"
        log.warning("resuming %s; what came after it is computed again", where)
        # all of it follows from the seed, so nothing is lost but time; the last first, in case this is interrupted
        first = min(trained, unscored)
        for later in range(rounds - 1, first - 1, -1):
            run.remove(scores_name(later))
            if later > first:
                run.remove(pool_name(later))
        for name in useless:
            run.remove(name)

    def _rewind(self, run: Run) -> None:
        """Cut the log back to where the search resumes: what follows will happen, and be logged, again."""
        pools = rounds_begun(run.folder)
        scored = pools > 0 and run.has(scores_name(pools - 1))
        steps_made = self.steps_made(pools - 1)

        def happened(event: Mapping[str, Any]) -> bool:
            number, kind = event.get("round", pools + 1), event["event"]
            if number != pools:
                return bool(number < pools)
            if scored:
                return kind not in ("controller", "measured")
            return bool(kind == "pool" or (kind == "step" and event.get("step", steps_made + 1) <= steps_made))

        run.rewind_log(happened)

    def check_reached(self, round_index: int, steps: int) -> None:
        """Raise RunError unless the last checkpoint is the end of the round's training, momenta included."""
        if self._run and self._place != (round_index, steps):
            raise RunError(
                f"{self._run.folder} has no {CHECKPOINT} of the end of round {round_index + 1}, from which round "
                f"{round_index + 2} would be trained; start a new search with --from-supernet, whose momenta begin "
                "at zero"
            )

    def steps_made(self, round_index: int) -> int:
        """Return the steps of this round that the last checkpoint includes."""
        return self._place[1] if self._place is not None and self._place[0] == round_index else 0

    def pool(self, round_index: int) -> list[Genotype] | None:
        """Return the round's pool, if it was made before."""
        return self._known(pool_name(round_index), self._pool)

    def _pool(self, content: Mapping[str, Any]) -> list[Genotype]:
        genotypes = [self._space.check(genotype) for genotype in _pool(content)]
        if not genotypes or len(set(genotypes)) < len(genotypes):
            raise GenotypeError(f"a round has one genotype or more, and none twice; it has {len(genotypes)}")
        return genotypes

    def keep_pool(
        self,
        round_index: int,
        genotypes: Sequence[Genotype],
        sizes: Iterable[float],
        sources: Mapping[str, int],
        predicted: Mapping[Genotype, float],
        held_out: HeldOut | None,
    ) -> None:
        """Keep what the round trains, what the controller predicted for it, and how that had learned."""
        if not self._run:
            return
        pool = [
            {"genotype": str(g), "size": size, **({"predicted": predicted[g]} if g in predicted else {})}
            for g, size in zip(genotypes, sizes, strict=True)
        ]
        content: dict[str, Any] = {"round": round_index + 1, "space": self._space.name, "sources": dict(sources)}
        if held_out is not None:
            content["held_out"] = asdict(held_out)
        self._run.write_json(pool_name(round_index), {**content, "pool": pool})

    def learned(self, round_index: int) -> tuple[dict[Genotype, float], HeldOut | None]:
        """Return the scores that were predicted for the round's pool, and how the controller had learned."""
        return self._known(pool_name(round_index), self._predicted) or ({}, None)

    def _predicted(self, content: Mapping[str, Any]) -> tuple[dict[Genotype, float], HeldOut | None]:
        predicted = {
            self._space.parse(entry["genotype"]): number(entry["predicted"])
            for entry in content["pool"]
            if "predicted" in entry
        }
        return predicted, made_of(HeldOut, content["held_out"]) if "held_out" in content else None

    def scores(self, round_index: int, of: Sequence[Genotype] | None = None) -> dict[Genotype, float] | None:
        """Return the scores of a round if it was scored before.

        Args:
            round_index: from 0.
            of: the genotypes that it scored; None: whichever they are.

        Raises:
            RunError: the file is not what a search wrote, or its scores are of other genotypes.
        """

        def read(content: Mapping[str, Any]) -> dict[Genotype, float]:
            scores = {self._space.parse(entry["genotype"]): number(entry["score"]) for entry in content["scores"]}
            if of is not None and scores.keys() != set(of):
                raise GenotypeError(f"it has scores of {len(scores)} genotypes, and not of the {len(of)} of the pools")
            return scores

        return self._known(scores_name(round_index), read)

    def keep_scores(self, round_index: int, entries: Sequence[Mapping[str, Any]], **about: Any) -> None:
        """Keep the scores of a round, an object a genotype, and what else is to be said of them."""
        if self._run:
            self._run.write_json(scores_name(round_index), {"round": round_index + 1, **about, "scores": list(entries)})

    def checkpoint(self, round_index: int, step: int, state: State) -> None:
        """Keep all that training resumes from after so many steps of the round."""
        if self._run:
            if self._place is not None and self._place[0] < round_index and self._run.has(CHECKPOINT):
                self._run.rename(CHECKPOINT, EARLIER)
            self._run.write(CHECKPOINT, to_bytes(state, {"round": round_index, "step": step}))
            self._place = round_index, step


def add_rounds(run: Run, rounds: int) -> SearchConfig:
    """Let the search of a run, finished or not, end after so many rounds; ``bnao.strategies.rounds`` then resumes it.

    A run of 4 rounds that is resumed to 6 is bit for bit one that was started with 6: the last round's checkpoint
    holds the momenta, and a round's learning rate and masks do not depend on how many there are. Until it is finished
    anew the run has no result.

    Raises:
        ConfigError: more rounds were begun already; or a setting counts fractions of all rounds (``split_at``,
            ``rank_loss``), which more rounds would move.
    """
    config, begun = run.config(SearchConfig), rounds_begun(run.folder)
    if rounds < begun:
        raise ConfigError(f"{run.folder} has begun {begun} rounds; rounds is {rounds} and must be at least {begun}")
    if rounds == config.rounds:
        return config
    if config.training.counts_rounds:
        raise ConfigError(
            f"{run.folder} counts {config.training.counts_rounds} in fractions of its {config.rounds} rounds; start a "
            f"search of {rounds} rounds instead"
        )
    # first the result, without which a run is resumed: what it held follows from the rounds' files
    run.remove(RESULT)
    config = evolve(config, rounds=rounds)
    run.write_config(config)
    return config
