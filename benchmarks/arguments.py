"""What the benchmarks' command lines share: bounded whole numbers, paths that must be there, refusals in one line."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path


def whole(least: int) -> Callable[[str], int]:
    """Return a reader of whole numbers >= ``least``."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number >= {least}")
        return int(text)

    return read


def file(text: str) -> str:
    """Return the path of a file that is there."""
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return text


def folder(text: str) -> str:
    """Return the path of a folder that is there."""
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {text}")
    return text


@contextlib.contextmanager
def refusals(parser: argparse.ArgumentParser) -> Iterator[None]:
    """End with one line and exit code 2 where bnao refuses what it is asked for."""
    try:
        yield
    except Exception as error:
        from bnao import BnaoError  # not above: one benchmark times this import

        if not isinstance(error, BnaoError):
            raise
        parser.error(str(error))
