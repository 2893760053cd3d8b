"""The loop that trains, reports and keeps checkpoints."""

from bnao.protocols import Step
from bnao.training import loop


class Clock:
    """A clock that training, reporting and keeping move on."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(loop.time, "monotonic", lambda: self.now)

    def steps(self, *seconds):
        for step, spent in enumerate(seconds):
            self.now += spent
            yield Step(step, 0, 1.0, 0.1)


def test_checkpoints_come_at_milestones_and_when_the_time_is_up(monkeypatch):
    clock, kept = Clock(monkeypatch), []

    loop.train(clock.steps(4, 4, 4, 4, 4, 4), lambda step, seconds: None, kept.append, every=10, milestones={2})

    # at 8 seconds by milestone; 12 and 16 are less than ten later, 20 are
    assert kept == [2, 5]


def test_neither_a_checkpoints_seconds_nor_a_reports_are_a_steps(monkeypatch):
    clock, told = Clock(monkeypatch), []

    def report(step, seconds):
        told.append(seconds)
        clock.now += 3

    def keep(made):
        clock.now += 100

    loop.train(clock.steps(1, 2, 1), report, keep, every=5)

    assert told == [1, 2, 1]


def test_a_step_is_reported_before_it_is_kept_and_made_only_when_the_one_before_is_kept(monkeypatch):
    clock, order = Clock(monkeypatch), []

    def steps():
        for step in clock.steps(0, 0):
            order.append(("made", step.step + 1))
            yield step

    loop.train(
        steps(), lambda step, seconds: order.append(("told", step.step + 1)), lambda made: order.append(("kept", made))
    )

    assert order == [(what, number) for number in (1, 2) for what in ("made", "told", "kept")]


def test_without_a_keeper_nothing_is_kept(monkeypatch):
    told = []

    loop.train(Clock(monkeypatch).steps(9, 9), lambda step, seconds: told.append(step.step), every=1, milestones={1})

    assert told == [0, 1]
