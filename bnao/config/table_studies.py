"""The settings of the studies that ask benchmark tables and train no network; as in ``bnao.config.settings``."""

from attrs import frozen

from bnao.config.bounds import (
    MOST_GENOTYPES,
    MOST_REPEATS,
    MOST_SEED,
)
from bnao.config.fields import listed, section, setting, several
from bnao.config.plugins import is_own_space
from bnao.config.presets import RANKED_NAO, TABLE_NAO
from bnao.config.settings import (
    CONTROLLERS,
    SPACE_NAMES,
    ControllerConfig,
    MachineConfig,
    NetworkConfig,
)
from bnao.errors import ConfigError

# of a comparison, unless others are named
_WITHOUT_FRAMEWORK = ("random", "evolution", "ageing-evolution", "local-search", "ridge")


@frozen
class ControllerEntry:
    """A controller in a comparison: its name, the genotypes of each round after the first, and its searches.

    >>> str(ControllerEntry.parse("evolution:50:100"))
    'evolution:50:100'
    """

    name: str
    proposals: int
    seeds: int

    @classmethod
    def parse(cls, text: str) -> "ControllerEntry":
        """Read ``evolution:50:100``.

        Raises:
            ConfigError: the text is something else.
        """
        name, *numbers = text.split(":")
        try:
            proposals, seeds = (int(number) for number in numbers)
        except ValueError:
            proposals = seeds = 0
        if name not in CONTROLLERS or proposals < 1 or seeds < 1:
            raise ConfigError(
                f"controllers has {text!r}; each is {', '.join(CONTROLLERS)} with the genotypes of a round and the "
                f"number of searches, such as evolution:50:100"
            )
        return cls(name, proposals, seeds)

    def __str__(self) -> str:
        return f"{self.name}:{self.proposals}:{self.seeds}"


@frozen
class ControllersConfig:
    """Controllers compared on a benchmark table."""

    seed: int = setting(0, "Seed of the first search; the next searches use the next seeds.", least=0, most=MOST_SEED)
    controllers: tuple[ControllerEntry, ...] = several(
        (
            *(ControllerEntry(name, 25, 50) for name in _WITHOUT_FRAMEWORK),
            ControllerEntry("nao", 25, 20),
        ),
        "Controllers to compare, separated by commas, each as NAME:NEW:SEARCHES: genotypes per round after the first, "
        "and number of searches.",
        read=ControllerEntry.parse,
        check=lambda entries: bool(entries),
        wanted="controllers, such as random:100:100,evolution:50:100",
    )
    table: str | None = setting(None, "CSV file with a genotype, a score and a test accuracy in each row.")
    score_column: str | None = setting(
        None, "Column of the scores that a search sees; by default score, accuracy, best_test_acc or c10_valid_200."
    )
    test_column: str | None = setting(None, "Column of the test accuracies that a search is judged by.")
    pool: int = setting(25, "Random genotypes in the first round.", least=2, most=MOST_GENOTYPES)
    queries: int = setting(500, "Number of genotypes a search may score.", least=2)
    n_seeds: int = setting(20, "Best genotypes that new ones are derived from (K).", least=1)
    network: NetworkConfig = section(NetworkConfig)
    controller: ControllerConfig = section(lambda: ControllerConfig(**TABLE_NAO))
    machine: MachineConfig = section(MachineConfig)

    def __attrs_post_init__(self) -> None:
        if self.queries <= self.pool:
            raise ConfigError(f"queries is {self.queries}; it must be more than the first round's {self.pool}")
        if len({entry.name for entry in self.controllers}) < len(self.controllers):
            raise ConfigError(f"controllers is {listed(self.controllers)!r}; it names one twice")


@frozen
class PredictorConfig:
    """A controller's predictor alone, on a benchmark table."""

    seed: int = setting(
        0, "Seed of the first training; the next trainings use the next seeds.", least=0, most=MOST_SEED
    )
    space: str = setting("nao", "Search space of the table's genotypes.", choices=SPACE_NAMES, also=is_own_space)
    table: str | None = setting(None, "CSV file with a genotype and a score in each row.")
    score_column: str | None = setting(None, "Column of the scores; by default score, accuracy or best_test_acc.")
    sizes: tuple[int, ...] = several(
        (50, 100, 200, 500, 1000, 2000, 5000),
        "Numbers of genotypes to learn from, separated by commas.",
        read=int,
        check=lambda sizes: bool(sizes) and min(sizes) >= 2,
        wanted="whole numbers >= 2, such as 50,100",
    )
    seeds: int = setting(5, "Trainings per size, each with its own seed.", least=1, most=MOST_REPEATS)
    steps: int = setting(3000, "Approximate number of Adam steps per training.", least=1)
    most_held_out: int = setting(5000, "Largest number of held-out genotypes to predict.", least=3, most=MOST_GENOTYPES)
    controller: ControllerConfig = section(lambda: ControllerConfig(**RANKED_NAO, held_out=0.0))
    machine: MachineConfig = section(MachineConfig)


@frozen
class SizeConfig:
    """Size and accuracy in benchmark tables."""

    tables: tuple[str, ...] = several((), "CSV files.")
    size_column: str | None = setting(
        None, "Column of the sizes; by default size, params, or one that begins with params."
    )
    columns: tuple[str, ...] = several(
        (), "Columns of accuracies; by default all whose names end in a number of epochs."
    )
    resamples: int = setting(1000, "Bootstrap resamples for each interval.", least=100, most=MOST_REPEATS)


@frozen
class AgreementConfig:
    """Published scores against published accuracies."""

    table: str = setting("", "The CSV file.")
    truth_column: str = setting("", "Column of the accuracies.")
    score_columns: tuple[str, ...] = several((), "Columns of the scores.")
    among: str | None = setting(None, "Only the genotypes of this ranking study (a folder or its study.json).")
    space: str | None = setting(
        None,
        "Search space of the table's genotypes: live size is then a ranking beside the others; with --among by default "
        "nao.",
        choices=SPACE_NAMES,
        also=is_own_space,
    )
    draw: int = setting(50, "Genotypes in each random subset.", least=2, most=MOST_GENOTYPES)
    draws: int = setting(1000, "Number of random subsets.", least=2)
    resamples: int = setting(1000, "Bootstrap resamples for each interval.", least=100, most=MOST_REPEATS)
