"""Progress of a search, an evaluation or a study: a live display on a terminal, log lines elsewhere.

A track makes one picture of the plan and the events: where the work stands, the last figures, and the time that is
left, from the seconds that each kind of work was measured to take.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bnao.cli.event_texts import EventTexts
from bnao.cli.figures import duration
from bnao.events import Event, Listener, Work

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

log = logging.getLogger("bnao.cli")

#: seconds between two log lines
INTERVAL = 5.0

# of the earlier seconds and units, so that the measured speed follows the machine's
_FORGET = 0.99
_SMOOTH = 0.95


class Smoothed:
    """The exponentially weighted mean of what was added, without a bias to any first value.

    >>> loss = Smoothed(0.5)
    >>> loss.add(1.0), loss.add(4.0)
    (1.0, 3.0)
    """

    def __init__(self, keep: float = _SMOOTH) -> None:
        self.keep, self._sum, self._weight = keep, 0.0, 0.0

    def add(self, value: float) -> float:
        """Take in a value and give the mean."""
        self._sum = self.keep * self._sum + (1 - self.keep) * value
        self._weight = self.keep * self._weight + (1 - self.keep)
        return self._sum / self._weight


class Speeds:
    """Seconds that a unit of each kind of work takes.

    >>> speeds = Speeds()
    >>> speeds.add("step", units=10, seconds=5.0)
    >>> speeds.left({"step": 100, "pool": 1})  # no pool was measured yet: it counts nothing
    50.0

    Args:
        weights: what a unit of a kind costs compared with those of other kinds, which is a guess as long as it was not
            measured.
    """

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        self.weights = dict(weights or {})
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._units: defaultdict[str, float] = defaultdict(float)

    def add(self, kind: str, units: float, seconds: float) -> None:
        """Add units of work and the seconds they took."""
        self._seconds[kind] = _FORGET * self._seconds[kind] + seconds
        self._units[kind] = _FORGET * self._units[kind] + units

    def left(self, units: Mapping[str, float]) -> float | None:
        """Return the seconds that so many units of each kind will take; None before anything was measured."""
        if not any(self._units.values()):
            return None
        return sum(n * self._a_unit(kind) for kind, n in units.items())

    def _a_unit(self, kind: str) -> float:
        if self._units[kind]:
            return self._seconds[kind] / self._units[kind]
        # of all that was measured and can be compared
        known = [other for other in self.weights if self._units[other]]
        weight = sum(self._units[other] * self.weights[other] for other in known)
        return self.weights.get(kind, 0.0) * sum(self._seconds[other] for other in known) / weight if weight else 0.0


class Track:
    """Where the work stands: what the plan and the events so far amount to.

    Args:
        start: the time now, seconds.
    """

    def __init__(self, start: float) -> None:
        self.plan: Event = {}
        self.work, self.speeds = Work(), Speeds()
        self.loss: float | None = None
        self.rate: float | None = None
        self.best: str | None = None
        self._texts = EventTexts({})
        self._last, self._smooth, self._place = start, Smoothed(), "starting"

    @property
    def share(self) -> float:
        """The share of the phase that is done."""
        return self.work.share

    def update(self, event: Event, now: float) -> str | None:
        """Take in an event at a time in seconds; return a line to log at once, if the event is worth one."""
        if event["event"] == "plan":
            self._begin(event)
            return None
        before, units = self.work.phase, self.work.update(event)
        phase = self.work.phase
        if not event.get("known"):  # which took no time
            self.speeds.add(event["event"], units, now - self._last)
        self._last = now
        if phase is not before:
            self._smooth, self.loss, self.rate = Smoothed(), None, None
        if phase is not None and event["event"] == phase["events"][0] and "loss" in event:
            # that of a step is of one batch, that of an epoch a mean already
            self.loss = self._smooth.add(event["loss"]) if event["event"] in ("step", "update") else event["loss"]
            self.rate = event["rate"]
        elif phase is not None and event["event"] in phase["events"]:
            self._smooth = Smoothed()  # of the next training
        self._place = self._texts.place(event, phase) or self._place
        self.best = self._texts.best(event) or self.best
        told = self._texts.message(event, phase)
        return told if told is None or "number" not in event else "  ".join([told, *self._time_left()])

    def _begin(self, plan: Event) -> None:
        self.plan, self.work, self._texts = plan, Work(plan["phases"]), EventTexts(plan)
        self.speeds.weights = {
            each["events"][0]: each["weight"] for each in plan["phases"] if each["weight"] is not None
        }

    def place(self) -> str:
        """Return the current round and phase."""
        return self._place

    def figures(self) -> list[str]:
        """Return the last figures that are known: loss, rate, best, time left."""
        figures = [] if self.loss is None else [f"loss {self.loss:.3f}"]
        figures += [] if self.rate is None else [f"rate {self.rate:.4f}"]
        figures += [] if self.best is None else [self.best]
        return figures + self._time_left()

    def left(self) -> float | None:
        """Return the seconds that are left; None before anything was measured."""
        return self.speeds.left(self.work.left()) if self.plan else None

    def _time_left(self) -> list[str]:
        left = self.left()
        return [] if left is None else [f"left {duration(left)}"]


def line(track: Track) -> str:
    """Return all a track has to say, as one log line."""
    return "  ".join([track.place(), *track.figures()])


# --- where it is shown


@contextmanager
def telling(quiet: bool = False, *, mute: bool = False) -> Iterator[None]:
    """Log lines of bnao go to stderr, warnings alone where it shall be quiet, and none where it shall be mute."""
    handler = _Stderr()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("bnao")
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.CRITICAL if mute else logging.WARNING if quiet else logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


class _Stderr(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # looked up anew each time: a live display puts itself in its place
        print(self.format(record), file=sys.stderr, flush=True)


@contextmanager
def following(title: str, track: Track | None = None) -> Iterator[Listener]:
    """Yield a listener that shows where the work stands: live on a terminal, else as a line every few seconds.

    Where ``telling`` is quiet it shows nothing.

    Args:
        title: of the live display.
        track: of work that was begun before; None: it begins now.
    """
    track = Track(time.monotonic()) if track is None else track
    if not log.isEnabledFor(logging.INFO):
        yield lambda event: None
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True)
        with Live(
            get_renderable=lambda: picture(track, title, console), console=console, refresh_per_second=4, transient=True
        ):
            yield lambda event: _tell(track.update(event, time.monotonic()))
    else:
        yield _Lines(track)


def _tell(message: str | None) -> None:
    if message is not None:
        log.info(message)


class _Lines:
    """Logs what is worth a line at once, and where the work stands every few seconds."""

    def __init__(self, track: Track) -> None:
        self.track, self.last = track, time.monotonic()

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        told = self.track.update(event, now)
        if told is None and now - self.last < INTERVAL:
            return
        self.last = now
        log.info(line(self.track) if told is None else told)


def picture(track: Track, title: str, console: Console) -> RenderableType:
    """Return the live display: what is done, a bar for the phase, and the last figures."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    width = max(10, min(60, console.width - 2))
    return Group(
        Text(f"{title}  {track.place()}", style="bold", no_wrap=True, overflow="ellipsis"),
        Padding(ProgressBar(total=1.0, completed=track.share, width=width), 0),  # a bar alone ends no line
        Text("   ".join(track.figures()), no_wrap=True, overflow="ellipsis"),
    )
