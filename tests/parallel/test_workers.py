"""Several workers share units of work: each is done once, and what a killed one leaves is taken up."""

import importlib.util
import json
import os
import threading
import time
from pathlib import Path

import pytest

from bnao.config.settings import MachineConfig
from bnao.errors import ConfigError, DivergedError, RunError, WriteError
from bnao.locks import try_lock
from bnao.parallel.engines import THREADS, Workers, cpus
from bnao.parallel.jobs import Job, run_jobs
from bnao.parallel.workers import work_ahead
from bnao.run import Folder
from tests.cli.commands.test_study import SMALL
from tests.cli.test_cli import bnao, finished, refused, start, workplace  # noqa: F401  # fixtures are used by name
from tests.counting_work import Counting

TWO = Workers(number=2)


def results(folder):
    return [json.loads(path.read_text()) for path in sorted((folder / "units").glob("*.json"))]


def begun(folder):
    return sorted(map(int, (folder / "begun.txt").read_text().split()))


def nothing(event):
    pass


@pytest.mark.parametrize(
    ("text", "engine", "number", "address"),
    [("3", "processes", 3, ""), ("ray", "ray", 1, ""), ("dask://head:8786", "dask", 1, "head:8786")],
)
def test_workers_are_a_number_or_a_cluster(text, engine, number, address):
    assert Workers.parse(text) == Workers(engine, number, address)


@pytest.mark.parametrize("text", ["0", "-1", "two", "ray:", "ray://head", "dask://", "spark://head:1"])
def test_other_workers_are_refused(text):
    with pytest.raises(ConfigError, match="it must be a number of processes, ray, ray://HOST:PORT, dask or dask://"):
        Workers.parse(text)


def test_each_unit_is_done_once_and_every_event_but_steps_is_told(tmp_path):
    told = []

    work_ahead(Counting(tmp_path, 6), TWO, told.append, MachineConfig(device="cpu", threads=3))

    assert begun(tmp_path) == list(range(6))
    assert sorted(event["number"] for event in told) == list(range(6))
    assert {event["event"] for event in told} == {"epoch"}
    assert os.getpid() not in {each["process"] for each in results(tmp_path)}
    assert not list(tmp_path.rglob("*.lock"))


def test_the_cpus_are_divided_unless_the_environment_says_otherwise(tmp_path, monkeypatch):
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)

    work_ahead(Counting(tmp_path, 2), TWO, nothing)

    share = str(max(1, cpus() // 2))
    assert {each["threads"] for each in results(tmp_path)} == {share}
    assert THREADS[0] not in os.environ


def test_what_a_killed_process_leaves_another_takes_up(tmp_path):
    work_ahead(Counting(tmp_path, 4, killed=1), TWO, nothing)

    assert len(results(tmp_path)) == 4
    assert begun(tmp_path) == [0, 1, 1, 2, 3]


def test_work_that_kills_every_process_is_named(tmp_path):
    with pytest.raises(RunError, match=r"units/0\.json: 4 worker processes ended .* take fewer --workers"):
        work_ahead(Counting(tmp_path, 1, killed=0, always=True), TWO, nothing)

    assert begun(tmp_path) == [0, 0, 0, 0]


def test_one_process_does_nothing_ahead(tmp_path):
    work_ahead(Counting(tmp_path, 2), Workers(), nothing)

    assert not (tmp_path / "begun.txt").exists()


def test_an_error_of_a_process_is_raised_and_what_was_finished_is_kept(tmp_path):
    with pytest.raises(DivergedError, match="the loss is nan"):
        work_ahead(Counting(tmp_path, 3, fails=2), TWO, nothing)

    assert len(results(tmp_path)) <= 2


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "units").write_text("a file in its place")

    with pytest.raises(WriteError, match="cannot write"):
        work_ahead(Counting(tmp_path, 1), TWO, nothing)


def test_what_another_command_is_doing_is_waited_for_and_taken_up_if_it_ends_without(tmp_path):
    (tmp_path / "units").mkdir()
    held = threading.Event()

    def hold_until_the_others_are_done():
        theirs = try_lock(tmp_path / "units" / "0.lock")
        held.set()
        deadline = time.monotonic() + 120
        while len(results(tmp_path)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        theirs.release()

    other = threading.Thread(target=hold_until_the_others_are_done)
    other.start()
    held.wait()
    work_ahead(Counting(tmp_path, 3), TWO, nothing)
    other.join()

    assert (tmp_path / "begun.txt").read_text().split()[-1] == "0"
    assert len(results(tmp_path)) == 3


def test_a_job_that_another_process_is_doing_is_waited_for_while_others_are_done(tmp_path):
    (tmp_path / "units").mkdir()
    theirs, asked = try_lock(tmp_path / "units" / "0.lock"), []

    def job(number):
        def compute():
            asked.append(number)
            if len(asked) == 2:
                theirs.release()
            return {"number": number}

        return Job(f"units/{number}.json", compute, dict, dict)

    done = [each.value["number"] for each in run_jobs(map(job, range(3)), Folder(tmp_path))]

    assert (asked, done) == ([1, 2, 0], [0, 1, 2])


def test_only_who_claims_a_job_removes_what_was_left_unfinished_of_it(tmp_path):
    folder = Folder(tmp_path)
    names = [f"units/{name}.host.1.2.unfinished" for name in ("1.json", "1.checkpoint.safetensors", "11.json")]
    (tmp_path / "units").mkdir()
    for name in names:
        (tmp_path / name).touch()

    with folder.claimed("units/1.json") as mine, folder.claimed("units/1.json") as again:
        assert (mine, again) == (True, False)

    assert [name for name in names if folder.has(name)] == names[2:]


# --- clusters


def missing(name):
    return importlib.util.find_spec(name) is None


CLUSTERS = [
    pytest.param("ray", marks=pytest.mark.skipif(missing("ray"), reason="needs ray: pip install 'bnao[ray]'")),
    pytest.param("dask", marks=pytest.mark.skipif(missing("distributed"), reason="needs distributed: bnao[dask]")),
]


@pytest.fixture(autouse=True)
def no_other_cluster(monkeypatch):
    """Ray starts a cluster of its own, whatever runs or ran here."""
    monkeypatch.setenv("RAY_ADDRESS", "local")


@pytest.fixture
def importable(monkeypatch):
    """The workers of a cluster find this module."""
    root = str(Path(__file__).resolve().parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_cluster_does_all_and_repeats_what_a_killed_worker_was_at(tmp_path, name, importable, monkeypatch):
    monkeypatch.delenv(THREADS[0], raising=False)
    told = []

    work_ahead(Counting(tmp_path, 4, killed=1), Workers.parse(name), told.append)

    assert [each["threads"] for each in results(tmp_path)] == ["1"] * 4
    assert set(begun(tmp_path)) == {0, 1, 2, 3} and begun(tmp_path).count(1) >= 2
    assert {event["number"] for event in told} == {0, 1, 2, 3}


@pytest.mark.parametrize("name", CLUSTERS)
def test_an_error_in_a_cluster_is_raised_as_it_is(tmp_path, name, importable):
    with pytest.raises(DivergedError, match=r"^the loss is nan$"):
        work_ahead(Counting(tmp_path, 2, fails=1), Workers.parse(name), nothing)


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_study_in_a_cluster_is_that_by_one_process(name):
    for workers in ("1", name):
        study = ("study", "ranking", *SMALL, "--quiet", "--store", f"store-{workers}", "--workers", workers)
        done = bnao(*study, "--out", f"s-{workers}")
        assert done.exit_code == 0, done.output

    assert Path("s-1/study.json").read_bytes() == Path(f"s-{name}/study.json").read_bytes()


@pytest.mark.parametrize("engine", ["ray", "dask"])
def test_a_cluster_that_is_not_installed_is_named(engine, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    why = refused(1, "evaluate", "NAONet-V2", "--workers", engine, "--out", "e")

    assert why.endswith(f"pip install 'bnao[{engine}]'")


# --- in the commands


def test_an_evaluation_by_two_workers_is_that_by_one(finished):  # noqa: F811
    evaluate = ("evaluate", finished, "--top", 3, "--epochs", 2, "--repeats", 2, "--train-images", 640, "--quiet")

    for workers in (1, 2):
        done = bnao(*evaluate, "--out", f"e{workers}", "--workers", workers)
        assert done.exit_code == 0, done.output

    assert Path("e1/evaluation.json").read_bytes() == Path("e2/evaluation.json").read_bytes()
    logs = [sorted(Path(f"e{n}/log.jsonl").read_text().splitlines()) for n in (1, 2)]
    kinds = [[json.loads(line)["event"] for line in log] for log in logs]
    assert sorted(kinds[0]) == sorted(kinds[1])


def test_a_study_by_two_workers_is_that_by_one():
    for workers in (1, 2):
        study = ("study", "ranking", *SMALL, "--short", "1", "--quiet", "--store", f"store{workers}")
        done = bnao(*study, "--out", f"s{workers}", "--workers", workers)
        assert done.exit_code == 0, done.output

    assert Path("s1/study.json").read_bytes() == Path("s2/study.json").read_bytes()


def test_sets_of_genotypes_are_studied_by_one_process():
    why = refused(2, "study", "ranking", *SMALL, "--sizes", "diverse,similar", "--workers", 2, "--out", "s")

    assert "--workers is for one set of genotypes, but --sizes has 2" in why


def test_searches_by_two_workers_find_what_one_finds():
    stability = (
        "stability", "nao,spos", "--searches", 2, "--space", "nas-bench-201", "--steps", 4, "--channels", 4,
        "--evaluate-epochs", 1, "--backend", "pretend", "--no-memory", "--quiet",
    )  # fmt: skip
    for workers in (1, 2):
        done = bnao(*stability, "--out", f"t{workers}", "--workers", workers)
        assert done.exit_code == 0, done.output

    one, two = (json.loads(Path(f"t{workers}/study.json").read_text()) for workers in (1, 2))
    for content in (one, two):
        for entry in content["searches"] + content["methods"]:
            for name in [name for name in entry if name.endswith("seconds")]:
                del entry[name]
    assert one["searches"] == two["searches"] and one["methods"] == two["methods"]
    assert len(Path("t2/log.jsonl").read_text().splitlines()) == 4


def test_the_same_evaluation_started_twice_shares_the_trainings(finished):  # noqa: F811
    evaluate = ("evaluate", finished, "--top", 4, "--epochs", 3, "--repeats", 2, "--train-images", 640, "--quiet")
    assert bnao(*evaluate, "--out", "alone").exit_code == 0

    both = [start(*evaluate, "--out", "shared", PRETEND_SECONDS="0.2") for _ in range(2)]
    said = [process.communicate(timeout=120) for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    assert Path("shared/evaluation.json").read_bytes() == Path("alone/evaluation.json").read_bytes()
    events = [json.loads(line) for line in Path("shared/log.jsonl").read_text().splitlines()]
    ends = [(event["genotype"], event["repeat"]) for event in events if event["event"] == "trained"]
    assert sorted(ends) == [(genotype, repeat) for genotype in range(1, 5) for repeat in (1, 2)]
    assert not list(Path("shared").rglob("*.unfinished"))


def test_of_a_study_started_twice_one_may_be_killed_and_the_other_ends_as_if_alone():
    study = ("study", "ranking", *SMALL, "--quiet", "--pictures", "svg")
    assert bnao(*study, "--store", "alone-store", "--out", "alone").exit_code == 0
    command = (*study, "--store", "store", "--out", "shared")

    first, second = (start(*command, PRETEND_SECONDS="0.1") for _ in range(2))
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(Path("store").rglob("*.json")):
        time.sleep(0.02)
    first.kill()
    first.communicate()
    said = second.communicate(timeout=120)

    assert second.returncode == 0, said
    assert Path("shared/study.json").read_bytes() == Path("alone/study.json").read_bytes()


def test_another_evaluation_in_the_folder_of_one_that_is_running_is_refused(finished):  # noqa: F811
    evaluate = ("evaluate", finished, "--top", 2, "--train-images", 640, "--quiet", "--out", "e")
    running = start(*evaluate, "--epochs", 60, PRETEND_SECONDS="0.1")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not Path("e/config.toml").exists():
        time.sleep(0.02)

    why = refused(1, *evaluate, "--epochs", 61)
    running.kill()
    running.communicate()

    assert "e was made with epochs = 60, and now it is 61" in why
