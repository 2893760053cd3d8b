"""Units of work done ahead by several processes that share a folder, in which whoever asks for them then finds them.

A process claims a unit by a lock that dies with it: one that is killed loses only the unit at hand, and another
takes it up. What no process has done is left to whoever asks.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from attrs import frozen

from bnao.errors import BnaoError, WriteError
from bnao.events import Event
from bnao.run import Folder

#: what tells how many threads a framework uses, before it is loaded
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
# seconds between two looks at what others have claimed, and at what processes have to say
_WAIT = 0.2


@frozen
class Unit:
    """A unit of work whose result is a file.

    Attributes:
        name: of the file, without a suffix.
        folder: that it is kept in.
        is_done: whether it is kept there.
        compute: makes it, and keeps it.
    """

    name: str
    folder: Folder
    is_done: Callable[[], bool]
    compute: Callable[[], object]


class Work(Protocol):
    """Work that can be sent to another process: plain data, of which units are made there."""

    def units(self, tell: Callable[[Event], None]) -> Sequence[Unit]:
        """Return all units, in the order in which they are wanted.

        Args:
            tell: is called with events while a unit is computed.
        """
        ...


def work_ahead(work: Work, processes: int, tell: Callable[[Event], None], *, threads: int | None = None) -> None:
    """Do the units of some work in so many processes, each with its share of the CPUs.

    Args:
        work: is sent to each process.
        processes: how many, >= 1; one is no process of its own, and does nothing ahead.
        tell: is called in this process with the events of all.
        threads: of each process; None: the CPUs, divided by the number of processes.

    Raises:
        BnaoError: what a unit raised; the other processes are ended, and what they had finished is kept.
    """
    if processes < 2:
        return
    context = multiprocessing.get_context("spawn")
    said: Any = context.Queue()
    share = threads or max(1, (os.cpu_count() or 1) // processes)
    workers = [context.Process(target=_work, args=(work, said)) for _ in range(processes)]
    try:
        with _environment({name: str(share) for name in THREADS}):
            for worker in workers:
                worker.start()
        while any(worker.is_alive() for worker in workers):
            _hear(said, tell, _WAIT)
        _hear(said, tell, 0.0)
    finally:
        for worker in workers:
            if worker.is_alive():
                worker.terminate()
            worker.join()
        said.close()


def _hear(said: Any, tell: Callable[[Event], None], seconds: float) -> None:
    """Pass on all that processes have said, waiting so long for the first of it.

    Raises:
        BnaoError: what one of them had to end with.
    """
    with contextlib.suppress(queue.Empty):
        while True:
            message = said.get(timeout=seconds) if seconds else said.get_nowait()
            if isinstance(message, BnaoError):
                raise message
            tell(message)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables of the environment that are not set, for processes that are started within."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


# --- in a process of its own


def _work(work: Work, said: Any) -> None:
    """Do units until all are done; say what happens, and the error that ends it."""
    parent = multiprocessing.parent_process()

    def tell(event: Event) -> None:
        if parent is not None and not parent.is_alive():
            os._exit(1)  # nobody asks for it any more
        if event["event"] != "step":  # of which there are too many
            said.put(dict(event))

    try:
        units = list(work.units(tell))
        while not all([_done_or_claimed(unit) for unit in units]):
            time.sleep(_WAIT)
    except BnaoError as error:
        said.put(error)
    except KeyboardInterrupt:
        pass


def _done_or_claimed(unit: Unit) -> bool:
    """Do a unit unless another process does; return whether it is done."""
    from filelock import FileLock, Timeout

    if unit.is_done():
        return True
    path = unit.folder.folder / f"{unit.name}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path, timeout=0):
            if not unit.is_done():
                unit.compute()
            path.unlink(missing_ok=True)
    except Timeout:
        return unit.is_done()
    except OSError as error:
        if isinstance(error, BnaoError):
            raise
        raise WriteError(f"cannot write {path}: {error.strerror}; finished work is kept") from None
    return True
