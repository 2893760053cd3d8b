"""Genotypes named by where they stand: ``RUN:1``, the first of a run, and ``RUN:3f9a``, by the digits of its id.

RUN is the folder of a finished search, whose genotypes are counted by rank, or of an evaluation or a ranking study,
whose genotypes are counted as they stand in its file. Wherever a genotype's text is read, such a reference may stand.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from bnao.config.evaluation import EvaluateConfig
from bnao.errors import GenotypeError, RunError
from bnao.network.mobile import MOBILE, MobileNetwork, Trainable, read_trainable
from bnao.provenance import EVALUATION, STUDY
from bnao.run import read_config, read_json, understanding
from bnao.space.genotype import Genotype
from bnao.space.notation.notations import NOTATIONS, Reading, read
from bnao.space.spaces import SearchSpace, parse_in, space_named
from bnao.strategies.journal import RESULT as SEARCH
from bnao.strategies.result import read_result

#: digits of an id that a reference has at least
LEAST_DIGITS = 4

_PLACE = re.compile(r"\d{1,9}|[0-9a-fA-F]{1,12}")
# a path beside these is a text of a genotype: an edge, or a notation's name
_NO_PATH = re.compile(r"\d*|.*[;|+(\[{].*")


@frozen
class Reference:
    """A genotype named by the folder that it is in.

    Attributes:
        folder: of a search, an evaluation or a ranking study.
        place: a number from 1, or the first digits of an id.
    """

    folder: Path
    place: str

    def __str__(self) -> str:
        return f"{self.folder}:{self.place}"

    def reading(self) -> Reading:
        """Find the genotype.

        Raises:
            RunError: no such folder, or it holds no genotypes.
            GenotypeError: it has no such genotype, or several.
        """
        genotypes, space = genotypes_in(self.folder)
        chosen = _chosen(self, genotypes)
        return Reading(chosen, _spaces_in(self.folder).get(chosen, space), told=True)


def reference(text: str) -> Reference | None:
    """Return what a text refers to, if it is ``FOLDER:NUMBER`` or ``FOLDER:DIGITS``; else None.

    >>> str(reference("runs/mine:1")), reference("0:skip_connect"), reference("nao: 0 1")
    ('runs/mine:1', None, None)
    """
    folder, colon, place = text.strip().rpartition(":")
    if not colon or not _PLACE.fullmatch(place):
        return None
    # os.path's, which takes a text that is too long for a file name as no folder
    if not os.path.isdir(folder) and (folder in NOTATIONS or _NO_PATH.fullmatch(folder)):
        return None
    return Reference(Path(folder), place.lower())


def reference_to(folder: str | Path, place: int | str) -> str:
    """Return a reference as a shell takes it.

    >>> reference_to("my runs", 1)
    "'my runs:1'"
    """
    return shlex.quote(f"{folder}:{place}")


def read_genotype(text: str, space: SearchSpace | None = None) -> Reading:
    """Read a genotype in any notation, or a reference to one.

    Args:
        text: see ``bnao.parse``; or ``RUN:1`` or ``RUN:3f9a``.
        space: the space it must belong to; None: the one that the text names, else ``nao``.

    Raises:
        GenotypeError: not a genotype of the space, or a reference to none or to several.
        RunError: a reference to a folder that holds no genotypes.
    """
    found = reference(text)
    if found is None:
        return read(text, space)
    reading = found.reading()
    if space is not None and (reading.space.name, reading.space.nodes) != (space.name, space.nodes):
        raise GenotypeError(
            f"{found} is of space {reading.space.name!r} with {reading.space.nodes} nodes, where space {space.name!r} "
            f"with {space.nodes} is asked for"
        )
    return reading


def genotypes_in(folder: Path) -> tuple[Sequence[Trainable], SearchSpace]:
    """Return the genotypes of a search by rank, or of an evaluation or a study as they stand, and their space.

    Raises:
        RunError: no such folder, or it is not that of a finished search, of an evaluation or of a ranking study.
    """
    if not folder.is_dir():
        raise RunError(f"no folder {folder}; a genotype is named RUN:1 or RUN:3f9a, RUN being the folder of a run")
    if (folder / SEARCH).is_file():
        result = read_result(folder)
        genotypes = [entry.genotype for entry in result.ranked]
        return genotypes, space_named(result.space, len(genotypes[0].normal.nodes))
    if (folder / EVALUATION).is_file():
        network = read_config(folder, EvaluateConfig).network
        content = read_json(folder / EVALUATION)
        with understanding(folder / EVALUATION):
            trained = [
                read_trainable(entry.get("space", network.space), entry["genotype"]) for entry in content["evaluations"]
            ]
        return trained, space_named(network.space, network.nodes)
    if (folder / STUDY).is_file():
        content = read_json(folder / STUDY)
        with understanding(folder / STUDY):
            if content["kind"] != "ranking":
                raise RunError(f"{folder} is of a study of kind {content['kind']!r}, which ranks no genotypes")
            genotypes = [parse_in(content["space"], entry["genotype"]) for entry in content["genotypes"]]
            return genotypes, space_named(content["space"], len(genotypes[0].normal.nodes))
    raise RunError(
        f"{folder} has no {SEARCH}, {EVALUATION} or {STUDY}; genotypes are named by the folder of a finished search, "
        f"of an evaluation or of a ranking study"
    )


def _spaces_in(folder: Path) -> dict[Genotype, SearchSpace]:
    """Return the spaces of the genotypes of an evaluation that is of several; nothing of another folder."""
    if (folder / SEARCH).is_file() or not (folder / EVALUATION).is_file():
        return {}
    content = read_json(folder / EVALUATION)
    with understanding(folder / EVALUATION):
        entries = [entry for entry in content["evaluations"] if entry.get("space", MOBILE) != MOBILE]
        told = [(entry["space"], entry["genotype"]) for entry in entries]
        genotypes = [(name, parse_in(name, text)) for name, text in told]
    return {genotype: space_named(name, len(genotype.normal.nodes)) for name, genotype in genotypes}


def _chosen(wanted: Reference, genotypes: Sequence[Trainable]) -> Genotype:
    """Return the one of these that a reference's place means.

    Raises:
        GenotypeError: none, or several; these are named. Or it is not made of cells.
    """
    place = wanted.place
    by_number = {f"{place} by rank": genotypes[int(place) - 1]} if _is_number(place, len(genotypes)) else {}
    by_id = {g.digest: g for g in genotypes if len(place) >= LEAST_DIGITS and g.digest.startswith(place)}
    found = {**by_number, **by_id}
    different = set(found.values())
    if len(different) == 1:
        (one,) = different
        if isinstance(one, MobileNetwork):
            raise GenotypeError(f"{wanted} is {one}, which is not made of cells; name it by itself: bnao show {one}")
        return one
    if different:
        named = [f"{name} (id {genotype.id})" for name, genotype in by_number.items()]
        named += by_id
        raise GenotypeError(f"{wanted} means {len(different)} genotypes: {', '.join(named)}; give more digits")
    few = f" (an id needs at least {LEAST_DIGITS} digits)" if len(place) < LEAST_DIGITS else ""
    raise GenotypeError(
        f"{wanted} is not a genotype of {wanted.folder}, which has {len(genotypes):,}; give a number from 1 to "
        f"{len(genotypes)}, or the digits of an id{few}"
    )


def _is_number(place: str, n: int) -> bool:
    return place.isdecimal() and 1 <= int(place) <= n
