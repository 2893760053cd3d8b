"""Where backends are found: by entry point, built-in ones too. The only place that imports one by name."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points

from bnao.errors import BackendError, ConfigError
from bnao.protocols import Backend

GROUP = "bnao.backends"


def available() -> list[str]:
    """Return the names of all backends that some installed distribution offers, whether or not they can be imported.

    >>> {"keras", "table", "torch"} <= set(available())
    True
    """
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def hint(name: str) -> str:
    """Return the command that installs what a backend needs: extras share the backends' names."""
    return f"pip install 'bnao[{name}]'"


def check_alone(framework: str, other: str) -> None:
    """Refuse to load a framework into a process that has another which it does not bear.

    Raises:
        BackendError: the other is loaded.
    """
    if other in sys.modules:
        raise BackendError(
            f"{other} is loaded in this process, and {framework} beside it may crash both; use a process of its own"
        )


def load(name: str) -> Backend:
    """Return the backend of that name.

    Raises:
        BackendError: there is none, or what it needs is not installed; the message says what to install.

    >>> load("table").name
    'table'
    >>> load("abacus")
    Traceback (most recent call last):
        ...
    bnao.errors.BackendError: no backend 'abacus'; installed: keras, table, torch
    """
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            try:
                backend: Backend = entry.load()
            except BackendError:
                raise
            except ImportError as error:
                raise BackendError(f"backend {name!r} cannot be imported ({error}); try: {hint(name)}") from None
            return backend
    raise BackendError(f"no backend {name!r}; installed: {', '.join(available())}")


def framework(name: str, what: str) -> Backend:
    """Return the backend of that name, which must compute.

    Args:
        name: of the backend.
        what: what a table cannot do, such as "has no NAO controller".

    Raises:
        ConfigError: it is a table.
        BackendError: as ``load``.
    """
    backend = load(name)
    if backend.name == "table":
        raise ConfigError(f"backend 'table' {what}; name a framework with --backend")
    return backend
