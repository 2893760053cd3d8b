"""The commands on docs/paper.md and docs/tables.md exist, and the numbers on docs/paper.md are those of bnao."""

import json
import pathlib
import re
import shlex
import subprocess
import sys

import click
import pytest
from attrs import evolve
from click.testing import CliRunner

from bnao.cli import main
from bnao.config.settings import NetworkConfig
from bnao.network.size import count_multiply_adds, count_parameters
from bnao.space.zoo import published_cell

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = ("paper.md", "tables.md")

#: options and values that other work brings; a command with one that bnao lacks yet is expected to fail
AWAITED: set[str] = set()


def text_of(page):
    return (ROOT / "docs" / page).read_text(encoding="utf-8")


def commands(page):
    """The lines of a page's console blocks."""
    blocks = re.findall(r"^```console\n(.*?)^```$", text_of(page), re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines()]


def parsed(words):
    """The command that words call, and what is given to it; nothing is run.

    Raises:
        click.UsageError: no such command, option or value, or an argument is missing.
    """
    context = click.Context(main, info_name="bnao")
    command = main
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        command = found
        context = click.Context(command, info_name=name, parent=context)
    given, rest, _ = command.make_parser(context).parse_args(list(words))
    assert not rest, rest
    for parameter in command.params:
        value = given.get(parameter.name)
        assert value is not None or not parameter.required or parameter.default is not None, (
            f"{parameter.name} is missing"
        )
        if value is not None and not isinstance(parameter.type, click.Path | click.File):
            parameter.type_cast_value(context, value)
    return command, given


@pytest.mark.parametrize("line", [line for page in PAGES for line in commands(page) if line.startswith("bnao ")])
def test_a_pages_command_exists_and_its_settings_are_accepted(line, tmp_path, monkeypatch):
    words = shlex.split(line)[1:]
    monkeypatch.chdir(tmp_path)
    try:
        command, _ = parsed(words)
        if "show_config" in (parameter.name for parameter in command.params) and words[1] not in ("RUN", "balanced-0"):
            done = CliRunner().invoke(main, [*words, "--show-config"])
            assert done.exit_code == 0, done.output
    except (click.UsageError, AssertionError):
        if AWAITED & set(words):
            pytest.xfail("bnao does not have it yet")
        raise


@pytest.mark.parametrize("line", [line for page in PAGES for line in commands(page) if not line.startswith("bnao ")])
def test_what_else_a_page_calls_is_the_script_with_arguments_that_it_takes(line, tmp_path):
    python, script, *words = shlex.split(line)
    assert (python, script) == ("python", "scripts/table_to_csv.py")

    done = subprocess.run(
        [sys.executable, ROOT / script, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    # exit code 2 is argparse's; here the files are missing
    assert done.returncode == 1, done.stderr
    assert "No such file or directory" in done.stderr


def test_a_command_that_does_not_exist_is_found():
    for line in (
        "serch",
        "search --presets paper",
        "search --rounds many",
        "study ranking --sizes tall",
        "show",
        "study size",
    ):
        with pytest.raises((click.UsageError, AssertionError)):
            parsed(shlex.split(line))
            assert CliRunner().invoke(main, [*shlex.split(line), "--show-config"]).exit_code == 0


@pytest.mark.parametrize("page", PAGES)
def test_a_pages_links_lead_somewhere(page):
    text = text_of(page)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for link in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = link.partition("#")
        if not path:
            assert anchor in anchors, link
        elif not path.startswith("https://"):
            assert (ROOT / "docs" / path).is_file(), link


def test_the_sizes_that_the_page_on_the_paper_tells_are_counted_by_bnao():
    text = text_of("paper.md")
    balanced, shared = published_cell("NAONet-V2").genotype, published_cell("NAONet-B").genotype
    cifar = NetworkConfig(channels=36, cells=6)
    imagenet = NetworkConfig(channels=52, cells=4, network="imagenet", classes=1000, image=(224, 224, 3))

    assert f"trains has {count_parameters(balanced, cifar):,}" in text
    assert f"{count_parameters(shared, cifar):,} in the 20" in text
    assert f"{count_parameters(shared, NetworkConfig(channels=36, cells=5)):,} in 17 cells" in text
    millions = count_multiply_adds(balanced, imagenet) / 1e6
    assert f"trains {millions:.0f} M and {count_parameters(balanced, imagenet):,} parameters" in text
    mobile = [count_multiply_adds(balanced, evolve(imagenet, channels=channels)) / 1e6 for channels in (45, 46)]
    assert mobile[0] < 600 < mobile[1]
    assert f"45 channels are the most that keep the setting ({mobile[0]:.0f} M)" in text


def test_the_gains_and_the_deviation_that_the_page_tells_are_those_of_the_results(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    sys.modules.pop("results_figures", None)
    from results_figures import PAPER

    gains = [balanced - random for random, balanced in zip(PAPER["uniform"], PAPER["proportional"], strict=True)]
    agreement = json.loads((ROOT / "docs" / "results" / "agreement" / "study.json").read_text(encoding="utf-8"))
    text = " ".join(text_of("paper.md").split())

    assert ", ".join(f"+{gain}" for gain in gains) + " points" in text
    assert f"deviation of {100 * agreement['columns'][0]['deviation_of_draws']:.1f} points" in text


def test_the_tables_that_the_page_lists_have_as_many_rows_and_are_read(shared_data):
    text = text_of("tables.md")
    for names, rows in re.findall(r"^\| (`[^|]+) \| ([\d, ]+) \|", text, re.MULTILINE):
        for name, count in zip(re.findall(r"`([^`]+)`", names), re.findall(r"\d+(?:,\d{3})*", rows), strict=True):
            (path,) = (shared_data / "tables").glob(f"*/{name}")
            with path.open(encoding="utf-8") as file:
                assert sum(1 for _ in file) - 1 == int(count.replace(",", "")), name
