"""What the README tells people to type is what is checked."""

import itertools
import pathlib
import re
import tomllib

import pytest
from click.testing import CliRunner

from bnao.cli import main

ROOT = pathlib.Path(__file__).resolve().parents[1]


def readme():
    return (ROOT / "README.md").read_text(encoding="utf-8")


def first_block_under(heading):
    """The lines of the first console or sh block under a heading of the README, without prompts."""
    section = readme().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    block = re.search(r"^```(?:console|sh|bash|shell)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    assert block, f"no console block under '{heading}'"
    return [line.removeprefix("$ ").strip() for line in block[1].splitlines() if line.strip()]


def commands_of_ci():
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith(("#", "set ", "cd "))]


def test_the_readmes_command_for_all_checks_is_the_one_that_ci_runs():
    assert first_block_under("Run the checks") == commands_of_ci()


def test_the_readme_installs_with_the_pinned_versions():
    for heading in ("Install and search", "Run the checks"):
        assert any("pip install -c constraints.txt" in line for line in first_block_under(heading)), heading


def test_the_readme_has_at_most_150_lines():
    assert len(readme().splitlines()) <= 150


def test_every_requirement_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    required = {re.match(r"[a-z0-9-]+", each)[0] for each in itertools.chain(project["dependencies"], *extras)}
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    }

    assert {"numpy", "attrs", "pytest", "mkdocs-material"} <= required
    assert required <= pinned


def python_blocks():
    return re.findall(r"^```python\n(.*?)^```$", readme(), re.DOTALL | re.MULTILINE)


def test_the_readmes_python_runs_and_gives_what_it_says():
    _, block = python_blocks()
    names = {}

    exec(block, names)

    assert names["sampler"].probabilities.tolist() == [0.25, 0.75]
    assert names["sampler"].expected(1000).tolist() == [250, 750]
    assert (
        names["count_parameters"](names["parse"]("NAONet-V2"), names["NetworkConfig"](channels=36, cells=6))
        == 4_387_654
    )
    assert names["pairwise_accuracy"](predicted=[0.1, 0.3, 0.2], truth=[1, 3, 2]) == 1.0


def test_the_readmes_search_by_hand_finds_a_genotype():
    pytest.importorskip("torch")
    block = python_blocks()[0]
    line = 'config = preset(SearchConfig, "quick")\n'
    assert line in block
    small = 'build(SearchConfig, {"rounds": 2, "pool": 4, "new": 2, "steps": 2, "controller": {"epochs": 2}}, config)'
    names = {}

    exec(block.replace(line, f"{line}from bnao.config.fields import build\nconfig = {small}\n"), names)

    assert len(names["result"].ranked) == 6


@pytest.fixture(scope="module")
def small_search(tmp_path_factory):
    """What a search of the preset quick-shared, made small, and an evaluation of it print, by the printout's name."""
    pytest.importorskip("torch")
    run = str(tmp_path_factory.mktemp("printouts") / "run")
    search = [
        "search",
        "--preset",
        "quick-shared",
        "--rounds",
        "1",
        "--pool",
        "3",
        "--steps",
        "3",
        "--dev-images",
        "20",
        "--train-images",
        "640",
    ]
    evaluate = ["evaluate", run, "--top", "1", "--random", "1", "--epochs", "1", "--train-images", "640"]
    runner = CliRunner()
    done = {"search": runner.invoke(main, [*search, "--out", run]), "evaluate": runner.invoke(main, evaluate)}
    assert all(each.exit_code == 0 for each in done.values()), [each.output for each in done.values()]
    return {name: each.stdout for name, each in done.items()}


def columns(printed):
    """The heads of a printout's table."""
    return re.split(r" {2,}", printed.strip("\n").split("\n")[0].strip())


@pytest.mark.parametrize("name", ["search", "evaluate"])
def test_the_columns_shown_are_those_that_are_printed(small_search, name, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from make_printouts import blocks

    page = ROOT / "docs" / "first-search.md"

    assert columns(blocks(page.read_text(encoding="utf-8"))[name]) == columns(small_search[name])
    assert columns(blocks(readme())["search"]) == columns(small_search["search"])


def test_the_folder_of_a_run_is_read_from_what_a_search_prints(small_search, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from make_printouts import run_of

    assert pathlib.Path(run_of(small_search["search"]), "result.json").is_file()


def test_the_readme_explains_each_column_of_its_table(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from make_printouts import blocks

    explained = re.findall(r"`([^`]+)`", "".join(re.findall(r"^\| (`[^|]+) \|", readme(), re.MULTILINE)))

    assert set(columns(blocks(readme())["search"])) - {"rank"} <= set(explained)
