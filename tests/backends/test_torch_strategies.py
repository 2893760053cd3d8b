"""Every strategy that decides at each update, over PyTorch's supernet: to the end, and after a kill -9."""

import json
import time

import numpy as np
import pytest
from click.testing import CliRunner

from bnao.cli import main
from bnao.config.strategies import STEP_LEVEL
from bnao.network.state import read_weights
from bnao.streams import stream

pytest.importorskip("torch")

from tests.backends.test_torch_resume import LIMIT, contents, events, images, start  # noqa: F401

TINY = {
    "space": "nas-bench-201", "channels": 8, "cells": 1, "batch-size": 16, "dev-share": 0.3, "threads": 1, "seed": 3,
    "rounds": 1, "steps": 12, "share-over": "source", "checkpoint-seconds": 0, "top": 2, "spos-population": 6,
    "spos-generations": 2, "spos-crossovers": 3, "spos-mutations": 3, "fairnas-population": 6, "enas-policy-steps": 2,
    "fairnas-generations": 2, "fairnas-crossovers": 3, "fairnas-mutations": 3, "enas-policy-samples": 3,
    "enas-candidates": 4, "p-darts-depths": "1,1,2", "partial-channels": 1,
}  # fmt: skip


def options(data, out, strategy):
    chosen = {**TINY, "data": data, "out": out, "strategy": strategy}
    return [text for name, value in chosen.items() for text in (f"--{name}", value)]


def done(*arguments):
    """What a command prints that is run in this process."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def wholes(images, tmp_path_factory):  # noqa: F811
    """The folder of a finished search by a strategy, made when it is first asked for."""
    made = {}

    def whole(strategy):
        if strategy not in made:
            made[strategy] = tmp_path_factory.mktemp(strategy) / "run"
            done("search", *options(images, made[strategy], strategy), "--quiet")
        return made[strategy]

    return whole


@pytest.mark.parametrize("strategy", STEP_LEVEL)
def test_a_search_by_each_strategy_ends_with_scores_that_its_weights_give_again(wholes, strategy):
    folder = wholes(strategy)

    result = json.loads((folder / "result.json").read_text())
    again = json.loads(done("score", folder, "--json", "--threads", 1, "--quiet"))

    assert result["strategy"]["updates"] == 12
    assert [entry["score"] for entry in again["scores"]] == [entry["run_score"] for entry in again["scores"]]
    assert len(again["scores"]) == len(result["ranked"])
    assert all(np.isfinite(value).all() for value in read_weights(folder / "supernet.safetensors")[0].values())
    losses = [event["loss"] for event in contents(folder)[1] if event["event"] == "update"]
    assert len(losses) == 12


@pytest.mark.parametrize("strategy", ["enas", "p-darts"])
def test_a_search_killed_at_a_random_moment_ends_as_if_it_had_not_been(images, wholes, tmp_path, strategy):  # noqa: F811
    whole = wholes(strategy)
    at = int(stream(1, f"kill {strategy}").integers(1, events(whole)))
    process = start(*options(images, tmp_path / "run", strategy))
    deadline = time.monotonic() + LIMIT
    while events(tmp_path / "run") < at and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)

    process.kill()
    process.communicate()
    done("search", "--resume", tmp_path / "run", "--quiet")

    assert contents(tmp_path / "run") == contents(whole)


def test_a_strategy_learns_images_that_a_small_network_can_learn(images, tmp_path):  # noqa: F811
    chosen = options(images, tmp_path / "run", "spos")

    done("search", *chosen, "--steps", 300, "--learning-rate", 0.1, "--quiet")

    best = json.loads((tmp_path / "run" / "result.json").read_text())["ranked"][0]
    assert best["score"] > 0.45  # of four classes
