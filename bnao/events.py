"""Events: what a search, an evaluation and a study report to a callback while they run, as plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

#: something happened: its kind under "event", and plain values
Event = Mapping[str, Any]
#: is told every event
Listener = Callable[[Event], None]

_TRAINING = ("genotype", "of", "repeat")
_SUPERNET = ("sampler", "seed", "length")
_HELD_OUT = ("learned_from", "n", "pairwise_accuracy", "kendall_tau", "reconstruction_distance")
#: every event of search, evaluate and study_ranking by its kind, with its fields besides "event"; docs/events.md says
#: when each is told and what its fields mean
EVENTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "search": {
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
        "step": (*_TRAINING, "epoch", "epochs", "step", "steps", "loss", "rate"),
        "epoch": (*_TRAINING, "epoch", "epochs", "loss", "rate", "seconds"),
        "trained": (*_TRAINING, "test_error"),
    },
    "zero_cost_scores": {
        "probed": ("genotype", "of"),
    },
    "study_ranking": {
        "epoch": (*_TRAINING, "epoch", "epochs", "loss", "rate", "seconds"),
        "trained": (*_TRAINING, "test_error", "known"),
        "step": (*_SUPERNET, "step", "steps", "loss", "rate", "seconds"),
        "score": (*_SUPERNET, "epochs", "scored", "of"),
        "supernet": _SUPERNET,
        "probed": ("genotype", "of"),
        "short_epoch": ("genotype", "of", "seed", "epoch", "epochs", "loss", "rate", "seconds"),
        "short": ("genotype", "of", "seed", "epochs", "error", "known"),
        "end": (),
    },
}
