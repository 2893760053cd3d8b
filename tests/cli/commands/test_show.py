"""``bnao show``: words, drawings, exact sizes, and what happens to genotypes that are none."""

import io
import json
import pathlib
import resource
import sys

import pytest
from click.testing import CliRunner

from bnao.cli import main
from bnao.cli.text import drawn, in_words
from bnao.space.genotype import Cell, Edge, Node
from bnao.space.spaces import SPACES
from bnao.streams import stream

# the published cell, NAONet-V2
PUBLISHED = "1 1 0 1 2 4 0 0 0 0 2 1 0 0 0 2 0 3 0 0 0 2 0 2 2 2 1 0 0 0 0 1 0 0 0 3 0 0 0 1"
ONE_NODE = "0:sep_conv_3x3+1:skip_connect|0:skip_connect+0:max_pool_3x3"


def show(*arguments, **settings):
    result = CliRunner().invoke(main, ["show", *map(str, arguments)], **settings)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def refused(code, *arguments, **settings):
    result = show(*arguments, **settings)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("bnao: error: ").removesuffix("\n")


def objects(result):
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


# --- sizes


def test_the_published_cell_has_the_published_parameters():
    (shown,) = objects(show("--json", PUBLISHED))

    assert shown["parameters"] == 4_387_654  # C = 36, N = 6, the defaults
    assert (shown["space"], shown["nodes"]) == ("nao", 5)


def test_the_published_cell_on_imagenet_has_the_published_parameters_and_multiply_adds():
    imagenet = ("--network", "imagenet", "--cells", 4, "--classes", 1000, "--image", "224x224x3", PUBLISHED)

    (at_52,), (at_44,) = (objects(show("--json", "--channels", channels, *imagenet)) for channels in (52, 44))

    assert at_52["parameters"] == 7_026_850
    assert round(at_52["multiply_adds"] / 1e6, 2) == 782.07
    assert round(at_44["multiply_adds"] / 1e6, 2) == 570.13


def test_sizes_are_told_in_text_too():
    assert "4,387,654 parameters, " in show(PUBLISHED).stdout


def test_the_counted_networks_have_their_parameters(tmp_path):
    rows = json.loads((pathlib.Path(__file__).parents[2] / "facts" / "params_nao.json").read_text())["rows"]
    for channels, cells in {(row["channels"], row["cells"]) for row in rows}:
        counted = [row for row in rows if (row["channels"], row["cells"]) == (channels, cells)]
        (tmp_path / "counted.txt").write_text("\n".join(row["genotype"] for row in counted))

        shown = objects(show("--json", "--channels", channels, "--cells", cells, "--file", tmp_path / "counted.txt"))

        assert [each["parameters"] for each in shown] == [row["parameters"] for row in counted]


# --- notations


def test_both_notations_give_the_same_object():
    (from_integers,) = objects(show("--json", PUBLISHED))
    from_both = objects(show("--json", from_integers["genotype"], from_integers["integers"]))

    assert from_both == [from_integers, from_integers]
    # the same but for the order of a node's two edges: the first node is 1 1 0 1 and becomes 0 1 1 1
    assert sorted(from_integers["integers"]) == sorted(PUBLISHED)
    assert from_integers["integers"].startswith("0 1 1 1 0 0 2 4 ")


def test_a_file_gives_one_object_a_line_in_its_order(tmp_path):
    genotypes = [str(genotype) for genotype in SPACES["nao"].random_genotypes(20, stream(0, "a file"))]
    file = tmp_path / "some.txt"
    file.write_text("# a comment\n\n" + "\n".join(genotypes) + "\n")

    assert [shown["genotype"] for shown in objects(show("--json", "--file", file))] == genotypes


def test_a_dash_reads_standard_input():
    result = show("--json", "-", input=f"{PUBLISHED}\n{PUBLISHED}\n")

    assert [shown["parameters"] for shown in objects(result)] == [4_387_654, 4_387_654]


def test_ten_thousand_lines_take_seconds(tmp_path):
    genotypes = SPACES["nao"].random_genotypes(10_000, stream(0, "many"))
    (tmp_path / "many.txt").write_text("\n".join(map(str, genotypes)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime

    result = show("--json", "--file", tmp_path / "many.txt")

    assert result.stdout.count("\n") == 10_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 10  # 1.7 s on two slow cores


# --- words and drawings


def test_a_cell_is_told_in_words():
    result = show("--nodes", 1, ONE_NODE)

    assert result.stdout.splitlines()[3:6] == [
        "Normal cell  (a: the cell before the last, b: the last cell)",
        "  node 0 = sep_conv_3x3 of the cell before the last + skip_connect of the last cell",
        "  output = node 0",
    ]
    assert "  output = the last cell and node 0, concatenated" in result.stdout


def test_a_node_is_told_by_the_nodes_it_reads():
    cell = Cell([Node([Edge(0, "max_pool_3x3"), Edge(1, "max_pool_3x3")]), Node([Edge(2, "skip_connect")])])

    assert in_words(cell, cell.loose_ends)[1] == "node 1 = skip_connect of node 0"


def test_a_cell_is_drawn_with_a_column_a_state_and_a_row_an_edge():
    # state 1 is never read: it and node 1 are the output
    cell = Cell([Node([Edge(0, "sep_conv_3x3"), Edge(0, "skip_connect")]), Node([Edge(2, "avg_pool_3x3")])])

    assert drawn(cell, cell.loose_ends) == [
        "a   b",
        "├───│───╮        sep_conv_3x3",
        "╰───│───┤        skip_connect",
        "    │   0",
        "    │   ╰───╮    avg_pool_3x3",
        "    │       1",
        "    ╰───────┴─── output",
    ]


def test_where_only_ascii_can_be_shown_the_drawing_is_ascii(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", out)
    with pytest.raises(SystemExit):
        main.main(["show", "--nodes", "1", ONE_NODE])
    out.flush()

    text = out.buffer.getvalue().decode("ascii")
    assert "`---|---.    sep_conv_3x3" in text


# --- what is no genotype


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (PUBLISHED[:-2], "39 integers; a genotype of space 'nao' with 5 nodes has 40"),
        ("2" + PUBLISHED[1:], "integer 0 (the first state of node 0 in the normal cell) is 2; it can be 0..1"),
        (
            PUBLISHED[:-1] + "5",
            "integer 39 (the second operation of node 4 in the reduction cell) is 5; it can be 0..4",
        ),
        ("hello", "'hello' is not a genotype; no published cell 'hello'"),
        (ONE_NODE, "the normal cell has 1 node; a cell of space 'nao' with 5 nodes needs 5"),
    ],
)
def test_a_genotype_that_cannot_be_is_refused_with_its_place(text, told):
    assert told in refused(1, text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            ONE_NODE.replace("1:skip", "2:skip"),
            "normal cell: node 0 reads state 2, but only states 0..1 exist before it",
        ),
        (
            ONE_NODE.replace("max_pool", "min_pool"),
            "reduction cell: node 0 has the operation 'min_pool_3x3'; space 'nao'",
        ),
        (ONE_NODE.replace("+1:skip_connect", ""), "normal cell: node 0 has 1 edge; a node of space 'nao' has 2"),
    ],
)
def test_a_later_state_an_unknown_operation_and_a_lone_edge_are_refused(text, told):
    assert told in refused(1, "--nodes", 1, text)


def test_an_error_in_a_file_names_the_file_and_the_line(tmp_path):
    file = tmp_path / "some.txt"
    file.write_text(f"# a comment\n{PUBLISHED}\n1 2 3\n")

    assert refused(1, "--file", file).startswith(f"{file}, line 3: 3 integers")
    assert refused(1, "-", input="\nhello\n").startswith("standard input, line 2: 'hello'")
    assert refused(1, PUBLISHED, "hello").startswith("genotype 2: 'hello'")


def test_a_file_that_is_absent_or_no_text_is_refused(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x01")

    assert refused(2, "--file", "nowhere.txt") == "cannot read nowhere.txt: No such file or directory"
    assert "binary is not text in UTF-8" in refused(1, "--file", tmp_path / "binary")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "no genotype; give one or more, --file FILE, or - for standard input"),
        (tuple(PUBLISHED.split()), "40 single integers; put a genotype's integers in quotes"),
        (("--image", "32x32", PUBLISHED), "'32x32' is not an image shape; give HxWxC, such as 32x32x3"),
        (("--image", "4x4x3", PUBLISHED), "images are 4 x 4 pixels"),
        (
            ("--channels", 0, PUBLISHED),
            "channels is auto; say how large a network may be, such as --max-multiply-adds 600M",
        ),
        (("--classes", 1, PUBLISHED), "classes is 1; it must be >= 2 and <= 1000000"),
        (("--channels", 999_999_999_999, PUBLISHED), "channels is 999999999999; it must be >= 2 and <= 16384"),
        (("--cells", "9G", PUBLISHED), "cells is 9000000000; it must be >= 1 and <= 1000"),
        (("--classes", "9" * 40, PUBLISHED), "it must be >= 2 and <= 1000000"),
        (("--image", "999999999x32x3", PUBLISHED), "image is 999999999x32x3; height, width and channels must each"),
        (("--channels", "9" * 5000, PUBLISHED), "…' is not a valid integer, such as 20 or 600M"),
        (("--network", "vgg", PUBLISHED), "'vgg' is not one of 'cifar', 'imagenet'"),
        (("--space", "nasnett", PUBLISHED), "'nasnett' is not"),
    ],
)
def test_usage_that_cannot_be_is_refused(arguments, told):
    assert told in refused(2, *arguments)


def test_a_network_whose_multiply_adds_are_beyond_int64_is_counted_exactly():
    arguments = ("--channels", 16384, "--cells", 6, "--image", "16384x16384x3", "--json", PUBLISHED)

    (one,), both = objects(show(*arguments)), objects(show(*arguments, "DARTS_V2"))

    assert one["multiply_adds"] == both[0]["multiply_adds"] > 2**63


def test_nothing_is_written_where_something_is_wrong(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    refused(1, PUBLISHED, "hello")

    assert list(pathlib.Path().iterdir()) == []


# --- other notations and spaces


def test_a_published_cell_is_shown_in_its_own_space():
    (shown,) = objects(show("--json", "DARTS_V2"))

    assert (shown["space"], shown["nodes"], shown["parameters"]) == ("darts", 4, 3_349_342)


def test_genotypes_of_several_spaces_are_shown_each_in_its_own():
    shown = objects(show("--json", "DARTS_V2", PUBLISHED, "NASNet-A"))

    assert [each["parameters"] for each in shown] == [3_349_342, 4_387_654, 3_830_950]


def test_a_space_that_is_named_is_the_one_all_must_be_of():
    told = "DARTS_V2 is of space 'darts' with 4 nodes, where space 'nao' with 5 is asked for"

    assert refused(1, "--space", "nao", "DARTS_V2") == told


def test_the_output_of_a_darts_cell_is_all_its_nodes():
    result = show("DARTS_V2")

    assert result.stdout.count("  output = node 0, node 1, node 2 and node 3, concatenated") == 2


@pytest.mark.parametrize(
    ("notation", "begins"),
    [
        ("text", "0:sep_conv_5x5+1:sep_conv_5x5;0:sep_conv_3x3+2:skip_connect;"),
        ("nao", "0 1 1 1 0 0 2 4 "),
        ("integers", "0 1 1 1 0 0 2 4 "),
        ("nao-v1", "nao-v1: 0 1 1 1 0 0 2 4 "),
        ("enas", "[0 1 1 1 0 0 2 4 "),
        (
            "darts",
            "Genotype(normal=[('sep_conv_5x5', 0), ('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('skip_connect', 2)",
        ),
        ("json", '{"format": 1, "space": "nao", "output": "loose ends", "normal": [[[0, "sep_conv_5x5"]'),
    ],
)
def test_a_genotype_is_printed_in_the_notation_asked_for_and_read_again(notation, begins):
    result = show("--as", notation, PUBLISHED)

    assert result.stdout.startswith(begins)
    assert result.stdout.count("\n") == 1
    assert objects(show("--json", "--space", "nao", result.stdout)) == objects(show("--json", PUBLISHED))


def test_a_notation_that_cannot_express_a_genotype_says_which_edge():
    told = "node 3 of the normal cell has the operation 'dil_conv_3x3', for which ENAS has no number"

    assert refused(1, "--as", "enas", "DARTS_V2").startswith(told)


def test_a_notation_and_json_exclude_each_other():
    assert "--json and --as exclude each other" in refused(2, "--json", "--as", "json", PUBLISHED)
