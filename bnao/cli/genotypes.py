"""Genotypes as people give them: texts, published cells' names, RUN:1 and RUN:id, as arguments, lines or input."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from attrs import frozen

from bnao.config.fields import Settings, build
from bnao.config.settings import NetworkConfig
from bnao.errors import GenotypeError, RunError
from bnao.files import MOST_TABLE, check_regular
from bnao.network.mobile import Trainable, is_mobile_network, mobile_network
from bnao.space.genotype import Genotype
from bnao.space.notation.notations import Reading
from bnao.space.spaces import SearchSpace, space_named
from bnao.strategies.journal import RESULT as SEARCH_RESULT
from bnao.strategies.references import Reference, read_genotype, reference, reference_to

file_option = click.option(
    "--file", type=click.Path(path_type=Path), help="File of genotypes, one per line; - for standard input."
)


@frozen
class Given:
    """Genotypes' texts as they were given, each with how an error names its place."""

    texts: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, arguments: Sequence[str], file: Path | None) -> Given:
        """Return the texts of the arguments, then those of the file, in the order given.

        An argument ``-``, like a file ``-``, stands for the lines of standard input. Blank lines and lines that begin
        with # are skipped.

        Raises:
            click.UsageError: there is none at all, or the file cannot be read.
        """
        if len(arguments) > 1 and all(_is_integer(argument) for argument in arguments):
            raise click.UsageError(f"{len(arguments)} single integers; put a genotype's integers in quotes")
        texts = tuple(_texts(arguments, file))
        if not texts:
            raise click.UsageError("no genotype; give one or more, --file FILE, or - for standard input")
        return cls(texts)

    def settings(self) -> Settings:
        """Return the space and the nodes of the first text that names its space, as settings of the network."""
        for _, text in self.texts:
            try:
                reading = read_genotype(text)
            except GenotypeError:
                continue  # reported below, where the space is known
            if reading.told:
                return {"network": _network_of(reading.space)}
        return {}

    def genotypes(self, space: SearchSpace) -> list[Genotype]:
        """Return the genotypes, all of one space.

        Raises:
            GenotypeError: one is not a genotype of the space; its argument or its file and line are named.
        """
        return [self._read(where, text, space).genotype for where, text in self.texts]

    def in_spaces(self, usual: SearchSpace) -> dict[Trainable, SearchSpace | None]:
        """Return the genotypes, each once, with their spaces: that which its text names, else the usual one.

        The name of a network for comparison (``bnao.network.mobile``) stands for that, which has no space.

        Raises:
            GenotypeError: one is not a genotype of its space; its argument or its file and line are named.
        """
        found: dict[Trainable, SearchSpace | None] = {}
        for where, text in self.texts:
            if is_mobile_network(text):
                found.setdefault(mobile_network(text), None)
                continue
            try:
                told = read_genotype(text)
            except GenotypeError:
                told = None
            reading = told if told is not None and told.told else self._read(where, text, usual)
            found.setdefault(reading.genotype, reading.space)
        return found

    def readings(self, space: SearchSpace | None) -> list[Reading]:
        """Read the genotypes with their spaces: each of its own, where None is asked for and its text names one."""
        return [self._read(where, text, space) for where, text in self.texts]

    @staticmethod
    def _read(where: str, text: str, space: SearchSpace | None) -> Reading:
        try:
            return read_genotype(text, space)
        except (GenotypeError, RunError) as error:
            raise type(error)(f"{where}{error}") from None


def searched(targets: Sequence[str], file: Path | None) -> tuple[Path | None, tuple[Reference, ...]]:
    """Return the search's folder, if that is what was given, or genotypes of one search alone; and these."""
    # os.path's, which takes a genotype that is too long for a file name as no folder
    folders = [target for target in targets if os.path.isdir(target)]
    if not folders:
        named = [found for found in map(reference, targets) if found is not None]
        runs = {each.folder for each in named}
        if file is not None or len(named) < len(targets) or len(runs) != 1:
            return None, ()
        (run,) = runs
        return (run, tuple(named)) if (run / SEARCH_RESULT).is_file() else (None, ())
    if len(targets) > 1 or file is not None:
        raise click.UsageError(f"{folders[0]} is a folder; give one RUN alone, or genotypes")
    return Path(folders[0]), ()


def _network_of(space: SearchSpace) -> Settings:
    """Return the settings that tell a space."""
    return {"space": space.name, "nodes": None if space.nodes == space_named(space.name).nodes else space.nodes}


def space_asked_for(given: Settings) -> SearchSpace | None:
    """Return the space that the settings on a command line name; None where a genotype's text may tell its own."""
    if not {"space", "nodes"} & set(given):
        return None
    network = build(NetworkConfig, {name: given[name] for name in ("space", "nodes") if name in given})
    return space_named(network.space, network.nodes)


def show_command(folder: Path, place: int) -> str:
    """Return the command that shows a genotype of a run, by its rank or its number in the table."""
    return f"bnao show {reference_to(folder, place)}"


#: the option ``--long``
long_option = click.option("--long", is_flag=True, help="Print each genotype's text too, below the table.")


def _is_integer(text: str) -> bool:
    return text.strip().lstrip("-").isdigit()


def _texts(arguments: Sequence[str], file: Path | None) -> Iterator[tuple[str, str]]:
    """Yield each genotype's text and the place that an error names."""
    for number, argument in enumerate(arguments, start=1):
        if argument == "-":
            yield from _lines(Path("-"))
        else:
            yield f"genotype {number}: " if len(arguments) > 1 else "", argument
    if file is not None:
        yield from _lines(file)


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    name = "standard input" if str(file) == "-" else str(file)
    try:
        if name == str(file):
            check_regular(file, MOST_TABLE)
        with click.open_file(str(file), encoding="utf-8-sig" if name == str(file) else None) as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip() and not line.lstrip().startswith("#"):
                    yield f"{name}, line {number}: ", line.strip()
    except OSError as error:
        raise click.UsageError(f"cannot read {name}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise GenotypeError(f"{name} is not text in UTF-8: {error}") from None
