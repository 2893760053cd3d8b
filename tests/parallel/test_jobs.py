import json
import os

import pytest

from bnao.errors import RunError, WriteError
from bnao.parallel.jobs import Job, run_jobs
from bnao.run import Folder


def squares(numbers, asked):
    """Jobs that square numbers, and note in ``asked`` which they were asked for."""

    def job(number):
        def compute():
            asked.append(number)
            return number * number

        return Job(f"squares/{number}.json", compute, lambda value: {"square": value}, lambda of: int(of["square"]))

    return [job(number) for number in numbers]


def values(jobs, folder):
    return [(finished.value, finished.known) for finished in run_jobs(jobs, folder)]


def test_what_a_folder_knows_is_not_computed_again(tmp_path):
    folder, asked = Folder(tmp_path), []
    first = values(squares([2, 3], asked), folder)
    again = values(squares([3, 4, 2], asked), folder)

    assert first == [(4, False), (9, False)]
    assert again == [(9, True), (16, False), (4, True)]
    assert asked == [2, 3, 4]


def test_without_a_folder_every_job_is_computed_and_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = []

    assert values(squares([2, 2], asked), None) == [(4, False), (4, False)]
    assert asked == [2, 2]
    assert list(tmp_path.iterdir()) == []


def test_a_result_is_one_whole_versioned_file(tmp_path):
    values(squares([2], []), Folder(tmp_path))

    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")] == ["squares/2.json"]
    content = json.loads((tmp_path / "squares" / "2.json").read_text())
    assert len(content.pop("sha256")) == 64
    assert content == {"format": 1, "square": 4}


@pytest.mark.parametrize("text", ['{"format": 1, "squ', '{"format": 1}', '{"format": 2, "square": 4}', "[]"])
def test_a_damaged_result_is_refused_by_the_name_of_its_file(text, tmp_path):
    folder, asked = Folder(tmp_path), []
    values(squares([2], asked), folder)
    (tmp_path / "squares" / "2.json").write_text(text)

    with pytest.raises(RunError, match=r"squares/2\.json"):
        values(squares([2], asked), folder)
    assert asked == [2]


def test_jobs_are_done_one_after_the_other_as_they_are_asked_for(tmp_path):
    asked = []
    done = run_jobs(squares([2, 3, 4], asked), Folder(tmp_path))

    next(done)

    assert asked == [2]


def test_results_before_one_that_fails_are_kept(tmp_path):
    folder, asked = Folder(tmp_path), []
    jobs = squares([2, 3], asked)
    failing = Job("fails.json", lambda: 1 / 0, lambda value: {}, lambda of: 1)

    with pytest.raises(ZeroDivisionError):
        values([jobs[0], failing, jobs[1]], folder)

    assert [job.is_done(folder) for job in (jobs[0], failing, jobs[1])] == [True, False, False]


def test_a_job_continues_a_result_that_is_known_in_part(tmp_path):
    folder = Folder(tmp_path)
    folder.write_json("letters.json", {"letters": "ab"})
    job = Job(
        "letters.json",
        lambda: folder.read_json("letters.json")["letters"] + "c",
        lambda value: {"letters": value},
        lambda content: content["letters"] if len(content["letters"]) == 3 else None,
    )

    assert not job.is_done(folder)
    assert job.result(folder) == "abc"
    assert job.is_done(folder)


def test_scraps_go_when_the_result_is_kept_and_not_before(tmp_path):
    folder = Folder(tmp_path)
    folder.write("job.checkpoint", b"half")
    seen = []
    job = Job(
        "job.json", lambda: seen.append(folder.has("job.checkpoint")) or 1, lambda value: {}, lambda of: 1,
        scraps=("job.checkpoint",),
    )  # fmt: skip

    job.result(folder)

    assert seen == [True]
    assert folder.has("job.json") and not folder.has("job.checkpoint")


@pytest.mark.skipif(os.geteuid() == 0, reason="the super-user may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    tmp_path.chmod(0o500)

    with pytest.raises(WriteError, match=r"cannot write .*squares/2\.json"):
        values(squares([2], []), Folder(tmp_path))
