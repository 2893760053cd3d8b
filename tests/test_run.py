"""A run's folder: whole files, one process, a readable log."""

import errno
import json
import os
import subprocess
import sys
import time

import pytest

from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import SearchConfig
from bnao.errors import ConfigError, RunError
from bnao.run import FORMAT, Run, read_config, read_json


@pytest.fixture
def run(tmp_path):
    with Run.create(tmp_path / "run", SearchConfig(rounds=2)) as run:
        yield run


def test_a_new_run_holds_its_settings(run):
    assert run.config(SearchConfig) == SearchConfig(rounds=2)
    assert (run.folder / "config.toml").read_text().splitlines()[1] == 'preset = "paper"'


def test_a_folder_that_holds_a_run_is_not_taken_again(run):
    run.close()
    with pytest.raises(RunError, match=f"already holds a run; resume it with --resume {run.folder}"):
        Run.create(run.folder, SearchConfig())


def test_a_folder_that_holds_other_things_is_not_taken(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(RunError, match="not empty and holds no run"):
        Run.create(tmp_path, SearchConfig())

    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_without_a_run_is_not_opened(tmp_path):
    with pytest.raises(RunError, match=r"holds no run \(no config.toml in it\)"):
        Run.open(tmp_path)
    with pytest.raises(RunError, match="no folder"):
        Run.open(tmp_path / "nowhere")


def test_a_folder_under_a_file_is_refused_by_name(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(RunError, match=r"cannot make the folder .*: Not a directory; name another with --out"):
        Run.create(tmp_path / "file" / "run", SearchConfig())


def test_a_second_process_is_refused_and_a_dead_ones_lock_does_not_matter(run):
    script = f"from bnao.run import Run\nRun.open({str(run.folder)!r})\nprint('open')"

    while_open = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    run.close()
    after = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert f"another process is working in {run.folder}" in while_open.stderr
    assert after.stdout == "open\n"  # the second one ended without closing; so may the next


def test_processes_that_join_a_folder_work_there_together_and_one_after_the_other_holds_its_lock(tmp_path):
    config = EvaluateConfig(seed=3)
    with Run.join(tmp_path / "shared", config) as first, Run.join(tmp_path / "shared", config) as second:
        assert (first.holds_lock, second.holds_lock) == (True, False)
        for number, run in enumerate((first, second, first)):
            run.log({"event": "epoch", "epoch": number})
        first.close()
        second.log({"event": "end"})

        assert second.holds_lock
        assert [event["event"] for event in second.events()] == ["epoch", "epoch", "epoch", "end"]
        with pytest.raises(RunError, match="another process is working in"):
            Run.open(tmp_path / "shared")
        with pytest.raises(RunError, match="was made with seed = 3, and now it is 4; name another folder"):
            Run.join(tmp_path / "shared", EvaluateConfig(seed=4))
    assert read_config(tmp_path / "shared", EvaluateConfig) == config


def test_a_folder_is_joined_where_a_kill_left_no_settings_and_nothing_young_is_removed(tmp_path):
    (tmp_path / ".lock").touch()
    young, old = (tmp_path / f"config.toml.host.{process}.unfinished" for process in (1, 2))
    for path, age in ((young, 0), (old, 7200)):
        path.touch()
        os.utime(path, (time.time() - age,) * 2)

    with Run.join(tmp_path, EvaluateConfig()):
        assert (young.exists(), old.exists()) == (True, False)


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def missing(file, operation):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", missing)

    with pytest.raises(RunError, match=r"its file system has no locks that end with their process \(flock\)"):
        Run.join(tmp_path / "shared", EvaluateConfig())


def test_a_full_disk_leaves_the_last_whole_file(run, monkeypatch):
    run.write("weights", b"whole")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"weights: No space left on device; finished work is kept"):
        run.write("weights", b"half of someth")

    assert (run.folder / "weights").read_bytes() == b"whole"
    assert not list(run.folder.glob("*.unfinished"))


def test_what_a_kill_left_unfinished_is_removed(run):
    (run.folder / "weights.unfinished").write_bytes(b"half")
    run.close()

    with Run.open(run.folder) as again:
        assert not again.has("weights.unfinished")


def test_json_files_bear_their_format_and_others_are_refused_by_number(run):
    run.write_json("result.json", {"ranked": [{"score": 0.5}, {"score": 0.25}]})

    written = json.loads((run.folder / "result.json").read_text())
    assert list(written) == ["format", "sha256", "ranked"]
    assert run.read_json("result.json") == {"format": FORMAT, "ranked": [{"score": 0.5}, {"score": 0.25}]}
    assert len((run.folder / "result.json").read_text().splitlines()) == 8  # an entry a line

    (run.folder / "result.json").write_text('{"format": 99}')
    with pytest.raises(RunError, match="has format 99; this version of bnao reads format 1"):
        run.read_json("result.json")
    (run.folder / "result.json").write_text('{"format":')
    with pytest.raises(RunError, match="is not JSON"):
        read_json(run.folder / "result.json")


def test_the_log_is_one_event_a_line_and_a_cut_line_is_left_out(run):
    run.log({"event": "step", "step": 1})
    run.log({"event": "step", "step": 2})
    with open(run.folder / "log.jsonl", "a") as log:
        log.write('{"event": "st')

    assert [event["step"] for event in run.events()] == [1, 2]
    run.rewind_log(lambda event: event["step"] < 2)
    assert (run.folder / "log.jsonl").read_text() == '{"event": "step", "step": 1}\n'


def test_a_config_file_changed_by_hand_into_none_is_refused_with_its_place(run):
    (run.folder / "config.toml").write_text("rounds = 2.5\n")

    with pytest.raises(ConfigError, match=r"config.toml: rounds is 2.5; it must be a whole number"):
        read_config(run.folder, SearchConfig)
