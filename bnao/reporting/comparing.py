"""Searches or evaluations side by side: settings that differ, the best of each, their fronts and that of all."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from bnao.config.evaluation import EvaluateConfig
from bnao.config.fields import settings_of, worded
from bnao.config.settings import SearchConfig
from bnao.errors import RunError
from bnao.evaluation.trainings import RESULT as EVALUATION
from bnao.network.mobile import Trainable, read_trainable
from bnao.pareto import hypervolume, non_dominated_ranks
from bnao.provenance import ABOUT
from bnao.reporting.folders import kind_of
from bnao.run import check_is_run, read_config, read_json, round_off, understanding
from bnao.strategies.costs import LATENCY
from bnao.strategies.journal import RESULT as SEARCH
from bnao.strategies.result import read_result

#: what scores can be weighed against
COSTS = ("parameters", "multiply-adds", "latency")

_CONFIGS: dict[str, type] = {"search": SearchConfig, "evaluation": EvaluateConfig}


@frozen
class Scored:
    """A genotype of one of the folders.

    Attributes:
        folder: where it is from.
        genotype: the architecture.
        score: one-shot score, or accuracy on the test images; higher is better.
        parameters: of its own network.
        multiply_adds: of that network, for one image.
        first: whether it is of a search's first pool.
        latency: of that network in milliseconds; None where it is not known.
    """

    folder: Path
    genotype: Trainable
    score: float
    parameters: int
    multiply_adds: int
    first: bool = False
    latency: float | None = None

    def cost(self, name: str) -> float:
        """Return what it costs, by the name of one of ``COSTS``.

        Raises:
            RunError: it is the latency, and that is not known.
        """
        value: float | None = getattr(self, name.replace("-", "_"))
        if value is None:
            raise RunError(
                f"{self.folder} has no {name} of {self.genotype.id}; searches with --latency know them, so compare by "
                "parameters or multiply-adds"
            )
        return value

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "folder": str(self.folder), "genotype": str(self.genotype), "id": self.genotype.id, "score": self.score,
            "parameters": self.parameters, "multiply_adds": self.multiply_adds,
            **({} if self.latency is None else {"latency": self.latency}),
        }  # fmt: skip


@frozen
class FolderFront:
    """The front of one folder's genotypes, beside that of all folders together.

    Attributes:
        entries: those that no other of the folder dominates, the cheapest first.
        joint: those of them that no genotype of another folder dominates either.
        hypervolume: the area between the front and the reference of all, in units of score x cost.
        share: of the hypervolume of all folders together; 1 where that is nothing.
    """

    entries: Sequence[Scored]
    joint: Sequence[Scored]
    hypervolume: float
    share: float

    def to_json(self) -> dict[str, Any]:
        """Return plain data, the members by their texts."""
        return {
            "genotypes": [str(each.genotype) for each in self.entries],
            "on_joint_front": [str(each.genotype) for each in self.joint],
            "hypervolume": self.hypervolume,
            "share_of_joint": round_off(self.share),
        }


@frozen
class SideBySide:
    """Searches, or evaluations, side by side.

    Attributes:
        kind: search or evaluation.
        folders: of them.
        settings: those that differ, by their dotted names: a value for each folder.
        genotypes: of each folder, the best first.
        as_share: whether scores are shares of images.
        warnings: why their scores cannot be compared.
        cost: that the fronts weigh scores against, one of ``COSTS``.
    """

    kind: str
    folders: Sequence[Path]
    settings: dict[str, list[Any]]
    genotypes: Sequence[Sequence[Scored]]
    as_share: bool
    warnings: Sequence[str] = field(factory=tuple)
    cost: str = "parameters"

    def median_of_first(self, place: int) -> float | None:
        """Return the median score of the first pool of one of the folders; None of an evaluation."""
        scores = [each.score for each in self.genotypes[place] if each.first]
        return statistics.median(scores) if scores else None

    @property
    def reference(self) -> tuple[float, float]:
        """The score and the cost that all hypervolumes are measured against.

        The lower of 0 and the lowest score, and the highest cost of all genotypes of all folders.
        """
        everything = [each for some in self.genotypes for each in some]
        return min(0.0, *(each.score for each in everything)), max(each.cost(self.cost) for each in everything)

    def pareto(self) -> list[Scored]:
        """Return the genotypes of all folders that no other dominates in score and cost, the cheapest first.

        Of equal score and cost all are members (``bnao.pareto``).
        """
        return _front([each for some in self.genotypes for each in some], self.cost)

    def hypervolume(self) -> float:
        """Return the area between the front of all folders and the reference, in units of score x cost."""
        return self._area(self.pareto())

    def fronts(self) -> list[FolderFront]:
        """Return the front of each folder, and what of it is on the front of all."""
        joint, whole = set(self.pareto()), self.hypervolume()
        fronts = []
        for some in self.genotypes:
            own = _front(some, self.cost)
            area = self._area(own)
            fronts.append(
                FolderFront(own, [each for each in own if each in joint], area, area / whole if whole else 1.0)
            )
        return fronts

    def _area(self, members: Sequence[Scored]) -> float:
        scores, costs = _values(members, self.cost)
        return hypervolume(scores, costs, self.reference)

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "kind": self.kind,
            "runs": [
                {
                    "folder": str(folder), "genotypes": len(some), "median_of_first_pool": self.median_of_first(place),
                    "best": some[0].to_json(), "front": front.to_json(),
                }
                for place, (folder, some, front) in enumerate(
                    zip(self.folders, self.genotypes, self.fronts(), strict=True)
                )
            ],
            "settings": self.settings,
            "cost": self.cost,
            "reference": {"score": self.reference[0], "cost": self.reference[1]},
            "hypervolume": self.hypervolume(),
            "pareto": [each.to_json() for each in self.pareto()],
            "warnings": list(self.warnings),
        }  # fmt: skip


def compare_folders(folders: Sequence[str | Path], cost: str | None = None) -> SideBySide:
    """Set finished searches, or evaluations, side by side.

    Args:
        folders: two or more of one kind.
        cost: that scores are weighed against, one of ``COSTS``; None: that of which all were searches for a front, else
            parameters.

    Raises:
        RunError: fewer than two, of different kinds, of studies, one is not finished, or has no such cost.
    """
    paths = [Path(folder) for folder in folders]
    if len(paths) < 2:
        raise RunError(f"{len(paths)} folder to compare; give two or more searches, or evaluations")
    for path in paths:
        check_is_run(path)
    kinds = {path: kind_of(path) for path in paths}
    (first, kind), *others = kinds.items()
    for path, other in others:
        if other != kind:
            raise RunError(f"{path} is of kind {other}, but {first} of kind {kind}; compare those of one kind")
    if kind not in _CONFIGS:
        raise RunError(f"{first} is the folder of a study; compare searches, or evaluations")
    configs: list[Any] = [read_config(path, _CONFIGS[kind]) for path in paths]
    read = _of_search if kind == "search" else _of_evaluation
    found = [
        sorted(read(path), key=lambda one: -one.score) if kind == "evaluation" else list(read(path)) for path in paths
    ]
    as_share = kind == "evaluation" or all(config.machine.backend != "table" for config in configs)
    weighed = _weighed(configs) if cost is None else cost
    warnings = (*_warnings(paths, configs), *(_latency_warnings(paths) if weighed == "latency" else ()))
    return SideBySide(kind, tuple(paths), _differing(configs), tuple(found), as_share, warnings, weighed)


def _weighed(configs: Sequence[Any]) -> str:
    """Return the cost of which all configs are of searches for a front; parameters where they are not."""
    (cost, *others) = {getattr(config, "pareto", None) for config in configs}
    return cost if not others and cost in COSTS else "parameters"


def _values(some: Sequence[Scored], cost: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the scores and the costs of genotypes."""
    return np.array([each.score for each in some]), np.array([each.cost(cost) for each in some], np.float64)


def _front(some: Sequence[Scored], cost: str) -> list[Scored]:
    """Return those that no other dominates, the cheapest first."""
    members = [some[at] for at in (non_dominated_ranks(*_values(some, cost)) == 0).nonzero()[0]]
    return sorted(members, key=lambda each: each.cost(cost))


def _of_search(folder: Path) -> Iterator[Scored]:
    if not (folder / SEARCH).is_file():
        raise RunError(f"{folder} is not finished; resume it with: bnao search --resume {folder}")
    for entry in read_result(folder).ranked:
        yield Scored(
            folder, entry.genotype, entry.score, entry.parameters, entry.multiply_adds, entry.round == 1, entry.latency
        )


def _of_evaluation(folder: Path) -> Iterator[Scored]:
    space = read_config(folder, EvaluateConfig).network.space
    content = read_json(folder / EVALUATION)
    with understanding(folder / EVALUATION):
        for entry in content["evaluations"]:
            genotype, sizes = (
                read_trainable(entry.get("space", space), entry["genotype"]),
                (int(entry["parameters"]), int(entry["multiply_adds"])),
            )
            yield Scored(folder, genotype, 1 - float(entry["test_error"]), *sizes)


def _differing(configs: Sequence[Any]) -> dict[str, list[Any]]:
    """Return the settings in which configs of one class differ."""
    differing = {}
    for path, attribute in settings_of(type(configs[0])):
        values = []
        for value in configs:
            for name in path:
                value = getattr(value, name)
            values.append(worded(attribute, value))
        if any(value != values[0] for value in values):
            differing[".".join(path)] = values
    return differing


def _fingerprint(folder: Path) -> str | None:
    """Return what identifies the data of a folder; None where its run.json tells of none."""
    content = read_json(folder / ABOUT)
    with understanding(folder / ABOUT):
        return None if content.get("data") is None else str(content["data"]["fingerprint"])


def _latency_warnings(folders: Sequence[Path]) -> Iterator[str]:
    """Yield that latencies are of different models, where they are."""
    models = [read_json(folder / LATENCY) for folder in folders if (folder / LATENCY).is_file()]
    if any(model != models[0] for model in models):
        yield "their latencies are by different models, so they cannot be compared"


def _warnings(folders: Sequence[Path], configs: Sequence[Any]) -> Iterator[str]:
    """Yield why the scores of folders cannot be compared."""
    lost = next((path for path in folders if not (path / ABOUT).is_file()), None)
    if lost is not None:
        yield f"{lost} has no {ABOUT}, so it is not known whether they are of the same data"
    elif len({_fingerprint(path) for path in folders}) > 1:
        yield "they are of different data, so their scores cannot be compared"
    elif isinstance(configs[0], SearchConfig) and len({(c.data.dev_share, c.data.split_seed) for c in configs}) > 1:
        yield "they are scored on different dev images, so small differences say nothing"
