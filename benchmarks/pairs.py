"""Our figure against a yardstick's, measured in turn in one run, each in a process of its own."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from arguments import file, refusals, whole


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
    return {**_medians(figure, figures), **_ratios("", figures)}


def ratios(ours: Sequence[str], yardstick: Sequence[str], figures: Sequence[str], pairs: int) -> dict[str, object]:
    """The same of several figures of the same runs, each ratio by the figure's name."""
    runs = [(run_json(ours), run_json(yardstick)) for _ in range(pairs)]
    found: dict[str, object] = {}
    for figure in figures:
        values = [(own[figure], other[figure]) for own, other in runs]
        found |= {**_medians(figure, values), **_ratios(f"{figure}_", values)}
    return found


def step_command(
    about: str | None,
    script: str,
    measure: Callable[..., dict[str, object]],
    yardstick_name: str,
    *,
    sizes: Mapping[str, tuple[int, int]],
    compare: Callable[[Sequence[str], Sequence[str], int], dict[str, object]],
) -> None:
    """Be the command line of a benchmark of a step: print its figures, or the ratios to a yardstick's, as a JSON line.

    Args:
        about: the script's docstring.
        script: its path.
        measure: makes the figures, from the backend and the sizes.
        yardstick_name: of the script that --yardstick is meant for.
        sizes: default and least value of each option; the yardstick takes the same.
        compare: makes the ratios, from both commands and the number of pairs.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, (default, least) in sizes.items():
        parser.add_argument(f"--{name}", type=whole(least), default=default)
    parser.add_argument("--backend", default="torch", choices=("torch", "keras"))
    parser.add_argument("--yardstick", type=file, help=f"path of {yardstick_name}")
    parser.add_argument("--pairs", type=whole(1), default=3)
    chosen = vars(parser.parse_args())
    yardstick, pairs = chosen.pop("yardstick"), chosen.pop("pairs")
    if yardstick is None:
        with refusals(parser):
            print(json.dumps({**measure(**chosen), **chosen}))
        return
    options = [text for name, value in chosen.items() for text in (f"--{name}", str(value))]
    others = [text for name, value in chosen.items() if name != "backend" for text in (f"--{name}", str(value))]
    print(json.dumps({**compare([script, *options], [yardstick, *others], pairs), **chosen}))


def _medians(figure: str, values: Sequence[tuple[float, float]]) -> dict[str, object]:
    return {
        figure: statistics.median(own for own, _ in values),
        f"yardstick_{figure}": statistics.median(other for _, other in values),
    }


def _ratios(prefix: str, values: Sequence[tuple[float, float]]) -> dict[str, object]:
    each = [own / other for own, other in values]
    return {f"{prefix}ratio": statistics.median(each), f"{prefix}ratios": [round(one, 3) for one in each]}
