"""A run's folder: files that are whole or absent, a log of events, and who works there.

Every file is written beside its name and renamed, so a kill -9 or a full disk leaves the last whole one.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import platform
import secrets
import time
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from bnao.config.fields import build, read_toml, settings_of, to_toml, worded
from bnao.errors import ConfigError, GenotypeError, RunError, WriteError
from bnao.files import MOST_JSON, MOST_SETTINGS, NO_CHECKSUM, is_intact, parse_json, read_regular, with_checksum
from bnao.locks import try_lock
from bnao.logs import LOG, log_event, read_events

if TYPE_CHECKING:
    from filelock import BaseFileLock

C = TypeVar("C")
T = TypeVar("T")
Event = Mapping[str, Any]

CONFIG = "config.toml"
PLAN = "plan.json"
CLEANED = "cleaned.json"
LOCK = ".lock"
UNFINISHED = ".unfinished"

#: what an error says of a file whose checksum is not that of its bytes
DAMAGED = "is damaged or was changed: its bytes do not have the SHA-256 that stands in it"
# seconds between two looks for the settings that another process is about to write
_WAIT = 0.05
# seconds after which no small file can still be on its way to the disk
_LONG_AGO = 3600.0

_AGAIN = "bring back a copy of it, or delete it and resume, which makes it again"

#: the version of every JSON file in a run's folder
FORMAT = 1


class Folder:
    """A folder whose files are whole or absent; several processes may use it.

    >>> import tempfile
    >>> made = tempfile.TemporaryDirectory()
    >>> folder = Folder(Path(made.name))
    >>> folder.write_json("notes.json", {"good": True})
    >>> folder.has("notes.json"), folder.read_json("notes.json")
    (True, {'format': 1, 'good': True})
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, name: str) -> bool:
        """Return whether the file is there, and so whole."""
        return (self.folder / name).is_file()

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all.

        Raises:
            WriteError: the disk is full or not writable; an earlier file of that name is as it was.
        """
        path = self.folder / name
        # two processes, of two machines even, may keep the same file in a folder that both use
        own = f"{platform.node()}.{os.getpid()}.{secrets.token_hex(4)}"
        unfinished = path.with_name(f"{path.name}.{own}{UNFINISHED}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(unfinished, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise self._cannot_write(name, error) from None

    def known(self, name: str, read: Callable[[dict[str, Any]], T]) -> T | None:
        """Read a JSON file of this folder; None if it does not exist.

        Raises:
            RunError: it is not what bnao wrote.
        """
        if not self.has(name):
            return None
        content = self.read_json(name)
        with understanding(self.folder / name):
            return read(content)

    def remove(self, name: str) -> None:
        """Remove a file that is no longer needed, if it is there."""
        with contextlib.suppress(OSError):
            (self.folder / name).unlink(missing_ok=True)

    def rename(self, name: str, new: str) -> None:
        """Give a file another name, in place of a file that has it.

        Raises:
            WriteError: it cannot be done.
        """
        try:
            os.replace(self.folder / name, self.folder / new)
        except OSError as error:
            raise self._cannot_write(new, error) from None

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a versioned JSON file, one line an entry of its lists."""
        versioned = {"format": FORMAT, "sha256": NO_CHECKSUM, **content}
        self.write(name, with_checksum((_readable(versioned) + "\n").encode()))

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file of this folder; see the function ``read_json``."""
        return read_json(self.folder / name)

    @contextlib.contextmanager
    def claimed(self, name: str) -> Iterator[bool]:
        """Yield whether the caller alone may make the file, and all that bears its name but for the suffix.

        A claim ends with the code within, or with the process. What one that ended left unfinished is removed.

        Raises:
            WriteError: the folder cannot be written, or its file system has no locks.
        """
        path = self.folder / lock_name(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = try_lock(path)
        except OSError as error:
            raise self._cannot_write(lock_name(name), error) from None
        if lock is None:
            yield False
            return
        try:
            # reads the folder anew, as a client of a network file system need not, which remembers what was not there
            for left in path.parent.glob(f"{glob.escape(path.stem)}.*{UNFINISHED}"):
                left.unlink(missing_ok=True)
            yield True
        finally:
            lock.release()

    def _cannot_write(self, name: str, error: OSError) -> WriteError:
        return WriteError(f"cannot write {self.folder / name}: {error.strerror}; finished work is kept")


def lock_name(name: str) -> str:
    """Return the name of the file that is locked while a JSON file is made.

    >>> lock_name("trainings/2a1b-seed-0.json")
    'trainings/2a1b-seed-0.lock'
    """
    return f"{name.removesuffix('.json')}.lock"


class Run(Folder):
    """A folder that one process works in, or where each piece of the work is claimed, several.

    >>> import tempfile
    >>> from bnao.config.settings import SearchConfig
    >>> folder = tempfile.TemporaryDirectory()
    >>> with Run.create(Path(folder.name) / "run", SearchConfig(rounds=2)) as run:
    ...     run.write_json("notes.json", {"good": True})
    ...     run.read_json("notes.json"), run.config(SearchConfig).rounds
    ({'format': 1, 'good': True}, 2)
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._lock = self._try_lock()
        if self._lock is None:
            raise RunError(f"another process is working in {folder}; wait for it, or start a run in another folder")
        self._check_log()
        for left in folder.rglob(f"*{UNFINISHED}"):
            left.unlink(missing_ok=True)

    def _try_lock(self) -> BaseFileLock | None:
        try:
            return try_lock(self.folder / LOCK)
        except OSError as error:
            raise RunError(f"cannot write in {self.folder}: {error.strerror}") from None

    def _check_log(self) -> None:
        """Raise RunError, and let go of the folder, if its log is not a file that events can be added to."""
        log = self.folder / LOG
        if log.exists() and not log.is_file():
            self.close()  # appending to a pipe would wait for a reader
            raise RunError(f"{log} is not a regular file; remove it")

    @classmethod
    def create(cls, folder: str | Path, config: object) -> Run:
        """Make a new run's folder, which holds its config from the first moment.

        Raises:
            RunError: the folder holds a run or anything else, or cannot be written.
        """
        folder = Path(folder)
        check_is_free(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot make the folder {folder}: {error.strerror}; name another with --out") from None
        run = cls(folder)
        try:
            run.write_config(config)
        except BaseException:
            run.close()
            raise
        return run

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """Open an existing run's folder to resume it.

        Raises:
            RunError: no run there, or another process works in it.
        """
        folder = Path(folder)
        check_is_run(folder)
        return cls(folder)

    @classmethod
    def join(cls, folder: str | Path, config: object) -> Run:
        """Open the folder of work with these settings, or make it, whoever else works in it: each job is claimed.

        The first process to come holds the folder's lock, which says that there is work going on; when it ends,
        another takes it.

        Raises:
            RunError: as ``check_takes``, or it cannot be written.
        """
        folder = Path(folder)
        check_takes(folder, config)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot make the folder {folder}: {error.strerror}; name another with --out") from None
        run = cls.__new__(cls)
        Folder.__init__(run, folder)
        run._lock = run._try_lock()
        try:
            while not check_takes(folder, config):
                if run.holds_lock:
                    run.write_config(config)
                else:  # its settings are being written
                    time.sleep(_WAIT)
                    run._lock = run._try_lock()
            run._check_log()
            run._remove_old_unfinished()
        except BaseException:
            run.close()
            raise
        return run

    @property
    def holds_lock(self) -> bool:
        """Whether this process is the one that the folder's lock says works here."""
        return self._lock is not None

    def _remove_old_unfinished(self) -> None:
        """Remove what was begun so long ago that nobody writes it now; of jobs, whoever claims them does."""
        for left in self.folder.glob(f"*{UNFINISHED}"):
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > _LONG_AGO:
                    left.unlink()

    def write_config(self, config: object) -> None:
        """Write the settings, with their checksum in the first line, which a file that is cut short still has."""
        self.write(CONFIG, with_checksum(f'# sha256 = "{NO_CHECKSUM}"\n{to_toml(config)}'.encode()))

    def config(self, kind: type[C]) -> C:
        """Return the settings the run was started with."""
        return read_config(self.folder, kind)

    def close(self) -> None:
        """Release the folder's lock for other processes."""
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def keep_plan(self, plan: Event) -> None:
        """Keep the event that says what will be done, for other processes that watch the run."""
        self.write_json(PLAN, plan)

    def log(self, event: Event) -> None:
        """Add one event to the log, a JSON object on a line of its own."""
        if self._lock is None:
            self._lock = self._try_lock()  # which the process that held it may have left
        log_event(self.folder, event)

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events of the log; see the function ``read_events``."""
        return read_events(self.folder)

    def rewind_log(self, keep: Callable[[dict[str, Any]], bool]) -> None:
        """Remove from the log the events that will happen again."""
        if self.has(LOG):
            kept = [json.dumps(event) + "\n" for event in self.events() if keep(event)]
            self.write(LOG, "".join(kept).encode())


def cleaned(folder: Path) -> set[str]:
    """Return the files that were removed from a folder on purpose, by their paths within it."""
    return set(Folder(folder).known(CLEANED, lambda content: list(map(str, content["removed"]))) or [])


def _readable(content: Mapping[str, Any]) -> str:
    """Return JSON with each entry of the top-level lists on its own line."""
    parts = []
    for name, value in content.items():
        if isinstance(value, list):
            text = "[" + "".join(f"\n  {json.dumps(entry)}," for entry in value).rstrip(",") + "\n ]"
        else:
            text = json.dumps(value)
        parts.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}"


def check_is_free(folder: Path) -> None:
    """Raise RunError if a new run cannot use the folder: it holds a run or anything else."""
    if (folder / CONFIG).is_file():
        raise RunError(f"{folder} already holds a run; resume it with --resume {folder}, or name another --out")
    if folder.exists() and (not folder.is_dir() or any(map(_is_work, folder.iterdir()))):
        raise RunError(f"{folder} is not empty and holds no run; name another folder with --out")


def _is_work(entry: Path) -> bool:
    """Return whether an entry of a folder is more than what a kill leaves before the settings are written."""
    begun = entry.name.startswith(f"{CONFIG}.") and entry.name.endswith(UNFINISHED)
    return entry.name != LOCK and not begun


def check_takes(folder: Path, config: object) -> bool:
    """Return whether the folder holds work with these settings, that can be resumed; else it is free.

    Raises:
        RunError: it holds work with other settings, or anything else.
    """
    if not (folder / CONFIG).is_file():
        try:
            check_is_free(folder)
        except RunError:
            if not (folder / CONFIG).is_file():
                raise  # else another process wrote it just now
        else:
            return False
    check_same_settings(folder, config)
    return True


@contextlib.contextmanager
def understanding(path: Path) -> Iterator[None]:
    """Raise RunError if the code within finds that the file is not what bnao wrote.

    Raises:
        RunError: it is not: an entry is missing or is something else.
    """
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        what = error if isinstance(error, GenotypeError) else "it lacks what bnao wrote in it"
        raise RunError(f"{path} was changed by hand or by another program: {what}; {_AGAIN}") from None


def check_is_run(folder: Path) -> None:
    """Raise RunError if the folder holds no run."""
    if not folder.is_dir():
        raise RunError(f"no folder {folder}; a run is the folder that bnao search made")
    if (folder / LOCK).is_file() and not (folder / CONFIG).exists() and not any(map(_is_work, folder.iterdir())):
        raise RunError(f"{folder} holds no work: it was stopped before its settings were written; begin it anew there")
    if not (folder / CONFIG).is_file():
        raise RunError(f"{folder} holds no run (no {CONFIG} in it); a run is the folder that bnao search made")


def read_config(folder: str | Path, kind: type[C]) -> C:
    """Read the settings a run was started with, without working in its folder.

    Raises:
        RunError: no run there, or its config file is damaged.
        ConfigError: its config file was changed into something that is none.
    """
    folder = Path(folder)
    check_is_run(folder)
    path = folder / CONFIG
    settings = read_toml(path)
    try:
        if is_intact(read_regular(path, MOST_SETTINGS)) is False:
            raise RunError(f"{path} {DAMAGED}; bring back a copy of it, or if you changed it, remove its first line")
        if not settings:
            raise RunError(f"{path} is empty, and a run's file has every setting; bring back a copy of it")
        return build(kind, settings)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def check_same_settings(folder: Path, config: object) -> None:
    """Raise RunError if the folder was made with other settings, or for something else."""
    try:
        before = read_config(folder, type(config))
    except ConfigError:
        raise RunError(f"{folder} was made for something else; name another folder with --out") from None
    for path, attribute in settings_of(type(config)):
        if not attribute.metadata["fixed"]:
            continue
        old, new = _setting(before, path), _setting(config, path)
        if old != new:
            raise RunError(
                f"{folder} was made with {'.'.join(path)} = {worded(attribute, old)}, and now it is "
                f"{worded(attribute, new)}; name another folder with --out"
            )


def _setting(config: object, path: Sequence[str]) -> object:
    for name in path:
        config = getattr(config, name)
    return config


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON file of a run's folder.

    Raises:
        RunError: absent, not JSON, damaged, or of a format this version does not know.
    """
    try:
        written = read_regular(path, MOST_JSON)
        intact = is_intact(written)
        content = parse_json(written.decode(), finite=not intact)  # a score that bnao wrote may be -inf
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise RunError(f"{path} is not JSON: {error}; {_AGAIN}") from None
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise RunError(f"{path} has format {repr(found)[:60]}; this version of bnao reads format {FORMAT}")
    if intact is False:
        raise RunError(f"{path} {DAMAGED}; {_AGAIN}")
    return {name: value for name, value in content.items() if name != "sha256"}


def number(value: object) -> float:
    """Return a number that a JSON file has.

    Raises:
        TypeError: it is something else.

    >>> number(1), number(0.5)
    (1.0, 0.5)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def made_of(kind: type[T], values: Mapping[str, Any]) -> T:
    """Make an object of the values that a JSON file has, each of the type that the class declares.

    Raises:
        TypeError: one has another type, or there is none of that name; the name is told.
    """
    for name, declared in typing.get_type_hints(kind).items():
        members = typing.get_args(declared) if isinstance(declared, types.UnionType) else (declared,)
        kinds = {typing.get_origin(member) or member for member in members}
        value = values.get(name)
        if name not in values or type(value) in kinds or (type(value) is int and float in kinds):
            continue
        if isinstance(value, bool) or not isinstance(value, tuple(kinds)):
            raise TypeError(f"{name} is {value!r}")
    return kind(**values)


def round_off(value: float, digits: int = 6) -> float:
    """Return a number as files show it to people.

    >>> round_off(2 / 3)
    0.666667
    """
    return float(round(value, digits))
