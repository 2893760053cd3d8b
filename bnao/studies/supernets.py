"""The supernets of a ranking study: each is trained, scored at its marks, and resumes after a stop (Sec. 3)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.config.arms import PlannedSupernet, SamplerSpec
from bnao.config.settings import SearchConfig
from bnao.config.studies import StudyConfig
from bnao.data.dataset import Dataset
from bnao.errors import ConfigError, WeightsError
from bnao.network.state import read_weights, to_bytes
from bnao.parallel.jobs import Job
from bnao.protocols import Backend, Classifying, Scorer, Step
from bnao.run import Folder, number, understanding
from bnao.sampler import ProportionalSampler, sampler_of_round
from bnao.space.genotype import Genotype
from bnao.strategies.plan import SCORED_AT_ONCE
from bnao.studies.truth import Tell
from bnao.training import loop

log = logging.getLogger("bnao")

#: of each ranked genotype, by the epochs after which they were scored
Scores = dict[int, list[float]]


def supernet_config(config: StudyConfig, planned: PlannedSupernet) -> SearchConfig:
    """Return a supernet of the study as a search of one round."""
    return SearchConfig(
        preset=config.preset,
        seed=planned.seed,
        rounds=1,
        epochs=planned.epochs[-1],
        sampler=planned.arm.sampler,
        alpha=planned.arm.alpha,
        size=config.size,
        network=config.network,
        data=config.data,
        training=config.training,
        machine=config.machine,
    )


@frozen(eq=False)
class TrainedSupernet:
    """One supernet of a study and what it made of the ranked genotypes.

    Attributes:
        arm: its sampler.
        seed: its seed.
        epochs: after which it was scored, shape (m,).
        scores: one-shot accuracies or log-likelihoods, shape (m, n).
        updates: steps each ranked genotype's path was trained, shape (n,).
        expected: what Eq. 4 says for them, shape (n,).
    """

    arm: SamplerSpec
    seed: int
    epochs: tuple[int, ...]
    scores: NDArray[np.float64]
    updates: NDArray[np.int64]
    expected: NDArray[np.float64]


class SupernetTraining:
    """The training of a supernet to its last mark, and the scores of the ranked genotypes at each.

    Args:
        config: the study.
        planned: which supernet.
        ranked: the genotypes that are scored, n of them.
        trained: those that are drawn from; the first n are the ranked ones.
        sizes: of the trained ones.
        backend, dataset: what it is trained with and on; scored on the dev part.
        folder: scores that stand in it are not made again, and a training that was killed resumes. None: nothing
            is kept.
        tell: called with the kind of an event and its values.
    """

    def __init__(
        self,
        config: StudyConfig,
        planned: PlannedSupernet,
        ranked: Sequence[Genotype],
        trained: Sequence[Genotype],
        sizes: NDArray[np.float64],
        backend: Backend,
        dataset: Dataset,
        folder: Folder | None,
        tell: Tell,
    ) -> None:
        self.config, self.planned, self.ranked, self.trained = config, planned, ranked, trained
        self.sizes, self.backend, self.dataset, self.tell = sizes, backend, dataset, tell
        self._files = _SupernetFiles(folder, file_name(config, planned))
        #: what its events say of it
        self.place = {"sampler": str(planned.arm), "seed": planned.seed, "length": planned.epochs[-1]}

    def job(self) -> Job[Scores]:
        """Return it as a job of the folder; the supernet is made when it begins."""
        return Job(
            self._files.scores_name, self._scored, _scores_to_json, self._all_scores,
            scraps=(self._files.checkpoint_name,),
            report=lambda scores: self.tell("supernet", **self.place, known=False),
        )  # fmt: skip

    @cached_property
    def _supernet(self) -> Scorer:
        return self.backend.supernet(supernet_config(self.config, self.planned), self.dataset)

    @cached_property
    def _marks(self) -> dict[int, int]:
        """The epochs after which it is scored, by the steps made until then."""
        return {epoch * self._supernet.epoch_steps: epoch for epoch in self.planned.epochs}

    @cached_property
    def _sampler(self) -> ProportionalSampler[Genotype]:
        arm, steps = self.planned.arm, max(self._marks)
        return sampler_of_round(
            arm.sampler, self.trained, self.sizes,
            seed=self.planned.seed, alpha=arm.alpha, round_index=0, steps=steps,
        )  # fmt: skip

    def _scored(self) -> Scores:
        """Train from the last checkpoint on, and score at each mark that is not yet scored."""
        supernet, marks, ranked, files = self._supernet, self._marks, self.ranked, self._files
        steps, drawn = max(marks), self._sampler.draw(max(marks))
        scores, start = files.scores(len(ranked)), files.restore(supernet)

        def report(step: Step, seconds: float) -> None:
            about = {"loss": step.loss, "rate": step.rate, "seconds": seconds}
            self.tell("step", **self.place, step=step.step + 1, steps=steps, **about)

        def score_if_due(made: int) -> None:
            if made not in marks or marks[made] in scores:
                return
            values: list[float] = []
            for at in range(0, len(ranked), SCORED_AT_ONCE):
                values += _scores(supernet, ranked[at : at + SCORED_AT_ONCE], self.config.score)
                self.tell("score", **self.place, epochs=marks[made], scored=len(values), of=len(ranked))
            scores[marks[made]] = values
            files.keep_scores(scores)

        def pause(made: int) -> None:
            files.keep_checkpoint(supernet, made)
            score_if_due(made)

        score_if_due(start)
        loop.train(
            supernet.train(self.trained, drawn, round_index=0, start=start), report, pause,
            every=self.config.checkpoint_seconds, milestones=marks,
        )  # fmt: skip
        return scores

    def _all_scores(self, content: Mapping[str, Any]) -> Scores | None:
        scores = _scores_of(len(self.ranked), content)
        return scores if scores.keys() >= set(self.planned.epochs) else None

    def result(self, scores: Scores) -> TrainedSupernet:
        """Return the supernet of which these are all scores."""
        planned, n, steps = self.planned, len(self.ranked), max(self._marks)
        counts = np.bincount(self._sampler.draw(steps), minlength=len(self.trained))[:n]
        # rounded as study.json has them, so that a study and what is read back from its file are the same
        table = np.array([scores[epoch] for epoch in planned.epochs]).round(6)
        expected = self._sampler.expected(steps)[:n].round(6)
        return TrainedSupernet(planned.arm, planned.seed, planned.epochs, table, counts, expected)


def supernet_trainings(
    config: StudyConfig,
    ranked: Sequence[Genotype],
    trained: Sequence[Genotype],
    sizes: NDArray[np.float64],
    backend: Backend,
    dataset: Dataset,
    folder: Folder | None,
    tell: Tell,
) -> list[SupernetTraining]:
    """Return the trainings of all supernets of a study, in their order; see ``SupernetTraining``."""
    return [
        SupernetTraining(config, planned, ranked, trained, sizes, backend, dataset, folder, tell)
        for planned in config.supernets
    ]


def _scores(supernet: Scorer, genotypes: Sequence[Genotype], kind: str) -> list[float]:
    """Return one score a genotype, by the name of its kind.

    Raises:
        ConfigError: it is not the accuracy, and the supernet says nothing else.
    """
    if kind == "accuracy":
        scores: list[float] = supernet.score(genotypes).tolist()
        return scores
    if not isinstance(supernet, Classifying):
        raise ConfigError(
            f"score is {kind}, and the supernet, of class {type(supernet).__name__}, tells accuracies alone; "
            "take accuracy"
        )
    return [found.score(kind) for found in supernet.classify(genotypes)]


def file_name(config: StudyConfig, planned: PlannedSupernet) -> str:
    """Name a supernet's files in the study's folder, without a suffix."""
    name = f"supernets/{str(planned.arm).replace(':', '-')}-seed-{planned.seed}"
    # the same marks under another cosine are other scores
    return name if config.marks == "along" else f"{name}-epochs-{planned.epochs[-1]}"


def _scores_to_json(scores: Scores) -> dict[str, Any]:
    return {"scored": [{"epochs": epoch, "scores": list(values)} for epoch, values in scores.items()]}


def _scores_of(n: int, content: Mapping[str, Any]) -> Scores:
    """Read the scores of n genotypes."""
    scores = {int(entry["epochs"]): list(map(number, entry["scores"])) for entry in content["scored"]}
    if any(len(values) != n for values in scores.values()):
        raise ValueError(f"scores of other than {n} genotypes")
    return scores


class _SupernetFiles:
    """A supernet's scores and checkpoint in a study's folder; without a folder nothing is kept."""

    def __init__(self, folder: Folder | None, name: str) -> None:
        self._folder = folder
        self.scores_name, self.checkpoint_name = f"{name}.json", f"{name}.checkpoint.safetensors"

    def scores(self, n: int) -> Scores:
        """Return the scores of the n genotypes kept so far."""
        return (self._folder and self._folder.known(self.scores_name, partial(_scores_of, n))) or {}

    def keep_scores(self, scores: Scores) -> None:
        """Keep the scores so far."""
        if self._folder:
            self._folder.write_json(self.scores_name, _scores_to_json(scores))

    def restore(self, supernet: Scorer) -> int:
        """Restore the last checkpoint, if there is one; return the steps made until then, 0 if it is damaged."""
        if not (self._folder and self._folder.has(self.checkpoint_name)):
            return 0
        path = self._folder.folder / self.checkpoint_name
        try:
            state, about = read_weights(path, "the training of this supernet begins anew")
        except WeightsError as error:
            log.warning("warning: %s", error)
            return 0
        supernet.load_state(state)
        with understanding(path):
            return int(about["step"])

    def keep_checkpoint(self, supernet: Scorer, step: int) -> None:
        """Keep all that training resumes from after so many steps."""
        if self._folder:
            self._folder.write(self.checkpoint_name, to_bytes(supernet.state(), {"step": step}))
