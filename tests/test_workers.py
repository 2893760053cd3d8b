"""Several processes share units of work: each is done once, and what a killed one leaves is taken up."""

import json
import os
import signal
from pathlib import Path

import pytest
from attrs import frozen

from bnao.errors import DivergedError, WriteError
from bnao.workers import work_ahead
from bnao.run import Folder
from tests.cli.commands.test_study import SMALL
from tests.cli.test_cli import bnao, finished, refused, workplace  # noqa: F401  # the fixtures are used by their names


@frozen
class Counting:
    """Work whose units write who did them, and how many threads their process has; some go wrong."""

    folder: Path
    n: int
    killed: int = -1
    fails: int = -1

    def units(self, tell):
        return [self._unit(number, tell) for number in range(self.n)]

    def _unit(self, number, tell):
        folder = Folder(self.folder)

        def compute():
            with open(self.folder / "begun.txt", "a") as file:
                file.write(f"{number}\n")
            if number == self.killed and not (self.folder / "killed").exists():
                (self.folder / "killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            if number == self.fails:
                raise DivergedError("the loss is nan")
            tell({"event": "epoch", "number": number})
            tell({"event": "step", "number": number})
            folder.write_json(f"units/{number}.json", {"process": os.getpid(), "threads": os.environ[THREADS[0]]})

        return Unit(f"units/{number}", folder, lambda: folder.has(f"units/{number}.json"), compute)


def results(folder):
    return [json.loads(path.read_text()) for path in sorted((folder / "units").glob("*.json"))]


def begun(folder):
    return sorted(map(int, (folder / "begun.txt").read_text().split()))


def test_each_unit_is_done_once_and_every_event_but_steps_is_told(tmp_path):
    told = []

    work_ahead(Counting(tmp_path, 6), 2, told.append, threads=3)

    assert begun(tmp_path) == list(range(6))
    assert sorted(event["number"] for event in told) == list(range(6))
    assert {event["event"] for event in told} == {"epoch"}
    assert os.getpid() not in {each["process"] for each in results(tmp_path)}
    assert not list(tmp_path.rglob("*.lock"))


def test_the_cpus_are_divided_unless_the_environment_says_otherwise(tmp_path, monkeypatch):
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)

    work_ahead(Counting(tmp_path, 2), 2, lambda event: None)

    share = str(max(1, (os.cpu_count() or 1) // 2))
    assert {each["threads"] for each in results(tmp_path)} == {share}
    assert THREADS[0] not in os.environ


def test_what_a_killed_process_leaves_another_takes_up(tmp_path):
    work_ahead(Counting(tmp_path, 4, killed=1), 2, lambda event: None)

    assert len(results(tmp_path)) == 4
    assert begun(tmp_path) == [0, 1, 1, 2, 3]


def test_one_process_does_nothing_ahead(tmp_path):
    work_ahead(Counting(tmp_path, 2), 1, lambda event: None)

    assert not (tmp_path / "begun.txt").exists()


def test_an_error_of_a_process_is_raised_and_what_was_finished_is_kept(tmp_path):
    with pytest.raises(DivergedError, match="the loss is nan"):
        work_ahead(Counting(tmp_path, 3, fails=2), 2, lambda event: None)

    assert len(results(tmp_path)) <= 2


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "units").write_text("a file in its place")

    with pytest.raises(WriteError, match="cannot write"):
        work_ahead(Counting(tmp_path, 1), 2, lambda event: None)


# --- in the commands


def test_an_evaluation_by_two_processes_is_that_by_one(finished):  # noqa: F811
    evaluate = ("evaluate", finished, "--top", 3, "--epochs", 2, "--repeats", 2, "--train-images", 640, "--quiet")

    for processes in (1, 2):
        done = bnao(*evaluate, "--out", f"e{processes}", "--processes", processes)
        assert done.exit_code == 0, done.output

    assert Path("e1/evaluation.json").read_bytes() == Path("e2/evaluation.json").read_bytes()
    logs = [sorted(Path(f"e{n}/log.jsonl").read_text().splitlines()) for n in (1, 2)]
    kinds = [[json.loads(line)["event"] for line in log] for log in logs]
    assert sorted(kinds[0]) == sorted(kinds[1])


def test_a_study_by_two_processes_is_that_by_one():
    for processes in (1, 2):
        study = ("study", "ranking", *SMALL, "--short", "1", "--quiet", "--store", f"store{processes}")
        done = bnao(*study, "--out", f"s{processes}", "--processes", processes)
        assert done.exit_code == 0, done.output

    assert Path("s1/study.json").read_bytes() == Path("s2/study.json").read_bytes()


def test_sets_of_genotypes_are_studied_by_one_process():
    why = refused(2, "study", "ranking", *SMALL, "--sizes", "diverse,similar", "--processes", 2, "--out", "s")

    assert "--processes is for one set of genotypes, but --sizes has 2" in why
