"""The benchmarks: what they refuse, in one line, and what they write."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from bnao.run import Folder
from bnao.space.spaces import SPACES
from bnao.strategies.result import Ranked, SearchResult
from bnao.streams import stream

BENCHMARKS = pathlib.Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("input_pipeline --data-dir nowhere", "argument --data-dir: there is no folder nowhere"),
        ("input_pipeline --data-dir empty", "empty has no folder train/; it needs train/ and val/ with a folder for"),
        ("input_pipeline --steps 0", "argument --steps: '0' is not a whole number >= 1"),
        ("controller_epoch --yardstick nowhere.py", "argument --yardstick: there is no file nowhere.py"),
        ("controller_epoch --sequences many", "argument --sequences: 'many' is not a whole number >= 2"),
        ("supernet_step --image 4", "argument --image: '4' is not a whole number >= 8"),
        ("supernet_ranking --cells-of nowhere.json", "argument --cells-of: there is no file nowhere.json"),
        ("judged_searches nowhere --table table.csv", "argument RUN: there is no folder nowhere"),
        ("judged_searches empty --table nowhere.csv", "argument --table: there is no file nowhere.csv"),
        ("mixture_step --yardstick nowhere.py", "argument --yardstick: there is no file nowhere.py"),
        ("mixture_step --channels 99999", "channels is 99999; it must be >= 2 and <= 16384"),
        ("strategy_runs nao sgd --out runs", "no strategy 'sgd'; there is nao, random, evolution, spos,"),
        ("strategy_runs --out runs --evaluate-with nowhere", "argument --evaluate-with: there is no file nowhere"),
        ("supernet_step --channels 99999", "channels is 99999; it must be >= 2 and <= 16384"),
    ],
)
def test_what_a_benchmark_cannot_measure_is_refused_in_one_line(command, told, tmp_path):
    (tmp_path / "empty").mkdir()
    script, *options = command.split()

    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{script}.py"), *options],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip

    assert done.returncode == 2
    assert told in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_zero_cost_scores_of_a_table_are_set_beside_its_truth(tmp_path):
    pytest.importorskip("torch")
    genotypes = SPACES["nas-bench-201"].random_genotypes(20, stream(0, "proxies"))
    rows = [f'"{genotype}",{0.5 + number / 100}' for number, genotype in enumerate(genotypes)]
    (tmp_path / "table.csv").write_text("\n".join(["genotype,score", *rows]) + "\n")
    images = stream(0, "images").integers(0, 256, (80, 8, 8, 3)).astype(np.uint8)
    labels = np.arange(80) % 4
    np.savez(tmp_path / "data.npz", x_train=images[:60], y_train=labels[:60], x_test=images[60:], y_test=labels[60:])
    command = "--table table.csv --column score --data data.npz --cells 20 --channels 2 --stack 1 --batch 8"

    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "proxies.py"), *command.split(), "--out", "out.json"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out.json").read_text())["cells"]
    assert sorted(cell["truth"] for cell in found) == [0.5 + number / 100 for number in range(20)]


def _judged(folder):
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / "judged_searches.py"), "run", "--table", "table.csv", "--column", "accuracy"],
        cwd=folder, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_what_a_search_found_is_set_beside_its_pool_and_its_largest(tmp_path):
    genotypes = SPACES["nas-bench-201"].random_genotypes(8, stream(0, "judged"))
    ranked = [Ranked(g, 1 - n / 10, 0.01, 8 - n, 100, 1000, 1 + n % 2, 3, 2.5) for n, g in enumerate(genotypes)]
    (tmp_path / "run").mkdir()
    Folder(tmp_path / "run").write_json("result.json", SearchResult("nas-bench-201", 0, tuple(ranked)).to_json())
    rows = [f'"{genotype}",{90 - number}' for number, genotype in enumerate(genotypes)]
    (tmp_path / "table.csv").write_text("\n".join(["genotype,accuracy", *rows]))

    figures = json.loads(_judged(tmp_path).stdout)

    assert (figures["best"], figures["top"], figures["largest"], figures["table"]) == (90, 88, 88, 90)
    assert figures["pool"] == figures["largest_of_pool"] == 87  # of 90, 88, 86 and 84
    assert figures["tau"] == figures["tau_of_size"] == 1

    (tmp_path / "table.csv").write_text("\n".join(["genotype,accuracy", *rows[1:]]))
    assert f"table.csv has no row for {genotypes[0]}, which run scored" in _judged(tmp_path).stderr


@pytest.mark.parametrize(
    ("script", "told"),
    [("raise ValueError('a bad day')", "ended with exit code 1: ValueError: a bad day"), ("1", "printed no JSON line")],
)
def test_a_yardstick_that_fails_is_named_in_one_line(script, told, tmp_path):
    (tmp_path / "yardstick.py").write_text(script)
    code = "import pairs, sys; pairs.run_json([sys.argv[1]])"

    done = subprocess.run(
        [sys.executable, "-c", code, "yardstick.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
        env={"PYTHONPATH": str(BENCHMARKS)},
    )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr.startswith(f"yardstick.py {told}")
