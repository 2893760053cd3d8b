"""A genotype for people: its cells in words, and drawn as lines that nodes read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bnao.space.genotype import Cell

_WIDTH = 4  # of a state's column, characters

#: the parts of a drawing, and what stands for them where only ASCII can be shown
_ASCII = str.maketrans({"│": "|", "─": "-", "├": "+", "╰": "`", "╮": ".", "┤": "+", "┴": "+"})


def in_words(cell: Cell, outputs: Sequence[int]) -> list[str]:
    """Return a line per node, and one for the output states of the cell.

    >>> from bnao.space.genotype import Edge, Node
    >>> cell = Cell([Node([Edge(1, "sep_conv_3x3"), Edge(1, "skip_connect")])])
    >>> for line in in_words(cell, outputs=[0, 2]):
    ...     print(line)
    node 0 = sep_conv_3x3 of the last cell + skip_connect of the last cell
    output = the cell before the last and node 0, concatenated
    """
    lines = []
    for index, node in enumerate(cell.nodes):
        edges = " + ".join(f"{edge.operation} of {cell.state_name(edge.source)}" for edge in node.edges)
        lines.append(f"node {index} = {edges}")
    names = [cell.state_name(state) for state in outputs]
    if len(names) == 1:
        return [*lines, f"output = {names[0]}"]
    return [*lines, f"output = {', '.join(names[:-1])} and {names[-1]}, concatenated"]


def drawn(cell: Cell, outputs: Sequence[int], *, ascii_only: bool = False) -> list[str]:
    """Return the cell as a graph: a column per state, a row per edge, drawn from its source to its node.

    A state's line ends where it is read last; those that are given out reach the bottom, where they are joined.

    >>> from bnao.space.genotype import Edge, Node
    >>> cell = Cell([Node([Edge(0, "sep_conv_3x3"), Edge(1, "skip_connect")]), Node([Edge(1, "avg_pool_3x3")])])
    >>> for line in drawn(cell, outputs=[2, 3], ascii_only=True):
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
    loose = set(outputs)
    columns = cell.inputs + len(cell.nodes)
    # a state that is neither read nor given out has no line
    shown = loose | set(last_read)
    alive = shown & set(range(cell.inputs))
    rows = [_row({state: "ab"[state] for state in range(cell.inputs)}, columns)]
    for index, node in enumerate(cell.nodes):
        new = cell.inputs + index
        for number, edge in enumerate(node.edges):
            ends = edge.source not in loose and last_read[edge.source] == (index, number)
            marks = {state: "│" for state in alive} | {edge.source: "╰" if ends else "├", new: "┤" if number else "╮"}
            rows.append(_row(marks, columns, line=(edge.source, new), label=edge.operation))
            alive -= {edge.source} if ends else set()
        rows.append(_row({state: "│" for state in alive} | {new: str(index)}, columns))
        alive |= {new} & shown
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
