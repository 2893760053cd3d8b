"""A genotype's text, whatever its notation: told apart by itself, and written in any."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from bnao.errors import ConfigError, GenotypeError, RunError
from bnao.files import MOST_TABLE, read_regular
from bnao.space.genotype import Genotype, shortened
from bnao.space.notation.darts import from_darts, to_darts
from bnao.space.notation.integers import (
    first_version_space,
    from_first_version,
    from_integers,
    to_arcs,
    to_authors_integers,
    to_first_version,
    to_integers,
)
from bnao.space.notation.json import from_json, to_json
from bnao.space.notation.nas_bench_201 import from_nas_bench_201, to_nas_bench_201
from bnao.space.spaces import SPACES, SearchSpace
from bnao.space.zoo import published_cell

#: what a text may be written in; each name, with a colon, may stand in front of it, and nao-v1 must
NOTATIONS = ("text", "json", "darts", "nao", "nao-v1", "enas", "nas-bench-201", "integers")

_NAMED = re.compile(rf"\s*({'|'.join(sorted(NOTATIONS, key=len, reverse=True))})\s*:(.*)", re.DOTALL)
_INTEGERS = re.compile(r"[\s,\[\]]*[-+]?\d+(?:[\s,\[\]]+[-+]?\d+)*[\s,\[\]]*")
_ARCS = re.compile(r"\s*\[[^\[\]]*\][\s,]*\[[^\[\]]*\]\s*")
_NAME = re.compile(r"\s*[A-Za-z][\w.\- ()]*")
# a genotype of 64 nodes in the longest notation has not a third of these characters
_MOST_CHARACTERS = 20_000


@frozen
class Reading:
    """Genotype read from a text, with its notation and space.

    Attributes:
        genotype: the architecture.
        space: the space it is of.
        told: whether the text itself says so; else it is the one that was asked for, or ``nao``.
    """

    genotype: Genotype
    space: SearchSpace
    told: bool


def parse(text: str, space: SearchSpace | None = None) -> Genotype:
    """Read the genotype that a text means, whatever its notation; the notation is recognised.

    Args:
        text: bnao's text form; the name of a published cell (see ``bnao.space.zoo``); the authors' integers (source,
            operation, source, operation for every node of the normal cell, then of the reduction cell); ENAS' arcs (the
            same, each cell in brackets); a DARTS ``Genotype(...)``; a NAS-Bench-201 string
            (``|operation~source|+|operation~source|operation~source|+...``); or JSON (``to_text(..., "json")``).
            A notation's name and a colon may stand in front; the numbers of NAO's first version are read only so:
            ``nao-v1: 0 7 1 15 ...``.
        space: the space it must belong to; None: the one that the text names, else ``nao``.

    Raises:
        GenotypeError: none of these notations, or not a genotype of the space.

    >>> cell = "1 1 0 1 2 4 0 0 0 0 2 1 0 0 0 2 0 3 0 0"
    >>> str(parse(f"{cell} {cell}")).split(";")[0]
    '0:sep_conv_5x5+1:sep_conv_5x5'
    >>> parse("DARTS_V2").output
    'nodes'
    """
    return read(text, space).genotype


def read(text: str, space: SearchSpace | None = None) -> Reading:
    """Read a genotype like ``parse``, and return the space that was found as well.

    >>> read("DARTS_V2").space.name, read("0:skip_connect+0:skip_connect|0:skip_connect+0:skip_connect").told
    Traceback (most recent call last):
        ...
    bnao.errors.GenotypeError: the normal cell has 1 node; a cell of space 'nao' with 5 nodes needs 5
    >>> read("DARTS_V2").space.name, read("DARTS_V2").told
    ('darts', True)
    """
    if len(text) > _MOST_CHARACTERS:
        raise GenotypeError(
            f"{len(text):,} characters that begin with {shortened(text[:100])}; a genotype has at most "
            f"{_MOST_CHARACTERS:,}"
        )
    named = _NAMED.fullmatch(text)
    notation, body = (named[1], named[2]) if named else (_notation_of(text, space), text)
    if notation == "zoo":
        return _read_published(body, space)
    if notation == "json":
        genotype, found = from_json(body)
        _check_same(found, space, "the JSON")
        return Reading(genotype, found, told=True)
    if notation == "darts":
        genotype, found = from_darts(body, space)
        return Reading(genotype, found, told=True)
    if notation == "nas-bench-201":
        found = SPACES["nas-bench-201"] if space is None else space
        return Reading(found.check(from_nas_bench_201(body)), found, told=True)
    if notation == "nao-v1":
        found = first_version_space(body) if space is None else space
        return Reading(from_first_version(body, found), found, told=True)
    found = SPACES["nao"] if space is None else space
    if notation == "text":
        return Reading(_of_space(Genotype.parse(body, output=found.rules.output), found), found, told=False)
    if not _INTEGERS.fullmatch(body):
        raise GenotypeError(f"{shortened(body)} are not integers; {notation} is {found.length} of them")
    return Reading(from_integers(body, found), found, told=False)


def read_lines(
    path: str | Path, space: SearchSpace, read_line: Callable[[str, SearchSpace], Reading] | None = None
) -> list[tuple[str, Genotype]]:
    """Read a file of genotypes, one per line in any notation; blank lines and lines that begin with # are skipped.

    Args:
        path: the file, UTF-8.
        space: the space that all must belong to.
        read_line: reads the text of a genotype of the space; None: ``read``.

    Returns:
        Each genotype behind how an error names its place, such as ``pool.txt, line 3``.

    Raises:
        ConfigError: the file cannot be read or has no genotype.
        GenotypeError: a line is not a genotype of the space; the line is named.
        RunError: ``read_line`` found no genotype in a folder that a line refers to; likewise.
    """
    try:
        lines = read_regular(path, MOST_TABLE).decode("utf-8-sig").splitlines()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise GenotypeError(f"{path} is not text in UTF-8: {error}") from None
    found = []
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            where = f"{path}, line {number}"
            try:
                found.append((where, (read_line or read)(line.strip(), space).genotype))
            except (GenotypeError, RunError) as error:
                raise type(error)(f"{where}: {error}") from None
    if not found:
        raise ConfigError(f"{path} has no genotype; it must have one per line")
    return found


def _of_space(genotype: Genotype, space: SearchSpace) -> Genotype:
    """Return the genotype, if it is of the space; the refusal names the spaces that it would be of."""
    try:
        return space.check(genotype)
    except GenotypeError as error:
        others = []
        for other in SPACES.values():
            try:
                other.check(genotype)
            except GenotypeError:
                continue
            others.append(other.name)
        hint = f"; it is a genotype of space {' or '.join(others)}" if others else ""
        raise GenotypeError(f"{error}{hint}") from None


def _notation_of(text: str, space: SearchSpace | None) -> str:
    if _INTEGERS.fullmatch(text):
        return "enas" if _ARCS.fullmatch(text) else "nao"
    if text.lstrip().startswith("{"):
        return "json"
    if "Genotype" in text:
        return "darts"
    if "~" in text:
        return "nas-bench-201"
    if ":" in text:
        return "text"
    if _NAME.fullmatch(text):
        return "zoo"
    length = (SPACES["nao"] if space is None else space).length
    raise GenotypeError(
        f"{shortened(text)} is not a genotype; give '0:sep_conv_3x3+1:skip_connect;...|...', {length} integers, a "
        f"published cell's name (bnao zoo), a DARTS Genotype(...), a NAS-Bench-201 string or JSON"
    )


def _read_published(name: str, space: SearchSpace | None) -> Reading:
    try:
        entry = published_cell(name)
    except GenotypeError as error:
        raise GenotypeError(f"{shortened(name)} is not a genotype; {error}") from None
    if entry.genotype is None or entry.space is None:
        raise GenotypeError(f"{entry.name} is not a genotype of any space of bnao. {' '.join(entry.notes)}")
    _check_same(entry.space, space, entry.name)
    return Reading(entry.genotype, entry.space, told=True)


def _check_same(found: SearchSpace, wanted: SearchSpace | None, what: str) -> None:
    if wanted is not None and (found.name, found.nodes) != (wanted.name, wanted.nodes):
        raise GenotypeError(
            f"{what} is of space {found.name!r} with {found.nodes} nodes, where space {wanted.name!r} with "
            f"{wanted.nodes} is asked for"
        )


def to_text(genotype: Genotype, space: SearchSpace, notation: str) -> str:
    """Return a genotype's text in a notation; ``parse`` reads it again.

    Args:
        genotype: a genotype of the space.
        space: what it is of.
        notation: one of NOTATIONS; ``integers`` are the space's own numbers.

    Raises:
        GenotypeError: the notation cannot express it; the edge or the rule is named.

    >>> to_text(parse("NAONet-V2"), SPACES["nao"], "enas")[:14]
    '[0 1 1 1 0 0 2'
    >>> to_text(parse("DARTS_V2"), SPACES["darts"], "nao")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    bnao.errors.GenotypeError: node 3 of the normal cell has the operation 'dil_conv_3x3', for which the authors' ...
    """
    space.check(genotype)
    if notation == "text":
        return str(genotype)
    if notation == "json":
        return to_json(genotype, space)
    if notation == "darts":
        return to_darts(space.check(genotype))
    if notation == "nas-bench-201":
        return to_nas_bench_201(genotype)
    numbered = {"nao": to_authors_integers, "enas": to_arcs, "integers": to_integers}
    if notation == "nao-v1":
        return f"nao-v1: {to_first_version(genotype, space)}"
    if notation not in numbered:
        raise GenotypeError(f"no notation {notation!r}; there is {', '.join(NOTATIONS)}")
    return numbered[notation](genotype, space)
