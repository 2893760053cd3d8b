"""The ranking study: do supernets order genotypes as stand-alone training does? (Sec. 3; Tables 2, 3 and 6)

Some genotypes get a truth: their accuracy trained alone, or a benchmark's. Then supernets are trained under each
sampler and seed and scored, and the orders are compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from bnao.config.arms import SamplerSpec
from bnao.config.fields import build, listed
from bnao.config.settings import NetworkConfig
from bnao.config.studies import StudyConfig
from bnao.data.dataset import Dataset
from bnao.errors import ConfigError
from bnao.events import EndsOnce
from bnao.metrics import Comparison, Estimate, compare_rankings, mean_ranks, rank_agreement
from bnao.network.size import SIZES
from bnao.parallel.jobs import Ahead
from bnao.protocols import Backend, Listener
from bnao.provenance import STUDY, keep_about, keep_study
from bnao.run import Folder, Run
from bnao.space.genotype import Genotype
from bnao.space.spaces import parse_in, space_named
from bnao.studies.genotypes import ranked_genotypes, trained_genotypes
from bnao.studies.joined import LEAST_JUDGED, JoinedRankings, figure_entries
from bnao.studies.plan import study_plan
from bnao.studies.supernets import TrainedSupernet, supernet_trainings
from bnao.studies.truth import ShortTrainings, about_study, known_truth, short_trainings, trained_truth
from bnao.studies.units import study_units
from bnao.studies.zero_cost import ranked_zero_cost

POOL = "pool.json"
RESULT = STUDY

#: sizes that are rankings by themselves, without any training, and what tables call them
SIZE_COUNTS = {"parameters": "size alone", "live-parameters": "live size alone"}

#: what tables call a genotype trained by itself, where samplers have their names
ALONE = "alone"


@frozen(eq=False, slots=False)
class RankingStudy:
    """Result of a ranking study.

    Attributes:
        space: the genotypes' space.
        genotypes: the ranked ones, n of them.
        sizes: what the chances were made of, shape (n,).
        truths: accuracies, shape (repeats, n); one repeat where they are a table's.
        supernets: all of them, by sampler, then by seed, then by length.
        marks: ``own`` where each supernet was trained to be scored after its last epoch, with its own cosine; ``along``
            where one supernet of each sampler and seed was scored after some of its epochs.
        trained: genotypes each supernet was trained on.
        top: the k of precision at the top.
        resamples: behind each interval.
        short: the genotypes trained alone for a few epochs, by length and then by seed.
        counts: sizes that any ranking has to beat, each of shape (n,), by their names in ``SIZE_COUNTS``: all
            parameters, and those that are alive. None where they are not known, in files of an early version.
        score: what the one-shot scores are: ``accuracy`` or ``log-likelihood``.
        proxies: zero-cost scores by name, each of shape (n,); NaN where one is not defined.
        landmarks: ranked genotypes whose truths give the weights of joined scores; 0: none.
    """

    space: str
    genotypes: tuple[Genotype, ...]
    sizes: NDArray[np.float64]
    truths: NDArray[np.float64]
    supernets: tuple[TrainedSupernet, ...]
    marks: str
    trained: int
    top: int
    resamples: int
    short: tuple[ShortTrainings, ...] = ()
    counts: Mapping[str, NDArray[np.float64]] | None = None
    score: str = "accuracy"
    proxies: Mapping[str, NDArray[np.float64]] = field(factory=dict)
    landmarks: int = 0

    @property
    def given_size(self) -> NDArray[np.float64]:
        """What partial tau is given: live parameters, or where these are not known the sizes of the chances."""
        return self.sizes if self.counts is None else self.counts["live-parameters"]

    @property
    def truth(self) -> NDArray[np.float64]:
        """Each genotype's accuracy, the mean over repeats."""
        mean: NDArray[np.float64] = self.truths.mean(0).round(9)  # equal means must be equal numbers
        return mean

    @property
    def scored_epochs(self) -> tuple[int, ...]:
        """The epochs after which supernets were scored."""
        return tuple(sorted({epochs for supernet in self.supernets for epochs in supernet.epochs}))

    @property
    def short_epochs(self) -> tuple[int, ...]:
        """The lengths of the short stand-alone trainings."""
        return tuple(dict.fromkeys(trainings.epochs for trainings in self.short))

    def short_scores(self, epochs: int) -> NDArray[np.float64]:
        """Return the dev accuracies of the genotypes trained alone for so many epochs, shape (seeds, n)."""
        return np.array([trainings.scores for trainings in self.short if trainings.epochs == epochs])

    @property
    def arms(self) -> tuple[SamplerSpec, ...]:
        """The samplers, in order."""
        return tuple(dict.fromkeys(supernet.arm for supernet in self.supernets))

    def supernets_of(self, arm: SamplerSpec, epochs: int) -> list[TrainedSupernet]:
        """Return the supernets of a sampler that were scored after so many epochs, one a seed."""
        return [supernet for supernet in self.supernets if supernet.arm == arm and epochs in supernet.epochs]

    def scores(self, arm: SamplerSpec, epochs: int) -> NDArray[np.float64]:
        """Return the one-shot scores of a sampler's supernets after so many epochs, shape (seeds, n)."""
        return np.array([s.scores[s.epochs.index(epochs)] for s in self.supernets_of(arm, epochs)])

    @cached_property
    def comparisons(self) -> dict[int, Comparison]:
        """The agreement of the samplers' scores with the truth, by the epochs after which they were scored."""
        return {
            epochs: compare_rankings(
                {str(arm): list(self.scores(arm, epochs)) for arm in self.arms},
                self.truth,
                size=self.given_size,
                k=self.top,
                resamples=self.resamples,
            )
            for epochs in self.scored_epochs
        }

    @cached_property
    def short_comparisons(self) -> dict[int, Comparison]:
        """The agreement of short stand-alone trainings with the truth, by their epochs; the way is ALONE."""
        return {
            epochs: compare_rankings(
                {ALONE: list(self.short_scores(epochs))},
                self.truth,
                size=self.given_size,
                k=self.top,
                resamples=self.resamples,
            )
            for epochs in self.short_epochs
        }

    @cached_property
    def short_gained_by_size(self) -> dict[int, Estimate]:
        """Spearman's rho of size and the ranks gained by short stand-alone training, by its epochs."""
        return {
            epochs: self._gained_by_size(self._ranks_gained(self.short_scores(epochs))) for epochs in self.short_epochs
        }

    @cached_property
    def reliability(self) -> dict[str, Estimate]:
        """The agreement of the first two repeats of the truth; empty if there is only one."""
        if len(self.truths) < 2:
            return {}
        return rank_agreement(
            self.truths[0], self.truths[1], size=self.given_size, k=self.top, resamples=self.resamples
        )

    @cached_property
    def by_size(self) -> Estimate:
        """Kendall's tau of size and truth: what ranking by size alone would give."""
        return rank_agreement(self.sizes, self.truth, resamples=self.resamples)["kendall_tau"]

    @cached_property
    def size_alone(self) -> dict[str, dict[str, Estimate]]:
        """All figures of a ranking by size alone, without any training, by the names in ``SIZE_COUNTS``."""
        counts = self.counts or {}
        return {
            name: rank_agreement(size, self.truth, size=self.given_size, k=self.top, resamples=self.resamples)
            for name, size in counts.items()
        }

    @cached_property
    def joined(self) -> JoinedRankings | None:
        """One-shot scores joined with live size and zero-cost scores; None without the latter."""
        if not self.proxies:
            return None
        scores = {epochs: {str(arm): self.scores(arm, epochs) for arm in self.arms} for epochs in self.scored_epochs}
        return JoinedRankings(
            scores, self.given_size, self.proxies, self.truth, self.landmarks, self.top, self.resamples
        )

    def ranks_gained(self, arm: SamplerSpec, epochs: int) -> NDArray[np.float64]:
        """Return the ranks each genotype gains by its one-shot score, mean over seeds, over its true rank: (n,)."""
        return self._ranks_gained(self.scores(arm, epochs))

    def _ranks_gained(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        gained: NDArray[np.float64] = mean_ranks(scores.mean(0)) - mean_ranks(self.truth)
        return gained

    def _gained_by_size(self, gained: NDArray[np.float64]) -> Estimate:
        return rank_agreement(self.sizes, gained, resamples=self.resamples)["spearman"]

    @cached_property
    def _gains(self) -> dict[tuple[SamplerSpec, int], Estimate]:
        return {
            (arm, epochs): self._gained_by_size(self.ranks_gained(arm, epochs))
            for epochs in self.scored_epochs
            for arm in self.arms
        }

    def gained_by_size(self, arm: SamplerSpec, epochs: int) -> Estimate:
        """Return Spearman's rho of size and ranks gained: below 0, scores favour small genotypes (the premise)."""
        return self._gains[arm, epochs]

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as in study.json."""
        genotypes = [
            {"genotype": str(genotype), "size": size, "truth": truth}
            for genotype, size, truth in zip(self.genotypes, self.sizes.tolist(), self.truths.T.tolist(), strict=True)
        ]
        for name, sizes in (self.counts or {}).items():
            for entry, size in zip(genotypes, sizes.tolist(), strict=True):
                entry[name.replace("-", "_")] = size
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
        for epochs in self.scored_epochs:
            found = self.comparisons[epochs]
            for arm in found.estimates:
                agreement += [{"sampler": arm, "epochs": epochs, **entry} for entry in figure_entries(found, arm)]
            for arm, figures in found.differences.items():
                for figure, estimate in figures.items():
                    about = {"sampler": arm, "less": str(self.arms[0]), "epochs": epochs, "figure": figure}
                    differences.append({**about, **estimate.to_entry()})
        return {
            "kind": "ranking",
            "space": self.space,
            "marks": self.marks,
            "score": self.score,
            "trained": self.trained,
            "top": self.top,
            "resamples": self.resamples,
            "genotypes": genotypes,
            "supernets": supernets,
            "agreement": agreement,
            "differences": differences,
            "reliability": [{"figure": figure, **estimate.to_entry()} for figure, estimate in self.reliability.items()],
            "gained_by_size": [
                {"sampler": str(arm), "epochs": epochs, **self.gained_by_size(arm, epochs).to_entry()}
                for epochs in self.scored_epochs
                for arm in self.arms
            ],
            "size_alone": self.by_size.to_entry(),
            "by_size": [
                {"by": name, "figure": figure, **estimate.to_entry()}
                for name, figures in self.size_alone.items()
                for figure, estimate in figures.items()
            ],
            **({} if self.joined is None else self.joined.to_json()),
            **({} if not self.short else self._short_to_json()),
        }

    def _short_to_json(self) -> dict[str, Any]:
        agreement = [
            {"epochs": epochs, **entry}
            for epochs, found in self.short_comparisons.items()
            for entry in figure_entries(found, ALONE)
        ]
        return {
            "short": [
                {"epochs": trainings.epochs, "seed": trainings.seed, "scores": trainings.scores.tolist()}
                for trainings in self.short
            ],
            "short_agreement": agreement,
            "short_gained_by_size": [
                {"epochs": epochs, **gain.to_entry()} for epochs, gain in self.short_gained_by_size.items()
            ],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> RankingStudy:
        """Read the study that ``to_json`` wrote; its figures are computed again."""
        supernets = tuple(
            TrainedSupernet(
                SamplerSpec(entry["sampler"], float(entry["alpha"])),
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
            tuple(parse_in(content["space"], entry["genotype"]) for entry in content["genotypes"]),
            np.array([entry["size"] for entry in content["genotypes"]], dtype=np.float64),
            np.array([entry["truth"] for entry in content["genotypes"]], dtype=np.float64).T,
            supernets,
            # before there was a choice, one supernet was scored along the way
            str(content.get("marks", "along")),
            int(content["trained"]),
            int(content["top"]),
            int(content["resamples"]),
            tuple(
                ShortTrainings(int(entry["epochs"]), int(entry["seed"]), np.array(entry["scores"], dtype=np.float64))
                for entry in content.get("short", [])
            ),
            _counts_of(content),
            str(content.get("score", "accuracy")),
            {
                name: np.array([math.nan if value is None else value for value in row], dtype=np.float64)
                for name, row in content.get("proxies", {}).items()
            },
            len(content.get("landmarks", {}).get("genotypes", [])),
        )


def _counts_of(content: Mapping[str, Any]) -> dict[str, NDArray[np.float64]] | None:
    """Return the sizes of the genotypes in a study.json; of an early version they are counted anew, if it says how."""
    keys = {name: name.replace("-", "_") for name in SIZE_COUNTS}
    if all(key in entry for entry in content["genotypes"] for key in keys.values()):
        return {
            name: np.array([entry[key] for entry in content["genotypes"]], dtype=np.float64)
            for name, key in keys.items()
        }
    if "config" not in content:
        return None
    network = build(NetworkConfig, content["config"]["network"])
    return counted_sizes([parse_in(content["space"], entry["genotype"]) for entry in content["genotypes"]], network)


def counted_sizes(genotypes: Sequence[Genotype], network: NetworkConfig) -> dict[str, NDArray[np.float64]]:
    """Return the sizes that any ranking has to beat, by the names in ``SIZE_COUNTS``."""
    return {name: SIZES[name](genotypes, network).astype(np.float64) for name in SIZE_COUNTS}


def study_ranking(
    config: StudyConfig,
    backend: Backend,
    dataset: Dataset,
    whole: Dataset | None = None,
    *,
    truth: Mapping[Genotype, float | Sequence[float]] | None = None,
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
        truth: known accuracies, in place of training: one of each genotype, or one of each repeat of its training.
        genotypes: those that are ranked; by default they are chosen at random.
        run: a folder for run.json, what is finished, and at the end study.json, as ``bnao study ranking`` has them; a
            study that was killed resumes from it.
        store: a folder for stand-alone trainings, which many studies may share.
        listen: is called with every event; ``bnao.events.EVENTS`` lists them.

    Raises:
        ConfigError: too few genotypes for what is asked, or several sets of them.
        DataError: the truth lacks a genotype that is ranked, or has more repeats of one than of another.
        DivergedError: a training's loss is not finite; what was trained before is kept.
        RunError: the folder was begun with other images.
    """
    if len(config.sizes) > 1:
        raise ConfigError(
            f"sizes is {listed(config.sizes)!r}, {len(config.sizes)} sets of genotypes; see bnao.study_ranking_sets"
        )
    network = dataset.network(config.network)
    space = space_named(network.space, network.nodes)

    listen = EndsOnce(listen)

    def tell(kind: str, **values: Any) -> None:
        event = {"event": kind, **values}
        if run and kind not in ("step", "epoch", "short_epoch") and not values.get("known"):
            run.log(event)
        listen(event)

    def sizes_of(some: Sequence[Genotype]) -> NDArray[np.float64]:
        return SIZES[config.size](some, network).astype(np.float64)

    known = None if truth is None else list(truth)
    ranked = ranked_genotypes(config, genotypes, known, sizes_of)
    if config.landmarks > len(ranked) - LEAST_JUDGED:
        raise ConfigError(
            f"landmarks is {config.landmarks}, and {len(ranked)} genotypes are ranked; {LEAST_JUDGED} or more must be "
            f"left to judge on: take fewer landmarks or rank more genotypes"
        )
    trained = trained_genotypes(config, ranked, known)
    sizes = sizes_of(trained)
    if run:
        keep_about(run, about_study(config, backend, dataset))
        pool = [{"genotype": str(g), "size": size} for g, size in zip(ranked, sizes.tolist(), strict=False)]
        run.write_json(POOL, {"space": space.name, "pool": pool})
    if truth is None and whole is None:
        raise ConfigError("without a truth the study needs the images without a dev part, to train alone on")
    listen(study_plan(config, len(ranked), dataset, whole if truth is None else None))
    trainings = supernet_trainings(config, ranked, trained, sizes, backend, dataset, run, tell)
    alone = whole if truth is None else None
    ahead = Ahead(study_units(trainings, config, ranked, backend, dataset, alone, run, store, tell))
    if truth is None:
        assert whole is not None
        truths = trained_truth(config, ranked, backend, whole, store, tell, ahead)
    else:
        truths = known_truth(ranked, truth)
    supernets = []
    for training in trainings:
        finished = training.job().finish(run, ahead)
        supernets.append(training.result(finished.value))
        if finished.known:
            tell("supernet", **training.place, known=True)
    supernets.sort(key=lambda supernet: (config.samplers.index(supernet.arm), supernet.seed, supernet.epochs))
    short = short_trainings(config, ranked, backend, dataset, store, tell, ahead)
    short.sort(key=lambda trainings: (trainings.epochs, trainings.seed))
    study = RankingStudy(
        space.name, tuple(ranked), sizes[: len(ranked)], truths, tuple(supernets), config.marks,
        len(trained), config.top, config.resamples, tuple(short), counted_sizes(ranked, network), config.score,
        ranked_zero_cost(config, ranked, backend, dataset, tell), config.landmarks,
    )  # fmt: skip
    if run:
        keep_study(run, study.to_json(), config, data=dataset.describe())
    tell("end")
    return study
