"""The one loop that trains: step after step, each reported, with checkpoints from which it resumes."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable

from bnao.protocols import Step


def train(
    steps: Iterable[Step],
    report: Callable[[Step, float], None],
    keep: Callable[[int], None] | None = None,
    *,
    every: float = 0.0,
    milestones: Collection[int] = (),
) -> None:
    """Make the steps of a training, one after the other, and keep a checkpoint from time to time.

    Args:
        steps: makes a step whenever the next is asked for, and yields after it.
        report: called after each step, with the seconds it took.
        keep: called after the report, with the number of steps made so far, when a checkpoint is due: a training that
            is stopped resumes from the last. None: none is kept.
        every: seconds between two checkpoints; the time they take is not counted as a step's.
        milestones: numbers of steps after which one is due in any case.

    >>> made = (Step(step, index=0, loss=1.0, rate=0.1) for step in range(5))
    >>> train(made, lambda step, seconds: None, print, every=3600, milestones=(2, 5))
    2
    5
    """
    saved = last = time.monotonic()
    for step in steps:
        now = time.monotonic()
        report(step, now - last)
        made = step.step + 1
        if keep is not None and (made in milestones or now - saved >= every):
            keep(made)
            saved = time.monotonic()
        last = time.monotonic()
