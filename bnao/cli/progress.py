"""Progress of a search or an evaluation: a live display on a terminal, log lines elsewhere.

A track makes one picture of the events: where the work stands, the last figures, and the time that is left, from
the seconds that each kind of work was measured to take.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from bnao.cli.figures import duration, percent, plain_score
from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import SearchConfig
from bnao.protocols import Event, Listener

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
        guesses: what a unit of a kind takes, in units of another kind, as long as it was not measured.
    """

    def __init__(self, guesses: Mapping[str, tuple[float, str]] | None = None) -> None:
        self.guesses = guesses or {}
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
        share, other = self.guesses.get(kind, (0.0, ""))
        return share * self._a_unit(other) if share else 0.0


class Track(Protocol):
    """Where the work stands."""

    @property
    def share(self) -> float:
        """Share of the phase that is done."""
        ...

    def update(self, event: Event, now: float) -> str | None:
        """Take in an event at a time in seconds; return a line to log at once, if the event is worth one."""
        ...

    def place(self) -> str:
        """Return the current round and phase."""
        ...

    def figures(self) -> list[str]:
        """Return the last figures: loss, rate, best, time left."""
        ...


class SearchTrack:
    """Where a search stands.

    Args:
        config: the search's settings.
        learns: whether the controller has epochs to train.
        scored_images: images a score is the accuracy on; None where scores are no shares of images.
        start: the time now, seconds.
    """

    def __init__(self, config: SearchConfig, *, learns: bool, scored_images: int | None, start: float) -> None:
        self.config, self.learns, self.as_share = config, learns, scored_images is not None
        self.round, self.steps, self.phase, self.share = 1, 0, "starting", 0.0
        self.loss: float | None = None
        self.rate: float | None = None
        self.best: float | None = None
        # to score one is a forward pass over the dev images, about a third of a step's work for each batch
        batches = (scored_images or 0) / config.training.batch_size
        self.speeds = Speeds({"score": (batches / 3, "step")})
        self._smooth, self._last, self._scored = Smoothed(), start, 0
        self._left: dict[str, float] = {}
        self._alone = 0  # epochs of this round's trainings, where each genotype has its own

    def update(self, event: Event, now: float) -> str | None:
        """Take in an event of ``bnao.strategies.rounds``."""
        kind, units = event["event"], 1
        self.round = event.get("round", self.round)
        told = None
        if kind == "step":
            self.steps, self.rate = event["steps"], event["rate"]
            self.loss = self._smooth.add(event["loss"])
            self._stand("step", event["step"], event["steps"])
            self._left = self.still(self.round, step=event["step"])
        elif kind == "alone":
            self.loss, self.rate = event["loss"], event["rate"]
            self._alone = event["genotype"] * event["epochs"] + event["epoch"]
            self._stand("trained alone", self._alone // event["epochs"], self.new(self.round))
            self.phase += f"  epoch {event['epoch']}/{event['epochs']}"
            self._left = self.still(self.round)
        elif kind == "score":
            units = event["scored"] - self._scored
            self._scored = event["scored"] % event["of"]
            self.best = event["best"] if self.best is None else max(self.best, event["best"])
            self.loss = self.rate = None
            self._stand("scored", event["scored"], event["of"])
            self._left = self.still(self.round, scored=event["scored"])
        elif kind == "controller":
            self.loss, self.rate = event["loss"], event["rate"]
            self._stand("controller epoch", event["epoch"], event["epochs"])
            self._left = self.still(self.round, scored=math.inf, epoch=event["epoch"])
        elif kind == "pool":
            self.loss = self.rate = None
            self._smooth, self._alone = Smoothed(), 0
            names = {"file": "from the file"}
            sources = ", ".join(f"{n} {names.get(source, source)}" for source, n in event["sources"].items() if n)
            if event.get("duplicates"):
                sources += f"; {event['duplicates']} lines of the file say again what others say"
            told = f"round {self.round}/{self.config.rounds}  {event['genotypes']} new genotypes ({sources})"
            self._stand("training", 0, 1)
            self._left = self.still(self.round)
        elif kind == "round":
            self.best = event["best"]
            told = f"round {self.round}/{self.config.rounds} done  best {plain_score(event['best'], self.as_share)}"
            self._left = self.still(self.round, scored=math.inf)
        elif kind == "measured":
            distance = event["reconstruction_distance"]
            told = (
                f"round {self.round}/{self.config.rounds}  controller on {event['n']} genotypes it did not learn from: "
                f"{_order(event)}, reconstruction distance {distance:.3f}"
            )
        elif kind == "proposals":
            told = (
                f"round {self.round}/{self.config.rounds}  predicted against found scores of {event['proposals']} "
                f"proposals: {_order(event)}"
            )
        elif kind == "exhausted":
            told = f"round {self.round}/{self.config.rounds}  {event['message']}"
        elif kind == "probed":
            self._stand("zero-cost scores of", event["genotype"], event["of"])
            self._left = {"probed": event["of"] - event["genotype"], **self._last_ones()}
        elif kind == "landmark":
            told = f"landmark {event['trained']}/{event['of']} trained alone  accuracy {percent(event['accuracy'])}"
            self._stand("landmark", event["trained"], event["of"])
            self._left = {"landmark": event["of"] - event["trained"], **self._last_ones()}
        elif kind == "rerank":
            told = f"trained alone {event['trained']}/{event['of']}  dev accuracy {percent(event['accuracy'])}"
            self._stand("trained alone", event["trained"], event["of"])
            self._left = {"rerank": event["of"] - event["trained"]}
        self.speeds.add(kind, units, now - self._last)
        self._last = now
        return told

    def _stand(self, what: str, done: int, of: int) -> None:
        self.phase = what if what == "training" else f"{what} {done}/{of}"
        self.share = done / max(1, of)

    def still(self, number: int, step: int = 0, scored: float = 0, epoch: int = 0) -> dict[str, float]:
        """Return the remaining units of each kind of work, from a place within a round (counted from 1)."""
        config = self.config
        later = config.rounds - number
        scored_later = sum(self.to_score(other) for other in range(number + 1, config.rounds + 1))
        return {
            "step": (0 if scored else self.steps - step) + later * self.steps,
            "score": max(0, self.to_score(number) - scored) + scored_later,
            "controller": later * (config.controller.epochs if self.learns else 0) - epoch,
            "pool": later,
            **({"landmark": config.landmarks} if config.landmarks else {}),
            **self._last_ones(),
            **({"alone": self._alone_left(number, scored)} if config.sharing == "none" else {}),
        }

    def _last_ones(self) -> dict[str, float]:
        return {"rerank": self.config.top if self.config.rerank_epochs else 0}

    def _alone_left(self, number: int, scored: float) -> float:
        """Return the remaining epochs of stand-alone trainings; none of this round's if all of it is scored."""
        new = self.new(number) + sum(self.new(other) for other in range(number + 1, self.config.rounds + 1))
        done = self.new(number) * self.config.alone_epochs if math.isinf(scored) else self._alone
        return max(0, new * self.config.alone_epochs - done)

    def new(self, number: int) -> int:
        """Return the number of new genotypes in a round, counted from 1."""
        return self.config.pool if number == 1 else self.config.new

    def to_score(self, number: int) -> int:
        """Return the number of genotypes scored in a round, counted from 1."""
        config = self.config
        if config.rescore == "all":
            return config.pool + (number - 1) * config.new
        return config.pool if number == 1 else config.new

    def place(self) -> str:
        """Return the round and the phase."""
        return f"round {self.round}/{self.config.rounds}  {self.phase}"

    def figures(self) -> list[str]:
        """Return loss, rate, the best score so far and the time left."""
        best = None if self.best is None else f"best {plain_score(self.best, self.as_share)}"
        return figures_text(self.loss, self.rate, best, self.left())

    def left(self) -> float | None:
        """Return the seconds that are left; None before anything was measured."""
        return self.speeds.left(self._left)


def _order(figures: Mapping[str, float | None]) -> str:
    """Return the agreement of two lists of scores on the order of genotypes, in words."""
    accuracy, tau = figures["pairwise_accuracy"], figures["kendall_tau"]
    if accuracy is None or tau is None:
        return "no order is defined"
    return f"pairwise accuracy {percent(accuracy)}, Kendall tau {tau:.3f}"


class EvaluationTrack:
    """Where an evaluation stands."""

    def __init__(self, config: EvaluateConfig, genotypes: int, start: float) -> None:
        self.config, self.genotypes = config, genotypes
        self.share = 0.0
        self.loss: float | None = None
        self.rate: float | None = None
        self.best: float | None = None
        self.speeds, self._last, self._place = Speeds(), start, "starting"
        # a log of the evaluation has epochs alone, which are then the steps
        self._smooth, self._done, self._steps, self._by_epoch = Smoothed(), 0, 1, True

    def update(self, event: Event, now: float) -> str | None:
        """Take in an event of ``bnao.evaluation.trainings``."""
        config, told = self.config, None
        trainings = (event["genotype"] - 1) * config.repeats + event["repeat"] - 1
        name = f"genotype {event['genotype']}/{event['of']}"
        if config.repeats > 1:
            name += f"  repeat {event['repeat']}/{config.repeats}"
        if event["event"] == "step":
            self._by_epoch, self._steps, self.rate = False, event["steps"], event["rate"]
            self.loss = self._smooth.add(event["loss"])
            self._done = (trainings * config.epochs + event["epoch"] - 1) * self._steps + event["step"]
            self._place = f"{name}  epoch {event['epoch']}/{config.epochs}  step {event['step']}/{self._steps}"
            self.speeds.add("step", 1, now - self._last)
        elif event["event"] == "epoch" and self._by_epoch:
            self.loss, self.rate = event["loss"], event["rate"]
            self._done = trainings * config.epochs + event["epoch"]
            self._place = f"{name}  epoch {event['epoch']}/{config.epochs}"
            self.speeds.add("step", 1, now - self._last)
        elif event["event"] == "trained":
            self._done = (trainings + 1) * config.epochs * self._steps
            self._place, self._smooth = name, Smoothed()
            self.best = min(event["test_error"], 1.0 if self.best is None else self.best)
            told = f"{name}  test error {percent(event['test_error'], 2)}"
        self.share = self._done / self._total
        self._last = now
        return told

    @property
    def _total(self) -> int:
        """Steps of all trainings; each has the same number."""
        return self.genotypes * self.config.repeats * self.config.epochs * self._steps

    def place(self) -> str:
        """Return genotype, repeat, epoch and step."""
        return self._place

    def figures(self) -> list[str]:
        """Return loss, rate, the lowest test error so far and the time left."""
        best = None if self.best is None else f"lowest test error {percent(self.best, 2)}"
        return figures_text(self.loss, self.rate, best, self.left())

    def left(self) -> float | None:
        """Return the seconds that are left; None before anything was measured."""
        return self.speeds.left({"step": self._total - self._done})


def figures_text(loss: float | None, rate: float | None, best: str | None, left: float | None) -> list[str]:
    """Return the last figures that are known, and the time left, each as text."""
    figures = [] if loss is None else [f"loss {loss:.3f}"]
    figures += [] if rate is None else [f"rate {rate:.4f}"]
    figures += [] if best is None else [best]
    return figures + ([] if left is None else [f"left {duration(left)}"])


def line(track: Track) -> str:
    """Return all a track has to say, as one log line."""
    return "  ".join([track.place(), *track.figures()])


# --- where it is shown


@contextmanager
def telling(quiet: bool = False) -> Iterator[None]:
    """Log lines of bnao go to stderr, warnings alone where it shall be quiet."""
    handler = _Stderr()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("bnao")
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
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
def following(track: Track, title: str, quiet: bool = False) -> Iterator[Listener]:
    """Yield a listener that shows a track: live if stderr is a terminal, else as a line every few seconds."""
    if quiet:
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
