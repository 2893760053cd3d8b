"""Searches or evaluations side by side: the settings that differ, the best of each, and the best of all by size."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from bnao.config.evaluation import EvaluateConfig
from bnao.config.fields import settings_of, worded
from bnao.config.settings import SearchConfig
from bnao.errors import RunError
from bnao.evaluation.trainings import RESULT as EVALUATION
from bnao.network.mobile import Trainable, read_trainable
from bnao.provenance import ABOUT
from bnao.reporting.folders import kind_of
from bnao.run import check_is_run, read_config, read_json, understanding
from bnao.strategies.journal import RESULT as SEARCH
from bnao.strategies.result import read_result

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
    """

    folder: Path
    genotype: Trainable
    score: float
    parameters: int
    multiply_adds: int
    first: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "folder": str(self.folder), "genotype": str(self.genotype), "id": self.genotype.id, "score": self.score,
            "parameters": self.parameters, "multiply_adds": self.multiply_adds,
        }  # fmt: skip


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
    """

    kind: str
    folders: Sequence[Path]
    settings: dict[str, list[Any]]
    genotypes: Sequence[Sequence[Scored]]
    as_share: bool
    warnings: Sequence[str] = field(factory=tuple)

    def median_of_first(self, place: int) -> float | None:
        """Return the median score of the first pool of one of the folders; None of an evaluation."""
        scores = [each.score for each in self.genotypes[place] if each.first]
        return statistics.median(scores) if scores else None

    def pareto(self) -> list[Scored]:
        """Return the genotypes of all folders that no other beats in score with as few parameters, the smallest first.

        Of those with equal scores and parameters it is the first.
        """
        everything = [each for some in self.genotypes for each in some]
        front: list[Scored] = []
        for each in sorted(everything, key=lambda one: (one.parameters, -one.score)):
            if not front or each.score > front[-1].score:
                front.append(each)
        return front

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "kind": self.kind,
            "runs": [
                {
                    "folder": str(folder), "genotypes": len(some), "median_of_first_pool": self.median_of_first(place),
                    "best": some[0].to_json(),
                }
                for place, (folder, some) in enumerate(zip(self.folders, self.genotypes, strict=True))
            ],
            "settings": self.settings,
            "pareto": [each.to_json() for each in self.pareto()],
            "warnings": list(self.warnings),
        }  # fmt: skip


def compare_folders(folders: Sequence[str | Path]) -> SideBySide:
    """Set finished searches, or evaluations, side by side.

    Args:
        folders: two or more of one kind.

    Raises:
        RunError: fewer than two, of different kinds, of studies, or one is not finished.
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
    return SideBySide(kind, tuple(paths), _differing(configs), tuple(found), as_share, tuple(_warnings(paths, configs)))


def _of_search(folder: Path) -> Iterator[Scored]:
    if not (folder / SEARCH).is_file():
        raise RunError(f"{folder} is not finished; resume it with: bnao search --resume {folder}")
    for entry in read_result(folder).ranked:
        yield Scored(folder, entry.genotype, entry.score, entry.parameters, entry.multiply_adds, entry.round == 1)


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


def _warnings(folders: Sequence[Path], configs: Sequence[Any]) -> Iterator[str]:
    """Yield why the scores of folders cannot be compared."""
    lost = next((path for path in folders if not (path / ABOUT).is_file()), None)
    if lost is not None:
        yield f"{lost} has no {ABOUT}, so it is not known whether they are of the same data"
    elif len({_fingerprint(path) for path in folders}) > 1:
        yield "they are of different data, so their scores cannot be compared"
    elif isinstance(configs[0], SearchConfig) and len({(c.data.dev_share, c.data.split_seed) for c in configs}) > 1:
        yield "they are scored on different dev images, so small differences say nothing"
