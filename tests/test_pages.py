"""README.md and the pages: commands exist, Python runs, links lead somewhere, and numbers are those of bnao."""

import doctest
import importlib
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

import bnao
from bnao.cli import main
from bnao.config.settings import NetworkConfig
from bnao.network.size import count_multiply_adds, count_parameters
from bnao.space.zoo import published_cell

ROOT = pathlib.Path(__file__).resolve().parents[1]
#: README and pages, by their paths from the root; the template's commands are those of what is made of it
PAGES = [
    "README.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")) if "template" not in path.name),
]

#: options and values that other work brings; a command with one that bnao lacks yet is expected to fail
AWAITED: set[str] = set()
#: what is not called by the name of a command of bnao, and is tried by other tests or by whoever installs it
INSTALLATION = ("pip install ", "python3 -m venv ")
RUNS = {"RUN", "balanced-0"}


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


def commands(page):
    """The lines of a page's console blocks, and the commands in the rows of the README's table."""
    blocks = re.findall(r"^```console\n(.*?)^```$", text_of(page), re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines() if not line.startswith(INSTALLATION)]
    rows = re.findall(r"^\|.*\|$", text_of(page), re.MULTILINE) if page == "README.md" else []
    lines += [cell for row in rows for cell in re.findall(r"`(bnao [^`]+)`", row)]
    return [line.removeprefix(".venv/bin/").removeprefix(".venv-keras/bin/") for line in lines]


ALL = [(page, line) for page in PAGES for line in commands(page)]
OF_BNAO = [each for each in ALL if each[1].startswith(("bnao ", "torchrun "))]
OF_SCRIPTS = [each for each in ALL if each not in OF_BNAO]


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
        absent = value is None or (parameter.nargs == -1 and not isinstance(value, tuple))
        if not absent and not isinstance(parameter.type, click.Path | click.File):
            parameter.type_cast_value(context, value)
    return command, given


@pytest.mark.parametrize(("page", "line"), OF_BNAO)
def test_a_pages_command_exists_and_its_settings_are_accepted(page, line, tmp_path, monkeypatch):
    words = shlex.split(line, comments=True)
    words = words[words.index("bnao") + 1 :]
    monkeypatch.chdir(tmp_path)
    try:
        command, given = parsed(words)
        has_settings = "show_config" in (parameter.name for parameter in command.params)
        if (
            has_settings
            and not RUNS & set(words)
            and not any(given.get(name) for name in ("pool_file", "genotypes_file"))
        ):
            done = CliRunner().invoke(main, [*words, "--show-config"])
            assert done.exit_code == 0, done.output
    except (click.UsageError, AssertionError):
        if AWAITED & set(words):
            pytest.xfail("bnao does not have it yet")
        raise


@pytest.mark.parametrize(("page", "line"), OF_SCRIPTS)
def test_what_else_a_page_calls_is_a_script_with_arguments_that_it_takes(page, line, tmp_path):
    python, script, *words = shlex.split(line, comments=True)
    assert python == "python"
    assert (ROOT / script).is_file(), script
    if script != "scripts/table_to_csv.py":
        done = subprocess.run(
            [sys.executable, ROOT / script, "--help"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert all(word in done.stdout for word in words if word.startswith("--"))
        return

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


def anchors(page):
    """What a link to a page can lead to: its headings, and anchors of their own."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    own = re.findall(r'<a id="([^"]+)"></a>', text_of(page))
    return {*own, *(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)}


@pytest.mark.parametrize("page", PAGES)
def test_a_pages_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)]+)\)", text_of(page)):
        path, _, anchor = link.partition("#")
        target = page if not path else str((ROOT / page).parent.joinpath(path).relative_to(ROOT))
        if path.startswith("https://"):
            continue
        assert (ROOT / target).exists(), link
        if anchor and target != "docs/api.md":  # its headings come of docstrings
            assert anchor in anchors(target), link
        elif anchor:
            assert f"\n## {anchor.capitalize()}\n" in text_of(target), link


@pytest.mark.parametrize("page", ["README.md", "docs/trust.md"])
def test_an_interval_that_a_page_tells_is_one_of_the_results(page):
    results = " ".join(text_of("docs/results.md").split())
    prose = re.sub(r"^```.*?^```$", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    told = re.findall(r"\S+ \[[+-]?[\d.]+, [+-]?[\d.]+\](?!\()", " ".join(prose.split()))

    assert len(told) >= 5
    for each in told:
        assert each in results, each


def test_the_api_page_has_each_public_name():
    listed = set(re.findall(r"^::: bnao\.(\w+)$", text_of("docs/api.md"), re.MULTILINE))

    assert set(bnao.__all__) - {"SPACES", "BnaoError", "__version__"} == listed - {"streams", "errors", "protocols"}


PYTHON = [
    (page, number, block)
    for page in PAGES
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```$", text_of(page), re.DOTALL | re.MULTILINE))
    if "keras" not in block and 'load_backend("torch")' not in block and "listen=" not in block
]


@pytest.mark.parametrize(("page", "number", "block"), PYTHON, ids=[f"{page} {number}" for page, number, _ in PYTHON])
def test_a_pages_python_runs(page, number, block, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(block, {"__name__": "page"})

    for line in block.splitlines():
        if found := re.fullmatch(r"print\(.*\)  # (.+)", line):
            assert found[1] in capsys.readouterr().out


def test_the_search_in_python_is_that_of_the_readme():
    block = re.findall(r"^```python\n(.*?)^```$", text_of("docs/python.md"), re.DOTALL | re.MULTILINE)[2]

    readme = [line.partition("  #")[0] for line in text_of("README.md").splitlines()]
    for line in block.splitlines():
        assert line in readme


@pytest.mark.parametrize("page", [page for page in PAGES if "<!-- printout: show -->" in text_of(page)])
def test_a_printout_that_takes_no_training_is_what_is_printed(page, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from make_printouts import PRINTOUTS, blocks

    done = CliRunner().invoke(main, PRINTOUTS["show"].arguments)

    assert blocks(text_of(page))["show"] == PRINTOUTS["show"].shown(done.output)


def test_each_marked_printout_can_be_made_and_is_shown(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from make_printouts import PRINTOUTS, blocks

    shown = {name for page in PAGES for name in blocks(text_of(page))}

    assert shown == set(PRINTOUTS)
    for printout in PRINTOUTS.values():
        parsed(printout.arguments)


@pytest.mark.parametrize("script", ["make_printouts", "number_decisions", "results_page"])
def test_the_examples_of_a_script_that_makes_pages_are_true(script, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))

    failed, tried = doctest.testmod(importlib.import_module(script))

    assert tried
    assert not failed


def test_each_decision_has_a_number_that_stays(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from number_decisions import numbered

    numbers = [int(number) for number in re.findall(r'<a id="d(\d+)"></a>', text_of("docs/decisions.md"))]

    assert numbered(text_of("docs/decisions.md")) == text_of("docs/decisions.md"), "run python docs/number_decisions.py"
    assert len(set(numbers)) == len(numbers) >= 50


def test_a_decision_that_the_code_cites_is_there():
    known = anchors("docs/decisions.md")
    for path in [*(ROOT / "bnao").rglob("*.py"), *(ROOT / "docs").glob("*.md")]:
        for number in re.findall(r"\bdecision D(\d+)\b", path.read_text(encoding="utf-8"), re.IGNORECASE):
            assert f"d{number}" in known, f"{path} cites D{number}"


def test_the_sizes_that_the_page_on_the_paper_tells_are_counted_by_bnao():
    text = text_of("docs/paper.md")
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
    text = " ".join(text_of("docs/paper.md").split())

    assert ", ".join(f"+{gain}" for gain in gains) + " points" in text
    assert f"deviation of {100 * agreement['columns'][0]['deviation_of_draws']:.1f} points" in text


def test_the_tables_that_the_page_lists_have_as_many_rows_and_are_read(shared_data):
    text = text_of("docs/tables.md")
    for names, rows in re.findall(r"^\| (`[^|]+) \| ([\d, ]+) \|", text, re.MULTILINE):
        for name, count in zip(re.findall(r"`([^`]+)`", names), re.findall(r"\d+(?:,\d{3})*", rows), strict=True):
            (path,) = (shared_data / "tables").glob(f"*/{name}")
            with path.open(encoding="utf-8") as file:
                assert sum(1 for _ in file) - 1 == int(count.replace(",", "")), name
