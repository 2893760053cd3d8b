"""What PyTorch runs on: the device, CPU threads and number format."""

from __future__ import annotations

import contextlib

import torch
from attrs import field, frozen

from bnao.config.settings import MachineConfig
from bnao.errors import BackendError


def devices() -> list[str]:
    """Return the devices that ``--device`` can name here."""
    found = ["cpu"]
    found += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return found


def device_memory() -> int | None:
    """Return the most bytes that CUDA devices held in this process; None without one."""
    if not torch.cuda.is_available():
        return None
    return max(torch.cuda.max_memory_allocated(index) for index in range(torch.cuda.device_count()))


def device_of(config: MachineConfig) -> torch.device:
    """The device the settings name; ``auto`` takes CUDA, then MPS, then the CPU; of CUDA's the current one.

    Raises:
        BackendError: there is no such device here.
    """
    here = devices()
    cuda = f"cuda:{torch.cuda.current_device()}" if "cuda:0" in here else "cuda:0"
    if config.device == "auto":
        return torch.device(next((name for name in (cuda, "mps") if name in here), "cpu"))
    wanted = cuda if config.device == "cuda" else config.device
    if wanted not in here:
        raise BackendError(f"no device {config.device!r} here; there is auto, {', '.join(here)}")
    return torch.device(wanted)


@frozen
class Machine:
    """Where and how a network computes.

    Attributes:
        device: the device.
        precision: number format of the forward pass; weights and updates stay float32.
        compile: whether separable convolutions are compiled.
    """

    device: torch.device = field(default="cpu", converter=torch.device)
    precision: str = "float32"
    compile: bool = False

    def forward_pass(self) -> contextlib.AbstractContextManager[object]:
        """Return the context a forward pass runs in."""
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def prepare(config: MachineConfig) -> Machine:
    """Set threads as the settings ask, and give what a network needs to know.

    Raises:
        BackendError: there is no such device here.
    """
    device = device_of(config)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    return Machine(device, config.precision, config.compile)
