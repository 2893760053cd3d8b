"""Several ranks on this machine, without torchrun: started with the variables that it would set."""

import os
import pathlib
import socket
import subprocess
import sys

LIMIT = 300  # seconds that ranks may take at the very most, on a slow machine that is busy
ROOT = pathlib.Path(__file__).resolve().parents[1]


def started_ranks(count, *arguments):
    """The processes, in order, each of ``python ARGUMENTS`` as one of so many ranks."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    together = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return [
        subprocess.Popen(
            [sys.executable, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **together, "RANK": str(rank), "LOCAL_RANK": str(rank), "PYTHONPATH": path},
        )
        for rank in range(count)
    ]  # fmt: skip


def ended(processes):
    """For each process its exit code, what it printed, and what it said to stderr."""
    texts = [process.communicate(timeout=LIMIT) for process in processes]
    return [(process.returncode, *text) for process, text in zip(processes, texts, strict=True)]
