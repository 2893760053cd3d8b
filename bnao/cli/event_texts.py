"""What the events of a search, an evaluation or a study say to people: where the work stands, and lines of a log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bnao.cli.figures import mebibytes, percent, plain_score
from bnao.events import Event

#: a phase of a plan, see ``bnao.events.phase``
Phase = Mapping[str, Any]


class EventTexts:
    """Texts of the events of one plan.

    Args:
        plan: the event that tells it.
    """

    def __init__(self, plan: Event) -> None:
        self._rounds = plan.get("rounds")
        self._round = 1
        # scores of images are shares of them, shown as percentages
        self._as_share = plan.get("scored_images") is not None
        self._supernets, self._supernets_done = plan.get("supernets"), 0
        self._best: float | None = None

    def place(self, event: Event, phase: Phase | None) -> str | None:
        """Return where the work stands; None where the event does not tell.

        Args:
            event: the last one.
            phase: of the plan, to which it belongs.
        """
        self._round = event.get("round", self._round)
        kind = event["event"]
        if kind == "step" and "sampler" in event:
            return f"{self._supernet(event)}  step {event['step']}/{event['steps']}"
        if kind == "score" and "sampler" in event:
            return f"{self._supernet(event)}  epoch {event['epochs']}  scored {event['scored']}/{event['of']}"
        if kind == "short_epoch":
            return f"{_short(event)}  epoch {event['epoch']}"
        if kind in ("step", "epoch", "trained") and "repeat" in event:
            return self._of_training(event, phase)
        done = self._done(event, phase)
        if done is None or self._rounds is None:
            return done
        return f"round {self._round}/{self._rounds}  {done}"

    def _done(self, event: Event, phase: Phase | None) -> str | None:
        kind = event["event"]
        if kind == "pool":
            return "training"
        if kind in ("step", "update"):
            return f"step {event['step']}/{event['steps']}"
        if kind == "scored":
            return f"choosing, {event['scored']} genotypes scored"
        if kind == "alone":
            done = event["genotype"] + (event["epoch"] == event["epochs"])
            of = "" if phase is None else f"/{phase['loops']['genotype'][1]}"
            return f"trained alone {done}{of}  epoch {event['epoch']}/{event['epochs']}"
        if kind == "score":
            return f"scored {event['scored']}/{event['of']}"
        if kind == "controller":
            return f"controller epoch {event['epoch']}/{event['epochs']}"
        if kind == "probed":
            return f"{_of_set(event)}zero-cost scores of {event['genotype']}/{event['of']}"
        if kind == "timed":
            return f"timed {event['genotype']}/{event['of']}"
        if kind == "memory":
            return f"memory {event['number']}/{event['of']}  {event['method']}: {mebibytes(event['peak_bytes'])}"
        if kind == "landmark":
            return f"landmark {event['trained']}/{event['of']}"
        if kind == "rerank":
            return f"trained alone {event['trained']}/{event['of']}"
        if kind in ("training", "search"):
            return f"{kind} {event['number']}/{event['of']}"
        return None

    def _of_training(self, event: Event, phase: Phase | None) -> str | None:
        """Return where a training of an evaluation or of a study's truth stands."""
        name = self._training(event, phase)
        if event["event"] == "trained":
            return name if self._supernets is None else None
        if event["event"] == "epoch":
            # where each step is told, an epoch tells nothing new
            counts = phase is not None and phase["events"][0] == "epoch"
            return f"{name}  epoch {event['epoch']}/{event['epochs']}" if counts else None
        return f"{name}  epoch {event['epoch']}/{event['epochs']}  step {event['step']}/{event['steps']}"

    def message(self, event: Event, phase: Phase | None) -> str | None:
        """Return the line that the event is worth; None where it is worth none."""
        kind = event["event"]
        if kind in ("pool", "round", "measured", "proposals", "exhausted"):
            return f"round {event['round']}/{self._rounds}{'' if kind == 'round' else ' '} {self._of_round(event)}"
        if kind == "trained":
            return f"{self._training(event, phase)}  test error {percent(event['test_error'], 2)}{_from_store(event)}"
        if kind == "short":
            return f"{_short(event)}  dev error {percent(event['error'], 2)}{_from_store(event)}"
        if kind == "supernet":
            self._supernets_done += 1
            return f"{_of_set(event)}supernet {self._supernets_done}/{self._supernets}  {_sampled(event)}: done"
        if kind == "look":
            return _look(event)
        if kind == "searched":
            alarm = f"  ALARM: {event['alarm']}" if event["alarm"] else ""
            return (
                f"search {event['search']}/{event['of']}  {event['method']}, seed {event['seed']}: test error "
                f"{percent(event['test_error'], 2)}, {event['parameters']:,} parameters{alarm}"
            )
        if kind == "landmark":
            return f"landmark {event['trained']}/{event['of']} trained alone  accuracy {percent(event['accuracy'])}"
        if kind == "rerank":
            return f"trained alone {event['trained']}/{event['of']}  dev accuracy {percent(event['accuracy'])}"
        if kind == "training":
            place = f"training {event['number']}/{event['of']}"
            return f"{place}  {event['size']} genotypes, seed {event['seed']}: tau {event['tau']:.3f}"
        if kind == "search":
            place = f"search {event['number']}/{event['of']}"
            return f"{place}  {event['controller']}, seed {event['seed']}: {event['best']:.3f}"
        return None

    def _of_round(self, event: Event) -> str:
        kind = event["event"]
        if kind == "pool":
            names = {"file": "from the file"}
            sources = ", ".join(f"{n} {names.get(source, source)}" for source, n in event["sources"].items() if n)
            if event.get("duplicates"):
                sources += f"; {event['duplicates']} lines of the file say again what others say"
            return f"{event['genotypes']} new genotypes ({sources})"
        if kind == "round":
            return f"done  best {plain_score(event['best'], self._as_share)}"
        if kind == "measured":
            distance = event["reconstruction_distance"]
            return (
                f"controller on {event['n']} genotypes it did not learn from: {_order(event)}, "
                f"reconstruction distance {distance:.3f}"
            )
        if kind == "proposals":
            return f"predicted against found scores of {event['proposals']} proposals: {_order(event)}"
        return str(event["message"])

    def best(self, event: Event) -> str | None:
        """Return the best result so far; None where the event tells of none."""
        kind = event["event"]
        if kind == "trained" and self._supernets is None:
            self._best = min(event["test_error"], 1.0 if self._best is None else self._best)
            return f"lowest test error {percent(self._best, 2)}"
        if kind not in (("scored",) if self._rounds is None else ("score", "round")):
            return None
        self._best = event["best"] if self._best is None or kind == "round" else max(self._best, event["best"])
        return f"best {plain_score(self._best, self._as_share)}"

    def _training(self, event: Event, phase: Phase | None) -> str:
        """Name a training of an evaluation or of a study's truth."""
        alone = "" if self._supernets is None else "alone  "
        repeats = 1 if phase is None else phase["loops"]["repeat"][1]
        repeat = f"  repeat {event['repeat']}/{repeats}" if repeats > 1 else ""
        return f"{_of_set(event)}{alone}genotype {event['genotype']}/{event['of']}{repeat}"

    def _supernet(self, event: Event) -> str:
        return f"{_of_set(event)}supernet {self._supernets_done + 1}/{self._supernets} ({_sampled(event)})"


#: figures that are shares
_SHARES = ("mixture accuracy", "path accuracy", "gap", "reward", "baseline")


def figures_text(figures: Mapping[str, float]) -> str:
    """Return the figures of a strategy after an epoch as one text, shares as percentages.

    >>> figures_text({"entropy": 1.23456, "path accuracy": 0.5})
    'entropy 1.235  path accuracy 50.0 %'
    """
    return "  ".join(
        f"{name} {percent(value) if name in _SHARES else f'{value:.4g}'}" for name, value in figures.items()
    )


def _look(event: Event) -> str | None:
    """Return what was seen of a strategy after an epoch; None where it shows nothing."""
    parts = [figures_text(event["figures"])] if event["figures"] else []
    parts += [f"ALARM: {event['alarm']}"] if event["alarm"] else []
    parts += [f"stopped: {event['stop']}"] if event["stop"] else []
    return "  ".join([f"epoch {event['epoch']}/{event['epochs']}", *parts]) if parts else None


def _of_set(event: Event) -> str:
    """The set that is studied, where there are several."""
    return f"{event['sizes']}  " if "sizes" in event else ""


def _sampled(event: Event) -> str:
    """Name the supernet of an event."""
    return f"{event['sampler']}, seed {event['seed']}, {event['length']} epoch{'s' * (event['length'] > 1)}"


def _short(event: Event) -> str:
    """Name a short training."""
    return (
        f"{_of_set(event)}alone for {event['epochs']} epoch{'s' * (event['epochs'] > 1)}  "
        f"genotype {event['genotype']}/{event['of']}, seed {event['seed']}"
    )


def _from_store(event: Event) -> str:
    """Say so if a training was found in the store."""
    return "  (from the store)" if event.get("known") else ""


def _order(figures: Event) -> str:
    """Return the agreement of two lists of scores on the order of genotypes, in words."""
    accuracy, tau = figures["pairwise_accuracy"], figures["kendall_tau"]
    if accuracy is None or tau is None:
        return "no order is defined"
    return f"pairwise accuracy {percent(accuracy)}, Kendall tau {tau:.3f}"
