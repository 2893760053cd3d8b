"""Our figure against a yardstick's, measured in turn in one run, each in a process of its own."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence


def run_json(command: Sequence[str]) -> dict[str, float]:
    """The JSON object a script prints; where it fails, end with the last line of its errors."""
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    if done.returncode:
        told = done.stderr.strip().splitlines() or ["it printed no error"]
        sys.exit(f"{command[0]} ended with exit code {done.returncode}: {told[-1]}")
    try:
        return json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        sys.exit(f"{command[0]} printed no JSON line; a yardstick prints its figures as one")


def ratio(ours: Sequence[str], yardstick: Sequence[str], figure: str, pairs: int) -> dict[str, object]:
    """Medians of a figure over so many pairs of runs, and the median of the pairs' ratios."""
    figures = [(run_json(ours)[figure], run_json(yardstick)[figure]) for _ in range(pairs)]
    return {
        figure: statistics.median(own for own, _ in figures),
        f"yardstick_{figure}": statistics.median(other for _, other in figures),
        "ratio": statistics.median(own / other for own, other in figures),
        "ratios": [round(own / other, 3) for own, other in figures],
    }
