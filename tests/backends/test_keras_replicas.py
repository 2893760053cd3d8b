"""Two devices: in a fit of one's own every replica sees the architecture drawn, and bnao's own step is that of one."""

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


@pytest.fixture(scope="module")
def found():
    """What one and two CPU devices found; in a process of their own, since an engine counts devices once."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "replica_program.py")],
        capture_output=True, text=True, timeout=900, check=False,
        env={**os.environ, "KERAS_BACKEND": ENGINE, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_fit_on_two_devices_is_that_on_one_and_every_replica_sees_the_drawn_architecture(found):
    one, two = found["fits"]
    assert (one["devices"], two["devices"]) == (1, 2)
    if ENGINE == "tensorflow":  # under JAX a program sees the whole batch
        assert one["seen"] == [[0, [width], 16] for width in one["drawn"]]
        half = [[[replica, [width], 8] for replica in range(2)] for width in two["drawn"]]
        assert [sorted(two["seen"][at : at + 2]) for at in range(0, 24, 2)] == half
    assert np.allclose(one["losses"], two["losses"], atol=1e-5)
    assert all(np.allclose(mine, other, atol=1e-5) for mine, other in zip(one["weights"], two["weights"], strict=True))


def test_a_step_of_a_search_on_two_devices_is_that_on_one(found):
    # under TensorFlow one device makes a pass for each half, with norms of its own; under JAX norms see the whole batch
    one, two = found["steps"]

    assert (one["devices"], two["devices"]) == (1, 2)
    assert np.allclose(one["losses"], two["losses"], atol=1e-5)
    assert all(np.allclose(mine, other, atol=1e-5) for mine, other in zip(one["weights"], two["weights"], strict=True))
    assert np.allclose(one["logits"], two["logits"], atol=1e-4)


def test_what_cannot_be_divided_is_refused_in_a_line(found):
    if ENGINE == "jax":
        (distribution,) = found["refused"]
        assert distribution == (
            "ModelParallel is set; bnao's own step in Keras is divided by DataParallel alone, or take backend torch "
            "and --across batch"
        )
    else:
        strategy, mixture = found["refused"]
        assert strategy.startswith("OneDeviceStrategy is set; bnao's own step in Keras is divided by MirroredStrategy")
        assert mixture.startswith("a MirroredStrategy divides the steps of paths, and not of mixtures")
