"""Footprints of searches, of made-up peaks."""

import pytest

from bnao import footprint
from bnao.footprint import Footprint, _EnoughError, _Peaks


def test_the_peak_of_updates_is_without_looks_and_scores(monkeypatch):
    peaks = _Peaks()
    # the third update has a look at its end, which is told after it
    told = [("plan", 1), ("update", 30), ("update", 40), ("update", 90), ("look", 50), ("update", 20), ("scored", 100)]
    for kind, held in told:
        monkeypatch.setattr(footprint, "peak_memory", lambda held=held: held)
        if kind == "scored":
            with pytest.raises(_EnoughError):
                peaks.listen({"event": kind})
        else:
            peaks.listen({"event": kind})

    assert (peaks.updates, peaks.all) == (40, 100)


def test_the_increment_is_what_updates_hold_beside_what_was_loaded():
    assert Footprint(30, 40, 100).increment == 10
    assert Footprint(None, None, None).increment is None
    assert Footprint.from_json(Footprint(30, 40, 100).to_json()) == Footprint(30, 40, 100)
