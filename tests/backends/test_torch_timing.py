"""Forward passes of stand-alone networks are timed one by one."""

import pytest

pytest.importorskip("torch")

from bnao import backends
from bnao.config.latency import LatencyConfig
from bnao.config.settings import MachineConfig, NetworkConfig
from bnao.errors import BackendError
from bnao.evaluation.latencies import framework_seconds, measure_latencies, random_genotypes
from bnao.export import timing

NETWORK = NetworkConfig(space="nas-bench-201", channels=4, cells=1, image=(8, 8, 3))
CONFIG = LatencyConfig(genotypes=10, batch=2, warm_up=1, repetitions=3, network=NETWORK)


def test_pytorch_times_as_many_passes_as_are_asked_for():
    seconds = framework_seconds(backends.load("torch"))
    told = []

    measured = measure_latencies(random_genotypes(CONFIG)[:2], CONFIG, seconds, listen=told.append)

    assert len(measured) == 2
    assert all(each.milliseconds > 0 for each in measured)
    (genotype, *_) = random_genotypes(CONFIG)
    found = seconds(genotype, NETWORK, MachineConfig(), batch=2, warm_up=1, repetitions=3)
    assert len(found) == 3
    assert min(found) > 0
    with pytest.raises(BackendError, match="no device 'mars' here"):
        seconds(genotype, NETWORK, MachineConfig(device="mars"), batch=1, warm_up=0, repetitions=1)


def test_onnxruntime_times_the_same_network():
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    (genotype, *_) = random_genotypes(CONFIG)

    found = timing.forward_seconds(genotype, NETWORK, MachineConfig(threads=1), batch=2, warm_up=1, repetitions=3)

    assert len(found) == 3
    assert min(found) > 0
    assert timing.onnxruntime_version()
