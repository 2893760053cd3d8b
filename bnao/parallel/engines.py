"""Executors of many trainings at once: processes of this machine, a Ray cluster, a dask cluster.

Each is a ``concurrent.futures.Executor``; what all calls share is sent once, and a call whose process is killed is
made again.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import multiprocessing
import os
import pkgutil
import re
import socket
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from attrs import frozen

from bnao.errors import BnaoError, ConfigError, RunError
from bnao.version import VERSION

log = logging.getLogger("bnao")

#: what tells how many threads a framework uses, before it is loaded
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
#: how often a call is made again whose process was killed
RETRIES = 3

_WANTED = "a number of processes, ray, ray://HOST:PORT, dask or dask://HOST:PORT"
_NEEDS = {"ray": "ray", "dask": "distributed"}
#: what a worker resolves by the standard library alone, before anything of bnao is sent to it
_ASKED = "bnao.version:VERSION"
#: seconds in which a machine of a Ray cluster answers that
_ANSWER_SECONDS = 120
#: seconds in which it takes a connection
_CONNECT_SECONDS = 10


def cpus() -> int:
    """Return the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@frozen
class Workers:
    """Who does the work.

    Attributes:
        engine: processes, ray or dask.
        number: of processes; one is the process that asks, which does the work itself.
        address: HOST:PORT of a cluster; empty: one of this machine.

    >>> Workers.parse("2"), Workers.parse("ray://head:10001").address
    (Workers(engine='processes', number=2, address=''), 'head:10001')
    """

    engine: str = "processes"
    number: int = 1
    address: str = ""

    @classmethod
    def parse(cls, text: str | int) -> Workers:
        """Read the value of ``--workers``.

        Raises:
            ConfigError: it is not one.
        """
        text = str(text)
        if re.fullmatch(r"[1-9]\d{0,3}", text):
            return cls(number=int(text))
        found = re.fullmatch(r"(ray|dask)(?:://([^\s/]+:\d+))?", text)
        if found is None:
            raise ConfigError(f"workers is {text!r}; it must be {_WANTED}")
        return cls(found[1], address=found[2] or "")

    def check_installed(self) -> None:
        """Raise BnaoError if what they need is not installed, without loading it."""
        needed = _NEEDS.get(self.engine)
        if needed is not None and importlib.util.find_spec(needed) is None:
            raise BnaoError(f"workers {self.engine!r} need {needed}: pip install 'bnao[{self.engine}]'")

    @property
    def alone(self) -> bool:
        """Whether the process that asks does the work itself."""
        return self.engine == "processes" and self.number == 1

    def threads(self, given: int | None) -> int:
        """Return the threads that each call has: those that are given, or the process's share of the CPUs, or one."""
        if given is not None:
            return given
        return max(1, cpus() // self.number) if self.engine == "processes" else 1

    @contextlib.contextmanager
    def engine_for(self, shared: Any, threads: int, *, gpu: bool = False) -> Iterator[Engine]:
        """Yield what makes calls with something that they share.

        Args:
            shared: is sent once to each process.
            threads: of each call.
            gpu: whether a call may use a GPU; of Ray it then asks for one, if the cluster has any.

        Raises:
            BnaoError: what they need is not installed.
            RunError: no cluster answers there, or its workers cannot import bnao, or import another version of it.
        """
        self.check_installed()
        environment = {name: str(threads) for name in THREADS if name not in os.environ}
        if self.engine == "ray":
            opened = _ray(self.address, shared, threads, environment, gpu)
        elif self.engine == "dask":
            opened = _dask(self.address, shared, threads, environment)
        else:
            opened = _processes(self.number, shared, environment)
        with opened as engine:
            yield engine


@frozen
class Engine:
    """An executor, and what all its calls share.

    Attributes:
        executor: makes the calls.
        shared: stands for it as the first argument of a call.
    """

    executor: Executor
    shared: Any

    def submit(self, call: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Call a function of a module with what is shared and some arguments, in another process."""
        return self.executor.submit(call, self.shared, *arguments)


# --- processes of this machine


@frozen
class _Held:
    """What a process was given when it was started."""


_held: Any = None


def shared_by(handle: Any) -> Any:
    """Return what the calls of an engine share, in the process in which one is made."""
    return _held if isinstance(handle, _Held) else handle


class ProcessExecutor(Executor):
    """Processes that are started anew when they are killed, and then make the call that was lost again.

    Args:
        number: of processes.
        shared: is sent to each when it is started.
        environment: variables that they have besides.
    """

    def __init__(self, number: int, shared: Any, environment: Mapping[str, str]) -> None:
        self._shared, self._environment = shared, environment
        self._threads = ThreadPoolExecutor(number)
        self._own = threading.local()
        self._lock = threading.Lock()
        self._processes: list[Any] = []
        self._stopped = False

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a function of a module in one of the processes."""
        return self._threads.submit(self._call, call, args, kwargs)

    def _call(self, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        for _ in range(1 + RETRIES):
            pipe = self._pipe()
            try:
                pipe.send((call, args, kwargs))
                outcome = pipe.recv()
            except (EOFError, OSError):  # the process is no more
                self._own.pipe = None
                continue
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome
        raise RunError(
            f"{1 + RETRIES} worker processes ended one after the other at the same work, as when memory is short; "
            "take fewer --workers"
        )

    def _pipe(self) -> Connection:
        """Return the way to the process of this thread, which is started if there is none."""
        pipe: Connection | None = getattr(self._own, "pipe", None)
        if pipe is not None:
            return pipe
        context = multiprocessing.get_context("spawn")
        pipe, theirs = context.Pipe()
        with self._lock, _environment(self._environment):
            if self._stopped:
                raise RunError("the workers were stopped")
            process = context.Process(target=_serve, args=(theirs, self._shared), daemon=False)
            process.start()
            self._processes.append(process)
        theirs.close()
        self._own.pipe = pipe
        return pipe

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End all processes, whatever they are at."""
        with self._lock:
            self._stopped = True
            for process in self._processes:
                process.terminate()
        self._threads.shutdown(wait=wait, cancel_futures=True)
        for process in self._processes:
            process.join()


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment that are not set, for processes that are started within."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def _serve(pipe: Connection, shared: Any) -> None:
    """Make calls until nobody asks for any."""
    global _held
    _held = shared
    with contextlib.suppress(KeyboardInterrupt, EOFError, BrokenPipeError):
        while True:
            call, args, kwargs = pipe.recv()
            try:
                outcome = call(*args, **kwargs)
            except Exception as error:
                outcome = error
            pipe.send(outcome)


@contextlib.contextmanager
def _processes(number: int, shared: Any, environment: Mapping[str, str]) -> Iterator[Engine]:
    executor = ProcessExecutor(number, shared, environment)
    try:
        yield Engine(executor, _Held())
    finally:
        executor.shutdown()


# --- clusters


def check_versions(answers: Mapping[str, object]) -> None:
    """Check what the workers of a cluster say of bnao.

    Args:
        answers: the version that each imports, or what was raised in its place, by the name of the worker.

    Raises:
        RunError: one of them cannot import bnao, or imports another version than that of this process.

    >>> check_versions({"10.0.0.2": "0.0.1"})
    Traceback (most recent call last):
    bnao.errors.RunError: 10.0.0.2 of the cluster has bnao 0.0.1, and here it is 0.1.0; install the same version there
    """
    for worker, answer in answers.items():
        if isinstance(answer, BaseException):
            why = (str(answer).strip().splitlines() or [type(answer).__name__])[-1]
            raise RunError(f"{worker} of the cluster cannot import bnao ({why}); install bnao {VERSION} there")
        if answer != VERSION:
            raise RunError(
                f"{worker} of the cluster has bnao {answer}, and here it is {VERSION}; install the same version there"
            )


# --- Ray


class RayExecutor(Executor):
    """Tasks of a Ray cluster.

    Args:
        options: of each task; see ``ray.remote``.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = dict(options)
        self._remote: dict[Callable[..., Any], Any] = {}

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a function of a module in a task."""
        import ray

        if call not in self._remote:
            self._remote[call] = ray.remote(**self._options)(call)
        future: Future[Any] = self._remote[call].remote(*args, **kwargs).future()
        return future


@contextlib.contextmanager
def _ray(address: str, shared: Any, threads: int, environment: Mapping[str, str], gpu: bool) -> Iterator[Engine]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they say again what is raised
        _connect_ray(address)
    try:
        check_versions(_ray_versions())
        _warn_of_few_cpus(threads)
        gpus = 1 if gpu and ray.cluster_resources().get("GPU", 0) >= 1 else 0
        options = {
            "num_cpus": threads, "num_gpus": gpus, "max_retries": RETRIES, "runtime_env": {"env_vars": environment},
        }  # fmt: skip
        yield Engine(RayExecutor(options), ray.put(shared))
    finally:
        ray.shutdown()


def _connect_ray(address: str) -> None:
    """Connect to a cluster.

    Raises:
        RunError: there is none that lets this process in.
    """
    import ray

    if not address:
        _check_reachable()
    try:
        if address:
            ray.init(f"ray://{address}", log_to_driver=False, logging_level="ERROR")
        else:  # the cluster of RAY_ADDRESS, or one that was started on this machine, or else one for this command
            ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        token = address and os.environ.get("RAY_AUTH_MODE") is None
        hint = "; one that asks for a token needs RAY_AUTH_MODE=token here" if token else ""
        raise RunError(f"no Ray cluster at {address or 'this machine'}: {first}{hint}") from None


def _check_reachable() -> None:
    """Check that something answers at the address of the cluster that Ray takes by itself; it would wait without end.

    That is the one of ``RAY_ADDRESS``, else of the last ``ray start`` here, which leaves it in a file.

    Raises:
        RunError: nothing does.
    """
    given = os.environ.get("RAY_ADDRESS", "")
    address, hint = given, "RAY_ADDRESS names it"
    if given in ("", "auto"):
        left = Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp", "ray", "ray_current_cluster")
        address = left.read_text(encoding="utf-8").strip() if left.is_file() else ""
        hint = "the last ray start left it; ray stop forgets it, and RAY_ADDRESS=local starts a new one"
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():  # there is none, or it shall be a new one
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise RunError(f"no Ray cluster answers at {address} ({error}): {hint}") from None


def _ray_versions() -> dict[str, object]:
    """Return the version of bnao that each machine of the cluster imports, or what it raised, by its address."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    answers: dict[str, object] = {}
    for node in [node for node in ray.nodes() if node["Alive"]]:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ask = ray.remote(num_cpus=0, scheduling_strategy=there)(pkgutil.resolve_name)
        try:
            answers[node["NodeManagerAddress"]] = ray.get(ask.remote(_ASKED), timeout=_ANSWER_SECONDS)
        except Exception as error:  # of any kind: it is what an import there raised, or that the machine was lost
            answers[node["NodeManagerAddress"]] = error
    return answers


def _warn_of_few_cpus(threads: int) -> None:
    """Warn where no machine of the Ray cluster has so many CPUs, so that no task would ever begin."""
    import ray

    most = max((node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]), default=0)
    if most < threads:
        log.warning(
            "warning: no machine of the Ray cluster has %d CPUs for a training (the largest has %g); they wait for "
            "one, or take fewer --threads",
            threads, most,
        )  # fmt: skip


# --- dask


@contextlib.contextmanager
def _dask(address: str, shared: Any, threads: int, environment: Mapping[str, str]) -> Iterator[Engine]:
    import dask
    from distributed import Client, LocalCluster

    # of a machine's own cluster each worker takes one call at a time
    number = max(1, cpus() // threads)
    settings = {"distributed.nanny.pre-spawn-environ": environment}
    with contextlib.ExitStack() as opened, dask.config.set(settings):
        try:
            if address:
                client = opened.enter_context(Client(f"tcp://{address}"))
            else:
                own = LocalCluster(n_workers=number, threads_per_worker=1, dashboard_address=None, silence_logs=50)
                client = opened.enter_context(Client(opened.enter_context(own)))
        except (OSError, TimeoutError) as error:
            raise RunError(f"no dask scheduler at {address or 'this machine'}: {error}") from None
        if address:
            _check_dask(client)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is large, and sent once
            # a task, and not scattered data: those would be lost with a worker that is killed
            kept = client.submit(_same, shared, pure=False, retries=RETRIES)
        yield Engine(client.get_executor(pure=False, retries=RETRIES), kept)


def _check_dask(client: Any) -> None:
    """Check the versions of a dask cluster's scheduler and workers, and warn where its workers are few or not alone.

    Raises:
        RunError: as ``check_versions``.
    """
    try:
        scheduler = client.run_on_scheduler(pkgutil.resolve_name, _ASKED)
    except Exception as error:  # of any kind: it is what an import there raised
        scheduler = error
    workers = client.run(pkgutil.resolve_name, _ASKED, on_error="return")
    check_versions({"the scheduler": scheduler, **workers})
    if not workers:
        log.warning("warning: the dask cluster has no workers yet; trainings wait for one")
    if any(threads > 1 for threads in client.nthreads().values()):
        log.warning(
            "warning: workers of the dask cluster have several threads, and a process makes one training at a time; "
            "start them with --nthreads 1"
        )


def _same(value: Any) -> Any:
    return value
