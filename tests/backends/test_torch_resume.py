"""What was killed with kill -9 at any moment ends bit for bit as if it had not been."""

import json
import os
import signal
import time

import pytest

from bnao.network.state import read_weights
from bnao.space.spaces import space_named
from bnao.streams import stream
from bnao.testing import save_images
from tests.killing import LIMIT, contents, events, finish, images_file, kill_after, options, start

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return images_file(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def whole(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    finish(start(*options(images, folder)))
    return folder


@pytest.mark.parametrize("moment", range(3))
def test_a_search_killed_at_a_random_moment_ends_as_if_it_had_not_been(images, whole, tmp_path, moment):
    at = int(stream(0, "kill", moment).integers(1, events(whole)))
    kill_after(at, start(*options(images, tmp_path / "run")), tmp_path / "run")
    finish(start("--resume", tmp_path / "run"))

    assert contents(tmp_path / "run") == contents(whole)


def test_a_search_killed_while_it_writes_a_file_ends_as_if_it_had_not_been(images, whole, tmp_path):
    process = start(*options(images, tmp_path / "run"))

    def unfinished():
        return [*(tmp_path / "run").glob(f"checkpoint.safetensors.*{process.pid}*.unfinished")]

    deadline = time.monotonic() + LIMIT
    while process.poll() is None and time.monotonic() < deadline:
        if unfinished():
            # stopped, it cannot finish the file while we look whether it is still there
            os.kill(process.pid, signal.SIGSTOP)
            time.sleep(0.01)
            if unfinished():
                break
            os.kill(process.pid, signal.SIGCONT)

    process.kill()
    process.communicate()
    assert unfinished()
    finish(start("--resume", tmp_path / "run"))

    assert not unfinished()
    assert contents(tmp_path / "run") == contents(whole)


def test_a_finished_search_resumed_says_so_and_changes_nothing(whole):
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in whole.iterdir() if path.name != ".lock"}

    process = start("--resume", whole)
    out, err = process.communicate(timeout=LIMIT)

    assert process.returncode == 0
    assert "finished" in out + err
    after = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in whole.iterdir() if path.name != ".lock"}
    assert after == before


def test_a_search_of_two_rounds_resumed_to_three_is_one_of_three(images, tmp_path):
    # drop path's progress within a round does not depend on the number of rounds
    chosen = [*options(images, tmp_path / "run"), "--drop-path-keep", 1]
    finish(start(*chosen))
    finish(start("--resume", tmp_path / "run", "--rounds", 3))
    whole = [str(tmp_path / "whole") if text == tmp_path / "run" else text for text in chosen]
    finish(start(*whole, "--rounds", 3))

    (files, log), (files_of_whole, log_of_whole) = contents(tmp_path / "run"), contents(tmp_path / "whole")
    assert files == files_of_whole
    assert [event for event in log if event["event"] != "round"] == [e for e in log_of_whole if e["event"] != "round"]


def test_a_search_from_the_weights_of_another_begins_where_that_ended(images, whole, tmp_path):
    still = ("--learning-rate", 0, "--learning-rate-end", 0)
    finish(start(*options(images, tmp_path / "run"), "--from-supernet", whole, *still))

    theirs, _ = read_weights(whole / "supernet.safetensors")
    ours, _ = read_weights(tmp_path / "run" / "supernet.safetensors")
    assert all((ours[name] == theirs[name]).all() for name in theirs)


def test_the_controller_is_held_against_what_it_did_not_learn_from_and_what_it_proposed(images, tmp_path):
    shown = finish(start(*options(images, tmp_path / "run"), "--pool", 20))

    result = json.loads((tmp_path / "run" / "result.json").read_text())
    (learning,) = result["learning"]
    assert (learning["round"], learning["held_out"]["learned_from"], learning["held_out"]["n"]) == (2, 18, 2)
    assert 0 <= learning["held_out"]["reconstruction_distance"] <= 1
    assert 0 <= learning["proposals"] <= 3
    assert "controller: predicted against found scores, held out and of its proposals" in shown


def test_an_evaluation_killed_within_an_epoch_ends_as_if_it_had_not_been_however_many_processes_read(tmp_path):
    (genotype,) = space_named("nao", 2).random_genotypes(1, stream(0, "killed"))
    chosen = {
        "preset": "imagenet", "data-dir": save_images(tmp_path / "images", classes=8), "image-size": 32, "nodes": 2,
        "channels": "auto", "max-multiply-adds": "200K", "cells": 1, "batch-size": 4, "epochs": 4,
        "checkpoint-seconds": 0, "threads": 1,
    }  # fmt: skip
    arguments = [genotype, *(text for name, value in chosen.items() for text in (f"--{name}", value))]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(start(*arguments, "--data-workers", 2, "--out", whole, command="evaluate"))

    process = start(*arguments, "--data-workers", 1, "--out", killed, command="evaluate")
    deadline = time.monotonic() + LIMIT
    while process.poll() is None and time.monotonic() < deadline and made(killed) % 8 in (0, 7):
        time.sleep(0.001)
    process.kill()
    process.communicate()
    steps = made(killed)
    finish(start(*arguments, "--data-workers", 0, "--out", killed, command="evaluate"))

    assert 0 < steps < 32 and steps % 8
    assert results(killed) == results(whole)
    assert len(results(whole)) == 4  # the evaluation and its plan, and the training's result and weights


def made(folder):
    """Steps that the checkpoint of a folder's training holds."""
    for path in folder.glob("trainings/*.checkpoint.safetensors"):
        return read_weights(path)[1]["step"]
    return 0


def results(folder):
    """What an evaluation leaves, but for what it says of the machine."""
    files = [path for path in folder.rglob("*") if path.suffix in (".json", ".safetensors") and path.name != "run.json"]
    return {path.name: path.read_bytes() for path in files}
