"""Clusters that run elsewhere: found by their address, in another folder, with a bnao of their own."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bnao.config.settings import MachineConfig
from bnao.errors import RunError
from bnao.parallel.engines import Workers, _check_reachable, check_versions
from bnao.parallel.workers import work_ahead
from bnao.version import VERSION
from tests.counting_work import Counting

ONE_THREAD = MachineConfig(device="cpu", threads=1)
ROOT = Path(__file__).resolve().parents[2]

RAY = """
import sys
import ray
from ray.util.client.server.server import serve

ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)
for port in range(23000, 24000):
    try:
        server = serve("127.0.0.1", port)
        break
    except Exception:
        continue
print(f"127.0.0.1:{port}", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder that is not this one, and processes that are started there and ended after the test.

    Their bnao is that of the paths given, before any other.
    """
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    started = []
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def start(*arguments, bnao=ROOT):
        environment = {**os.environ, "PYTHONPATH": str(bnao)}
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)], cwd=folder, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in reversed(started):
        process.terminate()
    for process in reversed(started):
        process.communicate(timeout=60)


@pytest.fixture
def dask(elsewhere, tmp_path):
    """Start a dask cluster and return its address; its worker imports the bnao of a path."""
    pytest.importorskip("distributed", reason="needs distributed: pip install 'bnao[dask]'")

    def begin(bnao=ROOT):
        about = tmp_path / "scheduler.json"
        command = ("-m", "distributed.cli.dask_scheduler", "--port", 0, "--no-dashboard", "--host", "127.0.0.1")
        elsewhere(*command, "--scheduler-file", about)
        deadline = time.monotonic() + 60
        while not about.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        address = json.loads(about.read_text())["address"].removeprefix("tcp://")
        worker = ("-m", "distributed.cli.dask_worker", f"tcp://{address}", "--nworkers", 1, "--nthreads", 2)
        elsewhere(*worker, "--no-dashboard", bnao=bnao)
        from distributed import Client

        with Client(f"tcp://{address}") as client:
            client.wait_for_workers(1, timeout=60)
        return address

    return begin


@pytest.fixture
def ray(elsewhere):
    """Start a Ray cluster of one CPU and return the address of its client server; it imports the bnao of a path."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("needs ray: pip install 'bnao[ray]'")

    def begin(bnao=ROOT):
        return elsewhere("-c", RAY, bnao=bnao).stdout.readline().strip()

    return begin


def other_bnao(folder, program):
    """A package of the name bnao that is not this one."""
    (folder / "other" / "bnao").mkdir(parents=True)
    (folder / "other" / "bnao" / "__init__.py").write_text("")
    (folder / "other" / "bnao" / "version.py").write_text(program)
    return folder / "other"


@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_a_cluster_at_an_address_works_in_the_folder_of_the_command(engine, request, tmp_path, monkeypatch):
    address = request.getfixturevalue(engine)()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    told = []

    # by a path that leads nowhere from where the workers were started
    work_ahead(Counting(Path("."), 4), Workers.parse(f"{engine}://{address}"), told.append, ONE_THREAD)

    results = [json.loads(path.read_text()) for path in sorted(Path("units").glob("*.json"))]
    assert len(results) == 4
    assert os.getpid() not in {each["process"] for each in results}
    assert {event["number"] for event in told} == {0, 1, 2, 3}


@pytest.mark.parametrize("engine", ["dask", "ray"])
@pytest.mark.parametrize(
    ("program", "told"),
    [
        ('VERSION = "0.0.1"', f"of the cluster has bnao 0.0.1, and here it is {VERSION}; install the same version"),
        ('raise ImportError("no bnao here")', r"of the cluster cannot import bnao \(.*no bnao here\); install bnao"),
    ],
)
def test_a_cluster_whose_bnao_is_another_or_none_is_refused_in_a_line(engine, program, told, request, tmp_path):
    address = request.getfixturevalue(engine)(other_bnao(tmp_path, program))

    with pytest.raises(RunError, match=told) as refusal:
        work_ahead(Counting(tmp_path, 1), Workers.parse(f"{engine}://{address}"), print, ONE_THREAD)

    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "begun.txt").exists()


def test_an_address_at_which_there_is_no_dask_scheduler_is_named(tmp_path):
    dask = pytest.importorskip("dask")
    pytest.importorskip("distributed", reason="needs distributed: pip install 'bnao[dask]'")

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "0.5s"}),
        pytest.raises(RunError, match=r"^no dask scheduler at 127.0.0.1:1: .*$"),
    ):
        work_ahead(Counting(tmp_path, 1), Workers.parse("dask://127.0.0.1:1"), print, ONE_THREAD)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("127.0.0.1:1", r"no Ray cluster answers at 127.0.0.1:1 \(.*\): RAY_ADDRESS names it"),
        ("auto", r"no Ray cluster answers at 127.0.0.1:2 \(.*\): the last ray start left it; ray stop forgets it"),
    ],
)
def test_a_ray_cluster_that_was_killed_is_not_waited_for(address, told, tmp_path, monkeypatch):
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:2")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setenv("RAY_ADDRESS", address)

    with pytest.raises(RunError, match=told):
        _check_reachable()

    monkeypatch.setenv("RAY_ADDRESS", "local")
    _check_reachable()


def test_what_workers_say_of_bnao_is_checked():
    check_versions({"one": VERSION, "two": VERSION})

    with pytest.raises(RunError, match="two of the cluster cannot import bnao"):
        check_versions({"one": VERSION, "two": ImportError("No module named 'bnao'")})
