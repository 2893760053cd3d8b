"""``bnao watch``, and ``--track`` in the commands that train: on work that is pretended."""

import csv
import json
import threading
import time
from pathlib import Path

import pytest

from bnao.run import Run
from bnao.strategies.result import read_result
from tests.cli.commands.test_study import SMALL
from tests.cli.test_cli import PRETEND, bnao, finished, refused, workplace  # noqa: F401  # the fixtures' names are used


def rows_of(path):
    with open(path, newline="") as file:
        return [(row["name"], int(row["step"]), float(row["value"])) for row in csv.DictReader(file)]


def cut_log(folder, keep):
    """Leave the events of a log up to the last that is to be kept, as in a run that is not finished."""
    (folder / "result.json").unlink()
    path = folder / "log.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    last = max(at for at, line in enumerate(lines) if keep(json.loads(line)))
    path.write_text("".join(lines[: last + 1]))
    return lines[last + 1 :]


def test_a_finished_run_is_said_to_be_finished(finished):  # noqa: F811
    assert bnao("watch", finished).stdout == "finished  run\n"


def test_a_stopped_run_shows_round_step_loss_and_the_time_left(finished):  # noqa: F811
    cut_log(finished, lambda event: event["event"] == "step" and (event["round"], event["step"]) == (2, 3))

    shown = bnao("watch", finished, "--once").stdout
    plain = json.loads(bnao("watch", finished, "--json").stdout)

    assert shown.startswith("stopped  round 2/2  step 3/8  loss ")
    assert "best " in shown
    assert "left " in shown
    assert (plain["state"], plain["place"]) == ("stopped", "round 2, step 3 of 8")
    assert plain["seconds_left"] >= 0


def test_the_seconds_left_are_those_that_the_log_tells_of_a_step(finished):  # noqa: F811
    cut_log(finished, lambda event: event["event"] == "step" and (event["round"], event["step"]) == (1, 4))
    lines = [json.loads(line) for line in (finished / "log.jsonl").read_text().splitlines()]
    slow = [line | ({"seconds": 10.0} if line["event"] == "step" else {}) for line in lines]
    (finished / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in slow))

    left = json.loads(bnao("watch", finished, "--json").stdout)["seconds_left"]

    # 4 steps of this round and 8 of the next, ten seconds each; scoring takes its share of a step's time
    assert left >= 120


def test_a_running_search_is_followed_to_its_end(finished, monkeypatch):  # noqa: F811
    monkeypatch.setattr("bnao.cli.progress.INTERVAL", 0.0)
    rest = cut_log(finished, lambda event: event["event"] == "step" and (event["round"], event["step"]) == (1, 2))
    begun, watched, sleep = threading.Event(), threading.Event(), time.sleep

    def work():
        with Run.open(finished) as run:
            begun.set()
            watched.wait()
            for line in rest:
                run.log(json.loads(line))
            run.write_json("result.json", {})

    def slept(seconds):
        watched.set()
        sleep(0.01)

    monkeypatch.setattr("bnao.cli.commands.watch.time.sleep", slept)
    worker = threading.Thread(target=work)
    worker.start()
    begun.wait()
    done = bnao("watch", finished)
    worker.join()

    assert done.exit_code == 0, done.output
    assert "round 2/2 done" in done.stderr
    assert done.stdout == "finished  run\n"


def test_an_evaluation_is_watched_by_its_epochs(finished):  # noqa: F811
    bnao("evaluate", finished, "--top", 2, "--epochs", 2, "--train-images", 640, "--out", "e")
    path = Path("e/log.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:4]))  # two epochs and the test of the first, one epoch of the second

    assert bnao("watch", "e", "--once").stdout.startswith("stopped  genotype 2/2  epoch 1/2  loss ")


def test_what_is_no_run_is_not_watched():
    Path("empty").mkdir()

    assert "no folder missing" in refused(1, "watch", "missing")
    assert "empty holds no run" in refused(1, "watch", "empty")


def test_a_study_is_left_to_runs():
    assert bnao("study", "ranking", *SMALL, "--out", "s", "--quiet").exit_code == 0

    assert "bnao runs says how far it is" in refused(1, "watch", "s")


# --- trackers


def test_a_search_writes_each_steps_loss_and_each_rounds_best():
    done = bnao(*PRETEND, "--out", "run", "--track", "csv")

    assert done.exit_code == 0, done.output
    rows = rows_of("run/track.csv")
    assert [step for name, step, _ in rows if name == "supernet/loss"] == list(range(1, 17))
    best = [value for name, step, value in rows if (name, step) == ("search/best", 2)]
    assert best == [max(entry.score for entry in read_result(Path("run")).ranked)]


def test_a_search_that_is_resumed_is_tracked_from_there_on():
    assert bnao(*PRETEND, "--out", "run").exit_code == 0

    done = bnao("search", "--resume", "run", "--rounds", 3, "--track", "csv")

    assert done.exit_code == 0, done.output
    assert [step for name, step, _ in rows_of("run/track.csv") if name == "supernet/loss"] == list(range(17, 25))


def test_an_evaluation_and_a_study_are_tracked(finished):  # noqa: F811
    evaluate = ("evaluate", finished, "--top", 2, "--epochs", 2, "--train-images", 640, "--out", "e")
    assert bnao(*evaluate, "--track", "csv").exit_code == 0
    assert bnao("study", "ranking", *SMALL, "--out", "s", "--track", "csv").exit_code == 0

    errors = [value for name, _, value in rows_of("e/track.csv") if name == "tested/1/test_error"]
    content = json.loads(Path("e/evaluation.json").read_text())
    assert errors == [entry["test_error"] for entry in content["evaluations"]]
    assert any(name.startswith("supernet/uniform-seed-0-epochs-2/") for name, _, _ in rows_of("s/track.csv"))


def test_tensorboard_gets_files_of_its_own():
    pytest.importorskip("tensorboardX")

    assert bnao(*PRETEND, "--out", "run", "--track", "tensorboard", "--track", "csv").exit_code == 0

    assert len(list(Path("run/tensorboard").iterdir())) == 1
    assert Path("run/track.csv").is_file()
    assert bnao("check", "run").exit_code == 0


def test_a_tracker_that_is_not_installed_is_refused_before_anything_is_made(monkeypatch):
    monkeypatch.setattr("bnao.reporting.trackers.importlib.util.find_spec", lambda name: None)

    why = refused(1, *PRETEND, "--out", "run", "--track", "wandb")

    assert why == "error: tracker 'wandb' needs wandb: pip install 'bnao[wandb]'"
    assert not Path("run").exists()
