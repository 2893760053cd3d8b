"""The ranking study: do supernets order genotypes as stand-alone training does? (Sec. 3; Tables 2, 3 and 6)

Some genotypes get a truth: their accuracy trained alone, or a benchmark's. Then supernets are trained under each
sampler and seed, scored along the way, and the orders are compared.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.config import Arm, SearchConfig, StudyConfig
from bnao.data import Dataset
from bnao.errors import ConfigError
from bnao.genotype import Genotype
from bnao.pool import ranked_genotypes, trained_genotypes
from bnao.protocols import Backend, Listener
from bnao.ranking import Comparison, Estimate, compared, mean_ranks, rank_agreement
from bnao.run import Folder, Run, understanding
from bnao.sampler import sampler_of_round
from bnao.search import round_off
from bnao.size import SIZES
from bnao.space import space_named
from bnao.truth import Tell, known_truth, trained_truth
from bnao.weights import read_weights, to_bytes

POOL = "pool.json"
RESULT = "study.json"

# genotypes scored between two signs of life
_SCORED_AT_ONCE = 10


def supernet_config(config: StudyConfig, arm: Arm, seed: int) -> SearchConfig:
    """A supernet of the study as a search of one round."""
    return SearchConfig(
        preset=config.preset,
        seed=seed,
        rounds=1,
        epochs=config.marks[-1],
        sampler=arm.sampler,
        alpha=arm.alpha,
        size=config.size,
        network=config.network,
        data=config.data,
        training=config.training,
        machine=config.machine,
    )


# --- the supernets


@frozen(eq=False)
class TrainedSupernet:
    """One supernet of a study and what it made of the ranked genotypes.

    Attributes:
        arm: its sampler.
        seed: its seed.
        epochs: after which it was scored, shape (m,).
        scores: one-shot accuracies, shape (m, n).
        updates: steps each ranked genotype's path was trained, shape (n,).
        expected: what Eq. 4 says for them, shape (n,).
    """

    arm: Arm
    seed: int
    epochs: tuple[int, ...]
    scores: NDArray[np.float64]
    updates: NDArray[np.int64]
    expected: NDArray[np.float64]


def trained_supernet(
    config: StudyConfig,
    arm: Arm,
    seed: int,
    ranked: Sequence[Genotype],
    trained: Sequence[Genotype],
    sizes: NDArray[np.float64],
    backend: Backend,
    dataset: Dataset,
    folder: Folder | None,
    tell: Tell,
) -> TrainedSupernet:
    """Train a supernet to the last mark and score the ranked genotypes at each.

    Args:
        config: the study.
        arm, seed: which supernet.
        ranked: the genotypes that are scored, n of them.
        trained: those that are drawn from; the first n are the ranked ones.
        sizes: of the trained ones.
        backend, dataset: what it is trained with and on; scored on the dev part.
        folder: scores that stand in it are not made again, and a training that was killed goes on. None: nothing
            is kept.
        tell: is told the kind of an event and its values.
    """
    settings = supernet_config(config, arm, seed)
    supernet = backend.supernet(settings, dataset)
    marks = {epoch * supernet.epoch_steps: epoch for epoch in config.marks}
    steps = max(marks)
    sampler = sampler_of_round(arm.sampler, trained, sizes, seed=seed, alpha=arm.alpha, round=0, steps=steps)
    drawn = sampler.draw(steps)
    name = f"supernets/{str(arm).replace(':', '-')}-seed-{seed}"
    files = _SupernetFiles(folder, name)
    scores = files.scores()
    start = 0
    if files.has_checkpoint and len(scores) < len(marks):
        state, start = files.checkpoint()
        supernet.load_state(state)
    place = {"sampler": str(arm), "seed": seed}

    def score(epoch: int) -> None:
        values: list[float] = []
        for at in range(0, len(ranked), _SCORED_AT_ONCE):
            values += supernet.score(ranked[at : at + _SCORED_AT_ONCE]).tolist()
            tell("score", **place, epochs=epoch, scored=len(values), of=len(ranked))
        scores[epoch] = values
        files.keep_scores(scores)

    if start in marks and marks[start] not in scores:
        score(marks[start])
    saved = last = time.monotonic()
    if len(scores) < len(marks):
        for step in supernet.train(trained, drawn, round=0, start=start):
            now = time.monotonic()
            made = step.step + 1
            tell("step", **place, step=made, steps=steps, loss=step.loss, rate=step.rate, seconds=now - last)
            due = now - saved >= config.checkpoint_seconds
            if folder and (due or made in marks):
                files.keep_checkpoint(supernet.state(), made)
                saved = time.monotonic()
            if made in marks and marks[made] not in scores:
                score(marks[made])
            last = time.monotonic()
    files.remove_checkpoint()
    counts = np.bincount(drawn, minlength=len(trained))[: len(ranked)]
    # rounded as study.json has them, so that a study and what is read back from its file are the same
    table = np.array([scores[epoch] for epoch in config.marks]).round(6)
    expected = sampler.expected(steps)[: len(ranked)].round(6)
    return TrainedSupernet(arm, seed, config.marks, table, counts, expected)


class _SupernetFiles:
    """A supernet's scores and checkpoint in a study's folder."""

    def __init__(self, folder: Folder | None, name: str) -> None:
        self._folder, self._name = folder, name

    def scores(self) -> dict[int, list[float]]:
        """What was scored before, by epoch."""
        if self._folder is None:
            return {}
        known = self._folder.known(
            f"{self._name}.json",
            lambda content: {int(entry["epochs"]): list(map(float, entry["scores"])) for entry in content["scored"]},
        )
        return known or {}

    def keep_scores(self, scores: Mapping[int, Sequence[float]]) -> None:
        if self._folder:
            entries = [{"epochs": epoch, "scores": list(values)} for epoch, values in scores.items()]
            self._folder.write_json(f"{self._name}.json", {"scored": entries})

    @property
    def has_checkpoint(self) -> bool:
        return self._folder is not None and self._folder.has(f"{self._name}.checkpoint.safetensors")

    def checkpoint(self) -> tuple[dict[str, NDArray[np.float32]], int]:
        assert self._folder is not None
        path = self._folder.folder / f"{self._name}.checkpoint.safetensors"
        state, about = read_weights(path)
        with understanding(path):
            return state, int(about["step"])

    def keep_checkpoint(self, state: Mapping[str, NDArray[np.float32]], step: int) -> None:
        if self._folder:
            self._folder.write(f"{self._name}.checkpoint.safetensors", to_bytes(state, {"step": step}))

    def remove_checkpoint(self) -> None:
        if self._folder:
            self._folder.remove(f"{self._name}.checkpoint.safetensors")


# --- the whole study


@frozen(eq=False, slots=False)
class RankingStudy:
    """What a ranking study found.

    Attributes:
        space: the genotypes' space.
        genotypes: the ranked ones, n of them.
        sizes: what the chances were made of, shape (n,).
        truths: accuracies, shape (repeats, n); one repeat where they are a table's.
        supernets: all of them, by sampler and then by seed.
        trained: genotypes each supernet was trained on.
        top: the k of precision at the top.
        resamples: behind each interval.
    """

    space: str
    genotypes: tuple[Genotype, ...]
    sizes: NDArray[np.float64]
    truths: NDArray[np.float64]
    supernets: tuple[TrainedSupernet, ...]
    trained: int
    top: int
    resamples: int

    @property
    def truth(self) -> NDArray[np.float64]:
        """Each genotype's accuracy, the mean over repeats."""
        mean: NDArray[np.float64] = self.truths.mean(0).round(9)  # equal means must be equal numbers
        return mean

    @property
    def marks(self) -> tuple[int, ...]:
        """The epochs after which supernets were scored."""
        return self.supernets[0].epochs

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The samplers, in order."""
        return tuple(dict.fromkeys(supernet.arm for supernet in self.supernets))

    def scores(self, arm: Arm, epochs: int) -> NDArray[np.float64]:
        """One-shot scores of a sampler's supernets after so many epochs, shape (seeds, n)."""
        return np.array([s.scores[s.epochs.index(epochs)] for s in self.supernets if s.arm == arm])

    @cached_property
    def comparisons(self) -> dict[int, Comparison]:
        """How the samplers' scores agree with the truth, by the epochs after which they were scored."""
        return {
            epochs: compared(
                {str(arm): list(self.scores(arm, epochs)) for arm in self.arms},
                self.truth,
                k=self.top,
                resamples=self.resamples,
            )
            for epochs in self.marks
        }

    @cached_property
    def reliability(self) -> dict[str, Estimate]:
        """How far the first two repeats of the truth agree with each other; nothing where there is one."""
        if len(self.truths) < 2:
            return {}
        return rank_agreement(self.truths[0], self.truths[1], k=self.top, resamples=self.resamples)

    @cached_property
    def by_size(self) -> Estimate:
        """Kendall's tau of size and truth: what ranking by size alone would give."""
        return rank_agreement(self.sizes, self.truth, resamples=self.resamples)["kendall_tau"]

    def ranks_gained(self, arm: Arm, epochs: int) -> NDArray[np.float64]:
        """How many places each genotype stands higher by its one-shot score, mean over seeds, than in truth: (n,)."""
        gained: NDArray[np.float64] = mean_ranks(self.scores(arm, epochs).mean(0)) - mean_ranks(self.truth)
        return gained

    @cached_property
    def _gains(self) -> dict[tuple[Arm, int], Estimate]:
        def gain(arm: Arm, epochs: int) -> Estimate:
            return rank_agreement(self.sizes, self.ranks_gained(arm, epochs), resamples=self.resamples)["spearman"]

        return {(arm, epochs): gain(arm, epochs) for epochs in self.marks for arm in self.arms}

    def gained_by_size(self, arm: Arm, epochs: int) -> Estimate:
        """Spearman's rho of size and ranks gained: below 0, the scores favour small genotypes (the paper's premise)."""
        return self._gains[arm, epochs]

    def to_json(self) -> dict[str, Any]:
        """Plain data, as in study.json."""
        genotypes = [
            {"genotype": str(genotype), "size": size, "truth": truth}
            for genotype, size, truth in zip(self.genotypes, self.sizes.tolist(), self.truths.T.tolist(), strict=True)
        ]
        supernets = [
            {
                "sampler": s.arm.sampler,
                "alpha": s.arm.alpha,
                "seed": s.seed,
                "epochs": list(s.epochs),
                "scores": s.scores.tolist(),
                "updates": s.updates.tolist(),
                "expected_updates": s.expected.tolist(),
            }
            for s in self.supernets
        ]
        agreement, differences = [], []
        for epochs in self.marks:
            found = self.comparisons[epochs]
            for arm, figures in found.estimates.items():
                for figure, estimate in figures.items():
                    each = [round_off(value) for value in found.each[arm][figure]]
                    about = {"sampler": arm, "epochs": epochs, "figure": figure}
                    agreement.append({**about, **plain_estimate(estimate), "each_seed": each})
            for arm, figures in found.differences.items():
                for figure, estimate in figures.items():
                    about = {"sampler": arm, "less": str(self.arms[0]), "epochs": epochs, "figure": figure}
                    differences.append({**about, **plain_estimate(estimate)})
        return {
            "kind": "ranking",
            "space": self.space,
            "trained": self.trained,
            "top": self.top,
            "resamples": self.resamples,
            "genotypes": genotypes,
            "supernets": supernets,
            "agreement": agreement,
            "differences": differences,
            "reliability": [
                {"figure": figure, **plain_estimate(estimate)} for figure, estimate in self.reliability.items()
            ],
            "gained_by_size": [
                {"sampler": str(arm), "epochs": epochs, **plain_estimate(self.gained_by_size(arm, epochs))}
                for epochs in self.marks
                for arm in self.arms
            ],
            "size_alone": plain_estimate(self.by_size),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> RankingStudy:
        """What ``to_json`` was made from; figures are counted anew."""
        supernets = tuple(
            TrainedSupernet(
                Arm(entry["sampler"], float(entry["alpha"])),
                int(entry["seed"]),
                tuple(entry["epochs"]),
                np.array(entry["scores"], dtype=np.float64),
                np.array(entry["updates"], dtype=np.int64),
                np.array(entry["expected_updates"], dtype=np.float64),
            )
            for entry in content["supernets"]
        )
        return cls(
            content["space"],
            tuple(Genotype.parse(entry["genotype"]) for entry in content["genotypes"]),
            np.array([entry["size"] for entry in content["genotypes"]], dtype=np.float64),
            np.array([entry["truth"] for entry in content["genotypes"]], dtype=np.float64).T,
            supernets,
            int(content["trained"]),
            int(content["top"]),
            int(content["resamples"]),
        )


def plain_estimate(estimate: Estimate) -> dict[str, float | int | None]:
    """An estimate as study.json has it: rounded, without its level, which is the same for all."""
    return {
        name: round_off(value) if isinstance(value, float) else value
        for name, value in estimate.to_json().items()
        if name != "level"
    }


def read_estimate(content: Mapping[str, Any], level: float = 0.95) -> Estimate:
    """What ``plain_estimate`` was made from."""
    value, low, high = (
        math.nan if content[name] is None else float(content[name]) for name in ("value", "low", "high")
    )
    return Estimate(value, low, high, int(content["n"]), level)


def ranking_study(
    config: StudyConfig,
    backend: Backend,
    dataset: Dataset,
    whole: Dataset | None = None,
    *,
    truth: Mapping[Genotype, float] | None = None,
    genotypes: Sequence[Genotype] | None = None,
    run: Run | None = None,
    store: Folder | None = None,
    listen: Listener = lambda event: None,
) -> RankingStudy:
    """Compare the order in which supernets and stand-alone training put genotypes.

    Paper: Sec. 3, Tables 2, 3 and 6.

    Args:
        config: all settings.
        backend: trains supernets and networks.
        dataset: with a dev part, on which supernets are scored.
        whole: the same images without a dev part, for stand-alone training; not needed with a truth.
        truth: known accuracies, in place of training.
        genotypes: those that are ranked; by default they are chosen at random.
        run: a folder for what is finished, and at the end for study.json; a study that was killed goes on from it.
        store: a folder for stand-alone trainings, which many studies may share.
        listen: is called with every event; ``bnao.protocols.EVENTS`` lists them.

    Raises:
        ConfigError: too few genotypes for what is asked.
        DataError: the truth lacks a genotype that is ranked.
        DivergedError: a training's loss is not finite; what was trained before is kept.
    """
    network = dataset.network(config.network)
    space = space_named(network.space, network.nodes)

    def tell(kind: str, **values: Any) -> None:
        event = {"event": kind, **values}
        if run and kind not in ("step", "epoch"):
            run.log(event)
        listen(event)

    def sizes_of(some: Sequence[Genotype]) -> NDArray[np.float64]:
        return SIZES[config.size](some, network).astype(np.float64)

    known = None if truth is None else list(truth)
    ranked = ranked_genotypes(config, genotypes, known, sizes_of)
    trained = trained_genotypes(config, ranked, known)
    sizes = sizes_of(trained)
    if run:
        pool = [{"genotype": str(g), "size": size} for g, size in zip(ranked, sizes.tolist(), strict=False)]
        run.write_json(POOL, {"space": space.name, "pool": pool})
    if truth is None:
        if whole is None:
            raise ConfigError("without a truth the study needs the images without a dev part, to train alone on")
        truths = trained_truth(config, ranked, backend, whole, store, tell)
    else:
        truths = known_truth(ranked, truth)
    supernets = []
    # every sampler's first seed before any second one, so that what is there early can be compared
    for seed in range(config.seed, config.seed + config.seeds):
        for arm in config.arms:
            done = trained_supernet(config, arm, seed, ranked, trained, sizes, backend, dataset, run, tell)
            supernets.append(done)
            tell("supernet", sampler=str(arm), seed=seed)
    supernets.sort(key=lambda supernet: (config.arms.index(supernet.arm), supernet.seed))
    study = RankingStudy(
        space.name, tuple(ranked), sizes[: len(ranked)], truths, tuple(supernets),
        len(trained), config.top, config.resamples,
    )  # fmt: skip
    if run:
        run.write_json(RESULT, study.to_json())
    tell("end")
    return study
