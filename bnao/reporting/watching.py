"""A run's log as it grows, read by another process than the one that works."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bnao.events import Event
from bnao.run import LOG, PLAN, event_of, read_json, understanding


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


def plan_of_log(folder: Path, kind: str) -> Event:
    """Return the plan of the work in a folder, by the events that its log has.

    The log of an evaluation has an event an epoch, not one a step. A run from before plans were kept has an empty one.

    Raises:
        RunError: the plan's file was changed by hand.
    """
    path = folder / PLAN
    if not path.is_file():
        return {"event": "plan", "phases": []}
    content = read_json(path)
    with understanding(path):
        phases = [dict(phase) for phase in content["phases"]]
        if kind == "evaluation":
            for phase in phases:
                phase["events"] = ["epoch" if name == "step" else name for name in phase["events"]]
                phase["at_once"] = int(phase["loops"]["step"][1])
        return {**content, "event": "plan", "phases": phases}
