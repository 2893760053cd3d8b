"""Trackers: which numbers of events they keep, and where they write them."""

import csv
import struct

import pytest

from bnao.errors import BnaoError, ConfigError
from bnao.events import EVENTS
from bnao.reporting.trackers import TRACKERS, figures, tracker
from tests.test_events import of_a_search, of_a_study, of_an_evaluation

STEPS = [
    {"event": "step", "round": place, "step": step, "steps": 2, "loss": 1 / step, "rate": 0.1, "seconds": 0.5}
    for place in (1, 2)
    for step in (1, 2)
]
EXPECTED = {("supernet/loss", 1, 1.0), ("supernet/loss", 2, 0.5), ("supernet/loss", 3, 1.0), ("supernet/loss", 4, 0.5)}


def losses(found):
    return {(name, step, value) for name, step, value in found if name == "supernet/loss"}


@pytest.mark.parametrize("work", [of_a_search, of_an_evaluation, of_a_study])
def test_no_two_numbers_of_an_event_stream_have_a_name_and_a_step_in_common(work):
    seen = set()

    def listen(event):
        if (event["event"], event.get("round")) == ("pool", 1):  # another search begins
            seen.clear()
        for figure in figures(event):
            assert (figure.name, figure.step) not in seen, event
            seen.add((figure.name, figure.step))

    work(listen)

    assert seen


def test_what_was_measured_is_kept_and_where_it_was_is_not():
    texts = {
        "alarm", "controller", "figures", "message", "method", "phases", "sampler", "scored_images", "sources", "stop",
        "supernets",
    }  # fmt: skip
    names = {field for of in EVENTS.values() for fields in of.values() for field in fields} - texts

    kept = set()
    for name in names:
        kept |= {figure.name.rpartition("/")[2] for figure in figures({"event": "x", name: 0.5})}

    assert kept == {
        "loss", "rate", "seconds", "best", "accuracy", "test_error", "error", "pairwise_accuracy", "kendall_tau",
        "milliseconds", "parameters", "reconstruction_distance", "score", "tau", "before_bytes", "updates_bytes",
        "peak_bytes", "device_bytes",
    }  # fmt: skip


def test_what_is_not_a_finite_number_is_left_out():
    event = {"event": "measured", "round": 2, "kendall_tau": None, "pairwise_accuracy": float("nan"), "text": "a"}

    assert figures(event) == []


def test_csv_has_a_row_a_number_and_goes_on_where_it_was(tmp_path):
    for part in (STEPS[:2], STEPS[2:]):
        with tracker("csv", tmp_path) as track:
            for event in part:
                track(event)

    with open(tmp_path / "track.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert losses((row["name"], int(row["step"]), float(row["value"])) for row in rows) == EXPECTED
    assert len(rows) == 4 * 3  # loss, rate and seconds


def test_tensorboard_reads_the_scalars_and_the_settings(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    with tracker("tensorboard", tmp_path, {"network": {"cells": 3}}) as track:
        for event in STEPS:
            track(event)

    (path,) = (tmp_path / "tensorboard").iterdir()
    content, at, found, texts = path.read_bytes(), 0, [], []
    while at < len(content):  # a record: its length, a checksum of that, itself, a checksum
        (length,) = struct.unpack_from("<Q", content, at)
        event = Event.FromString(content[at + 12 : at + 12 + length])
        at += 16 + length
        for value in event.summary.value:
            if value.HasField("simple_value"):
                found.append((value.tag, event.step, value.simple_value))
            else:
                texts.append(value.tensor.string_val[0].decode())
    assert losses(found) == EXPECTED
    assert any("network.cells | 3" in text for text in texts)


def test_mlflow_has_the_metrics_and_the_settings(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    from mlflow.tracking import MlflowClient

    with tracker("mlflow", tmp_path, {"network": {"cells": 3}}, title="mine") as track:
        for event in STEPS:
            track(event)

    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("bnao").experiment_id])
    history = client.get_metric_history(run.info.run_id, "supernet/loss")
    assert {("supernet/loss", each.step, each.value) for each in history} == EXPECTED
    assert (run.data.params["network.cells"], run.info.run_name, run.info.status) == ("3", "mine", "FINISHED")


def test_wandb_keeps_a_run_without_a_network(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")

    with tracker("wandb", tmp_path, {"network": {"cells": 3}}) as track:
        for event in STEPS:
            track(event)

    (path,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    content = path.read_bytes()
    assert b"supernet/loss" in content
    assert b"network.cells" in content


def test_a_tracker_that_is_not_known_or_not_installed_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="no tracker 'tensorbord'; there is csv, tensorboard, mlflow, wandb"):
        tracker("tensorbord", tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name in set(TRACKERS) - {"csv"}:
        with pytest.raises(BnaoError, match=f"tracker '{name}' needs .*: pip install"):
            tracker(name, tmp_path)
