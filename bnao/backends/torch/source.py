"""The plain network as one readable Python file: ``plain.py`` with an architecture, without what that does not use."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bnao.backends.torch import plain
from bnao.network.trained import Trained

_WIDTH = 118

#: tables of the template, of which an architecture uses some entries
_TABLES = ("OPERATIONS", "STACKS")


def source(trained: Trained) -> str:
    """Return the file's text. What it holds of the user's own words, the names of classes, stands in it as literals."""
    architecture = trained.architecture()
    template = Path(plain.__file__).read_text(encoding="utf-8")
    pieces = _Pieces(template, _entries(architecture))
    texts = {"": _docstring(trained), "ARCHITECTURE": f"ARCHITECTURE = {_literal(architecture)}"}
    return pieces.joined(texts)


def _entries(architecture: Mapping[str, Any]) -> dict[str, set[Any]]:
    """Return the entries of each table that the architecture uses."""
    cells = [architecture[name] for name in ("normal", "reduction") if name in architecture]
    operations = {operation for cell in cells for edges in cell["nodes"] for _, operation in edges}
    return {"OPERATIONS": operations, "STACKS": {architecture["inputs"]}}


def _docstring(trained: Trained) -> str:
    network = trained.network
    height, width, channels = network.image
    written_by = version("bnao")
    tested = "" if trained.test_error is None else f", test error {100 * trained.test_error:.2f} %"
    cut = ["Edges that do not reach the output stand in it as none.", ""] if trained.live != trained.genotype else []
    lines = [
        f'"""A network of space {network.space}, written by bnao {written_by}; it needs PyTorch alone.',
        "",
        *_filled(f"Genotype {trained.genotype}".replace(";", "; ").replace("|", " | ").split(), " ", ""),
        "",
        f"C = {network.channels}, N = {network.cells}, {trained.parameters:,} parameters{tested}.",
        "",
        "    network = Network().load(...).eval()  # the .safetensors beside this file",
        f"    logits = network(images)  # images: float32, (b, {channels}, {height}, {width}), 0..1, not normalised",
        '    name = ARCHITECTURE["class_names"][logits[0].argmax()]',
        "",
        *cut,
        "Run as a program it counts the parameters and tries two random images.",
        '"""',
    ]
    return "\n".join(lines)


class _Pieces:
    """A module's statements, of which those are kept that something kept names."""

    def __init__(self, text: str, entries: Mapping[str, set[Any]]) -> None:
        self._lines = text.splitlines()
        self._entries = entries
        self._statements = ast.parse(text).body

    def joined(self, texts: Mapping[str, str]) -> str:
        """Return the text of what is kept.

        Args:
            texts: other text for the docstring (under an empty name) and for the variables named.
        """
        kept, written, end = self._kept(), [], 0
        for statement in self._statements:
            # comments and blank lines in front of a statement are its own
            above, end = self._lines[end : statement.lineno - 1], statement.end_lineno or 0
            name = _name(statement)
            if name is not None and name not in kept:
                continue
            if name in texts:
                written += [*above, texts[name]]
            elif name in _TABLES:
                written += [*above, *self._table(statement)]
            else:
                written += [*above, *self._lines[statement.lineno - 1 : end]]
        return "\n".join(written) + "\n"

    def _kept(self) -> set[str]:
        """Return the names that the unnamed statements use, and all that these use in turn."""
        defined = {name: statement for statement in self._statements if (name := _name(statement)) is not None}
        kept, ahead = {""}, [used for s in self._statements if _name(s) is None for used in _used([s])]
        while ahead:
            name = ahead.pop()
            if name in defined and name not in kept:
                kept.add(name)
                ahead += _used(
                    [value for _, value in self._of_table(defined[name])] if name in _TABLES else [defined[name]]
                )
        return kept

    def _of_table(self, statement: ast.stmt) -> Iterator[tuple[ast.expr, ast.expr]]:
        assert isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Dict)
        table = statement.value
        for key, value in zip(table.keys, table.values, strict=True):
            assert isinstance(key, ast.Constant)
            if key.value in self._entries[_name(statement) or ""]:
                yield key, value

    def _table(self, statement: ast.stmt) -> list[str]:
        entries = [
            line for key, value in self._of_table(statement) for line in self._lines[key.lineno - 1 : value.end_lineno]
        ]
        return [self._lines[statement.lineno - 1], *entries, "}"] if entries else [f"{_name(statement)} = {{}}"]


def _name(statement: ast.stmt) -> str | None:
    """Return what a statement defines, empty for the docstring; None for one that always stays."""
    if isinstance(statement, ast.ClassDef | ast.FunctionDef):
        return statement.name
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
        assert isinstance(target, ast.Name)
        return target.id
    return "" if isinstance(statement, ast.Expr) else None


def _used(nodes: Sequence[ast.AST]) -> list[str]:
    return [each.id for node in nodes for each in ast.walk(node) if isinstance(each, ast.Name)]


def _literal(value: Any, indent: str = "") -> str:
    """Return a value of dicts, lists, tuples, texts and numbers as Python has it, in lines that fit."""
    if isinstance(value, str):
        return json.dumps(value) if value.isascii() and value.isprintable() else repr(value)
    if not isinstance(value, dict | list):
        return f"({', '.join(map(_literal, value))})" if isinstance(value, tuple) else repr(value)
    deeper = f"{indent}    "
    if isinstance(value, dict):
        items = [f"{_literal(name)}: {_literal(each, deeper)}" for name, each in value.items()]
        opening, closing = "{", "}"
    else:
        items = [_literal(each, deeper) for each in value]
        opening, closing = "[", "]"
    flat = f"{opening}{', '.join(items)}{closing}"
    if len(indent) + len(flat) <= _WIDTH - 20 and "\n" not in flat:
        return flat
    scalars = isinstance(value, list) and not any(isinstance(each, dict | list) for each in value)
    lines = _filled(items, ", ", deeper) if scalars else [f"{deeper}{item}," for item in items]
    return "\n".join([opening, *lines, f"{indent}{closing}"])


def _filled(items: Sequence[str], between: str, indent: str) -> list[str]:
    """Items in as few lines as fit; each line ends as if another item came."""
    lines = [indent]
    for item in items:
        if len(lines[-1]) + len(item) > _WIDTH and lines[-1] != indent:
            lines.append(indent)
        lines[-1] += f"{item}{between}"
    return [line.rstrip(" ") for line in lines]
