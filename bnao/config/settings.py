"""Every setting, once: its default, bounds, help and the paper's letter.

The defaults are the paper's (Sec. 5 and its appendix; SPEC section 8); presets (``bnao.config.presets``) change them.
"""

from typing import TypeVar

import attrs
from attrs import frozen

from bnao.config.arms import MOST_ALPHA, SAMPLERS, PlannedSupernet, SamplerSpec, planned_supernets
from bnao.config.fields import Settings, build, rising, section, setting, told
from bnao.config.presets import EVALUATE_PRESETS, SEARCH_PRESETS, STUDY_PRESETS
from bnao.errors import ConfigError

C = TypeVar("C")


#: far beyond any network that is trained; larger ones could be counted, but nothing could hold them
MOST_CHANNELS = 16_384
MOST_CELLS = 1_000
MOST_CLASSES = 1_000_000
MOST_PIXELS = 16_384
#: channels that are yet to be chosen for each genotype by a budget
AUTO = 0
SPACE_NAMES = ("nao", "nao-large", "darts", "snas", "nasnet", "nas-bench-201")
CONTROLLERS = (
    "nao",
    "nao-paper",
    "seminas",
    "ridge",
    "trees",
    "evolution",
    "ageing-evolution",
    "local-search",
    "random",
)
#: those that a backend computes, since they need gradients
OF_A_BACKEND = ("nao", "nao-paper", "seminas")
#: how a supernet chooses the set of weights that an edge trains (``bnao.space.genotype.edge_slots``)
SLOT_RULES = ("hashed", "sorted")
#: which edges of a supernet's cell share an operation's weights (``bnao.network.sharing``)
SHARE_OVER = ("edge", "source", "node", "cell")
#: which paths an update trains beside the drawn one (``bnao.training.companions``)
COMPANIONS = ("none", "fair", "sandwich")
#: what a supernet's parameters off the path do at a step
IDLE_MOMENTA = ("path", "dense")


@frozen
class NetworkConfig:
    """What surrounds the cells: the space they come from and the stack they are repeated in."""

    space: str = setting("nao", "Search space the genotypes come from.", choices=SPACE_NAMES)
    nodes: int | None = setting(
        None, "Nodes of a cell; else the space's own: nao and nasnet 5, darts 4, nas-bench-201 3.", least=1, most=64
    )
    channels: int = setting(
        20,
        "Channels of the first cells (C); they double at each reduction. auto (evaluate and show): as many as keep "
        "max_multiply_adds.",
        least=2,
        most=MOST_CHANNELS,
        words={"auto": AUTO},
    )
    cells: int = setting(3, "Normal cells of a stack (N); the network has 3N + 2 cells.", least=1, most=MOST_CELLS)
    network: str = setting("cifar", "Stem: one 3x3 convolution, or three of stride 2.", choices=("cifar", "imagenet"))
    slots: str = setting(
        "hashed",
        "Which of a node's two sets of supernet weights an edge trains: chosen by a hash of the node, so that both are "
        "trained alike, or by the edges' sorted order.",
        choices=SLOT_RULES,
    )
    share_over: str = setting(
        "edge",
        "Edges that train one set of an operation's weights: each its own, those of one source and node, those of a "
        "node, or all of a cell.",
        choices=SHARE_OVER,
    )
    classes: int = setting(10, "Classes to tell apart.", least=2, most=MOST_CLASSES, from_data=True)
    image: tuple[int, int, int] = setting(
        (32, 32, 3), "Height, width and channels of an image.", from_data=True, converter=tuple
    )

    def __attrs_post_init__(self) -> None:
        whole = all(isinstance(side, int) and not isinstance(side, bool) for side in self.image)
        if len(self.image) != 3 or not whole or min(self.image) < 1:
            raise ConfigError(f"image is {'x'.join(map(told, self.image))}; it must be HxWxC, such as 32x32x3")
        if max(self.image) > MOST_PIXELS:
            raise ConfigError(
                f"image is {'x'.join(map(told, self.image))}; height, width and channels must each be <= {MOST_PIXELS}"
            )
        least = 8 if self.network == "cifar" else 32
        if min(self.image[:2]) < least:
            raise ConfigError(
                f"images are {self.image[0]} x {self.image[1]} pixels; two reductions "
                f"{'behind the stem of stride 8 ' if least == 32 else ''}need at least {least} x {least}"
            )


def width(network: NetworkConfig) -> int:
    """Channels of a network's first cells (C).

    Raises:
        ConfigError: they are yet to be chosen.
    """
    if network.channels == AUTO:
        raise ConfigError("channels is auto, which bnao evaluate and bnao show take; here it must be a number >= 2")
    return network.channels


DATASETS = ("fashion-mnist", "cifar10", "cifar100", "imagenet")
#: those too large for memory, which stand-alone training reads from disk as it goes
STREAMED = ("imagenet",)


@frozen
class DataConfig:
    """The images: where they come from, how they are split, shown and augmented."""

    dataset: str = setting(
        "cifar10",
        "Data set by name; fashion-mnist ships in the package, imagenet is for evaluate, at 224 pixels.",
        choices=DATASETS,
    )
    data: str | None = setting(None, "Your own images instead: an .npz, or a folder with train/ and test/.")
    data_dir: str | None = setting(
        None,
        "Folder that holds (or gets) the data sets' archives, else the user's cache; of imagenet train/ and val/ with "
        "a folder for each class.",
    )
    image_size: int | None = setting(
        None, "Show the images at this height and width, pixels; else as they are.", least=8, most=MOST_PIXELS
    )
    unreadable: str = setting(
        "fail",
        "An image file that cannot be read: end with its name, or leave it out and count it.",
        choices=("fail", "skip"),
        fixed=False,
    )
    dev_share: float = setting(0.1, "Share of the train images kept for scoring (the dev part).", least=0.001, most=0.9)
    split_seed: int = setting(0, "Decides which of the train images are the dev part.", least=0)
    dev_images: int | None = setting(
        None, "Score on this many of the dev images, always the same; else on all.", least=1
    )
    train_images: int | None = setting(
        None, "Use this many of the train images, the same share of each class.", least=2
    )
    crop: str = setting(
        "shift",
        "Augmentation: shift by up to pad pixels, or enlarge a random part.",
        choices=("shift", "resized"),
    )
    pad: int = setting(4, "Augmentation: pixels padded on each side before a random crop.", least=0)
    pad_with: str = setting(
        "zero",
        "Augmentation: pad with black, as the authors do; with the train images' mean; or with the mirrored border.",
        choices=("zero", "mean", "reflect"),
    )
    flip: bool = setting(True, "Augmentation: mirror half of the images.")
    jitter: float = setting(
        0.0, "Augmentation: brightness, contrast and saturation change by up to this share.", least=0, most=1
    )
    hue: float = setting(
        0.0,
        "Augmentation: hues turn either way by up to this share of the colour circle; after jitter.",
        least=0,
        most=0.5,
    )
    cutout: int = setting(0, "Augmentation: side of the square blanked in each image, pixels; 0 = none.", least=0)


@frozen
class TrainingConfig:
    """How the supernet's weights are trained."""

    batch_size: int = setting(64, "Images of a step.", least=2)
    learning_rate: float = setting(0.025, "Learning rate at the top of the cosine.", least=0)
    learning_rate_end: float = setting(0.001, "Learning rate at its end.", least=0)
    momentum: float = setting(0.9, "Momentum of SGD.", least=0, most=1)
    weight_decay: float = setting(3e-4, "Weight decay (coupled, L2) on the path's parameters.", least=0)
    gradient_norm: float = setting(5.0, "Gradients are scaled down to this norm; 0 = never.", least=0)
    idle_momentum: str = setting(
        "path",
        "Parameters that a step does not use keep value and momentum (path), or go on with momentum and weight decay "
        "as if their gradient were 0 (dense).",
        choices=IDLE_MOMENTA,
    )
    drop_path_keep: float = setting(0.9, "Chance to keep an edge, at full depth and progress.", least=0.01, most=1)
    companions: str = setting(
        "none",
        "Paths that each update trains beside the drawn one: none; as many as use every operation once at every edge "
        "(fair); the pool's largest genotype, whose probabilities the drawn one learns (sandwich).",
        choices=COMPANIONS,
    )


@frozen
class ControllerConfig:
    """The controller that learns from the scores and proposes genotypes (paper Sec. 3; NAO's Sec. 3)."""

    controller: str = setting(
        "nao",
        "Which controller learns from the scores and proposes genotypes; nao-paper is nao with targets, features, "
        "patience and selection as in the paper, whatever these say.",
        choices=CONTROLLERS,
    )
    embedding: int = setting(32, "Length of a token's embedding.", least=1)
    hidden: int = setting(64, "Units of the encoder's and decoder's LSTM.", least=1)
    mlp_layers: int = setting(0, "Hidden layers of the predictor.", least=0)
    mlp_hidden: int = setting(200, "Units of each of them.", least=1)
    epochs: int = setting(1000, "Epochs on the scored genotypes, each round.", least=1)
    batch_size: int = setting(100, "Sequences of a step.", least=1)
    learning_rate: float = setting(1e-3, "Adam's learning rate.", least=0)
    gradient_norm: float = setting(5.0, "Gradients are scaled down to this norm; 0 = never.", least=0)
    predictor_weight: float = setting(
        0.8, "Weight of the score's squared error; the rest is reconstruction.", least=0, most=1
    )
    swaps: int = setting(10, "Copies of each training sequence, with nodes' edges swapped at random.", least=1)
    eta: float = setting(1.0, "Step along the predictor's gradient; 1, 2, 3, ... times it are tried.", least=0)
    most_steps: int = setting(50, "How many of those multiples are tried.", least=1)
    held_out: float = setting(
        0.1, "Share of the scored genotypes it does not learn from but is measured on; 0 = none.", least=0, most=0.5
    )
    targets: str = setting(
        "scores",
        "NAO: the predictor learns the scores, scaled to 0..1 (the paper), or their ranks, which a few very poor "
        "genotypes cannot squeeze together.",
        choices=("scores", "ranks"),
    )
    features: str = setting(
        "none",
        "NAO: the predictor reads the encoder's representation alone (none, the paper) or structural features beside "
        "it: live operations, live weights, depth, paths.",
        choices=("none", "structure"),
    )
    patience: int = setting(
        0,
        "NAO: stop after so many epochs without a better prediction of the held-out part, and go back to the best "
        "epoch; 0 = train all epochs (the paper).",
        least=0,
    )
    selection: str = setting(
        "distance",
        "NAO: propose decoded genotypes in the order of their distance from the seeds (distance, the paper), those of "
        "the highest predicted score (predicted), or the same with the seeds' neighbours among them (neighbours).",
        choices=("distance", "predicted", "neighbours"),
    )
    unlabelled: int = setting(2000, "SemiNAS: unscored genotypes that are learned from with predicted scores.", least=1)
    candidates: int = setting(
        1000, "Ridge and trees: random genotypes compared for a round's proposals, beside all neighbours of the seeds.",
        least=1,
    )  # fmt: skip
    explore: float = setting(
        0.5, "Ridge and trees: standard deviations added to a prediction before candidates are compared.", least=0
    )
    kernel: str = setting("gaussian", "Ridge: kernel on the structural features.", choices=("gaussian", "linear"))
    tournament: int = setting(5, "Evolution: genotypes compared for each parent.", least=1)
    population: int = setting(50, "Ageing evolution: the youngest genotypes, which may become parents.", least=1)


@frozen
class MachineConfig:
    """What it runs on."""

    backend: str = setting("torch", "Backend: a framework, or table for scores from a file.")
    device: str = setting("auto", "auto, cpu, cuda, cuda:1, mps, ...")
    precision: str = setting("float32", "Number format of the forward pass.", choices=("float32", "bfloat16"))
    compile: bool = setting(False, "Let the framework compile the network's parts.")
    threads: int | None = setting(None, "CPU threads; else the framework's own choice.", least=1)
    workers: int | None = setting(
        None,
        "Processes that read imagenet's images, 0 = the one that trains; else one a CPU, up to 16.",
        least=0,
        fixed=False,
    )


@frozen
class TableConfig:
    """A benchmark table in place of a supernet (backend table)."""

    table: str | None = setting(None, "CSV with a genotype and a score in each row.")
    score_column: str | None = setting(None, "Its column of scores; else score, accuracy or best_test_acc.")
    size_column: str | None = setting(None, "Its column of sizes; else size or params, else counted.")


@frozen
class SearchConfig:
    """Algorithm 1, with the paper's letters, and all it needs.

    >>> SearchConfig(rounds=2).rounds
    2
    >>> SearchConfig(rounds=0)
    Traceback (most recent call last):
        ...
    bnao.errors.ConfigError: rounds is 0; it must be >= 1
    """

    preset: str = setting("paper", "The preset these settings began from.", has_option=False)
    seed: int = setting(0, "Decides every random draw.", least=0)
    rounds: int = setting(4, "Rounds of training, scoring and proposing (L).", least=1)
    pool: int = setting(1000, "Random genotypes of the first round (n).", least=2)
    pool_file: str | None = setting(
        None,
        "Genotypes of the first round from a file, one a line in any notation (X in Alg. 1). They are the whole pool, "
        "unless --pool is given and larger: then random ones fill it up.",
    )
    new: int = setting(300, "Genotypes proposed for each later round.", least=1)
    n_seeds: int = setting(100, "Best genotypes whose representations are moved (K).", least=1)
    epochs: int = setting(50, "Supernet epochs a round.", least=1)
    steps: int | None = setting(None, "Supernet steps a round (N), instead of epochs.", least=1)
    sharing: str = setting(
        "weights",
        "What genotypes share: the weights of one supernet, or none: each is trained alone (conventional NAO).",
        choices=("weights", "none"),
    )
    alone_epochs: int = setting(25, "Sharing none: epochs that each genotype is trained alone.", least=1)
    from_supernet: str | None = setting(
        None, "Start from the supernet's weights of this finished run, of the same space, channels and cells."
    )
    sampler: str = setting(
        "proportional",
        "Who is trained at a step: by size (Eq. 3), evenly, or by a budget (Eq. 2).",
        choices=SAMPLERS,
    )
    size: str = setting("parameters", "What size means.", choices=("parameters", "multiply-adds"))
    alpha: float = setting(
        1.0, "Probabilities go as size to this power; 0 = uniform.", least=-MOST_ALPHA, most=MOST_ALPHA
    )
    sample_from: str = setting("new", "Train the newest genotypes, or all so far.", choices=("new", "all"))
    rescore: str = setting("all", "Score all genotypes each round, or the newest.", choices=("all", "new"))
    max_parameters: int | None = setting(None, "Only genotypes of at most this many parameters.", least=1)
    max_multiply_adds: int | None = setting(None, "Only genotypes of at most this many multiply-adds.", least=1)
    top: int = setting(5, "Genotypes in the final table.", least=1)
    rerank_epochs: int = setting(
        10, "Train the final ones alone for so many epochs and rank by that; 0 = off.", least=0
    )
    rerank_drop_path_epochs: int = setting(
        50, "Epochs over which drop path progresses in these trainings, which may be stopped before.", least=1
    )
    checkpoint_seconds: float = setting(60.0, "Seconds between checkpoints within a round.", least=0)
    network: NetworkConfig = section(NetworkConfig)
    data: DataConfig = section(DataConfig)
    training: TrainingConfig = section(TrainingConfig)
    controller: ControllerConfig = section(ControllerConfig)
    table: TableConfig = section(TableConfig)
    machine: MachineConfig = section(MachineConfig)

    def __attrs_post_init__(self) -> None:
        width(self.network)


@frozen
class StandAloneTrainingConfig:
    """How one network is trained from scratch (paper Sec. 5; SPEC section 8)."""

    batch_size: int = setting(128, "Images of a step.", least=2)
    learning_rate: float = setting(0.025, "Learning rate at the top of the cosine.", least=0)
    learning_rate_end: float = setting(0.0, "Learning rate at its end.", least=0)
    schedule: str = setting("cosine", "How the learning rate falls.", choices=("cosine", "exponential"))
    decay: float = setting(0.97, "Schedule exponential: the rate is multiplied by this each epoch.", least=0.01, most=1)
    momentum: float = setting(0.9, "Momentum of SGD.", least=0, most=1)
    weight_decay: float = setting(5e-4, "Weight decay (coupled, L2).", least=0)
    gradient_norm: float = setting(5.0, "Gradients are scaled down to this norm; 0 = never.", least=0)
    drop_path_keep: float = setting(0.8, "Chance to keep an edge, at full depth and progress.", least=0.01, most=1)
    drop_path_epochs: int | None = setting(
        None, "Epochs over which drop path progresses, if not those of the training; it may be stopped before.", least=1
    )
    dropout_keep: float = setting(0.6, "Chance to keep a feature in front of the classifier.", least=0.01, most=1)
    auxiliary: float = setting(0.4, "Weight of the auxiliary head's loss; 0 = no head.", least=0)
    label_smoothing: float = setting(0.0, "Share of the target spread evenly over the classes.", least=0, most=0.99)


@frozen
class EvaluateConfig:
    """Stand-alone training of chosen genotypes."""

    preset: str = setting("paper", "The preset these settings began from.", has_option=False)
    seed: int = setting(0, "Decides every random draw of the first repeat; the next ones follow.", least=0)
    epochs: int = setting(600, "Epochs of each training.", least=1)
    repeats: int = setting(1, "Trainings of each genotype, each with its own seed.", least=1)
    max_multiply_adds: int | None = setting(
        None, "Refuse networks of more multiply-adds; with --channels auto each is as wide as keeps it.", least=1
    )
    from_supernet: str | None = setting(
        None, "Start from the weights of this finished run's supernet, where shapes agree; else from random ones."
    )
    checkpoint_seconds: float = setting(60.0, "Seconds between checkpoints within a training.", least=0)
    network: NetworkConfig = section(lambda: NetworkConfig(channels=36, cells=6))
    data: DataConfig = section(lambda: DataConfig(cutout=16))
    training: StandAloneTrainingConfig = section(StandAloneTrainingConfig)
    machine: MachineConfig = section(MachineConfig)


#: a setting of stand-alone training that is the supernet's
AS_SUPERNET = -1
_SUPERNET = {"supernet": AS_SUPERNET}


@frozen
class AloneConfig(StandAloneTrainingConfig):
    """How a study trains genotypes alone: the recipe, and where network and images differ from the supernet's.

    The paper's truth "exactly follow[s] the default settings" of NAO (Sec. 3.2): C = 36, N = 6, cutout.
    """

    channels: int = setting(
        36,
        "Channels of the first cells (C); supernet: the supernet's.",
        least=2,
        most=MOST_CHANNELS,
        words=_SUPERNET,
    )
    cells: int = setting(
        6,
        "Normal cells of a stack (N); supernet: as many as the supernet's.",
        least=1,
        most=MOST_CELLS,
        words=_SUPERNET,
    )
    cutout: int = setting(
        16, "Side of the square blanked in each image, pixels; 0 = none; supernet: the supernet's.", least=0,
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


@frozen
class StudyConfig:
    """The ranking study (paper Sec. 3, Tables 2, 3 and 6): one-shot scores against stand-alone accuracies."""

    preset: str = setting("paper", "The preset these settings began from.", has_option=False)
    seed: int = setting(0, "Decides the genotypes, and the first seed of trainings and supernets.", least=0)
    genotypes: int = setting(50, "Genotypes that are ranked (n).", least=3)
    sizes: str = setting(
        "diverse",
        "Which: as they come (diverse), near the median size (similar), or of evenly spread sizes (spread); several by "
        "commas are studied one after the other, in one table (Table 3).",
        converter=lambda sizes: sizes.replace(" ", "") if isinstance(sizes, str) else sizes,
    )
    band: float = setting(0.05, "Sizes similar: the share by which a size may differ from the median.", least=0.0001)
    truth: str | None = setting(
        None,
        "In place of training: a CSV with a genotype and an accuracy in each row, or the folder of an evaluation or of "
        "another study, all of whose genotypes are ranked.",
    )
    truth_column: str | None = setting(None, "A CSV's column of accuracies; else score, accuracy or best_test_acc.")
    trained: int | None = setting(
        None, "Genotypes the supernet is trained on, the ranked ones among them; else just these.", least=3
    )
    samplers: str = setting(
        "uniform,proportional", "Whom to compare: uniform, proportional, proportional:ALPHA, budget; by commas."
    )
    epochs: str = setting("5,10,20,30,50", "Supernet epochs to score after, by commas.")
    marks: str = setting(
        "own",
        "Supernets: one for each of these epochs, with its own cosine (own), or one for them all, scored along the way "
        "(along).",
        choices=MARKS,
    )
    seeds: int = setting(3, "Supernets of each sampler, each with its own seed.", least=1)
    repeats: int = setting(1, "Stand-alone trainings of each genotype, each with its own seed.", least=1)
    alone_epochs: int = setting(600, "Epochs of each stand-alone training.", least=1)
    short: str | None = setting(
        None,
        "Also train each ranked genotype alone for so few epochs, such as 1,3,5, and compare that (Fig. 2a).",
    )
    size: str = setting("parameters", "What size means.", choices=("parameters", "multiply-adds"))
    top: int = setting(10, "The k of precision at the top.", least=1)
    resamples: int = setting(1000, "Bootstrap resamples behind an interval.", least=100)
    checkpoint_seconds: float = setting(60.0, "Seconds between checkpoints within a training.", least=0)
    network: NetworkConfig = section(NetworkConfig)
    data: DataConfig = section(DataConfig)
    training: TrainingConfig = section(TrainingConfig)
    alone: AloneConfig = section(AloneConfig)
    machine: MachineConfig = section(MachineConfig)

    def __attrs_post_init__(self) -> None:
        width(self.network)
        if len(set(self.arms)) < len(self.arms):
            raise ConfigError(f"samplers is {self.samplers!r}; it names one twice")
        _ = self.sets, self.scored_epochs, self.short_epochs  # each is checked as it is read
        if self.trained is not None and self.trained < self.genotypes:
            raise ConfigError(f"trained is {self.trained}; the {self.genotypes} ranked genotypes are among them")

    @property
    def arms(self) -> tuple[SamplerSpec, ...]:
        """The samplers to compare; the others are compared with the first."""
        return tuple(SamplerSpec.parse(text) for text in self.samplers.split(","))

    @property
    def sets(self) -> tuple[str, ...]:
        """The sets of genotypes, each a choice of sizes."""
        sets = tuple(self.sizes.split(","))
        if len(set(sets)) < len(sets) or not set(sets) <= set(SIZE_SETS):
            raise ConfigError(f"sizes is {self.sizes!r}; it can be {', '.join(SIZE_SETS)}, or several by commas")
        return sets

    @property
    def scored_epochs(self) -> tuple[int, ...]:
        """The epochs after which supernets are scored."""
        return rising("epochs", self.epochs)

    @property
    def short_epochs(self) -> tuple[int, ...]:
        """The lengths of the short stand-alone trainings; none where there are none."""
        return () if self.short is None else rising("short", self.short)

    @property
    def supernets(self) -> tuple[PlannedSupernet, ...]:
        """The supernets of the study in the order of their training."""
        epochs = self.scored_epochs
        lengths = [epochs] if self.marks == "along" else [(mark,) for mark in epochs]
        return planned_supernets(self.arms, range(self.seed, self.seed + self.seeds), lengths)


PRESETS: dict[type, dict[str, Settings]] = {
    SearchConfig: SEARCH_PRESETS,
    EvaluateConfig: EVALUATE_PRESETS,
    StudyConfig: STUDY_PRESETS,
}


def preset(config: type[C], name: str) -> C:
    """The config of a preset: quick, cifar10-small or paper; for an evaluation also imagenet.

    >>> preset(SearchConfig, "paper") == SearchConfig()
    True
    """
    presets = PRESETS[config]
    if name not in presets:
        raise ConfigError(f"no preset {name!r}; there is {', '.join(presets)}")
    return build(config, {"preset": name, **presets[name]})
