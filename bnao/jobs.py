"""Units of work whose results are kept in a folder: what is known there is not computed again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from attrs import frozen

from bnao.run import Folder

T = TypeVar("T")


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
        known = self.known(folder)
        value = self.compute() if known is None else known
        if folder is not None:
            if known is None:
                folder.write_json(self.name, self.to_json(value))
            for name in self.scraps:
                folder.remove(name)
        return value


@frozen(eq=False)
class Finished(Generic[T]):
    """A job that is done.

    Attributes:
        job: which.
        value: its result.
        known: whether it was done before.
    """

    job: Job[T]
    value: T
    known: bool


def run_jobs(jobs: Iterable[Job[T]], folder: Folder | None) -> Iterator[Finished[T]]:
    """Do the jobs one after the other, as they are asked for, and yield each in the order given.

    Args:
        jobs: with names that differ.
        folder: knows results and keeps them; None: nothing is known and nothing is kept.

    Raises:
        BnaoError: what ``Job.result`` raises; the results so far are kept.

    >>> jobs = [Job(f"{n}.json", lambda n=n: n * n, lambda value: {"square": value}, dict) for n in (2, 3)]
    >>> [finished.value for finished in run_jobs(jobs, None)]
    [4, 9]
    """
    for job in jobs:
        known = job.is_done(folder)
        yield Finished(job, job.result(folder), known)
