"""``bnao draw``: a picture on standard output or in a file, and what is refused."""

import pathlib
import sys
import xml.etree.ElementTree as ET

import pytest
from click.testing import CliRunner

from bnao.cli import main

# the published cell, NAONet-V2
PUBLISHED = "1 1 0 1 2 4 0 0 0 0 2 1 0 0 0 2 0 3 0 0 0 2 0 2 2 2 1 0 0 0 0 1 0 0 0 3 0 0 0 1"
ONE_NODE = "0:sep_conv_3x3+1:skip_connect|0:skip_connect+0:max_pool_3x3"


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def draw(*arguments, **settings):
    result = CliRunner().invoke(main, ["draw", *map(str, arguments)], **settings)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def refused(code, *arguments):
    result = draw(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("bnao: error: ").removesuffix("\n")


def texts(content):
    return [element.text for element in ET.fromstring(content).iter("{http://www.w3.org/2000/svg}text")]


def test_without_a_file_the_svg_is_all_that_is_on_standard_output():
    result = draw("--nodes", 1, ONE_NODE)

    assert result.exit_code == 0
    assert [text for text in texts(result.stdout) if "_" in text] == [
        "sep_conv_3x3", "skip_connect", "max_pool_3x3 /2", "skip_connect /2",
    ]  # fmt: skip
    assert list(pathlib.Path().iterdir()) == []


@pytest.mark.parametrize(("file", "begin"), [("cell.svg", b"<svg "), ("cell.png", b"\x89PNG"), ("cell.pdf", b"%PDF-")])
def test_a_file_is_written_as_its_suffix_says_and_told(file, begin):
    pathlib.Path(file).write_text("what was there before")

    result = draw(PUBLISHED, "-o", file)

    assert (result.exit_code, result.stdout) == (0, f"{file}\n")
    assert pathlib.Path(file).read_bytes().startswith(begin)


def test_the_published_cell_shows_its_twenty_operations():
    shown = [text for text in texts(draw(PUBLISHED).stdout) if "_" in text]

    assert len(shown) == 20
    # by hand from the integers: in the reduction cell all edges but one read an input
    assert sum(text.endswith(" /2") for text in shown) == 9


def test_every_notation_can_be_drawn_and_a_dash_reads_standard_input():
    bench = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|avg_pool_3x3~2|"

    from_argument = draw("--space", "nas-bench-201", bench)
    from_input = draw("--space", "nas-bench-201", "-", input=f"{bench}\n")

    assert from_argument.exit_code == 0
    assert texts(from_argument.stdout).count("none") == 2
    assert from_input.stdout == from_argument.stdout


def test_a_genotype_in_a_file_can_be_drawn():
    pathlib.Path("found.txt").write_text(f"# the best\n{PUBLISHED}\n")

    assert draw("--file", "found.txt").stdout == draw(PUBLISHED).stdout


def test_a_picture_that_cannot_be_written_is_refused_with_the_reason(monkeypatch):
    assert refused(2, PUBLISHED, "-o", "cell.jpg") == (
        "cell.jpg is not a valid name for a picture; it must end in .svg, .png, .pdf"
    )
    assert refused(1, PUBLISHED, "-o", "no/cell.svg") == "cannot write no/cell.svg: there is no folder no"
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert refused(1, PUBLISHED, "-o", "cell.pdf") == (
        "a PDF needs matplotlib: pip install 'bnao[plot]'; an SVG needs nothing"
    )
    assert list(pathlib.Path().iterdir()) == []


@pytest.mark.parametrize(
    ("code", "arguments", "told"),
    [
        (2, (), "no genotype; give one"),
        (2, (PUBLISHED, PUBLISHED), "2 genotypes; a picture shows one"),
        (2, tuple(PUBLISHED.split()), "40 single integers; put a genotype's integers in quotes"),
        (1, ("hello",), "'hello' is not a genotype"),
        (1, (ONE_NODE,), "the normal cell has 1 node; a cell of space 'nao' with 5 nodes needs 5"),
        (2, ("--space", "nasnett", PUBLISHED), "'nasnett' is not"),
    ],
)
def test_what_is_no_genotype_or_more_than_one_is_refused(code, arguments, told):
    assert told in refused(code, *arguments)


def test_a_published_cell_is_drawn_by_its_name_with_its_own_output(tmp_path):
    result = CliRunner().invoke(main, ["draw", "DARTS_V2", "-o", str(tmp_path / "cell.svg")])

    assert result.exit_code == 0
    # all four nodes of both cells are given out, and no input
    assert (tmp_path / "cell.svg").read_text().count('<path class="output"') == 8
