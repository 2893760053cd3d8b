"""Seconds of a stand-alone network's forward pass in PyTorch."""

from __future__ import annotations

import time

import torch

from bnao.backends.torch.machine import prepare
from bnao.backends.torch.standalone import Network
from bnao.backends.torch.supernet import images_of
from bnao.config.settings import MachineConfig, NetworkConfig
from bnao.space.genotype import Genotype
from bnao.streams import stream


@torch.inference_mode()
def forward_seconds(
    genotype: Genotype, network: NetworkConfig, machine: MachineConfig, *, batch: int, warm_up: int, repetitions: int
) -> list[float]:
    """Return the seconds of each of some forward passes of a genotype's own network, as at test time.

    Args:
        genotype: its cells.
        network: stack, classes and image.
        machine: device, precision and threads.
        batch: images of a pass.
        warm_up: passes before the first that counts.
        repetitions: passes that count.

    Raises:
        BackendError: there is no such device here.
    """
    net = Network(genotype, network, 0, prepare(machine))
    images = images_of(stream(0, "latency images").standard_normal((batch, *network.image), "float32"), net.device)
    seconds = []
    for _ in range(warm_up + repetitions):
        _wait_for(net.device)
        start = time.perf_counter()
        net(images)
        _wait_for(net.device)
        seconds.append(time.perf_counter() - start)
    return seconds[warm_up:]


def _wait_for(device: torch.device) -> None:
    """Wait until a device that computes beside Python has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
