"""Locks on files: held by one process at a time, here or on a machine with the same disk, and gone when it ends."""

from __future__ import annotations

import contextlib
import errno
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

try:
    import fcntl
except ImportError:  # Windows, where a line that is appended is not locked
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from filelock import BaseFileLock

_NO_LOCKS = "its file system has no locks that end with their process (flock)"


def try_lock(path: Path) -> BaseFileLock | None:
    """Lock a file, which is made if there is none; return the lock, or None if another process holds it.

    Raises:
        OSError: the file cannot be made, or its file system has no such locks.

    >>> import tempfile
    >>> made = tempfile.TemporaryDirectory()
    >>> first = try_lock(Path(made.name) / "x.lock")
    >>> second = try_lock(Path(made.name) / "x.lock")
    >>> first is None, second is None
    (False, True)
    >>> first.release()
    """
    from filelock import FileLock, SoftFileLock, Timeout

    lock: BaseFileLock = FileLock(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says that it falls back to what is refused below
            lock.acquire(timeout=0)
    except Timeout:
        return None
    except NotImplementedError:
        raise OSError(errno.ENOSYS, _NO_LOCKS) from None
    if isinstance(lock, SoftFileLock):  # a mere file, which outlives a process that is killed
        lock.release()
        raise OSError(errno.ENOSYS, _NO_LOCKS)
    return lock


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock of a file, which is not made."""
    if not path.is_file():
        return False
    try:
        lock = try_lock(path)
    except OSError:  # in someone else's folder nobody here can work
        return False
    if lock is not None:
        lock.release()
    return lock is None


def append_line(path: Path, line: str) -> None:
    """Add a line to a file as a whole, whichever processes of whichever machines add lines to it at the same time.

    Raises:
        OSError: it cannot be written.
    """
    with open(path, "a", encoding="utf-8") as file:
        if fcntl is not None:
            with contextlib.suppress(OSError):
                # on a network file system it is the lock that shows where the file ends now; it goes with the file
                fcntl.flock(file, fcntl.LOCK_EX)
        file.write(f"{line}\n")
