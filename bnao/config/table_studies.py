"""The settings of the studies that ask benchmark tables and train no network; as in ``bnao.config.settings``."""

from attrs import frozen

from bnao.config.fields import section, setting
from bnao.config.presets import RANKED_NAO, TABLE_NAO
from bnao.config.settings import CONTROLLERS, SPACE_NAMES, ControllerConfig, MachineConfig, NetworkConfig
from bnao.errors import ConfigError


@frozen
class ControllerEntry:
    """A controller in a comparison: its name, the genotypes of each of its rounds, and its searches."""

    name: str
    new: int
    seeds: int


@frozen
class ControllersConfig:
    """Controllers compared on a benchmark table."""

    seed: int = setting(0, "The first search's seed; the next ones follow.", least=0)
    controllers: str = setting(
        "random:25:50,evolution:25:50,ageing-evolution:25:50,local-search:25:50,ridge:25:50,nao:25:20",
        "Whom to compare, by commas: controller, genotypes of a round after the first, and searches.",
    )
    table: str | None = setting(None, "CSV with a genotype, a score and a test accuracy in each row.")
    score_column: str | None = setting(None, "What a search is told; else score, accuracy, ... or c10_valid_200.")
    test_column: str | None = setting(None, "What it is judged by.")
    pool: int = setting(25, "Random genotypes of the first round.", least=2)
    queries: int = setting(500, "Genotypes a search may score.", least=2)
    n_seeds: int = setting(20, "Best genotypes that proposals are made from (K).", least=1)
    network: NetworkConfig = section(NetworkConfig)
    controller: ControllerConfig = section(lambda: ControllerConfig(**TABLE_NAO))
    machine: MachineConfig = section(MachineConfig)

    def __attrs_post_init__(self) -> None:
        if self.queries <= self.pool:
            raise ConfigError(f"queries is {self.queries}; it must be more than the first round's {self.pool}")
        if len({entrant.name for entrant in self.entries}) < len(self.entries):
            raise ConfigError(f"controllers is {self.controllers!r}; it names one twice")

    @property
    def entries(self) -> tuple[ControllerEntry, ...]:
        """The controllers to compare."""
        return tuple(_entrant(text.strip()) for text in self.controllers.split(","))


def _entrant(text: str) -> ControllerEntry:
    name, *numbers = text.split(":")
    try:
        new, seeds = (int(number) for number in numbers)
    except ValueError:
        new = seeds = 0
    if name not in CONTROLLERS or new < 1 or seeds < 1:
        raise ConfigError(
            f"controllers has {text!r}; each is {', '.join(CONTROLLERS)} with the genotypes of a round and the number "
            f"of searches, such as evolution:50:100"
        )
    return ControllerEntry(name, new, seeds)


@frozen
class PredictorConfig:
    """A controller's predictor alone, on a benchmark table."""

    seed: int = setting(0, "The first training's seed; the next ones follow.", least=0)
    space: str = setting("nao", "Space of the table's genotypes.", choices=SPACE_NAMES)
    table: str | None = setting(None, "CSV with a genotype and a score in each row.")
    score_column: str | None = setting(None, "Its column of scores; else score, accuracy or best_test_acc.")
    sizes: str = setting("50,100,200,500,1000,2000,5000", "Genotypes to learn from, by commas.")
    seeds: int = setting(5, "Trainings of each size, each with its own seed.", least=1)
    steps: int = setting(3000, "Adam steps of each training, about.", least=1)
    most_held_out: int = setting(5000, "At most so many of the others are predicted.", least=3)
    controller: ControllerConfig = section(lambda: ControllerConfig(**RANKED_NAO, held_out=0.0))
    machine: MachineConfig = section(MachineConfig)

    def __attrs_post_init__(self) -> None:
        if not self.parts or min(self.parts) < 2:
            raise ConfigError(f"sizes is {self.sizes!r}; each must be >= 2")

    @property
    def parts(self) -> tuple[int, ...]:
        """The numbers of genotypes to learn from."""
        try:
            return tuple(int(text) for text in self.sizes.split(","))
        except ValueError:
            raise ConfigError(f"sizes is {self.sizes!r}; it must be whole numbers >= 2, such as 50,100") from None


@frozen
class SizeConfig:
    """Size and accuracy in benchmark tables."""

    tables: str = setting("", "CSV files, by commas.")
    size_column: str | None = setting(None, "Column of sizes; else size, params or one that begins so.")
    columns: str = setting("", "Columns of accuracies, by commas; else all whose names tell epochs.")
    resamples: int = setting(1000, "Bootstrap resamples behind an interval.", least=100)


@frozen
class AgreementConfig:
    """Published scores against published accuracies."""

    table: str = setting("", "The CSV file.")
    truth_column: str = setting("", "Column of accuracies.")
    score_columns: str = setting("", "Columns of scores, by commas.")
    among: str | None = setting(None, "Only the genotypes of this study.")
    draw: int = setting(50, "Genotypes of a random draw.", least=2)
    draws: int = setting(1000, "How many of these.", least=2)
    resamples: int = setting(1000, "Bootstrap resamples behind an interval.", least=100)
