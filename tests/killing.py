"""Commands in processes of their own, to be killed and resumed, and what they leave."""

import json
import subprocess
import sys
import time

import numpy as np

from bnao.testing import small_dataset

LIMIT = 300  # seconds a search of this size may take at the very most, on a slow machine that is busy


def images_file(folder):
    """A data set of a few images, as a file."""
    data = small_dataset()
    np.savez(
        folder / "corners.npz",
        x_train=np.concatenate([data.x_train, data.x_dev]),
        y_train=np.concatenate([data.y_train, data.y_dev]),
        x_test=data.x_test,
        y_test=data.y_test,
    )
    return folder / "corners.npz"


def start(*arguments, command="search"):
    command = [sys.executable, "-c", "from bnao.cli import main; main()", command, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def options(images, out):
    chosen = {
        "data": images, "out": out, "rounds": 2, "pool": 4, "new": 3, "n-seeds": 2, "steps": 12, "channels": 4,
        "cells": 1, "nodes": 2, "batch-size": 16, "dev-share": 0.3, "controller-epochs": 4,
        "checkpoint-seconds": 0, "threads": 1, "seed": 3,
    }  # fmt: skip
    return [text for name, value in chosen.items() for text in (f"--{name}", value)]


def finish(process):
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, err
    return out


def contents(folder):
    """Every file's bytes; in the log, all but the seconds."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != ".lock"}
    events = [json.loads(line) for line in files.pop("log.jsonl").splitlines()]
    return files, [{name: value for name, value in event.items() if name != "seconds"} for event in events]


def events(folder):
    log = folder / "log.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0


def kill_after(n, process, folder):
    """Kill -9 a process once its log has so many events."""
    deadline = time.monotonic() + LIMIT
    while events(folder) < n and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()
    process.communicate()
