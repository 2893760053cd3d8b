"""Interruption by Ctrl-C, SIGTERM or a full disk: one line on how to resume, and an exit code for each."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from bnao.errors import BnaoError, RankError, WriteError
from bnao.parallel.ranks import Ranks


class Terminated(KeyboardInterrupt):
    """The process was sent SIGTERM."""


class Stopped(click.Abort):
    """The work was interrupted; the message says how to resume it, the cause by which signal."""


def exit_code(error: click.Abort) -> int:
    """Return the exit code of a command that was aborted: 128 + the signal's number, or 1 where it was no signal.

    >>> exit_code(click.Abort())
    1
    """
    if isinstance(error.__cause__, Terminated):
        return 128 + signal.SIGTERM
    return 128 + signal.SIGINT if isinstance(error.__cause__, KeyboardInterrupt) else 1


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM unwind the stack as Ctrl-C does, so that files are closed and child processes end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def going_on(again: str) -> Iterator[None]:
    """Print how to resume when the code within is interrupted.

    Raises:
        Stopped: instead of KeyboardInterrupt.
        WriteError: where nothing more can be written.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise Stopped(f"stopped; finished work is kept; resume with: {again}") from interrupt
    except WriteError as error:
        raise WriteError(f"{error}; free some space, then resume with: {again}") from None
    except RankError as error:
        raise RankError(f"{error}; finished work is kept; resume with: {again}") from None


@contextmanager
def one_says_why(ranks: Ranks | None) -> Iterator[None]:
    """Let the first of several ranks that ends say why, and the others end without a word.

    Raises:
        click.ClickException: instead of an error of bnao, in the first.
        click.exceptions.Exit: in the others.
    """
    if ranks is None:
        yield
        return
    try:
        yield
    except (BnaoError, click.ClickException, click.Abort, KeyboardInterrupt, OSError) as error:
        if not ranks.ends_first():
            raise click.exceptions.Exit(1) from None
        if isinstance(error, (BnaoError, click.UsageError)):
            raise click.ClickException(str(error)) from None
        raise
