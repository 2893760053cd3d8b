"""A search by each strategy to its end, each in a process of its own, and what it found trained from scratch.

    python benchmarks/strategy_runs.py --backend torch --threads 1 --out runs
    python benchmarks/strategy_runs.py --backend keras --threads 1 --out runs --evaluate-with .venv-torch/bin/python

prints one JSON line a strategy, of its preset ``quick``, and keeps it in the folder: seconds, CPU seconds and peak
memory of ``bnao search``, its best genotype and what was seen after its last epoch; parameters and test error of
``bnao evaluate`` with backend ``torch``, which another environment may run. A strategy whose line is there is left out.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from arguments import file, whole

from bnao.errors import BnaoError, RunError
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


def run(strategy: str, options: argparse.Namespace) -> dict[str, object]:
    """Search by a strategy, train its best from scratch, and return what came of both."""
    folder = options.out / f"{options.backend}-{strategy}"
    usual = ["--preset", "quick", "--seed", str(options.seed), "--threads", str(options.threads), "--quiet"]
    search = ["-m", "bnao", "search", *usual, "--strategy", strategy, "--backend", options.backend]
    search_spent = spent([sys.executable, *search, "--out", str(folder)])
    found = read_result(folder)
    looks = (found.strategy or {}).get("epochs", [])
    evaluation = folder / "evaluation"
    evaluate = ["-m", "bnao", "evaluate", str(folder), "--top", "1", *usual, "--backend", "torch"]
    evaluation_spent = spent([options.evaluate_with, *evaluate, "--out", str(evaluation)])
    judged = json.loads((evaluation / "evaluation.json").read_text(encoding="utf-8"))["evaluations"][0]
    return {
        "strategy": strategy, "backend": options.backend, "engine": os.environ.get(ENGINE), "seed": options.seed,
        **search_spent,
        "genotype": str(found.best), "score": found.ranked[0].score,
        "alarms": sum("alarm" in look for look in looks), "looks": len(looks), "last": looks[-1] if looks else None,
        "parameters": judged["parameters"], "test_error": judged["test_error"],
        "evaluation_seconds": evaluation_spent["seconds"],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("strategies", nargs="*", default=list(METHODS), help="names of bnao strategies; all by default")
    parser.add_argument("--backend", default="torch", choices=("torch", "keras"))
    parser.add_argument(
        "--evaluate-with", type=file, default=sys.executable, help="Python of an environment with torch"
    )
    parser.add_argument("--seed", type=whole(0), default=0)
    parser.add_argument("--threads", type=whole(1), default=1)
    parser.add_argument("--out", type=Path, required=True, help="folder of the searches")
    options = parser.parse_args()
    unknown = [name for name in options.strategies if name not in METHODS]
    if unknown:
        parser.error(f"no strategy {unknown[0]!r}; there is {', '.join(METHODS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    lines = options.out / f"{options.backend}.jsonl"
    known = {json.loads(line)["strategy"] for line in lines.read_text().splitlines()} if lines.exists() else set()
    for strategy in options.strategies:
        if strategy in known:
            continue
        try:
            line = json.dumps(run(strategy, options))
        except BnaoError as error:
            parser.error(str(error))
        print(line, flush=True)
        with lines.open("a", encoding="utf-8") as kept:
            kept.write(line + "\n")


if __name__ == "__main__":
    main()
