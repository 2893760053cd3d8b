"""Progress of a search by a strategy that decides at each update: its own figures, its alarms, the time left."""

from __future__ import annotations

from collections.abc import Mapping

from bnao.cli.figures import percent
from bnao.cli.progress import Smoothed, Speeds, figures_text
from bnao.protocols import Event

_SHARES = ("mixture accuracy", "path accuracy", "gap")


def looks_text(figures: Mapping[str, float]) -> str:
    """Return the figures of an epoch as one text, shares as percentages.

    >>> looks_text({"entropy": 1.23456, "path accuracy": 0.5})
    'entropy 1.235  path accuracy 50.0 %'
    """
    return "  ".join(
        f"{name} {percent(value) if name in _SHARES else f'{value:.4g}'}" for name, value in figures.items()
    )


class StepTrack:
    """Where a search stands.

    Args:
        steps: updates of the whole search.
        start: the time now, seconds.
    """

    def __init__(self, steps: int, start: float) -> None:
        self.steps, self.share = steps, 0.0
        self.loss: float | None = None
        self.rate: float | None = None
        self.best: float | None = None
        self._place, self._last, self._left = "starting", start, float(steps)
        self._smooth, self._speeds = Smoothed(), Speeds()

    def update(self, event: Event, now: float) -> str | None:
        """Take in an event of ``bnao.strategies.steps``."""
        kind, told = event["event"], None
        if kind == "update":
            self.rate, self.loss = event["rate"], self._smooth.add(event["loss"])
            self._left = event["steps"] - event["step"]
            self._stand(f"step {event['step']}/{event['steps']}", event["step"] / event["steps"])
            self._speeds.add("step", 1, now - self._last)
        elif kind == "look":
            told = self._look(event)
        elif kind == "scored":
            self.loss = self.rate = None
            self.best = event["best"]
            self._stand(f"choosing: {event['scored']} genotypes scored", 1.0)
        elif kind == "rerank":
            told = f"trained alone {event['trained']}/{event['of']}  dev accuracy {percent(event['accuracy'])}"
            self._stand(f"trained alone {event['trained']}/{event['of']}", event["trained"] / event["of"])
        self._last = now
        return told

    def _stand(self, place: str, share: float) -> None:
        self._place, self.share = place, share

    def _look(self, event: Event) -> str | None:
        parts = [looks_text(event["figures"])] if event["figures"] else []
        parts += [f"ALARM: {event['alarm']}"] if event["alarm"] else []
        parts += [f"stopped: {event['stop']}"] if event["stop"] else []
        return "  ".join([f"epoch {event['epoch']}/{event['epochs']}", *parts]) if parts else None

    def place(self) -> str:
        """Return the step, or what is done after the last."""
        return self._place

    def figures(self) -> list[str]:
        """Return loss, rate, the best score and the time left."""
        best = None if self.best is None else f"best {percent(self.best)}"
        left = self._speeds.left({"step": self._left}) if self._left else None
        return figures_text(self.loss, self.rate, best, left)
