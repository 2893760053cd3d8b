"""A search by each strategy to its end, each in a process of its own, and what it found trained from scratch.

    python benchmarks/strategy_runs.py --backend torch --threads 1 --out runs
    python benchmarks/strategy_runs.py --backend keras --threads 1 --out runs --evaluate-with .venv-torch/bin/python

prints one JSON line a strategy, of its preset ``quick``, and keeps it in the folder: seconds, CPU seconds and peak
memory of ``bnao search``, its best genotype with its parameters, and what was seen after its last epoch; test error of
``bnao evaluate`` with backend ``torch``, which another environment may run (``--no-evaluation``: none; the same command
without it makes up for them). What was done already is not done again.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arguments import file, refusals, whole

from bnao.errors import RunError
from bnao.strategies.methods import METHODS
from bnao.strategies.result import read_result

#: where Keras names its engine
ENGINE = "KERAS_BACKEND"


def spent(command: list[str]) -> dict[str, float]:
    """Run a command; return its seconds, CPU seconds and peak memory in MiB.

    Raises:
        RunError: it ended with an exit code other than 0.
    """
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RunError(f"{' '.join(command)} ended with exit code {process.returncode}")
    kibibytes = used.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    cpu = used.ru_utime + used.ru_stime
    return {"seconds": time.monotonic() - began, "cpu_seconds": cpu, "peak_mebibytes": kibibytes / 1024}


def usual(options: argparse.Namespace) -> list[str]:
    """Return the options of searches and evaluations."""
    return ["--preset", "quick", "--seed", str(options.seed), "--threads", str(options.threads), "--quiet"]


def search(strategy: str, options: argparse.Namespace) -> dict[str, Any]:
    """Search by a strategy and return what came of it."""
    folder = options.out / f"{options.backend}-{strategy}"
    space = [] if options.space is None else ["--space", options.space]
    named = ["--strategy", strategy, "--backend", options.backend, *space, "--out", str(folder)]
    seconds = spent([sys.executable, "-m", "bnao", "search", *usual(options), *named])
    found = read_result(folder)
    looks = (found.strategy or {}).get("epochs", [])
    return {
        "strategy": strategy, "backend": options.backend, "engine": os.environ.get(ENGINE), "seed": options.seed,
        "space": found.space, **seconds,
        "genotype": str(found.best), "score": found.ranked[0].score, "parameters": found.ranked[0].parameters,
        "alarms": sum("alarm" in look for look in looks), "looks": len(looks), "last": looks[-1] if looks else None,
    }  # fmt: skip


def evaluate(line: Mapping[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Train the best of a search from scratch; return what is known of it, its test error included."""
    folder = options.out / f"{options.backend}-{line['strategy']}"
    out = folder / "evaluation"
    named = [str(folder), "--top", "1", "--backend", "torch", "--out", str(out)]
    seconds = spent([options.evaluate_with, "-m", "bnao", "evaluate", *usual(options), *named])
    judged = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))["evaluations"][0]
    return {**line, "test_error": judged["test_error"], "evaluation_seconds": seconds["seconds"]}


def run(options: argparse.Namespace) -> None:
    """Search by each strategy and evaluate what it found, but for what the folder has already."""
    options.out.mkdir(parents=True, exist_ok=True)
    kept = options.out / f"{options.backend}.jsonl"
    texts = kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []
    lines = {line["strategy"]: line for line in map(json.loads, texts)}
    for strategy in options.strategies:
        line = lines.get(strategy) or search(strategy, options)
        if options.evaluation and "test_error" not in line:
            line = evaluate(line, options)
        if line != lines.get(strategy):
            print(json.dumps(line), flush=True)
        lines[strategy] = line
        kept.write_text("".join(json.dumps(each) + "\n" for each in lines.values()), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("strategies", nargs="*", default=list(METHODS), help="names of bnao strategies; all by default")
    parser.add_argument("--backend", default="torch", choices=("torch", "keras"))
    parser.add_argument("--space", help="search space, in place of the preset's")
    parser.add_argument(
        "--evaluate-with", type=file, default=sys.executable, help="Python of an environment with torch"
    )
    parser.add_argument("--no-evaluation", dest="evaluation", action="store_false")
    parser.add_argument("--seed", type=whole(0), default=0)
    parser.add_argument("--threads", type=whole(1), default=1)
    parser.add_argument("--out", type=Path, required=True, help="folder of the searches")
    options = parser.parse_args()
    unknown = [name for name in options.strategies if name not in METHODS]
    if unknown:
        parser.error(f"no strategy {unknown[0]!r}; there is {', '.join(METHODS)}")
    with refusals(parser):
        run(options)


if __name__ == "__main__":
    main()
