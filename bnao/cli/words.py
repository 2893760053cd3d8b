"""A genotype for people: its cells in words, and drawn as lines that nodes read."""

from __future__ import annotations

from collections.abc import Mapping

from bnao.genotype import Cell

_WIDTH = 4  # of a state's column, characters

#: the parts of a drawing, and what stands for them where only ASCII can be shown
_ASCII = str.maketrans({"│": "|", "─": "-", "├": "+", "╰": "`", "╮": ".", "┤": "+", "┴": "+"})


def in_words(cell: Cell) -> list[str]:
    """A line a node, and one for the cell's output.

    >>> from bnao.genotype import Edge, Node
    >>> cell = Cell([Node([Edge(1, "sep_conv_3x3"), Edge(1, "skip_connect")])])
    >>> for line in in_words(cell):
    ...     print(line)
    node 0 = sep_conv_3x3 of the last cell + skip_connect of the last cell
    output = the cell before the last and node 0, concatenated
    """
    lines = []
    for index, node in enumerate(cell.nodes):
        edges = " + ".join(f"{edge.operation} of {cell.state_name(edge.source)}" for edge in node.edges)
        lines.append(f"node {index} = {edges}")
    loose = [cell.state_name(state) for state in cell.loose_ends]
    if len(loose) == 1:
        return [*lines, f"output = {loose[0]}"]
    return [*lines, f"output = {', '.join(loose[:-1])} and {loose[-1]}, concatenated"]


def drawn(cell: Cell, *, ascii_only: bool = False) -> list[str]:
    """The cell as a graph: a column a state, a row an edge, which runs from its source to the node that it makes.

    A state's line ends where it is read last; the lines that reach the bottom are the output.

    >>> from bnao.genotype import Edge, Node
    >>> cell = Cell([Node([Edge(0, "sep_conv_3x3"), Edge(1, "skip_connect")]), Node([Edge(1, "avg_pool_3x3")])])
    >>> for line in drawn(cell, ascii_only=True):
    ...     print(line)
    a   b
    `---|---.        sep_conv_3x3
        +---+        skip_connect
        |   0
        `---|---.    avg_pool_3x3
            |   1
            `---+--- output
    """
    last_read: Mapping[int, tuple[int, int]] = {
        edge.source: (index, number) for index, node in enumerate(cell.nodes) for number, edge in enumerate(node.edges)
    }
    loose = set(cell.loose_ends)
    columns = cell.inputs + len(cell.nodes)
    alive = set(range(cell.inputs))
    rows = [_row({state: "ab"[state] for state in range(cell.inputs)}, columns)]
    for index, node in enumerate(cell.nodes):
        new = cell.inputs + index
        for number, edge in enumerate(node.edges):
            ends = edge.source not in loose and last_read[edge.source] == (index, number)
            marks = {state: "│" for state in alive} | {edge.source: "╰" if ends else "├", new: "┤" if number else "╮"}
            rows.append(_row(marks, columns, line=(edge.source, new), label=edge.operation))
            alive -= {edge.source} if ends else set()
        rows.append(_row({state: "│" for state in alive} | {new: str(index)}, columns))
        alive.add(new)
    first = min(loose)
    marks = {state: "┴" for state in loose} | {first: "╰"}
    rows.append(_row(marks, columns, line=(first, columns), label="output"))
    return [row.translate(_ASCII) for row in rows] if ascii_only else rows


def _row(marks: Mapping[int, str], columns: int, line: tuple[int, int] | None = None, label: str = "") -> str:
    text = ""
    for column in range(columns):
        within = line is not None and line[0] <= column < line[1]
        mark = marks.get(column, "─" if within else " ")
        text += mark + ("─" if within else " ") * (_WIDTH - len(mark))
    return (text + (f" {label}" if label else "")).rstrip()
