"""Settings of the alarms, and of the early stop, of the strategies that decide at each update."""

from attrs import frozen

from bnao.config.fields import setting
from bnao.errors import ConfigError


@frozen
class WatchConfig:
    """What is watched after each epoch of a search by a strategy that decides at each update."""

    mixture_gap: bool = setting(
        True,
        "After each epoch, compare the dev accuracy of the mixture with that of the genotype it would be discretised "
        "to (gradient strategies).",
    )
    stop_at_skips: int | None = setting(
        None,
        "Stop as soon as the normal cell that would be derived has this many skip connections; DARTS+ stops at 2.",
        least=1,
    )
    stop_when_unchanged: int | None = setting(
        None,
        "Stop when the order of the operations has not changed for this many epochs; DARTS+ takes 10.",
        least=1,
    )
    eigenvalue_every: int | None = setting(
        None,
        "Measure the largest eigenvalue of the Hessian by the architecture logits after every so many epochs (darts, "
        "fair-darts, darts-minus); RobustDARTS takes 2.",
        least=1,
    )
    stop_at_eigenvalue_ratio: float | None = setting(
        None,
        "Stop when the eigenvalue's mean over five measurements is more than so many times that of four measurements "
        "before, and derive the genotype of then; RobustDARTS takes 1.3.",
        least=0,
    )

    def __attrs_post_init__(self) -> None:
        if self.stop_at_eigenvalue_ratio is not None and self.eigenvalue_every is None:
            raise ConfigError(
                f"stop_at_eigenvalue_ratio is {self.stop_at_eigenvalue_ratio:g}, and eigenvalues are not measured; set "
                "eigenvalue_every"
            )
