"""A genotype's picture: no label touches another or a box, and the files are what their suffixes say."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET

import matplotlib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from PIL import Image

from bnao.errors import BnaoError, ConfigError, WriteError
from bnao.space.drawing import save, svg
from bnao.space.drawing.columns import Place, Port, arrange
from bnao.space.drawing.layout import HEADING_FONT, kind_of, text_width
from bnao.space.genotype import Cell, Edge, Genotype, Node
from bnao.space.spaces import SPACES

SVG = "{http://www.w3.org/2000/svg}"
RULES = ("loose ends", "nodes", "loose nodes", "last node")
OPERATIONS = (
    "sep_conv_3x3", "avg_pool_3x3", "skip_connect", "none", "conv_7x1_1x7", "nor_conv_3x3", "dil_conv_5x5", "identity",
)  # fmt: skip

# node 0 reads the last cell twice, node 1 both inputs, node 2 node 0 alone
TEXT = "1:sep_conv_3x3+1:none;0:skip_connect+1:avg_pool_3x3;2:max_pool_3x3+2:max_pool_3x3"


@st.composite
def cells(draw, nodes, inputs):
    def edges(node):
        edge = st.builds(Edge, st.integers(0, inputs + node - 1), st.sampled_from(OPERATIONS))
        return st.lists(edge, min_size=1, max_size=3)

    return Cell([Node(draw(edges(node))) for node in range(nodes)], inputs)


@st.composite
def genotypes(draw):
    nodes, rule = draw(st.integers(1, 8)), draw(st.sampled_from(RULES))
    if draw(st.booleans()):
        return Genotype(draw(cells(nodes, 1)), output=rule)
    return Genotype(draw(cells(nodes, 2)), draw(cells(nodes, 2)), output=rule)


def overlap(one, other):
    return (
        min(one.right, other.right) - max(one.x, other.x) > 0.01
        and min(one.y + one.height, other.y + other.height) - max(one.y, other.y) > 0.01
    )


def along(line, steps=16):
    """Points on a line's curves."""
    for first in range(0, len(line.points) - 1, 3):
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = line.points[first : first + 4]
        for step in range(steps + 1):
            t = step / steps
            a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
            yield a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3


def passed(line, boxes):
    """The boxes that a line goes through, their borders left out."""
    points = list(along(line))
    return [
        box
        for box in boxes
        if any(box.x + 1 < x < box.right - 1 and box.y + 1 < y < box.y + box.height - 1 for x, y in points)
    ]


def name(box):
    return " ".join(box.lines)


def source(picture, line):
    x, y = line.points[0]
    (found,) = [box for box in picture.boxes if abs(box.right - x) < 0.2 and abs(box.middle[1] - y) < 0.2]
    return name(found)


def reader(picture, line):
    x, y = line.points[-1]
    (found,) = [box for box in picture.boxes if abs(box.x - x) < 0.2 and box.y < y < box.y + box.height]
    if found.kind == "sum":
        (found,) = [box for box in picture.boxes if box.x == found.right and box.middle[1] == found.middle[1]]
    return name(found)


def into_output(genotype):
    """What runs into the output of the first cell."""
    picture = genotype.picture()
    second = picture.headings[1].y if len(picture.headings) > 1 else picture.height
    return sorted(
        source(picture, line) for line in picture.lines if line.kind == "output" and line.points[-1][1] < second
    )


def texts(content):
    return [element.text for element in ET.fromstring(content).iter(f"{SVG}text")]


# --- the layout


@settings(max_examples=300)
@given(genotypes())
def test_no_label_overlaps_a_label_or_a_box_and_no_box_a_box(genotype):
    picture = genotype.picture()

    frames = [*picture.labels, *picture.boxes]
    for number, one in enumerate(frames):
        assert not any(overlap(one, other) for other in frames[number + 1 :])


@settings(max_examples=150)
@given(genotypes())
def test_everything_is_within_the_picture_and_each_text_within_its_frame(genotype):
    picture = genotype.picture()

    for box in (*picture.boxes, *picture.labels):
        assert box.x > 0
        assert box.right < picture.width
        assert box.y > picture.headings[0].y
        assert box.y + box.height < picture.height
        assert max(map(text_width, box.lines)) <= box.width
    for line in picture.lines:
        assert all(0 < x < picture.width and picture.headings[0].y < y < picture.height for x, y in line.points)
    for heading in picture.headings:
        assert not any(box.y < heading.y < box.y + box.height for box in picture.boxes)


@settings(max_examples=150)
@given(genotypes())
def test_a_line_goes_through_the_label_of_its_own_edge_and_through_nothing_else(genotype):
    picture = genotype.picture()

    labels = list(picture.labels)
    for line in picture.lines:
        assert passed(line, picture.boxes) == []
        through = passed(line, picture.labels)
        if line.kind == "output":
            assert [name(label) for label in through] in ([], ["/2"])
        else:
            (label,) = through
            operation = name(label).removesuffix(" /2")
            assert label.told == f"{reader(picture, line)} reads {source(picture, line)} by {operation}"
            assert (line.kind == "none") == (operation == "none")
        for label in through:
            labels.remove(label)
    assert labels == []


def test_each_edge_has_a_label_though_a_node_reads_a_state_twice_by_the_same_operation():
    picture = Genotype.parse(f"{TEXT}|{TEXT}", output="loose ends").picture()

    normal = [name(label) for label in picture.labels[:6]]
    assert sorted(normal) == [
        "avg_pool_3x3", "max_pool_3x3", "max_pool_3x3", "none", "sep_conv_3x3", "skip_connect",
    ]  # fmt: skip
    assert len(picture.labels) == 12
    assert sum(line.kind != "output" for line in picture.lines) == 12


def test_a_reduction_cells_edges_from_its_inputs_are_marked_and_so_is_an_input_in_its_output():
    # the cell before the last is a loose end of the reduction cell
    cell = "1:sep_conv_3x3+1:avg_pool_3x3;2:skip_connect+2:sep_conv_3x3"

    picture = Genotype.parse(f"{cell}|{cell}", output="loose ends").picture()

    marked = sorted(name(label) for label in picture.labels if "/2" in name(label))
    assert marked == ["/2", "avg_pool_3x3 /2", "sep_conv_3x3 /2"]
    assert [heading.text for heading in picture.headings] == ["Normal cell", "Reduction cell (/2: at stride 2)"]


@pytest.mark.parametrize(
    ("rule", "states"),
    [
        ("loose ends", ["node 1", "node 2"]),
        ("nodes", ["node 0", "node 1", "node 2"]),
        ("loose nodes", ["node 1", "node 2"]),
        ("last node", ["node 2"]),
    ],
)
def test_the_output_is_made_by_the_genotypes_rule(rule, states):
    cell = Genotype.parse(f"{TEXT}|{TEXT}", output="loose ends").normal

    assert into_output(Genotype(cell, cell, output=rule)) == states


def test_an_input_that_no_node_reads_is_a_loose_end_where_the_rule_takes_it_and_else_leads_nowhere():
    cell = Cell([Node([Edge(1, "skip_connect"), Edge(1, "avg_pool_3x3")])])
    with_inputs, nodes_alone = (Genotype(cell, cell, output=rule) for rule in ("loose ends", "loose nodes"))

    assert into_output(with_inputs) == ["node 0", "the cell before the last"]
    assert into_output(nodes_alone) == ["node 0"]
    for genotype, kind in ((with_inputs, "loose end"), (nodes_alone, "unread")):
        kinds = {name(box): box.kind for box in genotype.picture().boxes}
        assert kinds["the cell before the last"] == kind
        assert kinds["the last cell"] == "state"


def test_several_states_are_concatenated_and_one_is_the_output():
    (two,) = [
        name(box)
        for box in Genotype.parse("0:skip_connect;0:none", output="loose ends").picture().boxes
        if box.kind == "output"
    ]
    (one,) = [
        name(box)
        for box in Genotype.parse("0:skip_connect;1:none", output="loose ends").picture().boxes
        if box.kind == "output"
    ]

    assert (two, one) == ("output: concat", "output")


def test_a_node_of_one_edge_shows_no_sum():
    picture = Genotype.parse("0:skip_connect;0:none+1:skip_connect", output="loose ends").picture()

    assert sum(box.kind == "sum" for box in picture.boxes) == 1


def test_every_known_operation_has_a_kind():
    kinds = {operation: kind_of(operation) for space in SPACES.values() for operation in space.operations}

    assert "other" not in kinds.values()
    assert (kinds["nor_conv_3x3"], kinds["dil_conv_5x5"], kinds["none"]) == ("convolution", "dilated", "none")


def test_lines_that_need_not_cross_do_not():
    # two chains side by side, told crosswise: states 2 and 4 read 1, states 3 and 5 read 0
    sources = {2: 1, 3: 0, 4: 2, 5: 3}
    places = [Place(state, [Port(sources[state])] if state in sources else [], height=20) for state in range(6)]

    columns = arrange([*places, Place(6, [Port(4), Port(5)], height=20)])

    assert [[place.state for place in column] for column in columns] == [[0, 1], [3, 2], [5, 4], [6]]


def test_a_line_that_nothing_is_in_the_way_of_is_straight():
    # the input runs past two nodes; they make room for it
    picture = Genotype.parse("0:skip_connect;1:skip_connect;2:skip_connect+0:none", output="loose ends").picture()

    (line,) = [line for line in picture.lines if line.kind == "none"]
    heights = {y for _, y in line.points[3:10]}
    assert len(heights) == 1


@pytest.mark.parametrize("bold", [False, True])
def test_text_is_at_most_as_wide_as_the_layout_holds(bold):
    font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")
    headings = ["Normal cell", "Reduction cell (/2: at stride 2)"]
    every_letter = [10 * chr(code) for code in range(33, 127) if chr(code) != "$"]  # which begins a formula
    known = [f"{operation} /2" for space in SPACES.values() for operation in space.operations]

    for text in headings if bold else [*every_letter, *known, "the cell", "before the last", "node 15", "output:"]:
        drawn = TextPath((0, 0), text, size=HEADING_FONT, prop=font, usetex=False)

        extents = drawn.get_extents()
        assert extents.x1 - extents.x0 <= text_width(text, HEADING_FONT) * (1.2 if bold else 1), text


# --- SVG


@settings(max_examples=50)
@given(genotypes())
def test_the_svg_is_xml_that_names_every_operation_and_draws_every_edge(genotype):
    root = ET.fromstring(svg(genotype.picture()))

    operations = [edge.operation for cell in genotype.cells for node in cell.nodes for edge in node.edges]
    shown = [text.removesuffix(" /2") for text in texts(ET.tostring(root))]
    assert sorted(text for text in shown if text in OPERATIONS) == sorted(operations)
    drawn = [path for path in root.iter(f"{SVG}path") if path.get("class") in ("edge", "none")]
    assert len(drawn) == len(operations)
    assert root.find(f"{SVG}desc").text == str(genotype)


def test_the_svg_is_white_all_over_whatever_is_behind_it():
    root = ET.fromstring(svg(Genotype.parse(f"{TEXT}|{TEXT}", output="loose ends").picture()))

    background = next(element for element in root if element.tag not in (f"{SVG}title", f"{SVG}desc"))
    assert (background.tag, background.get("fill")) == (f"{SVG}rect", "#FFFFFF")
    assert (background.get("width"), background.get("height")) == (root.get("width"), root.get("height"))
    assert background.get("x") is None


def test_two_pictures_fit_on_one_page_since_nothing_in_them_has_an_id():
    assert " id=" not in svg(Genotype.parse(f"{TEXT}|{TEXT}", output="loose ends").picture())


def test_an_operation_of_any_name_gives_xml():
    strange = Genotype(Cell([Node([Edge(0, 'a<b> & "c"')])], inputs=1), output="loose ends")

    assert 'a<b> & "c"' in texts(svg(strange.picture()))


def test_the_svg_is_the_same_in_every_process():
    parsed = f"Genotype.parse('{TEXT}|{TEXT}', output='loose ends')"
    code = f"from bnao.space.genotype import Genotype; print({parsed}._repr_svg_(), end='')"

    written = [
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True,
            check=True, timeout=60,
        ).stdout
        for seed in "12"
    ]  # fmt: skip

    assert written[0] == written[1] == svg(Genotype.parse(f"{TEXT}|{TEXT}", output="loose ends").picture())


def test_in_a_notebook_a_genotype_shows_itself():
    genotype = Genotype.parse(f"{TEXT}|{TEXT}", output="loose ends")

    shown = genotype._repr_svg_()

    assert ET.fromstring(shown).tag == f"{SVG}svg"
    assert shown == svg(genotype.picture())


# --- files


def test_a_files_suffix_says_what_it_is(tmp_path):
    picture = Genotype.parse(f"{TEXT}|{TEXT}", output="loose ends").picture()

    for suffix in ("svg", "png", "PDF"):
        save(picture, tmp_path / f"cell.{suffix}")

    assert (tmp_path / "cell.svg").read_text() == svg(picture)
    assert (tmp_path / "cell.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert (tmp_path / "cell.PDF").read_bytes().startswith(b"%PDF-")


def test_a_png_has_two_dots_a_pixel_on_white(tmp_path):
    picture = Genotype.parse("0:skip_connect", output="loose ends").picture()

    save(picture, tmp_path / "cell.png")

    with Image.open(tmp_path / "cell.png") as image:
        assert abs(image.width - 2 * picture.width) <= 1
        assert abs(image.height - 2 * picture.height) <= 1
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_a_pdf_is_made_of_curves_and_letters_and_not_of_dots(tmp_path):
    save(Genotype.parse(f"{TEXT}|{TEXT}", output="loose ends").picture(), tmp_path / "cell.pdf")

    content = (tmp_path / "cell.pdf").read_bytes()
    assert b"/FontFile2" in content
    assert b"/Subtype /Image" not in content


@pytest.mark.parametrize("suffix", ["png", "pdf"])
def test_a_picture_is_the_same_bytes_whatever_the_users_style(tmp_path, suffix):
    picture = Genotype.parse(f"{TEXT}|{TEXT}", output="loose ends").picture()
    save(picture, tmp_path / f"one.{suffix}")

    with matplotlib.rc_context({"savefig.bbox": "tight", "savefig.facecolor": "red", "font.size": 30}):
        save(picture, tmp_path / f"other.{suffix}")
        assert matplotlib.rcParams["font.size"] == 30

    assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"other.{suffix}").read_bytes()


def test_an_operations_dollar_is_a_dollar_and_no_formula(tmp_path):
    strange = Genotype(Cell([Node([Edge(0, "a$_$")])], inputs=1), output="loose ends")

    save(strange.picture(), tmp_path / "cell.png")  # as a formula it could not be read

    assert (tmp_path / "cell.png").stat().st_size > 0


@pytest.mark.parametrize("suffix", ["png", "pdf"])
def test_without_matplotlib_png_and_pdf_are_refused_with_the_way_to_get_it(tmp_path, monkeypatch, suffix):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    picture = Genotype.parse("0:skip_connect", output="loose ends").picture()

    with pytest.raises(BnaoError) as error:
        save(picture, tmp_path / f"cell.{suffix}")
    save(picture, tmp_path / "cell.svg")

    assert str(error.value) == f"a {suffix.upper()} needs matplotlib: pip install 'bnao[plot]'; an SVG needs nothing"
    assert [path.name for path in tmp_path.iterdir()] == ["cell.svg"]


@pytest.mark.parametrize("file", ["cell.jpg", "cell", ".svg", "cell.svg.gz"])
def test_another_suffix_is_refused_by_naming_the_three(tmp_path, file):
    with pytest.raises(
        ConfigError, match=rf"{file} is not a valid name for a picture; it must end in \.svg, \.png, \.pdf"
    ):
        save(Genotype.parse("0:skip_connect", output="loose ends").picture(), tmp_path / file)

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_told_with_the_reason(tmp_path):
    picture = Genotype.parse("0:skip_connect", output="loose ends").picture()
    (tmp_path / "folder.svg").mkdir()

    with pytest.raises(WriteError, match=r"cannot write .*cell\.svg: there is no folder .*nowhere"):
        save(picture, tmp_path / "nowhere" / "cell.svg")
    with pytest.raises(WriteError, match=r"cannot write .*folder\.svg: Is a directory"):
        save(picture, tmp_path / "folder.svg")
