"""Latencies of genotypes' own networks, measured one by one, and the model that is fitted on them."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from bnao.config.latency import LatencyConfig
from bnao.config.settings import MachineConfig, NetworkConfig
from bnao.errors import BackendError, ConfigError
from bnao.events import Listener, phase
from bnao.network.latency import LatencyModel, MeasuredLatency, fit_latency
from bnao.network.trained import reaching
from bnao.protocols import Backend
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.streams import stream
from bnao.version import VERSION


class ForwardSeconds(Protocol):
    """Runs a genotype's own, untrained network forward some times."""

    def __call__(
        self,
        genotype: Genotype,
        network: NetworkConfig,
        machine: MachineConfig,
        *,
        batch: int,
        warm_up: int,
        repetitions: int,
    ) -> Sequence[float]:
        """Return the seconds of each of ``repetitions`` passes of ``batch`` images, made after ``warm_up`` others."""
        ...


@runtime_checkable
class Timing(Backend, Protocol):
    """A backend that can time forward passes; none must."""

    #: BackendError if the device is not there
    forward_seconds: ForwardSeconds


def framework_seconds(backend: Backend) -> ForwardSeconds:
    """Return what a backend times forward passes by.

    Raises:
        BackendError: it cannot.

    >>> from bnao.backends import load
    >>> framework_seconds(load("table"))
    Traceback (most recent call last):
        ...
    bnao.errors.BackendError: backend 'table' cannot time forward passes; torch can, and --runtime onnxruntime
    """
    if not isinstance(backend, Timing):
        raise BackendError(f"backend {backend.name!r} cannot time forward passes; torch can, and --runtime onnxruntime")
    return backend.forward_seconds


def random_genotypes(config: LatencyConfig) -> list[Genotype]:
    """Return the distinct random genotypes that a model is fitted on.

    Raises:
        GenotypeError: the space does not hold so many.
    """
    space = space_named(config.network.space, config.network.nodes)
    return space.random_genotypes(config.genotypes, stream(config.seed, "latency genotypes"))


def measure_latencies(
    genotypes: Sequence[Genotype],
    config: LatencyConfig,
    seconds: ForwardSeconds,
    *,
    listen: Listener = lambda event: None,
) -> list[MeasuredLatency]:
    """Measure the latency of each genotype's own network; what does not reach its output is not computed.

    Args:
        genotypes: of the space of ``config.network``.
        config: the network with its classes and image, the machine, and how often to measure.
        seconds: runs them, such as ``framework_seconds(bnao.load_backend("torch"))``.
        listen: is called with every event; ``bnao.events.EVENTS`` lists them.

    Raises:
        GenotypeError: one of another space.
        BackendError: as ``seconds``.
    """
    space = space_named(config.network.space, config.network.nodes)
    for genotype in genotypes:
        space.check(genotype)
    listen({"event": "plan", "phases": [phase("timed", loops={"genotype": (1, len(genotypes))})]})
    measured = []
    for index, genotype in enumerate(genotypes, start=1):
        found = seconds(
            reaching(genotype), config.network, config.machine,
            batch=config.batch, warm_up=config.warm_up, repetitions=config.repetitions,
        )  # fmt: skip
        if min(found) <= 0:
            raise ConfigError(f"a pass of {genotype} took no time that the clock tells; measure a larger batch")
        measured.append(MeasuredLatency.of(genotype, found))
        listen({
            "event": "timed", "genotype": index, "of": len(genotypes), "milliseconds": measured[-1].milliseconds
        })  # fmt: skip
    return measured


def conditions(config: LatencyConfig, versions: Mapping[str, str], device: str) -> dict[str, Any]:
    """Return what a model says of its measurements.

    Args:
        config: their settings.
        versions: of what computed them, by package.
        device: what they ran on.
    """
    return {
        "runtime": config.machine.backend if config.runtime == "backend" else config.runtime,
        "device": device,
        "processor": platform.processor() or platform.machine(),
        "threads": config.machine.threads,
        "precision": config.machine.precision,
        "batch": config.batch,
        "warm_up": config.warm_up,
        "repetitions": config.repetitions,
        "versions": {"bnao": VERSION, **versions},
    }


def measured_model(
    config: LatencyConfig,
    seconds: ForwardSeconds,
    about: Mapping[str, Any],
    *,
    listen: Listener = lambda event: None,
) -> LatencyModel:
    """Measure random genotypes and fit the model of their latency.

    Args:
        config: all settings.
        seconds: runs networks.
        about: of ``conditions``.
        listen: is called with every event.

    Raises:
        BnaoError: as ``measure_latencies``.
    """
    measured = measure_latencies(random_genotypes(config), config, seconds, listen=listen)
    return fit_latency(measured, config.network, about, seed=config.seed)
