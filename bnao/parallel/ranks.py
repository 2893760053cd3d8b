"""Several processes (ranks) that train one supernet together: what the core asks of them.

All make the same search, step for step; the first alone proposes genotypes, writes the folder and prints. How they
exchange arrays is a backend's matter.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from bnao.config.settings import SearchConfig
from bnao.logs import LOG
from bnao.run import LOCK, UNFINISHED, Run


class Ranks(Protocol):
    """The processes of one training, as one of them sees them."""

    #: number of this process, from 0
    rank: int
    #: how many there are
    count: int

    def share(self, content: bytes) -> bytes:
        """Return, in every process, what the first gives.

        Raises:
            RankError: another process has ended.
        """
        ...

    def ends_first(self) -> bool:
        """Return whether this process is the first of all to call this: the one that says why all end."""
        ...


@runtime_checkable
class Ranked(Protocol):
    """A backend that trains one supernet by several processes; none must."""

    def ranks(self, config: SearchConfig) -> Ranks | None:
        """Join the processes that were started together; None where the settings ask for one alone.

        Raises:
            ConfigError: the process was not started as one of several, or is and the settings say nothing of it.
            BackendError: there is no device for it.
            RankError: the others cannot be reached.
        """
        ...


def is_first(ranks: Ranks | None) -> bool:
    """Return whether this process proposes, writes and prints.

    >>> is_first(None)
    True
    """
    return ranks is None or ranks.rank == 0


@contextmanager
def run_of(ranks: Ranks | None, open_it: Callable[[], Run]) -> Iterator[Run]:
    """Open a run's folder in the first process; the others get a copy of it, in which nothing more is kept.

    Args:
        ranks: None: this process is the only one.
        open_it: opens the folder, or makes it.

    >>> from bnao.config.settings import SearchConfig
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with run_of(None, lambda: Run.create(Path(folder) / "run", SearchConfig(rounds=2))) as run:
    ...         print(run.config(SearchConfig).rounds)
    2
    """
    if is_first(ranks):
        with open_it() as run:
            if ranks is not None:
                ranks.share(_packed(run.folder))
            yield run
        return
    assert ranks is not None
    packed = ranks.share(b"")
    with tempfile.TemporaryDirectory(prefix="bnao-rank-") as copy:
        _unpack(packed, Path(copy))
        with _Copy(Path(copy)) as run:
            yield run


class _Copy(Run):
    """A copy of the folder that the first process works in: it is read, and keeps nothing more."""

    def write(self, name: str, content: bytes) -> None:
        """Keep nothing."""

    def log(self, event: Any) -> None:
        """Keep nothing."""


def _packed(folder: Path) -> bytes:
    """Return the files of a folder that a search resumes from."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.name not in (LOCK, LOG) and not path.name.endswith(UNFINISHED):
                archive.write(path, path.name)
    return packed.getvalue()


def _unpack(packed: bytes, folder: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        archive.extractall(folder)
