"""Settings of a stability study: several searches by each method, the best of each trained from scratch."""

from attrs import frozen

from bnao.config.fields import section, setting, several
from bnao.config.settings import ROUND_LEVEL, SPACE_NAMES, MachineConfig
from bnao.config.strategies import STEP_LEVEL
from bnao.errors import ConfigError

#: Balanced NAO with uniform sampling, everything else alike
UNIFORM = "nao-uniform"
#: the authors' NAO with weight sharing before it was balanced, which differs in more than the sampler (docs/paper.md)
NAO_WS_METHOD = "nao-ws"
METHODS = (*ROUND_LEVEL, UNIFORM, NAO_WS_METHOD, *STEP_LEVEL)


@frozen
class StabilityConfig:
    """Searches and evaluations are those of a preset, changed alike for all methods."""

    methods: tuple[str, ...] = several(
        ("nao", "nao-uniform"),
        f"Methods, by commas: strategies of bnao strategies, {UNIFORM} or {NAO_WS_METHOD}.",
        check=lambda names: bool(names) and len(set(names)) == len(names) and set(names) <= set(METHODS),
        wanted=f"different ones of {', '.join(METHODS)}",
    )
    preset: str = setting(
        "quick", "Preset of the searches and of the evaluations.", choices=("quick", "cifar10-small", "paper")
    )
    searches: int = setting(5, "Searches by each method, each with its own seed and split.", least=1)
    seed: int = setting(0, "Seed and split seed of the first search; the next ones follow.", least=0)
    vary_split: bool = setting(True, "Split train and dev images anew in each search.")
    space: str | None = setting(None, "Search space; by default the preset's.", choices=SPACE_NAMES)
    dataset: str | None = setting(None, "Data set; by default the preset's.")
    data: str | None = setting(None, "Your own images instead: an .npz file, or a folder with train/ and test/.")
    data_dir: str | None = setting(None, "Folder of the downloaded data sets; by default the user's cache.")
    image_size: int | None = setting(None, "Resize the images to this height and width, in pixels.", least=8)
    train_images: int | None = setting(None, "Use only this many training images.", least=2)
    channels: int | None = setting(None, "Channels of the supernets' first cells; by default the preset's.", least=2)
    epochs: int | None = setting(None, "Supernet epochs per round; by default the preset's.", least=1)
    steps: int | None = setting(None, "Supernet steps per round, instead of epochs.", least=1)
    seconds: float | None = setting(
        None,
        "Seconds that each search trains its supernet, instead of epochs: it makes as many updates as its method makes "
        "in them at the speed of the fastest of three epochs, measured first.",
        least=0.1,
    )
    truth: str | None = setting(
        None, "CSV file of genotypes and accuracies, in percent, that judges each search's best in place of a training."
    )
    truth_column: str | None = setting(None, "Column of these accuracies.")
    evaluate_epochs: int | None = setting(None, "Epochs of each evaluation; by default the preset's.", least=1)
    repeats: int = setting(1, "Trainings of each search's best, from different seeds.", least=1)
    memory: bool = setting(
        True, "Measure what each method's updates hold at most, in a process of its own that makes a few of them."
    )
    max_parameters: int | None = setting(None, "Search only genotypes with at most this many parameters.", least=1)
    max_multiply_adds: int | None = setting(
        None, "Search only genotypes with at most this many multiply-adds.", least=1
    )
    machine: MachineConfig = section(MachineConfig)

    def __attrs_post_init__(self) -> None:
        lengths = [name for name in ("epochs", "steps", "seconds") if getattr(self, name) is not None]
        if len(lengths) > 1:
            raise ConfigError(f"{' and '.join(lengths)} are given; the length of a search is one of them")
        if self.truth_column is not None and self.truth is None:
            raise ConfigError(f"truth_column is {self.truth_column}, and there is no truth")
