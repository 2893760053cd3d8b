"""Settings of the ranking study and of zero-cost scores; as in ``bnao.config.settings``."""

import attrs
from attrs import frozen

from bnao.config.arms import PlannedSupernet, SamplerSpec, planned_supernets
from bnao.config.bounds import (
    MOST_CELLS,
    MOST_CHANNELS,
    MOST_GENOTYPES,
    MOST_REPEATS,
    MOST_SEED,
)
from bnao.config.evaluation import StandAloneTrainingConfig
from bnao.config.fields import are_rising, listed, section, setting, several
from bnao.config.landmarks import check_landmarks
from bnao.config.proxies import zero_cost_scores
from bnao.config.settings import (
    DISTINCT,
    DISTINCT_HELP,
    SCORES,
    SIZE_HELP,
    SIZE_NAMES,
    DataConfig,
    MachineConfig,
    NetworkConfig,
    TrainingConfig,
    width,
)
from bnao.config.training import check_splits
from bnao.errors import ConfigError

#: a setting of stand-alone training that is the supernet's
AS_SUPERNET = -1
_SUPERNET = {"supernet": AS_SUPERNET}


@frozen
class AloneConfig(StandAloneTrainingConfig):
    """Stand-alone training in a study: the recipe, and where network and images differ from the supernet's.

    The paper's truth "exactly follow[s] the default settings" of NAO (Sec. 3.2): C = 36, N = 6, cutout.
    """

    channels: int = setting(
        36,
        "Channels of the first cells (C); supernet = as in the supernet.",
        least=2,
        most=MOST_CHANNELS,
        words=_SUPERNET,
    )
    cells: int = setting(
        6,
        "Normal cells per stack (N); supernet = as in the supernet.",
        least=1,
        most=MOST_CELLS,
        words=_SUPERNET,
    )
    cutout: int = setting(
        16, "Side of the cutout square, in pixels; 0 = no cutout; supernet = as in the supernet.", least=0,
        words=_SUPERNET,
    )  # fmt: skip

    @property
    def recipe(self) -> StandAloneTrainingConfig:
        """The training alone."""
        return StandAloneTrainingConfig(
            **{each.name: getattr(self, each.name) for each in attrs.fields(StandAloneTrainingConfig)}
        )


#: what the epochs of a ranking study are marks of
MARKS = ("own", "along")
#: which genotypes a ranking study ranks
SIZE_SETS = ("diverse", "similar", "spread")
_RISING = "whole numbers >= 1 that rise, such as 5,10,20"


@frozen
class StudyConfig:
    """The ranking study (paper Sec. 3, Tables 2, 3 and 6): one-shot scores against stand-alone accuracies."""

    preset: str = setting("paper", "Preset that these settings are based on.", has_option=False)
    seed: int = setting(
        0, "Seed of the choice of genotypes, and the first seed of trainings and supernets.", least=0, most=MOST_SEED
    )
    genotypes: int = setting(50, "Number of genotypes to rank (n).", least=3, most=MOST_GENOTYPES)
    sizes: tuple[str, ...] = several(
        ("diverse",),
        "Which genotypes: drawn at random (diverse), of about the median size (similar) or of evenly spread sizes "
        "(spread); several, separated by commas, are studied in turn and reported in one table (Table 3).",
        check=lambda sizes: bool(sizes) and len(set(sizes)) == len(sizes) and set(sizes) <= set(SIZE_SETS),
        wanted=f"one or several of {', '.join(SIZE_SETS)}, each once",
    )
    band: float = setting(0.05, "With sizes similar: largest relative difference from the median size.", least=0.0001)
    truth: str | None = setting(
        None,
        "Source of known accuracies, instead of training: a CSV file with a genotype and an accuracy in each row, "
        "or the folder of an evaluation or of another study, whose genotypes are all ranked.",
    )
    truth_column: str | None = setting(
        None, "Column of the accuracies in a CSV file; by default score, accuracy or best_test_acc."
    )
    trained: int | None = setting(
        None,
        "Number of genotypes the supernet is trained on, including the ranked ones; by default only these.",
        least=3,
    )
    samplers: tuple[SamplerSpec, ...] = several(
        (SamplerSpec("uniform", 0.0), SamplerSpec("proportional", 1.0)),
        "Samplers to compare, separated by commas: uniform, proportional, proportional:ALPHA, budget.",
        read=SamplerSpec.parse,
        check=lambda samplers: bool(samplers),
        wanted="samplers, such as uniform,proportional",
    )
    epochs: tuple[int, ...] = several(
        (5, 10, 20, 30, 50),
        "Epochs of supernet training after which it is scored, separated by commas.",
        read=int,
        check=are_rising,
        wanted=_RISING,
    )
    marks: str = setting(
        "own",
        "Train a separate supernet, with its own cosine schedule, for each number of epochs (own), or a single one "
        "that is scored along the way (along).",
        choices=MARKS,
    )
    score: str = setting(
        "accuracy",
        "What supernets are asked for: the accuracy on the dev images, or the mean log-likelihood of their labels, "
        "which is less noisy.",
        choices=SCORES,
    )
    seeds: int = setting(3, "Supernets per sampler, each with its own seed.", least=1, most=MOST_REPEATS)
    repeats: int = setting(1, "Stand-alone trainings per genotype, each with its own seed.", least=1)
    alone_epochs: int = setting(600, "Epochs of each stand-alone training.", least=1)
    short: tuple[int, ...] = several(
        (),
        "Also train each ranked genotype alone for only so many epochs, such as 1,3,5, and compare those rankings "
        "(Fig. 2a).",
        read=int,
        check=are_rising,
        wanted=_RISING,
    )
    proxies: tuple[str, ...] = zero_cost_scores(
        (), "Also compare zero-cost scores, separated by commas, and one-shot scores joined with them and live size"
    )
    landmarks: int = setting(
        0,
        "Also weigh the parts of joined scores by the truths of so many ranked genotypes (>= 5), and judge on the "
        "others; needs zero-cost scores.",
        least=0,
    )
    size: str = setting("live-parameters", SIZE_HELP, choices=SIZE_NAMES)
    distinct: str = setting("text", DISTINCT_HELP, choices=DISTINCT)
    top: int = setting(10, "k of precision at k.", least=1)
    resamples: int = setting(1000, "Bootstrap resamples behind an interval.", least=100, most=MOST_REPEATS)
    checkpoint_seconds: float = setting(60.0, "Seconds between checkpoints within a training.", least=0)
    network: NetworkConfig = section(NetworkConfig)
    data: DataConfig = section(DataConfig)
    training: TrainingConfig = section(TrainingConfig)
    alone: AloneConfig = section(AloneConfig)
    machine: MachineConfig = section(MachineConfig)

    def __attrs_post_init__(self) -> None:
        width(self.network)
        check_splits(self.network.share_over, self.training.split_at)
        if len(set(self.samplers)) < len(self.samplers):
            raise ConfigError(f"samplers is {listed(self.samplers)!r}; it names one twice")
        if self.trained is not None and self.trained < self.genotypes:
            raise ConfigError(f"trained is {self.trained}; the {self.genotypes} ranked genotypes are among them")
        check_landmarks(self.landmarks)
        if self.landmarks and not self.proxies:
            raise ConfigError(
                f"landmarks is {self.landmarks}, and there are no zero-cost scores to weigh; give proxies, such as "
                f"jacob_cov,naswot"
            )

    @property
    def supernets(self) -> tuple[PlannedSupernet, ...]:
        """The supernets of the study in the order of their training."""
        lengths = [self.epochs] if self.marks == "along" else [(mark,) for mark in self.epochs]
        return planned_supernets(self.samplers, range(self.seed, self.seed + self.seeds), lengths)


@frozen
class ProxiesConfig:
    """Scores of untrained networks.

    >>> ProxiesConfig(proxies="naswot,snip").proxies
    ('naswot', 'snip')
    """

    preset: str = setting("paper", "The preset these settings began from.", has_option=False)
    seed: int = setting(
        0, "Decides images and first weights of the first repeat; the next ones follow.", least=0, most=MOST_SEED
    )
    proxies: tuple[str, ...] = zero_cost_scores(("jacob_cov", "naswot"), "Which scores, separated by commas")
    batch: int = setting(64, "Images of a batch, from the train part.", least=2)
    repeats: int = setting(
        1, "Batches and first weights for each genotype, each with its own seed.", least=1, most=MOST_REPEATS
    )
    network: NetworkConfig = section(lambda: NetworkConfig(channels=36, cells=6))
    data: DataConfig = section(DataConfig)
    machine: MachineConfig = section(MachineConfig)

    def __attrs_post_init__(self) -> None:
        width(self.network)
