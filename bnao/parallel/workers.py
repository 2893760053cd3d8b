"""Trainings done ahead by several workers that share a folder, in which whoever asks for them then finds them.

Workers are processes of this machine, or those of a Ray or dask cluster (``bnao.parallel.engines``). Each unit is
claimed by a lock that dies with its process; what happens is told by the folder's log, to which all add.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from pathlib import Path
from typing import Any, Protocol

from attrs import frozen

from bnao.config.settings import MachineConfig
from bnao.errors import BnaoError, RunError
from bnao.events import Event, Listener
from bnao.locks import is_locked
from bnao.logs import Follower, log_event
from bnao.parallel.engines import Workers, shared_by
from bnao.parallel.jobs import WAIT, Unit
from bnao.run import lock_name

_ON_CPU = MachineConfig(device="cpu")


class Work(Protocol):
    """Work that can be sent to another process: plain data, of which units are made there."""

    @property
    def folder(self) -> Path:
        """The folder of the log."""
        ...

    def units(self, tell: Callable[[Event], None]) -> Sequence[Unit]:
        """Return all units, in the order in which they are wanted.

        Args:
            tell: is called with events while a unit is computed.
        """
        ...


def work_ahead(work: Work, workers: Workers, listen: Listener, machine: MachineConfig = _ON_CPU) -> None:
    """Have the units of some work done by workers, each with its share of the CPUs.

    Args:
        work: is sent to each worker.
        workers: if that is this process alone, nothing is done ahead.
        listen: is called in this process with the events of all, but for steps.
        machine: threads of each worker, by default the CPUs divided by the number of processes, or one in a cluster;
            and its device, which says whether units may use a GPU.

    Raises:
        BnaoError: what a unit raised; the other workers are ended, and what they had finished is kept.
    """
    if workers.alone:
        return
    units = work.units(lambda event: None)
    left = [index for index, unit in enumerate(units) if not unit.is_done()]
    if not left:
        return
    follower = Follower(work.folder)
    for _ in follower.new():
        pass  # of earlier work
    threads, gpu = workers.threads(machine.threads), machine.device != "cpu"
    with workers.engine_for(_Parcel(work, os.getcwd()), threads, gpu=gpu) as engine:
        running = {engine.submit(attempt_unit, index): index for index in left}
        elsewhere: list[int] = []
        while running or elsewhere:
            elsewhere += _finished(running, units)
            for event in follower.new():
                listen(event)
            for index in [index for index in elsewhere if not _is_claimed(units[index])]:
                elsewhere.remove(index)
                if not units[index].is_done():  # who had claimed it was killed
                    running[engine.submit(attempt_unit, index)] = index
    for event in follower.new():
        listen(event)


def _is_claimed(unit: Unit) -> bool:
    return is_locked(unit.folder.folder / lock_name(unit.name))


def _finished(running: dict[Future[Any], int], units: Sequence[Unit]) -> list[int]:
    """Wait a moment for calls to end; return the units that processes other than the workers had claimed.

    Raises:
        BnaoError: what a unit raised, or that its worker was lost again and again.
    """
    if not running:
        time.sleep(WAIT)
        return []
    elsewhere = []
    for future in wait(running, timeout=WAIT, return_when=FIRST_COMPLETED).done:
        index = running.pop(future)
        try:
            outcome = future.result()
        except BnaoError as error:
            raise type(error)(f"{units[index].name}: {error}") from None
        except Exception as error:
            if not _is_of_cluster(error):
                raise
            why = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise RunError(f"{units[index].name}: the cluster lost its worker again and again: {why}") from None
        if isinstance(outcome, BnaoError):
            raise outcome
        if not outcome:
            elsewhere.append(index)
    return elsewhere


def _is_of_cluster(error: Exception) -> bool:
    """Return whether an error is of Ray or dask, and not one of the call that they pass on."""
    kind = type(error)
    ours = isinstance(error, CancelledError) or kind.__module__.partition(".")[0] in ("ray", "distributed")
    return ours and not kind.__name__.startswith("RayTaskError")


# --- in a worker


@frozen(eq=False)
class _Parcel:
    """Work, and the folder that its paths are relative to."""

    work: Work
    place: str


#: a process makes one training at a time, also where a cluster calls it from several threads
_alone = threading.Lock()

#: the work that this process was last asked for, and its units
_made: tuple[Work, Sequence[Unit]] | None = None


def attempt_unit(shared: Any, index: int) -> bool | BnaoError:
    """Do a unit unless another process is doing it; return whether it is done, or the error that ends it."""
    parcel = shared_by(shared)
    try:
        with _alone, _at(parcel.place):
            return _units(parcel.work)[index].attempt()
    except BnaoError as error:
        return error


def _units(work: Work) -> Sequence[Unit]:
    global _made
    if _made is None or _made[0] is not work:
        _made = work, work.units(_teller(work.folder))
    return _made[1]


def _teller(folder: Path) -> Callable[[Event], None]:
    parent = multiprocessing.parent_process()

    def tell(event: Event) -> None:
        if parent is not None and not parent.is_alive():
            os._exit(1)  # nobody asks for it any more
        if event["event"] != "step":  # of which there are too many
            log_event(folder, event)

    return tell


@contextlib.contextmanager
def _at(place: str) -> Iterator[None]:
    """Work in the folder in which the command was given.

    Raises:
        RunError: there is none of that name here.
    """
    if os.getcwd() == place:
        yield
        return
    try:
        within = contextlib.chdir(place)
        within.__enter__()
    except OSError as error:
        raise RunError(
            f"a worker on {platform.node()} cannot enter {place}: {error.strerror}; workers need the folder in which "
            "the command is given, at the same path"
        ) from None
    try:
        yield
    finally:
        within.__exit__(None, None, None)
