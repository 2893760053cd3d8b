"""Units of work whose results are kept in a folder: what is known there is not computed again.

Processes that share the folder, of one machine or of several, share the work: each job is claimed by a lock that dies
with its process, so one that is killed loses only the job at hand, which another takes up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from attrs import frozen

from bnao.run import Folder, lock_name

T = TypeVar("T")

#: seconds between two looks at a job that another process is doing
WAIT = 0.2


def nothing_ahead() -> bool:
    """Do nothing while a job is waited for."""
    return False


@frozen(eq=False)
class Job(Generic[T]):
    """A unit of work, and the JSON file that keeps its result.

    The result is a function of the job alone, whichever other jobs are done and in which order, and what ``compute``
    keeps on the way, such as checkpoints and weights, are files that bear the job's name. So jobs may be made in any
    order and by several processes that share a folder.

    Attributes:
        name: of the file, different from all others in the folder.
        compute: makes the result.
        to_json: plain data of a result.
        from_json: reads them; None where the file holds only a part of the result, which ``compute`` continues.
        scraps: files that are of no use once the result is kept, such as a checkpoint.
        report: is called with a result that was computed here, once it is kept.

    >>> import pathlib, tempfile
    >>> made = tempfile.TemporaryDirectory()
    >>> folder = Folder(pathlib.Path(made.name))
    >>> job = Job("sum.json", lambda: 1 + 2, lambda value: {"sum": value}, lambda content: int(content["sum"]))
    >>> job.is_done(folder), job.result(folder), job.is_done(folder), folder.read_json("sum.json")
    (False, 3, True, {'format': 1, 'sum': 3})
    """

    name: str
    compute: Callable[[], T]
    to_json: Callable[[T], Mapping[str, Any]]
    from_json: Callable[[Mapping[str, Any]], T | None]
    scraps: tuple[str, ...] = ()
    report: Callable[[T], object] = lambda value: None

    def known(self, folder: Folder | None) -> T | None:
        """Read the result; None if it is not there yet.

        Raises:
            RunError: the file is damaged, or is not what bnao wrote; it is named.
        """
        return None if folder is None else folder.known(self.name, self.from_json)

    def is_done(self, folder: Folder | None) -> bool:
        """Return whether the result is known in the folder."""
        return self.known(folder) is not None

    def result(self, folder: Folder | None) -> T:
        """Return the result: the one that is known in the folder, or else compute it and keep it there.

        Args:
            folder: None: nothing is known and nothing is kept.

        Raises:
            RunError: as ``known``.
            WriteError: the folder cannot be written.
        """
        return self.finish(folder).value

    def finish(self, folder: Folder | None, ahead: Callable[[], bool] = nothing_ahead) -> Finished[T]:
        """Do the job, or wait for the process that is doing it; as ``result``.

        Args:
            folder: as for ``result``.
            ahead: does other work while this job is waited for; returns whether there was any.
        """
        if folder is None:
            value = self.compute()
            self.report(value)
            return Finished(self, value, known=False)
        while (finished := self.attempt(folder)) is None:
            if not ahead():
                time.sleep(WAIT)
        return finished

    def attempt(self, folder: Folder) -> Finished[T] | None:
        """Do the job if it is not done, unless another process is doing it: None.

        Raises:
            BnaoError: as ``result``.
        """
        known = self.known(folder)
        if known is None:
            with folder.claimed(self.name) as mine:
                if not mine:
                    return None
                known = self.known(folder)  # made between the look and the claim
                value = self._made(folder) if known is None else known
        else:
            value = known
        # whoever has the lock's file open still finds the result, once it is theirs
        for name in (*self.scraps, lock_name(self.name)):
            folder.remove(name)
        return Finished(self, value, known=known is not None)

    def _made(self, folder: Folder) -> T:
        value = self.compute()
        folder.write_json(self.name, self.to_json(value))
        self.report(value)
        return value

    def unit(self, folder: Folder) -> Unit:
        """Return the job as a unit of work in a folder."""
        return Unit(self.name, folder, lambda: self.is_done(folder), lambda: self.attempt(folder) is not None)


@frozen(eq=False)
class Finished(Generic[T]):
    """A job that is done.

    Attributes:
        job: which.
        value: its result.
        known: whether it was done before, or by another process.
    """

    job: Job[T]
    value: T
    known: bool


@frozen(eq=False)
class Unit:
    """A job in its folder, whatever its result is.

    Attributes:
        name: of the job.
        folder: that knows the result.
        is_done: whether it does.
        attempt: does the job unless another process is doing it; returns whether it is done.
    """

    name: str
    folder: Folder
    is_done: Callable[[], bool]
    attempt: Callable[[], bool]


class Ahead:
    """Units that may be done before they are asked for, each time it is called one.

    >>> import pathlib, tempfile
    >>> made = tempfile.TemporaryDirectory()
    >>> folder = Folder(pathlib.Path(made.name))
    >>> jobs = [Job(f"{n}.json", lambda n=n: n * n, lambda value: {"square": value}, dict) for n in (2, 3)]
    >>> ahead = Ahead([job.unit(folder) for job in jobs])
    >>> ahead(), ahead(), ahead(), sorted(path.name for path in folder.folder.iterdir())
    (True, True, False, ['2.json', '3.json'])
    """

    def __init__(self, units: Iterable[Unit]) -> None:
        self._left = list(units)

    def __call__(self) -> bool:
        """Do the first unit that is not done and that no other process is doing; return whether there was one."""
        for unit in list(self._left):
            known = unit.is_done()
            if known or unit.attempt():
                self._left.remove(unit)
                if not known:
                    return True
        return False


def run_jobs(
    jobs: Iterable[Job[T]], folder: Folder | None, ahead: Callable[[], bool] | None = None
) -> Iterator[Finished[T]]:
    """Do the jobs one after the other, as they are asked for, and yield each in the order given.

    One that another process is doing is waited for, and meanwhile others are done.

    Args:
        jobs: with names that differ.
        folder: knows results and keeps them; None: nothing is known and nothing is kept.
        ahead: does one of these others, and returns whether there was any; None: one of the jobs.

    Raises:
        BnaoError: what ``Job.result`` raises; the results so far are kept.

    >>> jobs = [Job(f"{n}.json", lambda n=n: n * n, lambda value: {"square": value}, dict) for n in (2, 3)]
    >>> [finished.value for finished in run_jobs(jobs, None)]
    [4, 9]
    """
    jobs = list(jobs)
    if ahead is None:
        ahead = nothing_ahead if folder is None else Ahead([job.unit(folder) for job in jobs])
    for job in jobs:
        yield job.finish(folder, ahead)
