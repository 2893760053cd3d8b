"""Memory footprint of a search: what some of its updates and a score hold at most, in a process of its own.

``python -m bnao.footprint`` is that process; it reads the settings of a search as JSON and prints its footprint.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import attrs
from attrs import evolve, frozen

from bnao import backends
from bnao.config.fields import build, to_settings
from bnao.config.settings import SearchConfig
from bnao.errors import BnaoError, RunError
from bnao.events import Event
from bnao.memory import forget_peak, held_memory, peak_memory
from bnao.run import made_of
from bnao.searches import prepare_search

#: updates that are made; stages and warm-ups are fractions of a search, and so have their part of them
UPDATES = 20


@frozen
class Footprint:
    """Memory of a search's process, in bytes.

    Attributes:
        before: held when images, framework and supernet had been loaded; None where the system does not say.
        updates: held at most in updates; None likewise.
        peak: held at most from then on, in updates, looks at what would be derived, and a score; None likewise.
        device: held at most by the device of the backend; None on the CPU.
    """

    before: int | None
    updates: int | None
    peak: int | None
    device: int | None = None

    @property
    def increment(self) -> int | None:
        """Bytes that updates took beside what had been loaded; None where that is not known."""
        return None if self.before is None or self.updates is None else max(0, self.updates - self.before)

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {f"{name}_bytes": value for name, value in attrs.asdict(self).items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Footprint:
        """Return the object that ``to_json`` wrote.

        Raises:
            KeyError, TypeError: a value is missing, or is of another type.
        """
        return made_of(cls, {each.name: content[f"{each.name}_bytes"] for each in attrs.fields(cls)})


def measure_footprint(config: SearchConfig) -> Footprint:
    """Return the footprint of a search, measured in a process that does nothing else.

    Args:
        config: all settings; the process makes ``UPDATES`` updates in place of theirs, in one round.

    Raises:
        RunError: the process failed.
    """
    given = json.dumps(to_settings(config))
    done = subprocess.run([sys.executable, "-m", "bnao.footprint"], input=given, capture_output=True, text=True)
    if done.returncode:
        told = done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"]
        raise RunError(f"the memory of a search by {config.strategy} was not measured: {told[-1]}")
    return Footprint.from_json(json.loads(done.stdout.splitlines()[-1]))


def short_footprint(config: SearchConfig) -> Footprint:
    """Make some updates of a search and its first score in this process, and return the footprint.

    Args:
        config: as for ``measure_footprint``.
    """
    prepared, peaks = prepare_search(evolve(config, rounds=1, steps=UPDATES)), _Peaks()
    before = held_memory()
    forget_peak()
    with contextlib.suppress(_EnoughError):
        prepared.search(listen=peaks.listen)
    device_memory = getattr(backends.load(config.machine.backend), "device_memory", None)
    return Footprint(before, peaks.updates, peaks.all, None if device_memory is None else device_memory())


class _EnoughError(Exception):
    """Some genotypes have been scored; what comes after them holds no more."""


class _Peaks:
    """The peaks between events.

    Attributes:
        updates: the largest in an update that no look followed, which is told after it; None if there is none.
        all: the largest; None where the system does not say.
    """

    def __init__(self) -> None:
        self.updates: int | None = None
        self.all: int | None = None
        self._last: int | None = None

    def listen(self, event: Event) -> None:
        """Take in the peak since the last event.

        Raises:
            _EnoughError: it is of scores.
        """
        kind, peak = event["event"], peak_memory()
        self.all = _larger(self.all, peak)
        if kind == "look":
            self._last = None
        elif kind in ("step", "update"):
            self.updates, self._last = _larger(self.updates, self._last), peak
        elif kind in ("score", "scored"):
            self.updates = _larger(self.updates, self._last)
            raise _EnoughError
        forget_peak()


def _larger(one: int | None, other: int | None) -> int | None:
    return max(filter(None, (one, other)), default=None)


def main() -> None:
    """Print the footprint of the search whose settings are read."""
    try:
        print(json.dumps(short_footprint(build(SearchConfig, json.load(sys.stdin))).to_json()))
    except BnaoError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
