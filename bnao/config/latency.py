"""Settings of a latency model's measurements; as in ``bnao.config.settings``."""

from attrs import frozen

from bnao.config.bounds import MOST_BATCH, MOST_REPEATS, MOST_SEED
from bnao.config.fields import section, setting
from bnao.config.settings import MachineConfig, NetworkConfig
from bnao.errors import ConfigError

#: what computes the passes that are measured
RUNTIMES = ("backend", "onnxruntime")


@frozen
class LatencyConfig:
    """Measurements of genotypes' forward passes, and what of them a model is fitted on."""

    genotypes: int = setting(100, "Random genotypes to measure and to fit the model on.", least=10, most=100_000)
    seed: int = setting(
        0, "Random seed of the genotypes, and of the parts of them that test the model.", least=0, most=MOST_SEED
    )
    runtime: str = setting(
        "backend",
        "What computes the forward passes: the framework of --backend, or onnxruntime, on the CPU.",
        choices=RUNTIMES,
    )
    batch: int = setting(1, "Images of a forward pass.", least=1, most=MOST_BATCH)
    warm_up: int = setting(5, "Forward passes of each network before the first that is measured.", least=0)
    repetitions: int = setting(
        20, "Forward passes that are measured; the latency is their median.", least=1, most=MOST_REPEATS
    )
    network: NetworkConfig = section(lambda: NetworkConfig(channels=36, cells=6))
    machine: MachineConfig = section(MachineConfig)

    def __attrs_post_init__(self) -> None:
        machine = self.machine
        elsewhere = machine.device not in ("auto", "cpu") or machine.precision != "float32" or machine.compile
        if self.runtime == "onnxruntime" and elsewhere:
            raise ConfigError(
                "runtime is onnxruntime, which computes on the CPU in float32; leave out device, precision and compile"
            )
