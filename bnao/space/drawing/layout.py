"""A drawn genotype as plain data: where boxes, labels, lines and headings stand, before any format is chosen.

A cell goes from left to right: its inputs, its nodes in columns (``columns.py``), its output. An operation's label
stands on its edge, in front of the node that sums the edge, in the node's column. Since nothing else has that height
in that column, no label can overlap a label, a box or another edge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import define, evolve, field, frozen

from bnao.space.drawing.columns import Column, Place, Port, arrange

# lengths are pixels of an SVG, 1/96 inch
FONT, HEADING_FONT = 12.0, 14.0
_BASELINE = 0.35  # of the font's size: from the middle of a line of text down to its baseline
_LINE = 15.0  # from a line of text to the next
_MARGIN = 14.0
_PADDING = 7.0  # between a text and its frame
_LABEL = 21.0  # height of an operation's label
_PITCH = 26.0  # from one label of a node to the next
_BARE_PITCH = 16.0  # from one line into the output to the next
_SUM = 16.0  # height and width of a sum's sign
_FAN = 24.0  # from the labels to the sum
_NARROW, _SLANT, _WIDE = 40.0, 0.22, 110.0  # between columns: at least, more for each pixel of height, at most

# Widths of letters in shares of the font's size, none narrower than in DejaVu Sans, which is among the widest of the
# usual fonts without serifs; another font leaves a little air around a text.
_LETTERS = {letter: 0.44 for letter in "fijlrt/ .,:;()"} | {letter: 1.0 for letter in "mwMW%@"}
_SMALL_LETTER, _OTHER_LETTER, _NO_ASCII = 0.645, 0.85, 1.05
_BOLD = 1.2  # how much wider


def text_width(text: str, font: float = FONT) -> float:
    """Return an upper bound of a text's width in usual sans-serif fonts.

    >>> round(text_width("sep_conv_3x3", font=10), 1)  # twelve letters of usual width
    77.4
    """
    return font * sum(map(_letter_width, text))


def _letter_width(letter: str) -> float:
    if not letter.isascii():
        return _NO_ASCII
    usual = letter.islower() or letter.isdigit() or letter == "_"
    return _LETTERS.get(letter, _SMALL_LETTER if usual else _OTHER_LETTER)


@frozen
class Graph:
    """A cell as its drawing needs it.

    Args:
        title: what stands above it.
        names: what every state is called, the cell's inputs first.
        nodes: the edges of every node in order, each (source, operation).
        outputs: the states that make the output.
        halves: whether what reads an input does so at stride 2.
    """

    title: str
    names: Sequence[str]
    nodes: Sequence[Sequence[tuple[int, str]]]
    outputs: Sequence[int]
    halves: bool = False

    @property
    def inputs(self) -> int:
        """The number of input states of the cell."""
        return len(self.names) - len(self.nodes)

    @property
    def read(self) -> frozenset[int]:
        """The states that some node reads."""
        return frozenset(source for edges in self.nodes for source, _ in edges)

    def stride(self, state: int) -> str:
        """Return the sign of stride 2, where what reads a state does so at stride 2."""
        return "/2" if self.halves and state < self.inputs else ""


@frozen
class Box:
    """A frame with text in it.

    Args:
        x, y: its left upper corner; y grows downwards.
        lines: its text.
        kind: what it is, which decides how it looks: a state that nodes read ("state"), one that the output alone
            reads ("loose end") or nothing ("unread"), "sum" or "output"; an operation's label has the operation's
            kind (``kind_of``).
        told: what it is in words.
    """

    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...]
    kind: str
    told: str = ""

    @property
    def right(self) -> float:
        """Its right border."""
        return self.x + self.width

    @property
    def middle(self) -> tuple[float, float]:
        """The point that its text is centred on."""
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def baselines(self) -> tuple[float, ...]:
        """The height of the baseline of each line of its text."""
        first = self.middle[1] - _LINE * (len(self.lines) - 1) / 2 + _BASELINE * FONT
        return tuple(first + _LINE * number for number in range(len(self.lines)))


Point = tuple[float, float]


@frozen
class Line:
    """An edge, from its source through its label to its node; or a state's way into the output.

    Args:
        points: where it begins, then two control points and the end of each of its cubic Bezier curves.
        kind: "edge", "none" (an edge whose operation gives zero) or "output".
    """

    points: tuple[Point, ...]
    kind: str


@frozen
class Heading:
    """The text above a cell: where it begins, and its baseline."""

    x: float
    y: float
    text: str


@frozen
class Picture:
    """A genotype laid out: all that a writer needs, to be drawn in this order.

    Args:
        title: what it shows, in a few words.
        told: what it shows, in full.
    """

    width: float
    height: float
    title: str
    told: str
    lines: tuple[Line, ...]
    boxes: tuple[Box, ...]
    labels: tuple[Box, ...]
    headings: tuple[Heading, ...]


def picture(graphs: Sequence[Graph], told: str) -> Picture:
    """Lay out cells one below the other.

    Args:
        graphs: at least one.
        told: what they are, as a text.

    >>> graph = Graph("Cell", names=["the last cell", "node 0"], nodes=[[(0, "skip_connect")]], outputs=[1])
    >>> drawn = picture([graph], told="0:skip_connect")
    >>> [box.lines for box in drawn.boxes], [label.lines for label in drawn.labels], len(drawn.lines)
    ([('the last cell',), ('node 0',), ('output',)], [('skip_connect',)], 2)
    """
    sheet = _Sheet()
    top = _MARGIN
    for graph in graphs:
        sheet.headings.append(Heading(_MARGIN, top + HEADING_FONT, graph.title))
        top = 2 * _MARGIN + sheet.lay(graph, top + HEADING_FONT + _MARGIN)
    heading = _BOLD * max(text_width(graph.title, HEADING_FONT) for graph in graphs)
    width = _MARGIN + max(_MARGIN + heading, *(box.right for box in sheet.boxes))
    # edges that give zero come first, since they may share a part of their way with others, which hide it
    lines = sorted(sheet.lines, key=lambda line: ("none", "edge", "output").index(line.kind))
    return Picture(
        round(width, 1), round(top - _MARGIN, 1), "; ".join(graph.title for graph in graphs), told,
        tuple(lines), tuple(sheet.boxes), tuple(sheet.labels), tuple(sheet.headings),
    )  # fmt: skip


# an operation's kind by what its name contains; the first match counts
_SIGNS = {
    "sep_": "separable",
    "dil_": "dilated",
    "conv": "convolution",
    "pool": "pooling",
    "skip": "skip",
    "identity": "skip",
}


def kind_of(operation: str) -> str:
    """Return an operation's kind: "separable", "dilated", "convolution", "pooling", "skip", "none" or "other".

    >>> kind_of("sep_conv_5x5"), kind_of("conv_7x1_1x7"), kind_of("avg_pool_3x3")
    ('separable', 'convolution', 'pooling')
    """
    if operation == "none":
        return "none"
    return next((kind for sign, kind in _SIGNS.items() if sign in operation), "other")


@define
class _Sheet:
    """Partial layout."""

    lines: list[Line] = field(factory=list)
    boxes: list[Box] = field(factory=list)
    labels: list[Box] = field(factory=list)
    headings: list[Heading] = field(factory=list)

    def lay(self, graph: Graph, top: float) -> float:
        """Lay out a cell below a height, and give how far down it reaches."""
        boxes = _boxes(graph)
        columns = arrange([_place(graph, state, box) for state, box in enumerate(boxes)])
        places = [place for column in columns for place in column]
        down = top - min(place.y - place.height / 2 for place in places)
        for place in places:
            place.y += down
        left = _MARGIN
        # each state's way from its box to the column that is laid next
        ways: dict[int, tuple[Point, ...]] = {}
        for column in columns:
            if ways:
                left += _room(column, ways)
            left = self._lay_column(column, left, boxes, ways)
        return max(place.y + place.height / 2 for place in places)

    def _lay_column(
        self, column: Column, left: float, boxes: Sequence[Box], ways: dict[int, tuple[Point, ...]]
    ) -> float:
        """Lay out what stands in a column, from its left border on, and give its right border."""
        texts = [text_width(port.label) for place in column for port in place.ports if port.label]
        label_width = max(texts) + 2 * _PADDING if texts else 0.0
        box_left = left + (label_width + _FAN + _SUM if texts else 0.0)
        width = max(boxes[place.state].width for place in column if not place.passes)
        ends = {}
        for place in column:
            if place.passes:
                ends[place.state] = _on(ways[place.state], (left, place.y), (box_left + width, place.y))
            else:
                box = boxes[place.state]
                # lines enter the output side by side
                height = max(box.height, place.pitch * len(place.ports)) if box.kind == "output" else box.height
                box = evolve(box, x=box_left, y=place.y - height / 2, width=width, height=height)
                self._lay_place(place, box, left, label_width, ways)
                ends[place.state] = ((box.right, place.y),)
        ways.update(ends)
        return box_left + width

    def _lay_place(
        self, place: Place, box: Box, left: float, label_width: float, ways: Mapping[int, tuple[Point, ...]]
    ) -> None:
        """Lay out a box, the sum and the labels in front of it, and the lines that end there."""
        self.boxes.append(box)
        into_output = box.kind == "output"
        end = box.x
        if len(place.ports) > 1 and not into_output:
            end -= _SUM
            self.boxes.append(Box(end, place.y - _SUM / 2, _SUM, _SUM, ("+",), "sum", f"the sum that makes {box.told}"))
        for number, port in enumerate(place.ports):
            y = place.port_y(number)
            way = _on(ways[port.source], (left, y))
            if port.label:
                frame = left, y - _LABEL / 2, label_width, _LABEL
                self.labels.append(Box(*frame, (port.label,), kind_of(port.operation), port.told))
                way = _on(way, (left + label_width, y))
            way = _on(way, (end, y if into_output else place.y))
            kind = "output" if into_output else "none" if port.operation == "none" else "edge"
            self.lines.append(Line(tuple((round(x, 1), round(y, 1)) for x, y in way), kind))


def _room(column: Column, ways: Mapping[int, tuple[Point, ...]]) -> float:
    """Return the room in front of a column that its lines need to change their heights."""
    climbs = [
        abs(place.port_y(number) - ways[port.source][-1][1])
        for place in column
        for number, port in enumerate(place.ports)
    ]
    return min(_NARROW + _SLANT * max(climbs), _WIDE)


def _on(way: tuple[Point, ...], *ends: Point) -> tuple[Point, ...]:
    """Return a line and its continuation, level at every end."""
    for end in ends:
        (begin, y), (at, end_y) = way[-1], end
        way = (*way, ((begin + at) / 2, y), ((begin + at) / 2, end_y), end)
    return way


def _boxes(graph: Graph) -> list[Box]:
    """Return every state's box, and the output's; where they stand is not known yet."""
    boxes = []
    for state, name in enumerate(graph.names):
        if state in graph.read:
            boxes.append(_framed(_broken(name), "state", name))
        elif state in graph.outputs:
            boxes.append(_framed(_broken(name), "loose end", f"{name}, a loose end"))
        else:
            boxes.append(_framed(_broken(name), "unread", f"{name}, which nothing reads"))
    several = len(graph.outputs) > 1
    told = f"output: {', '.join(graph.names[state] for state in graph.outputs)}{', concatenated' * several}"
    return [*boxes, _framed(("output:", "concat") if several else ("output",), "output", told)]


def _framed(lines: tuple[str, ...], kind: str, told: str) -> Box:
    width = max(map(text_width, lines)) + 2 * _PADDING
    return Box(0, 0, width, _LINE * len(lines) + 10, lines, kind, told)


def _broken(name: str) -> tuple[str, ...]:
    """Return a name of more than three words on two lines.

    >>> _broken("the cell before the last"), _broken("the last cell")
    (('the cell', 'before the last'), ('the last cell',))
    """
    words = name.split()
    return (name,) if len(words) <= 3 else (" ".join(words[:2]), " ".join(words[2:]))


def _place(graph: Graph, state: int, box: Box) -> Place:
    """Return the space that a state needs; after the graph's states comes its output."""
    if state == len(graph.names):
        # an input is halved on its way into the output of a cell that halves
        ports = [
            Port(source, "skip_connect", graph.stride(source), f"{graph.names[source]} at stride 2")
            for source in graph.outputs
        ]
    else:
        ports = [
            Port(
                source, operation, f"{operation} {graph.stride(source)}".strip(),
                f"{graph.names[state]} reads {graph.names[source]} by {operation}",
            )
            for source, operation in (graph.nodes[state - graph.inputs] if state >= graph.inputs else ())
        ]  # fmt: skip
    pitch = _PITCH if any(port.label for port in ports) else _BARE_PITCH
    return Place(state, ports, pitch, max(box.height, pitch * len(ports)))
