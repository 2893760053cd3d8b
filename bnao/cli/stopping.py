"""Being stopped by Ctrl-C, SIGTERM or a full disk: one line that says how to go on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from bnao.errors import WriteError


class Stopped(click.Abort):
    """Somebody stopped the work; the message says how to go on."""


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def going_on(again: str) -> Iterator[None]:
    """Being stopped within says how to go on.

    Raises:
        Stopped: instead of KeyboardInterrupt.
        WriteError: where nothing more can be written.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped(f"stopped; what was finished is kept; go on with: {again}") from None
    except WriteError as error:
        raise WriteError(f"{error}; free some space, then go on with: {again}") from None
