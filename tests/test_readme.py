"""What the README tells people to type is what is checked."""

import itertools
import pathlib
import re
import tomllib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


def first_block_under(heading):
    """The lines of the first console or sh block under a heading of the README, without prompts."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
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


def test_every_requirement_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    required = {re.match(r"[a-z0-9-]+", each)[0] for each in itertools.chain(project["dependencies"], *extras)}
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    }

    assert {"numpy", "attrs", "pytest"} <= required
    assert required <= pinned


def test_the_example_of_evaluate_prints_the_folder_of_the_run_that_it_names_and_tells_its_time():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    before, command, after = re.split(r"bnao evaluate (runs/\S+) --top 5 --random 10\n", text)
    minutes, seconds = map(int, re.search(r"^took (\d+):(\d\d), ", after, re.MULTILINE).groups())

    assert re.search(r"^folder: (runs/\S+)/evaluate", after, re.MULTILINE)[1] == command
    assert f"took {round(minutes + seconds / 60)} minutes" in before.splitlines()[-5] + before.splitlines()[-4]


def test_one_search_has_one_time_or_the_readme_says_why():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"^took (\S+), ", text, re.MULTILINE)[1]
    compared = re.search(r"^\| `bnao search`, preset quick[^|]*\| (\S+) ", text, re.MULTILINE)[1]

    assert shown == compared or f"The search shown at the top took {shown}" in text


def python_blocks():
    return re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def test_the_readmes_python_runs_and_gives_what_it_says():
    sampler_block, sizes_block, *_ = python_blocks()
    names = {}

    exec(sampler_block, names)
    exec(sizes_block, names)

    assert names["sampler"].probabilities.tolist() == [0.25, 0.75]
    assert names["sampler"].expected(1000).tolist() == [250, 750]
    assert names["parameters"](names["published"], names["NetworkConfig"](channels=36, cells=6)) == 4_387_654
    assert names["pairwise_accuracy"](predicted=[0.1, 0.3, 0.2], truth=[1, 3, 2]) == 1.0


def test_the_readmes_search_by_hand_finds_a_genotype():
    pytest.importorskip("torch")
    block = python_blocks()[2]
    line = 'config = preset(SearchConfig, "quick")\n'
    assert line in block
    small = 'build(SearchConfig, {"rounds": 2, "pool": 4, "new": 2, "steps": 2, "controller": {"epochs": 2}}, config)'
    names = {}

    exec(block.replace(line, f"{line}from bnao.config.settings import build\nconfig = {small}\n"), names)

    assert len(names["result"].ranked) == 6
