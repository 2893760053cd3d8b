"""What the README tells people to type is what is checked."""

import itertools
import pathlib
import re
import tomllib

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
