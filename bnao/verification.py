"""Verification of a folder: every file of a search, an evaluation or a study is read, and what is wrong is named.

Nothing is written and nothing locked. What each command reads of a folder is verified when it is read; here all is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from attrs import frozen

from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import ROUND_LEVEL, SearchConfig
from bnao.config.stability import StabilityConfig
from bnao.config.studies import StudyConfig
from bnao.config.table_studies import AgreementConfig, ControllersConfig, PredictorConfig, SizeConfig
from bnao.errors import BnaoError, ConfigError, RunError, WeightsError
from bnao.evaluation.trainings import RESULT as EVALUATION
from bnao.evaluation.trainings import TestedNetwork
from bnao.files import MOST_JSON, file_is_intact, read_regular
from bnao.footprint import Footprint
from bnao.logs import LOG, is_event
from bnao.network.latency import LatencyModel
from bnao.network.mobile import read_trainable
from bnao.network.state import read_weights
from bnao.provenance import ABOUT, STUDY
from bnao.run import (
    CLEANED,
    CONFIG,
    LOCK,
    PLAN,
    UNFINISHED,
    cleaned,
    number,
    read_config,
    read_json,
    understanding,
)
from bnao.space.spaces import parse_in
from bnao.stability import StabilityEntry, StabilityStudy
from bnao.strategies.costs import LATENCY
from bnao.strategies.journal import (
    CHECKPOINT,
    EARLIER,
    RERANK,
    RESULT,
    WEIGHTS,
    pool_name,
    read_pool,
    scores_name,
)
from bnao.strategies.result import read_result
from bnao.strategies.step_journal import SCORES
from bnao.studies.plots import study_of
from bnao.studies.ranking import POOL
from bnao.studies.supernets import file_name

_WITH_CHECKSUM = (CONFIG, ".json", ".safetensors")
# bytes at the beginning of a file in which its checksum stands
_HEAD = 1 << 20

State = Literal["damaged", "missing", "foreign"]
Read = Callable[[Path], object]


@frozen
class Finding:
    """A file that is not as bnao left it.

    Attributes:
        file: its path within the folder.
        state: damaged: it cannot be read, or is not what bnao wrote; missing: others that are there need it; foreign:
            bnao writes no such file.
        reason: in a line.
    """

    file: str
    state: State
    reason: str


@frozen
class Verified:
    """Result of a verification.

    Attributes:
        kind: what the folder holds.
        finished: whether it has a result; without one it was stopped, and can be resumed.
        files: how many files were read and found whole.
        without_checksum: those of them that earlier versions wrote, in which a changed digit is not noticed.
        findings: what is wrong.
    """

    kind: str
    finished: bool
    files: int
    without_checksum: tuple[str, ...]
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "kind": self.kind,
            "finished": self.finished,
            "files": self.files,
            "without_checksum": list(self.without_checksum),
            "findings": [{"file": found.file, "state": found.state, "reason": found.reason} for found in self.findings],
        }


def verify(folder: str | Path) -> Verified:
    """Read every file of a folder of ``bnao search``, ``evaluate`` or ``study``, and name those that are not whole.

    Args:
        folder: a run, an evaluation, a study, or a store of stand-alone trainings; what lies in it, such as a run's
            evaluations, is verified too.

    Raises:
        RunError: it is none of these.

    >>> import tempfile
    >>> from bnao.run import Run
    >>> made = tempfile.TemporaryDirectory()
    >>> Run.create(made.name, SearchConfig()).close()
    >>> _ = Path(made.name, "notes.txt").write_text("mine")
    >>> found = verify(made.name)
    >>> found.kind, [(each.file, each.state) for each in found.findings]
    ('search', [('notes.txt', 'foreign')])
    """
    folder = Path(folder)
    kind, config = _kind_of(folder)
    files, own, inside = 0, [*_files_of(folder)], _folders_of(folder)
    old: list[str] = []
    findings = [
        Finding(name, "foreign", f"bnao makes no such folder in that of a {kind}")
        for name in sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
        if kind != "store" and name not in (*_FOLDERS[kind], *(inner.partition("/")[0] for inner in inside))
    ]
    for name in own:
        read = _reader(kind, name)
        if name.endswith(UNFINISHED):
            reason = "left by a process that was stopped, or is being written; resuming removes it"
            findings.append(Finding(name, "foreign", reason))
        elif read is None:
            findings.append(Finding(name, "foreign", f"bnao writes no such file in the folder of a {kind}"))
        else:
            try:
                read(folder / name)
            except (BnaoError, OSError) as error:
                findings.append(Finding(name, "damaged", str(error)))
                continue
            files += 1
            if name.endswith(_WITH_CHECKSUM) and file_is_intact(folder / name, head=_HEAD) is None:
                old.append(name)
    damaged = {found.file for found in findings}
    try:
        needed = [*_needed(kind, config, folder, {*own}, damaged)]
        there = {*own} if CLEANED in damaged else {*own} | cleaned(folder)
        findings += [Finding(name, "missing", reason) for name, reason in needed if name not in there]
    except RunError as error:
        findings.append(Finding(EVALUATION if kind == "evaluation" else CHECKPOINT, "damaged", str(error)))
    findings += _unfitting(kind, folder, damaged) if not findings else []
    for inner in inside:
        within = verify(folder / inner)
        files += within.files
        old += [f"{inner}/{name}" for name in within.without_checksum]
        findings += [Finding(f"{inner}/{found.file}", found.state, found.reason) for found in within.findings]
    finished = kind == "store" or (folder / _RESULTS[kind]).is_file()
    return Verified(kind, finished, files, tuple(old), tuple(sorted(findings, key=lambda found: found.file)))


_CONFIGS: Mapping[str, Sequence[type]] = {
    "search": [SearchConfig],
    "evaluation": [EvaluateConfig],
    "study": [StudyConfig, StabilityConfig, ControllersConfig, PredictorConfig, SizeConfig, AgreementConfig],
}


def _kind_of(folder: Path) -> tuple[str, object]:
    """Return what the folder holds, and its settings; None where they cannot be read.

    Raises:
        RunError: nothing of bnao's.
    """
    if not folder.is_dir():
        raise RunError(f"no folder {folder}; give the folder of a search, an evaluation or a study")
    if not (folder / CONFIG).is_file():
        if any(_STORED.fullmatch(name) for name in _files_of(folder)):
            return "store", None
        raise RunError(f"{folder} has no {CONFIG}; give the folder of a search, an evaluation or a study")
    for kind, configs in _CONFIGS.items():
        for config in configs:
            try:
                return kind, read_config(folder, config)
            except ConfigError:
                continue
            except RunError:
                break
    # of damaged settings the other files tell
    signs = {"evaluation": (EVALUATION, "trainings"), "study": (STUDY, POOL, "supernets", "searches")}
    return next((kind for kind, names in signs.items() if any((folder / n).exists() for n in names)), "search"), None


def _files_of(folder: Path) -> Iterator[str]:
    """Yield the paths of the files within the folder, without those in folders with settings of their own."""
    for path, folders, names in os.walk(folder):
        place = Path(path)
        folders[:] = sorted(name for name in folders if not (place / name / CONFIG).is_file())
        yield from ((place / name).relative_to(folder).as_posix() for name in sorted(names))


def _folders_of(folder: Path) -> list[str]:
    """Return the folders with settings of their own within this one, without those within them."""
    found: list[str] = []
    for path, folders, _ in os.walk(folder):
        own = [name for name in folders if (Path(path) / name / CONFIG).is_file()]
        found += [(Path(path) / name).relative_to(folder).as_posix() for name in own]
        folders[:] = [name for name in folders if name not in own]
    return sorted(found)


# --- the files of each kind


def _content(check: Callable[[dict[str, Any]], object]) -> Read:
    """Return a reader of a JSON file, whose content is checked besides."""

    def read(path: Path) -> None:
        content = read_json(path)
        with understanding(path):
            check(content)

    return read


def _weights(path: Path) -> None:
    state, _ = read_weights(path, "bring back a copy of it, or delete it and resume")
    broken = next((name for name, value in state.items() if not np.isfinite(value).all()), None)
    if broken is not None:
        raise WeightsError(f"{path} has a weight in {broken} that is not finite")


def _log(path: Path) -> None:
    lines = read_regular(path, MOST_JSON).decode("utf-8", "replace").splitlines()
    # the last may be cut off by a kill, and is left out when the run is resumed
    wrong = next((at for at, line in enumerate(lines[:-1], start=1) if not is_event(line)), None)
    if wrong is not None:
        raise RunError(f"{path}, line {wrong} is not an event; nothing that is computed depends on the log")


def _result(path: Path) -> None:
    read_result(path.parent)


def _pool(path: Path) -> None:
    read_pool(path.parent, int(path.name.split("-")[1]) - 1)


def _settings(path: Path) -> None:
    for config in (config for configs in _CONFIGS.values() for config in configs):
        try:
            read_config(path.parent, config)
            return
        except ConfigError as error:
            first = error
    raise first


def _any(path: Path) -> None:
    return None


def _study(content: dict[str, Any]) -> object:
    return StabilityStudy.from_json(content) if "methods" in content else study_of(content)


_scores = _content(lambda content: [(str(it["genotype"]), number(it["score"])) for it in content["scores"]])
_training = _content(lambda content: (str(content["genotype"]), TestedNetwork.from_json(content)))
_STORED = re.compile(r"([0-9a-f]{2})/\1[0-9a-f]{22}\.json")

_EVERYWHERE: Mapping[str, Read] = {
    re.escape(CONFIG): _settings,
    re.escape(LOG): _log,
    re.escape(LOCK): _any,
    re.escape(CLEANED): _content(lambda content: [str(it) for it in content["removed"]]),
    re.escape(PLAN): _content(lambda content: [number(phase["units"]) for phase in content["phases"]]),
    # of trackers, and of processes that share a folder
    r"track\.csv|mlflow\.db|(tensorboard|wandb)/.+|(.+/)?[^/]+\.lock": _any,
    re.escape(ABOUT): _content(lambda content: (content["data"], content["versions"].items(), content["cpus"])),
}

_KNOWN: Mapping[str, Mapping[str, Read]] = {
    "search": {
        r"round-[1-9]\d{0,5}-pool\.json": _pool,
        rf"round-[1-9]\d{{0,5}}-scores\.json|{re.escape(SCORES)}": _scores,
        "|".join(map(re.escape, (CHECKPOINT, EARLIER, WEIGHTS))): _weights,
        re.escape(RESULT): _result,
        re.escape(LATENCY): LatencyModel.load,
        re.escape(RERANK): _content(lambda content: [number(it) for it in content["accuracies"].values()]),
        r"(candidates|landmarks)/[^/]+\.checkpoint\.safetensors": _weights,
        r"(candidates|landmarks)/[^/]+\.json": _training,
    },
    "evaluation": {
        re.escape(EVALUATION): _content(
            lambda content: [(str(it["genotype"]), [*map(number, it["test_errors"])]) for it in content["evaluations"]]
        ),
        r"trainings/[0-9a-f]+-seed-\d+\.json": _training,
        r"trainings/[0-9a-f]+-seed-\d+(\.checkpoint)?\.safetensors": _weights,
    },
    "study": {
        re.escape(STUDY): _content(_study),
        r"[a-z0-9-]+-\d+\.json": _content(StabilityEntry.from_json),
        r"memory-[a-z0-9-]+\.json": _content(Footprint.from_json),
        r"speed-[a-z0-9-]+\.json": _content(lambda content: number(content["seconds"])),
        re.escape(POOL): _content(
            lambda content: [parse_in(content["space"], it["genotype"]) for it in content["pool"]]
        ),
        r"supernets/[^/]+\.checkpoint\.safetensors": _weights,
        r"supernets/[^/]+\.json": _content(lambda content: [[*map(number, it["scores"])] for it in content["scored"]]),
        r"searches/[^/]+\.json": _content(lambda content: [*map(number, content["best_test"])]),
        r"trainings/[^/]+\.json": _content(lambda content: number(content["kendall_tau"])),
        r"[a-z0-9-]+\.(svg|png)": _any,
    },
    "store": {
        _STORED.pattern: _training,
        r"[0-9a-f]{2}/[0-9a-f]{24}\.checkpoint\.safetensors": _weights,
        r"[0-9a-f]{2}/[0-9a-f]{24}\.lock": _any,
    },
}


_RESULTS = {"search": RESULT, "evaluation": EVALUATION, "study": STUDY}
_OF_TRACKERS = ("tensorboard", "wandb")
_FOLDERS: Mapping[str, Sequence[str]] = {
    "search": ("candidates", "landmarks", *_OF_TRACKERS),
    "evaluation": ("trainings", *_OF_TRACKERS),
    "study": ("supernets", "searches", "trainings", *_OF_TRACKERS),
    "store": (),
}


def _reader(kind: str, name: str) -> Read | None:
    known = _KNOWN[kind] if kind == "store" else {**_EVERYWHERE, **_KNOWN[kind]}
    return next((read for pattern, read in known.items() if re.fullmatch(pattern, name)), None)


# --- what belongs together


def _needed(kind: str, config: object, folder: Path, names: set[str], damaged: set[str]) -> Iterator[tuple[str, str]]:
    """Yield the files that there must be, given those that there are, and what needs them."""
    if kind == "search":
        yield from _needed_by_search(config, folder, names, damaged)
    elif kind == "evaluation":
        yield from _needed_by_evaluation(config, folder, names, damaged)
    elif kind == "study" and STUDY in names and isinstance(config, StudyConfig) and len(config.sizes) == 1:
        yield from ((name, f"{STUDY} is made of it") for name in (ABOUT, POOL))
        yield LOG, "a study has events"
        for planned in config.supernets:
            yield f"{file_name(config, planned)}.json", f"{STUDY} is made of it"


def _needed_by_search(config: object, folder: Path, names: set[str], damaged: set[str]) -> Iterator[tuple[str, str]]:
    pools, scored = (
        {int(name.split("-")[1]) for name in names if re.fullmatch(pattern, name)}
        for pattern in (r"round-[1-9]\d{0,5}-pool\.json", r"round-[1-9]\d{0,5}-scores\.json")
    )
    last, finished = max(pools | scored, default=0), RESULT in names
    if last or finished or CHECKPOINT in names:
        yield ABOUT, "a search that has begun says what data it is on"
        yield LOG, "a search that has begun has events"
    for place in range(last):
        yield pool_name(place), f"the files of round {last} follow from it"
        if place + 1 < last or finished:
            yield scores_name(place), f"{RESULT if finished else f'the pool of round {place + 2}'} follows from it"
    by_rounds = isinstance(config, SearchConfig) and config.strategy in ROUND_LEVEL
    if by_rounds and CHECKPOINT in names - damaged:
        with understanding(folder / CHECKPOINT):
            yield pool_name(int(read_weights(folder / CHECKPOINT)[1]["round"])), f"{CHECKPOINT} is of that round"
    shares = isinstance(config, SearchConfig) and config.machine.backend != "table" and config.sharing == "weights"
    if shares and finished:
        yield WEIGHTS, f"a finished search has the weights beside {RESULT}"
    if isinstance(config, SearchConfig) and config.latency is not None and (last or finished):
        yield LATENCY, "what the search proposes follows from it"
    if shares and (scored or finished):
        yield CHECKPOINT, "training would go on from it"


def _needed_by_evaluation(
    config: object, folder: Path, names: set[str], damaged: set[str]
) -> Iterator[tuple[str, str]]:
    for name in names:
        if re.fullmatch(r"trainings/[0-9a-f]+-seed-\d+\.json", name):
            yield name.replace(".json", ".safetensors"), "a finished training has its weights beside its result"
    if EVALUATION not in names or EVALUATION in damaged or not isinstance(config, EvaluateConfig):
        return
    yield ABOUT, "an evaluation says what data it is on"
    yield LOG, "an evaluation has events"
    with understanding(folder / EVALUATION):
        for entry in read_json(folder / EVALUATION)["evaluations"]:
            digest = read_trainable(entry.get("space", config.network.space), entry["genotype"]).digest
            for repeat in range(len(entry["test_errors"])):
                yield f"trainings/{digest}-seed-{config.seed + repeat}.json", f"{EVALUATION} is made of it"


def _unfitting(kind: str, folder: Path, damaged: set[str]) -> list[Finding]:
    """Return whole files whose content contradicts others."""
    if kind != "search" or not ((folder / RESULT).is_file() and (folder / pool_name(0)).is_file()):
        return []
    result = read_result(folder)
    rounds = max(entry.round for entry in result.ranked)
    pools = {genotype for place in range(rounds) for genotype in read_pool(folder, place)}
    ranked = {entry.genotype for entry in result.ranked}
    # a search that scores what it trains ranks those of its last round alone
    of_all = read_config(folder, SearchConfig).rescore != "trained"
    if ranked != pools if of_all else not ranked <= pools:
        return [Finding(RESULT, "damaged", f"{folder / RESULT} ranks other genotypes than the pools of its rounds")]
    return []
