"""Events: what a search, an evaluation and a study report to a callback while they run, as plain values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

#: something happened: its kind under "event", and plain values
Event = Mapping[str, Any]
#: is told every event
Listener = Callable[[Event], None]

_TRAINING = ("genotype", "of", "repeat")
_SUPERNET = ("sampler", "seed", "length")
_HELD_OUT = ("learned_from", "n", "pairwise_accuracy", "kendall_tau", "reconstruction_distance")
#: every event by the function that reports it and by its kind, with its fields besides "event"; docs/events.md says
#: when each is told and what its fields mean
EVENTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "search": {
        "plan": ("rounds", "scored_images", "phases"),
        "pool": ("round", "genotypes", "sources", "duplicates"),
        "step": ("round", "step", "steps", "loss", "rate", "genotype", "seconds"),
        "alone": ("round", "genotype", "epoch", "epochs", "loss", "rate", "seconds"),
        "score": ("round", "scored", "of", "best"),
        "proposals": ("round", "proposals", "pairwise_accuracy", "kendall_tau"),
        "round": ("round", "rounds", "best", "genotype"),
        "controller": ("round", "epoch", "epochs", "loss", "rate"),
        "measured": ("round", *_HELD_OUT),
        "exhausted": ("round", "message"),
        "update": ("step", "steps", "loss", "rate", "seconds"),
        "look": ("step", "epoch", "epochs", "genotype", "figures", "alarm", "stop"),
        "scored": ("scored", "best"),
        "probed": ("genotype", "of"),
        "landmark": ("trained", "of", "accuracy"),
        "rerank": ("trained", "of", "accuracy"),
        "end": ("best", "score"),
    },
    "evaluate": {
        "plan": ("phases",),
        "step": (*_TRAINING, "epoch", "epochs", "step", "steps", "loss", "rate"),
        "epoch": (*_TRAINING, "epoch", "epochs", "loss", "rate", "seconds"),
        "trained": (*_TRAINING, "test_error"),
    },
    "score_genotypes": {
        "plan": ("phases",),
        "score": ("scored", "of"),
    },
    "zero_cost_scores": {
        "plan": ("phases",),
        "probed": ("genotype", "of"),
    },
    "measure_latencies": {
        "plan": ("phases",),
        "timed": ("genotype", "of", "milliseconds"),
    },
    "study_ranking": {
        "plan": ("supernets", "phases"),
        "epoch": (*_TRAINING, "epoch", "epochs", "loss", "rate", "seconds"),
        "trained": (*_TRAINING, "test_error", "known"),
        "step": (*_SUPERNET, "step", "steps", "loss", "rate", "seconds"),
        "score": (*_SUPERNET, "epochs", "scored", "of"),
        "supernet": (*_SUPERNET, "known"),
        "probed": ("genotype", "of"),
        "short_epoch": ("genotype", "of", "seed", "epoch", "epochs", "loss", "rate", "seconds"),
        "short": ("genotype", "of", "seed", "epochs", "error", "known"),
        "end": (),
    },
    "study_stability": {
        "searched": ("search", "of", "method", "seed", "test_error", "parameters", "alarm", "known"),
        "memory": ("number", "of", "method", "before_bytes", "updates_bytes", "peak_bytes", "device_bytes", "known"),
    },
    "study_controllers": {
        "plan": ("phases",),
        "search": ("number", "of", "controller", "seed", "best", "known"),
    },
    "study_predictor": {
        "plan": ("phases",),
        "training": ("number", "of", "size", "seed", "tau", "known"),
    },
}


def phase(
    *events: str,
    loops: Mapping[str, tuple[int, int]] | None = None,
    weight: float | None = None,
    at_once: int = 1,
    where: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a phase of a plan as plain values: a stretch of work of one kind, which events tell the progress of.

    Args:
        events: kinds of event that belong to it; the first is told after each unit of work.
        loops: the fields of these events that count, the outermost first: the first value and the number of values.
            A field that an event lacks is at its end.
        weight: what a unit costs, roughly, in steps of a supernet's training; None: nobody knows.
        at_once: units that lie between two events at most.
        where: fields that are the same in all events of the phase.

    >>> phase("step", "trained", loops={"genotype": (1, 2), "step": (1, 10)}, where={"seed": 0})["units"]
    20
    """
    counted = {name: list(bounds) for name, bounds in (loops or {}).items()}
    units = math.prod(count for _, count in counted.values())
    return {
        "events": list(events), "where": dict(where or {}), "loops": counted, "units": units, "weight": weight,
        "at_once": at_once,
    }  # fmt: skip


def without_plan(listen: Listener) -> Listener:
    """Return a listener for a part of some work, of which the plan has been told as a whole."""

    def listen_to_part(event: Event) -> None:
        if event["event"] != "plan":
            listen(event)

    return listen_to_part


#: kinds of event that tell the end of a training or a search
ENDS = ("trained", "supernet", "short", "searched")


class EndsOnce:
    """A listener that passes on the end of each training once, whether it was made or found done, and all else.

    >>> told = []
    >>> listen = EndsOnce(told.append)
    >>> for known in (False, True):
    ...     listen({"event": "trained", "genotype": 1, "known": known})
    >>> told
    [{'event': 'trained', 'genotype': 1, 'known': False}]
    """

    def __init__(self, listen: Listener) -> None:
        self._listen = listen
        self._told: set[str] = set()

    def __call__(self, event: Event) -> None:
        """Pass on an event."""
        if event["event"] in ENDS:
            said = repr(sorted((name, value) for name, value in event.items() if name != "known"))
            if said in self._told:
                return
            self._told.add(said)
        self._listen(event)


class Work:
    """How much of a plan is done, by the events that are reported.

    Phases are done in their order, so what comes before the phase of the last event is done, or need not be.

    Args:
        phases: of an event "plan".

    >>> work = Work([phase("step", loops={"step": (1, 10)}), phase("score", loops={"scored": (1, 4)}, at_once=10)])
    >>> work.update({"event": "step", "step": 7}), work.left(), work.share
    (1, {'step': 3, 'score': 4}, 0.7)
    >>> work.update({"event": "score", "scored": 3}), work.left()
    (3, {'score': 1})
    """

    def __init__(self, phases: Sequence[Mapping[str, Any]] = ()) -> None:
        self._phases = phases
        self._at, self._done = 0, 0

    def update(self, event: Event) -> int:
        """Take in an event; return the units of work that were done since the one before it."""
        for at in range(self._at, len(self._phases)):
            now = self._phases[at]
            done = _done(now, event)
            if done is not None:
                units = done - (self._done if at == self._at else 0)
                self._at, self._done = at, done
                # where earlier work is known, more units are done than were made
                return max(0, min(units, now["at_once"])) if event["event"] == now["events"][0] else 0
        return 1

    @property
    def phase(self) -> Mapping[str, Any] | None:
        """The phase of the last event; None where there is no plan."""
        return self._phases[self._at] if self._phases else None

    @property
    def share(self) -> float:
        """The share of that phase that is done."""
        return self._done / max(1, self._phases[self._at]["units"]) if self._phases else 0.0

    def left(self) -> dict[str, int]:
        """Return the units of work that are left, by the kind of event that is told after each."""
        left: dict[str, int] = {}
        for at, each in enumerate(self._phases[self._at :]):
            units = each["units"] - (0 if at else self._done)
            left[each["events"][0]] = left.get(each["events"][0], 0) + units
        return {kind: units for kind, units in left.items() if units}


def _done(phase: Mapping[str, Any], event: Event) -> int | None:
    """Return the units of the phase that are done after an event; None where the event is not of the phase."""
    if event["event"] not in phase["events"] or any(event.get(name) != value for name, value in phase["where"].items()):
        return None
    done = 0
    for name, (first, count) in phase["loops"].items():
        at = event.get(name)
        if at is not None and not first <= at < first + count:
            return None
        # so many are done before this one; the innermost is done itself, and one that is not told is at its end
        done = done * count + (count - 1 if at is None else at - first)
    return done + 1
