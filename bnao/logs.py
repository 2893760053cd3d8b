"""The log of a folder of work: an event a line, added by all who work there and read as it grows."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bnao.errors import WriteError
from bnao.files import parse_json
from bnao.locks import append_line

LOG = "log.jsonl"


def log_event(folder: Path, event: Mapping[str, Any]) -> None:
    """Add an event to the log of a folder, in which other processes may be working.

    Raises:
        WriteError: it cannot be written.
    """
    try:
        append_line(folder / LOG, json.dumps(event))
    except OSError as error:
        raise WriteError(f"cannot write {folder / LOG}: {error.strerror}; finished work is kept") from None


def read_events(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of a run's log in order, without lines that are cut off or not an event."""
    yield from (event for event in map(event_of, _lines(folder)) if event is not None)


def lost_lines(folder: Path) -> int:
    """Return how many lines of a run's log are not events, but for the last, which a stop may cut off."""
    return sum(not is_event(line) for line in _lines(folder))


def _lines(folder: Path) -> Iterator[str]:
    """Yield the lines of a run's log that have an end."""
    if not (folder / LOG).is_file():
        return
    with (
        contextlib.suppress(FileNotFoundError),
        open(folder / LOG, encoding="utf-8", errors="replace") as file,
    ):
        yield from (line for line in file if line.endswith("\n"))


def is_event(line: str) -> bool:
    """Return whether a line of a log is an event."""
    return event_of(line) is not None


def event_of(line: str) -> dict[str, Any] | None:
    """Return the event of a line of the log; None if it is not one."""
    try:
        event = parse_json(line)
    except ValueError:
        return None
    places = [event.get(name, 0) for name in ("round", "step")] if isinstance(event, dict) else [None]
    known = isinstance(event, dict) and isinstance(event.get("event"), str)
    return event if known and all(type(place) is int for place in places) else None


class Follower:
    """The events of a run's log, each once; of a log that was cut back, as a search that resumes does, all of it anew.

    Args:
        folder: of the run.

    >>> import tempfile
    >>> made = tempfile.TemporaryDirectory()
    >>> log = Path(made.name) / LOG
    >>> follower = Follower(Path(made.name))
    >>> _ = log.write_text('{"event": "pool"}\\n{"event": "st')
    >>> [event["event"] for event in follower.new()], follower.cut
    (['pool'], False)
    >>> _ = log.write_text('{"event": "end"}\\n')
    >>> [event["event"] for event in follower.new()], follower.cut
    (['end'], True)
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOG
        self._at, self._file = 0, 0
        #: whether what ``new`` gave last is from the beginning once more
        self.cut = False

    def new(self) -> Iterator[dict[str, Any]]:
        """Yield the events that were added since the last call; a line that is not whole waits for the next."""
        self.cut = False
        try:
            about = os.stat(self._path)
        except FileNotFoundError:
            return
        if not stat.S_ISREG(about.st_mode):
            return  # a pipe would be waited for
        if about.st_size < self._at or (self._file and about.st_ino != self._file):
            self.cut, self._at = True, 0
        self._file = about.st_ino
        with open(self._path, "rb") as file:
            file.seek(self._at)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._at += len(line)
                event = event_of(line.decode("utf-8", "replace"))
                if event is not None:
                    yield event
