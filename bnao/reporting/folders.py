"""Folders of finished and unfinished work: what is there, how far it is, and what of it may be freed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from attrs import frozen

from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import SearchConfig
from bnao.errors import BnaoError, ConfigError, RunError
from bnao.evaluation.trainings import RESULT as EVALUATION
from bnao.locks import is_locked
from bnao.logs import read_events
from bnao.provenance import STUDY
from bnao.run import (
    CLEANED,
    CONFIG,
    LOCK,
    Folder,
    cleaned,
    read_config,
    read_json,
    understanding,
)
from bnao.strategies.journal import CHECKPOINT, EARLIER, WEIGHTS
from bnao.strategies.journal import RESULT as SEARCH

#: folders within others that are looked at: runs/NAME/evaluate-NAME
_DEPTH = 4
_RESULTS = {"search": SEARCH, "evaluation": EVALUATION, "study": STUDY}


@frozen
class Found:
    """A folder of a search, an evaluation or a study.

    Attributes:
        folder: where it is.
        kind: search, evaluation or study.
        state: running, finished or stopped.
        place: where it stands if it is not finished, such as "round 2, step 340 of 888"; else empty.
        best: the best score of a search or the lowest test error of an evaluation; None where there is none yet.
        changed: when it was last written to.
        bytes: size on the disk, without folders of others within it.
    """

    folder: Path
    kind: str
    state: str
    place: str
    best: float | None
    changed: datetime
    bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "folder": str(self.folder), "kind": self.kind, "state": self.state, "place": self.place, "best": self.best,
            "changed": self.changed.isoformat(timespec="seconds"), "bytes": self.bytes,
        }  # fmt: skip


def find_folders(root: str | Path) -> list[Found]:
    """Return the searches, evaluations and studies in a folder and below it, the last changed first.

    Raises:
        RunError: there is no such folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise RunError(f"no folder {root}; bnao search makes runs in the folder runs unless --out names another")
    folders = list(_with_config(root, _DEPTH))
    found = [found_in(folder, frozenset(folders) - {folder}) for folder in folders]
    return sorted(found, key=lambda each: (each.changed, str(each.folder)), reverse=True)


def _with_config(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the folders of work; what lies within a study is part of it."""
    if (folder / CONFIG).is_file():
        yield folder
        if kind_of(folder) == "study":
            return
    if depth:
        with contextlib.suppress(PermissionError):
            for inner in sorted(folder.iterdir()):
                if inner.is_dir() and not inner.is_symlink():
                    yield from _with_config(inner, depth - 1)


def kind_of(folder: Path) -> str:
    """Return whether a folder is of a search, an evaluation or a study, by its result or else its settings."""
    for kind, name in _RESULTS.items():
        if (folder / name).is_file():
            return kind
    for kind, config in (("search", SearchConfig), ("evaluation", EvaluateConfig)):
        with contextlib.suppress(ConfigError):
            read_config(folder, config)
            return kind
    return "study"


def found_in(folder: Path, others: frozenset[Path] = frozenset()) -> Found:
    """Return what is in a folder of work; folders of others within it do not count towards its size."""
    kind = kind_of(folder)
    done, place = _standing(folder, kind)
    state = "finished" if done else "running" if is_locked(folder / LOCK) else "stopped"
    files = list(_files(folder, others))
    changed = max((os.stat(file).st_mtime for file in files if file.parent == folder), default=0.0)
    size = sum(os.stat(file).st_size for file in files)
    return Found(folder, kind, state, place, _best(folder, kind), datetime.fromtimestamp(changed), size)


def _files(folder: Path, others: frozenset[Path]) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            if entry not in others:
                yield from _files(entry, others)
        elif entry.is_file():
            yield entry


def _standing(folder: Path, kind: str) -> tuple[bool, str]:
    """Return whether a folder's work is finished, and if not where it stands."""
    if kind != "evaluation" and (folder / _RESULTS[kind]).is_file():
        return True, ""
    last: Mapping[str, Any] = {}
    place = ""
    for event in read_events(folder):
        last, place = event, _place(event) or place
    if kind == "evaluation":  # its file is written after each genotype
        with contextlib.suppress(BnaoError):
            content = Folder(folder).known(EVALUATION, lambda content: content["evaluations"]) or ()
            if last.get("event") == "trained" and len(content) == last.get("of"):
                return True, ""
    return False, place


def _best(folder: Path, kind: str) -> float | None:
    """Return the figure of the first by score, or by test error; None where it is not known."""
    with contextlib.suppress(BnaoError):
        if kind == "search" and (folder / SEARCH).is_file():
            content = read_json(folder / SEARCH)
            with understanding(folder / SEARCH):
                return float(content["ranked"][0]["score"])
        if kind == "search":
            return max((float(e["best"]) for e in read_events(folder) if e["event"] == "round"), default=None)
        if kind == "evaluation" and (folder / EVALUATION).is_file():
            content = read_json(folder / EVALUATION)
            with understanding(folder / EVALUATION):
                return min((float(entry["test_error"]) for entry in content["evaluations"]), default=None)
    return None


_PLACES = (
    ("round", "round {round}"), ("sampler", "{sampler}"), ("genotype", "genotype {genotype} of {of}"),
    ("repeat", "repeat {repeat}"), ("epoch", "epoch {epoch} of {epochs}"), ("step", "step {step} of {steps}"),
    ("scored", "scored {scored} of {of}"), ("trained", "trained {trained} of {of}"),
)  # fmt: skip


def _place(event: Mapping[str, Any]) -> str:
    """Return where an event stands, in words.

    >>> _place({"event": "step", "round": 2, "step": 3, "steps": 9})
    'round 2, step 3 of 9'
    """
    parts = []
    for field, form in _PLACES:
        if field in event:
            with contextlib.suppress(KeyError):
                parts.append(form.format(**event))
    return ", ".join(parts)


# --- what may be freed


@frozen
class Removable:
    """A file that may be removed.

    Attributes:
        folder: of the work it is of.
        path: of the file.
        why: what it is, and what is no longer possible without it.
        bytes: its size.
    """

    folder: Path
    path: Path
    why: str
    bytes: int


def removable(found: Sequence[Found], *, weights: bool = False, keep: int = 1) -> list[Removable]:
    """Return the files of finished work that may be removed; nothing is removed.

    Results, logs and settings are never among them, nor is anything of work that is not finished.

    Args:
        found: of ``find_folders``.
        weights: whether weights are among them too, not checkpoints alone: those of a search's supernet, and of the
            networks of an evaluation.
        keep: of an evaluation's genotypes, so many of the lowest test errors keep their weights; >= 0.
    """
    return [
        Removable(each.folder, path, why, path.stat().st_size)
        for each in found
        if each.state == "finished"
        for path, why in _of_folder(each, weights, keep)
        if path.is_file()
    ]


def _of_folder(found: Found, weights: bool, keep: int) -> Iterator[tuple[Path, str]]:
    folder = found.folder
    if found.kind == "search":
        yield folder / CHECKPOINT, "checkpoint: no more rounds can be added"
        yield folder / EARLIER, "checkpoint: the one before the last"
        if weights:
            yield folder / WEIGHTS, "supernet: genotypes can no longer be scored, nor begin with its weights"
    elif found.kind == "evaluation" and weights:
        yield from _networks(folder, keep)
    if found.kind != "search":
        for path in sorted(folder.rglob(f"*.{CHECKPOINT}")):
            yield path, "checkpoint: left by a training that was done again"


def _networks(folder: Path, keep: int) -> Iterator[tuple[Path, str]]:
    """Yield the weights of an evaluation's networks, less those of its best genotypes."""
    content = read_json(folder / EVALUATION)
    with understanding(folder / EVALUATION):
        order = sorted(content["evaluations"], key=lambda entry: float(entry["test_error"]))
        kept = {str(entry["genotype"]) for entry in order[:keep]}
    for path in sorted((folder / "trainings").glob("*.safetensors")):
        about = path.with_suffix(".json")
        if path.name.endswith(f".{CHECKPOINT}") or not about.is_file():
            continue
        training = read_json(about)
        with understanding(about):
            if training["genotype"] not in kept:
                yield path, "trained network: it can no longer be tested or exported"


def remove(files: Sequence[Removable]) -> int:
    """Remove files; return the bytes that this frees. Each folder keeps the names, so that ``bnao check`` knows why.

    Raises:
        RunError: one cannot be removed, or a folder cannot be written.
    """
    freed = 0
    for folder in dict.fromkeys(file.folder for file in files):
        own = [file for file in files if file.folder == folder]
        names = cleaned(folder) | {file.path.relative_to(folder).as_posix() for file in own}
        Folder(folder).write_json(CLEANED, {"removed": sorted(names)})
        for file in own:
            try:
                file.path.unlink()
            except OSError as error:
                raise RunError(f"cannot remove {file.path}: {error.strerror}") from None
            freed += file.bytes
    return freed
