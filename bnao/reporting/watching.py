"""The plan of a run that another process works on."""

from __future__ import annotations

from pathlib import Path

from bnao.events import Event
from bnao.run import PLAN, read_json, understanding


def plan_of_log(folder: Path, kind: str) -> Event:
    """Return the plan of the work in a folder, by the events that its log has.

    The log of an evaluation has an event an epoch, not one a step. A run from before plans were kept has an empty one.

    Raises:
        RunError: the plan's file was changed by hand.
    """
    path = folder / PLAN
    if not path.is_file():
        return {"event": "plan", "phases": []}
    content = read_json(path)
    with understanding(path):
        phases = [dict(phase) for phase in content["phases"]]
        if kind == "evaluation":
            for phase in phases:
                phase["events"] = ["epoch" if name == "step" else name for name in phase["events"]]
                phase["at_once"] = int(phase["loops"]["step"][1])
        return {**content, "event": "plan", "phases": phases}
