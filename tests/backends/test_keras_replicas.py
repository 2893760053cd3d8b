"""A fit of one's own on two devices: every replica sees the architecture that the sampler drew."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from bnao.backends import load
from bnao.errors import BackendError

try:
    load("keras")
except BackendError as error:
    pytest.skip(str(error), allow_module_level=True)

from bnao.backends.keras import ENGINE

ROOT = pathlib.Path(__file__).resolve().parents[2]


def fitted(devices):
    """What a fit on so many CPU devices found; in a process of its own, since an engine counts its devices once."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "replica_program.py"), str(devices)],
        capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "KERAS_BACKEND": ENGINE, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.xfail(ENGINE == "tensorflow", reason="losses agreed by hand, not yet in this test", strict=False)
def test_a_fit_on_two_devices_is_that_on_one_and_every_replica_sees_the_drawn_architecture():
    one, two = fitted(1), fitted(2)

    assert (one["devices"], two["devices"]) == (1, 2)
    assert np.allclose(one["losses"], two["losses"], atol=1e-5)
    assert all(np.allclose(mine, other, atol=1e-5) for mine, other in zip(one["weights"], two["weights"], strict=True))
    if ENGINE == "tensorflow":  # under JAX a program sees the whole batch
        half = [[[replica, [width], 8] for replica in range(2)] for width in two["drawn"]]
        assert [sorted(two["seen"][at : at + 2]) for at in range(0, 24, 2)] == half
    assert "bnao's own step in Keras computes on one device; take backend torch and --across batch" in two["refused"]
