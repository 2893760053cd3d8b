"""A run's folder: files that are whole or absent, a log of events, and one process at a time.

Every file is written beside its name and renamed, so a kill -9 or a full disk leaves the last whole one.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from bnao.config.fields import build, read_toml, settings_of, to_toml, worded
from bnao.errors import BnaoError, ConfigError, GenotypeError, RunError, WriteError

C = TypeVar("C")
T = TypeVar("T")
Event = Mapping[str, Any]

CONFIG = "config.toml"
LOG = "log.jsonl"
PLAN = "plan.json"
LOCK = ".lock"
_UNFINISHED = ".unfinished"

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
        unfinished = path.with_name(f"{path.name}.{platform.node()}.{os.getpid()}{_UNFINISHED}")
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

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a versioned JSON file, one line an entry of its lists."""
        self.write(name, (_readable({"format": FORMAT, **content}) + "\n").encode())

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file of this folder; see the function ``read_json``."""
        return read_json(self.folder / name)

    def _cannot_write(self, name: str, error: OSError) -> WriteError:
        return WriteError(f"cannot write {self.folder / name}: {error.strerror}; finished work is kept")


class Run(Folder):
    """A folder that one process at a time works in.

    >>> import tempfile
    >>> from bnao.config.settings import SearchConfig
    >>> folder = tempfile.TemporaryDirectory()
    >>> with Run.create(Path(folder.name) / "run", SearchConfig(rounds=2)) as run:
    ...     run.write_json("notes.json", {"good": True})
    ...     run.read_json("notes.json"), run.config(SearchConfig).rounds
    ({'format': 1, 'good': True}, 2)
    """

    def __init__(self, folder: Path) -> None:
        from filelock import FileLock, Timeout

        super().__init__(folder)
        self._lock = FileLock(folder / LOCK)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise RunError(
                f"another process is working in {folder}; wait for it, or start a run in another folder"
            ) from None
        except OSError as error:
            raise RunError(f"cannot write in {folder}: {error.strerror}") from None
        for left in folder.rglob(f"*{_UNFINISHED}"):
            left.unlink(missing_ok=True)

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
            run.write(CONFIG, to_toml(config).encode())
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
    def of(cls, folder: str | Path, config: object) -> Run:
        """Open the folder of work with these settings to resume it, or make it.

        Raises:
            RunError: as ``check_takes``, or another process works in it, or it cannot be written.
        """
        folder = Path(folder)
        return cls.open(folder) if check_takes(folder, config) else cls.create(folder, config)

    def config(self, kind: type[C]) -> C:
        """Return the settings the run was started with."""
        return read_config(self.folder, kind)

    def close(self) -> None:
        """Release the folder's lock for other processes."""
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
        try:
            with open(self.folder / LOG, "a", encoding="utf-8") as file:
                file.write(json.dumps(event) + "\n")
        except OSError as error:
            raise self._cannot_write(LOG, error) from None

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events of the log; see the function ``read_events``."""
        return read_events(self.folder)

    def rewind_log(self, keep: Callable[[dict[str, Any]], bool]) -> None:
        """Remove from the log the events that will happen again."""
        if self.has(LOG):
            kept = [json.dumps(event) + "\n" for event in self.events() if keep(event)]
            self.write(LOG, "".join(kept).encode())


def is_locked(folder: Path) -> bool:
    """Return whether a process is working in a folder now."""
    from filelock import FileLock, Timeout

    if not (folder / LOCK).is_file():
        return False
    try:
        with FileLock(folder / LOCK, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # of someone else's folder nobody here can work in
        return False


def read_events(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of a run's log in order, without lines that are cut off or not an event."""
    with (
        contextlib.suppress(FileNotFoundError),
        open(folder / LOG, encoding="utf-8", errors="replace") as file,
    ):
        for line in file:
            if line.endswith("\n"):
                with contextlib.suppress(json.JSONDecodeError):
                    event = json.loads(line)
                    if isinstance(event, dict) and "event" in event:
                        yield event


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
    if folder.exists() and (not folder.is_dir() or any(entry.name != LOCK for entry in folder.iterdir())):
        raise RunError(f"{folder} is not empty and holds no run; name another folder with --out")


def check_takes(folder: Path, config: object) -> bool:
    """Return whether the folder holds work with these settings, that can be resumed; else it is free.

    Raises:
        RunError: it holds work with other settings, or anything else.
    """
    if (folder / CONFIG).is_file():
        check_same_settings(folder, config)
        return True
    check_is_free(folder)
    return False


@contextlib.contextmanager
def understanding(path: Path) -> Iterator[None]:
    """Raise RunError if the code within finds that the file is not what bnao wrote.

    Raises:
        RunError: it is not: an entry is missing or is something else.
    """
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        what = error if isinstance(error, GenotypeError) else "it lacks what bnao wrote in it"
        raise RunError(f"{path} was changed by hand or by another program: {what}; start in another folder") from None


def check_is_run(folder: Path) -> None:
    """Raise RunError if the folder holds no run."""
    if not folder.is_dir():
        raise RunError(f"no folder {folder}; a run is the folder that bnao search made")
    if not (folder / CONFIG).is_file():
        raise RunError(f"{folder} holds no run (no {CONFIG} in it); a run is the folder that bnao search made")


def read_config(folder: str | Path, kind: type[C]) -> C:
    """Read the settings a run was started with, without working in its folder.

    Raises:
        RunError: no run there.
        ConfigError: its config file was changed into something that is none.
    """
    folder = Path(folder)
    check_is_run(folder)
    try:
        return build(kind, read_toml(folder / CONFIG))
    except BnaoError as error:
        raise type(error)(f"{folder / CONFIG}: {error}") from None


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
        RunError: absent, not JSON, or of a format this version does not know.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise RunError(f"{path} is not JSON: {error}") from None
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise RunError(f"{path} has format {found}; this version of bnao reads format {FORMAT}")
    return dict(content)


def round_off(value: float, digits: int = 6) -> float:
    """Return a number as files show it to people.

    >>> round_off(2 / 3)
    0.666667
    """
    return float(round(value, digits))
