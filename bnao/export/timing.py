"""Seconds of a network's forward pass in onnxruntime, as it would run on a device without any framework."""

from __future__ import annotations

import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from bnao.config.settings import MachineConfig, NetworkConfig
from bnao.export import onnx
from bnao.network.parameters import initial_weights
from bnao.network.trained import Trained
from bnao.space.genotype import Genotype
from bnao.streams import stream


def onnxruntime_version() -> str:
    """Return the version of onnxruntime.

    Raises:
        BackendError: it is not installed.
    """
    onnx.package("onnxruntime")
    return version("onnxruntime")


def forward_seconds(
    genotype: Genotype, network: NetworkConfig, machine: MachineConfig, *, batch: int, warm_up: int, repetitions: int
) -> list[float]:
    """Return the seconds of each of some forward passes of a genotype's untrained network on the CPU.

    Args:
        genotype: its cells.
        network: stack, classes and image.
        machine: the number of threads; onnxruntime decides where it is None.
        batch: images of a pass.
        warm_up: passes before the first that counts.
        repetitions: passes that count.

    Raises:
        BackendError: onnx or onnxruntime is not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        onnx.write(_untrained(genotype, network), path)
        logits_of = onnx.session(path, threads=machine.threads)
    images = stream(0, "latency images").random((batch, *network.image), np.float32)
    seconds = []
    for _ in range(warm_up + repetitions):
        start = time.perf_counter()
        logits_of(images)
        seconds.append(time.perf_counter() - start)
    return seconds[warm_up:]


def _untrained(genotype: Genotype, network: NetworkConfig) -> Trained:
    """Return a genotype's network with its first weights, and norms that change nothing."""
    channels, names = network.image[2], tuple(map(str, range(network.classes)))
    made = Trained(genotype, network, (0.5,) * channels, (0.25,) * channels, names, {})
    weights = initial_weights(made.shapes, seed=0)
    for name in [name for name in weights if name.endswith(".scale")]:
        norm = name.removesuffix(".scale")
        weights[f"{norm}.mean"] = np.zeros_like(weights[name])
        weights[f"{norm}.variance"] = np.ones_like(weights[name])
    return Trained(genotype, network, made.mean, made.std, names, weights)
