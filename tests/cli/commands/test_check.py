"""``bnao check``: what it names, and its exit code."""

import json
import re
from pathlib import Path

from bnao import verify
from tests.cli.test_cli import bnao, finished, on_table, refused, table, workplace  # noqa: F401  # fixtures, by their names

EVALUATE = ("evaluate", "--backend", "pretend", "--epochs", 1, "--quiet")


def found(folder):
    """The state of each file that is named."""
    return {each.file: each.state for each in verify(folder).findings}


def test_a_whole_run_is_whole_and_nothing_in_it_changes(finished):  # noqa: F811
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}

    done = bnao("check", finished)

    assert done.exit_code == 0, done.output
    assert done.stdout == f"run (search): {len(before)} files are whole; nothing damaged, missing or foreign\n"
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_damaged_missing_and_foreign_files_are_named_with_exit_code_1(finished):  # noqa: F811
    pool = finished / "round-1-pool.json"
    pool.write_bytes(pool.read_bytes()[:-30])
    (finished / "round-2-scores.json").unlink()
    (finished / "notes.txt").write_text("mine")
    (finished / "mine").mkdir()

    done = bnao("check", finished)

    assert done.exit_code == 1
    assert found(finished) == {
        "mine": "foreign", "notes.txt": "foreign", "round-1-pool.json": "damaged", "round-2-scores.json": "missing",
    }  # fmt: skip
    assert re.search(r"^damaged +round-1-pool\.json +run/round-1-pool\.json is not JSON: ", done.stdout, re.M)
    assert done.stdout.endswith("files are whole; 4 not as bnao left them\n")
    assert json.loads(bnao("check", finished, "--json").stdout)["findings"][0]["state"] == "foreign"


def test_a_flipped_bit_in_the_weights_is_found(finished):  # noqa: F811
    weights = finished / "supernet.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)

    assert found(finished) == {"supernet.safetensors": "damaged"}


def test_a_result_of_other_genotypes_than_the_pools_is_found(finished):  # noqa: F811
    bnao(
        "search",
        "--backend",
        "pretend",
        "--rounds",
        2,
        "--pool",
        12,
        "--new",
        6,
        "--steps",
        8,
        "--seed",
        1,
        "--out",
        "2",
    )

    (Path("2") / "result.json").replace(finished / "result.json")

    assert found(finished) == {"result.json": "damaged"}


def test_a_table_search_needs_no_weights(on_table):  # noqa: F811
    bnao(*on_table, "--out", "run")

    assert bnao("check", "run").exit_code == 0


def test_an_evaluation_within_a_run_is_checked_too(finished):  # noqa: F811
    bnao(*EVALUATE, finished, "--top", 1)
    (evaluation,) = finished.glob("evaluate-*")
    (weights,) = evaluation.glob("trainings/*.safetensors")
    weights.unlink()

    assert found(finished) == {f"{evaluation.name}/trainings/{weights.name}": "missing"}


def test_files_of_an_earlier_version_are_counted(finished):  # noqa: F811
    content = json.loads((finished / "result.json").read_text())
    del content["sha256"]
    (finished / "result.json").write_text(json.dumps(content))

    done = bnao("check", finished)

    assert done.exit_code == 0
    assert "1 files are of an earlier version, without checksum" in done.stdout


def test_a_stopped_run_is_whole_and_not_finished(finished):  # noqa: F811
    for name in ("result.json", "supernet.safetensors"):
        (finished / name).unlink()

    done = bnao("check", finished)

    assert done.exit_code == 0
    assert "run (search, not finished): " in done.stdout


def test_a_folder_of_something_else_is_refused():
    Path("mine").mkdir()

    assert refused(1, "check", "mine") == (
        "error: mine has no config.toml; give the folder of a search, an evaluation or a study"
    )
    assert refused(1, "check", "nowhere").startswith("error: no folder nowhere")
