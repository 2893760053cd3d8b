"""Every setting, once: its default, bounds, help and the paper's letter.

The defaults are the paper's (Sec. 5 and its appendix; docs/training.md); presets (``bnao.config.presets``) change them.
"""

from attrs import evolve, frozen

from bnao.config.arms import MOST_ALPHA
from bnao.config.bounds import (
    MOST_BATCH,
    MOST_CELLS,
    MOST_CHANNELS,
    MOST_CLASSES,
    MOST_COUNT,
    MOST_GENOTYPES,
    MOST_PIXELS,
    MOST_SEED,
    MOST_THREADS,
    MOST_UNITS,
)
from bnao.config.costs import FRONT_COSTS, check_costs
from bnao.config.fields import duration, section, setting, told
from bnao.config.landmarks import check_landmarks
from bnao.config.plugins import is_own_space
from bnao.config.proxies import zero_cost_scores
from bnao.config.ranks import RanksConfig
from bnao.config.strategies import STEP_LEVEL, WITH_CANDIDATES, gradient
from bnao.config.strategies.enas import EnasConfig
from bnao.config.strategies.evolution import FairnasConfig, SposConfig
from bnao.config.strategies.watch import WatchConfig
from bnao.config.training import SHARE_OVER as SHARE_OVER
from bnao.config.training import SIZE_NAMES as SIZE_NAMES
from bnao.config.training import TrainingConfig as TrainingConfig
from bnao.config.training import check_splits
from bnao.errors import ConfigError
from bnao.sampler import SAMPLERS

#: channels that are yet to be chosen for each genotype by a budget
AUTO = 0
SPACE_NAMES = ("nao", "nao-large", "darts", "snas", "nasnet", "nas-bench-201")
CONTROLLERS = (
    "nao", "nao-paper", "seminas", "ridge", "trees", "evolution", "ageing-evolution", "local-search", "random"
)  # fmt: skip
#: strategies that decide between rounds, by Algorithm 1: with any controller, or with that of their name
ROUND_LEVEL = ("nao", "random", "evolution")
#: all strategies, in the order of ``bnao strategies``
STRATEGIES = (*ROUND_LEVEL, *STEP_LEVEL)
#: strategies that score many genotypes, of which there is a front
WITH_FRONT = (*ROUND_LEVEL, *WITH_CANDIDATES)
#: those that a backend computes, since they need gradients
OF_A_BACKEND = ("nao", "nao-paper", "seminas")
#: what a one-shot score can be, of the dev images
SCORES = ("accuracy", "log-likelihood")
#: what random genotypes are told apart by
DISTINCT = ("text", "computed")
SIZE_HELP = (
    "What size means; live counts of the cells only what carries something of the image to the classifier: in nao "
    "all of it."
)
DISTINCT_HELP = (
    "Draw no genotype twice: by its text, or by what it computes, so that none differs from another in dead edges, "
    "identities or the order of its nodes alone."
)
#: how a supernet chooses the set of weights that an edge trains (``bnao.space.genotype.edge_slots``)
SLOT_RULES = ("hashed", "sorted")


@frozen
class NetworkConfig:
    """Network around the cells: their search space and the stack that repeats them."""

    space: str = setting(
        "nao", "Search space of the genotypes; your own by package.module:name.", choices=SPACE_NAMES, also=is_own_space
    )
    nodes: int | None = setting(
        None,
        "Nodes per cell; by default the space's own number: 5 for nao and nasnet, 4 for darts, 3 for nas-bench-201.",
        least=1, most=64,
    )  # fmt: skip
    channels: int = setting(
        20,
        "Channels of the first cells (C), doubled at each reduction. auto (evaluate and show only): the most that "
        "stay within max_multiply_adds.",
        least=2,
        most=MOST_CHANNELS,
        words={"auto": AUTO},
    )
    cells: int = setting(3, "Normal cells per stack (N); the network has 3N + 2 cells.", least=1, most=MOST_CELLS)
    network: str = setting(
        "cifar", "Stem: one 3x3 convolution (cifar), or three of stride 2 (imagenet).", choices=("cifar", "imagenet")
    )
    slots: str = setting(
        "hashed",
        "How each edge selects one of its node's two sets of supernet weights: by a hash of the node, which trains "
        "both sets equally often (hashed), or by the sorted order of the edges (sorted).",
        choices=SLOT_RULES,
    )
    share_over: str = setting(
        "edge",
        "Edges that share the supernet weights of an operation: none (edge), those with the same source and node "
        "(source), those of the same node (node), or all edges of a cell (cell).",
        choices=SHARE_OVER,
    )
    partial_channels: int = setting(
        1,
        "The operations of a supernet see one in this many channels of their source; the others go past them, as in "
        "PC-DARTS, which takes 4.",
        least=1,
        most=64,
    )
    entangle: bool = setting(
        False,
        "Supernet: smaller convolutions of an edge are the centre of the largest one's kernel (1x1 in 3x3, 3x3 in "
        "5x5), so that they share its weights.",
    )
    classes: int = setting(10, "Number of classes.", least=2, most=MOST_CLASSES, from_data=True)
    image: tuple[int, int, int] = setting(
        (32, 32, 3), "Height, width and channels of an image.", from_data=True, converter=tuple
    )

    def __attrs_post_init__(self) -> None:
        if self.partial_channels > 1 and (
            self.channels % self.partial_channels or 0 < self.channels < 2 * self.partial_channels
        ):
            raise ConfigError(
                f"channels is {self.channels} and partial_channels is {self.partial_channels}; channels must be a "
                "multiple of it, and at least twice as many"
            )
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
    """Return the channels of a network's first cells (C).

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
        "Data set. fashion-mnist is included in the package; imagenet works with evaluate and test only, at 224 "
        "pixels.",
        choices=DATASETS,
    )
    data: str | None = setting(None, "Your own images instead: an .npz file, or a folder with train/ and test/.")
    data_dir: str | None = setting(
        None,
        "Folder of the downloaded data sets; by default the user's cache. For imagenet, the folder that has train/ "
        "and val/, each with one folder per class.",
    )
    image_size: int | None = setting(
        None,
        "Resize the images to this height and width, in pixels; by default they keep their size.",
        least=8,
        most=MOST_PIXELS,
    )
    unreadable: str = setting(
        "fail",
        "What to do with an image file that cannot be read: stop and name it (fail), or leave it out and count it "
        "(skip).",
        choices=("fail", "skip"),
        fixed=False,
    )
    dev_share: float = setting(
        0.1, "Fraction of the training images held out for scoring (the dev set).", least=0.001, most=0.9
    )
    split_seed: int = setting(0, "Seed of the split into training and dev set.", least=0, most=MOST_SEED)
    dev_images: int | None = setting(
        None, "Score on this many dev images, always the same ones; by default on all.", least=1
    )
    dev_augment: bool = setting(
        False,
        "Score on dev images that are cropped and mirrored as the training images are, the same for every genotype: "
        "norms use a batch's own statistics, and then see what they saw in training.",
    )
    train_images: int | None = setting(
        None, "Use only this many training images, with the same fraction of each class; by default all.", least=2
    )
    crop: str = setting(
        "shift",
        "Augmentation: random crop after padding (shift), or random resized crop (resized).",
        choices=("shift", "resized"),
    )
    pad: int = setting(
        4, "Augmentation: padding on each side before the random crop, in pixels.", least=0, most=MOST_PIXELS
    )
    pad_with: str = setting(
        "zero",
        "Augmentation: pad with black, as the authors do (zero), with the mean of the training images (mean), or "
        "with the mirrored border (reflect).",
        choices=("zero", "mean", "reflect"),
    )
    flip: bool = setting(True, "Augmentation: random horizontal flip, with probability 1/2.")
    jitter: float = setting(
        0.0,
        "Augmentation: colour jitter; the largest relative change of brightness, contrast and saturation.",
        least=0,
        most=1,
    )
    hue: float = setting(
        0.0,
        "Augmentation: the largest change of hue in either direction, as a fraction of the colour circle; applied "
        "after the jitter.",
        least=0,
        most=0.5,
    )
    cutout: int = setting(
        0, "Augmentation: side of the cutout square, in pixels; 0 = no cutout.", least=0, most=MOST_PIXELS
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
    embedding: int = setting(32, "Dimension of the token embeddings.", least=1, most=MOST_UNITS)
    hidden: int = setting(64, "Units of the encoder's and the decoder's LSTM.", least=1, most=MOST_UNITS)
    mlp_layers: int = setting(0, "Hidden layers of the predictor's MLP.", least=0, most=100)
    mlp_hidden: int = setting(200, "Units of each hidden layer.", least=1, most=MOST_UNITS)
    epochs: int = setting(1000, "Controller epochs per round.", least=1)
    batch_size: int = setting(100, "Batch size, in sequences.", least=1, most=MOST_BATCH)
    learning_rate: float = setting(1e-3, "Learning rate of Adam.", least=0)
    gradient_norm: float = setting(5.0, "Clip gradients to this global norm; 0 = no clipping.", least=0)
    predictor_weight: float = setting(
        0.8,
        "Weight of the predictor's squared error in the loss; the reconstruction loss has the rest.",
        least=0,
        most=1,
    )
    swaps: int = setting(
        10, "Data augmentation: copies of each training sequence, with the two edges of random nodes swapped.", least=1
    )
    eta: float = setting(
        1.0, "Step size along the predictor's gradient; its multiples 1, 2, 3, ... are tried in turn.", least=0
    )
    most_steps: int = setting(50, "Largest multiple of eta to try.", least=1, most=100_000)
    held_out: float = setting(
        0.1, "Fraction of the scored genotypes held out to test the predictor; 0 = none.", least=0, most=0.5
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
    unlabelled: int = setting(
        2000, "SemiNAS: unscored genotypes that are learned from with predicted scores.", least=1, most=MOST_GENOTYPES
    )
    candidates: int = setting(
        1000, "Ridge and trees: random genotypes compared for a round's proposals, beside all neighbours of the seeds.",
        least=1,
        most=MOST_GENOTYPES,
    )  # fmt: skip
    explore: float = setting(
        0.5, "Ridge and trees: standard deviations added to a prediction before candidates are compared.", least=0
    )
    kernel: str = setting("gaussian", "Ridge: kernel on the structural features.", choices=("gaussian", "linear"))
    tournament: int = setting(5, "Evolution: tournament size.", least=1, most=10_000)
    population: int = setting(50, "Ageing evolution: the youngest genotypes, which may become parents.", least=1)


@frozen
class MachineConfig:
    """Machine: backend, device, precision, threads and worker processes."""

    backend: str = setting("torch", "Backend: torch, keras, or table, which looks scores up in a file.")
    device: str = setting("auto", "Device: auto, cpu, cuda, cuda:1, mps, ...")
    precision: str = setting("float32", "Precision of the forward pass.", choices=("float32", "bfloat16"))
    compile: bool = setting(False, "Compile the network with the framework's compiler.")
    threads: int | None = setting(
        None, "Number of CPU threads; by default the framework decides.", least=1, most=MOST_THREADS
    )
    data_workers: int | None = setting(
        None,
        "Worker processes that decode imagenet's images; 0 = decode in the training process. By default one per "
        "CPU, at most 16.",
        least=0,
        most=MOST_THREADS,
        fixed=False,
    )


@frozen
class TableConfig:
    """A benchmark table in place of a supernet (backend table)."""

    table: str | None = setting(None, "CSV file with a genotype and a score in each row.")
    score_column: str | None = setting(None, "Column of the scores; by default score, accuracy or best_test_acc.")
    size_column: str | None = setting(
        None, "Column of the sizes; by default size or params, otherwise sizes are counted."
    )


#: what a search's final ranking is by
RANKINGS = ("score", "fused")


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

    preset: str = setting("paper", "Preset that these settings are based on.", has_option=False)
    strategy: str = setting(
        "nao",
        "How the search spends its updates; bnao strategies lists them. nao is Algorithm 1 with --controller, random "
        "and evolution the same with that controller. The others decide at each update, and train for all rounds' "
        "epochs or steps in one piece.",
        choices=STRATEGIES,
    )
    seed: int = setting(0, "Random seed.", least=0, most=MOST_SEED)
    rounds: int = setting(4, "Rounds of training, scoring and proposing (L).", least=1)
    pool: int = setting(1000, "Random genotypes in the first round (n).", least=2, most=MOST_GENOTYPES)
    pool_file: str | None = setting(
        None,
        "File of genotypes for the first round (X in Alg. 1), one per line, in any notation or as RUN:1. They are the "
        "whole pool; if --pool is given and larger, random genotypes are added.",
    )
    new: int = setting(300, "New genotypes proposed for each later round.", least=1, most=MOST_GENOTYPES)
    n_seeds: int = setting(100, "Best genotypes that new ones are derived from (K).", least=1, most=MOST_GENOTYPES)
    epochs: int = setting(50, "Supernet epochs per round.", least=1)
    steps: int | None = setting(None, "Supernet steps per round (N), instead of epochs.", least=1)
    sharing: str = setting(
        "weights",
        "Weight sharing: all genotypes share one supernet (weights), or each is trained alone (none), as in "
        "conventional NAO.",
        choices=("weights", "none"),
    )
    alone_epochs: int = setting(25, "With sharing none: training epochs of each genotype.", least=1)
    from_supernet: str | None = setting(
        None,
        "Initialise the supernet with the weights of this finished run, or of this .keras file of a Supernet, which "
        "must have the same space, channels and cells.",
    )
    sampler: str = setting(
        "proportional",
        "Sampler of the architecture trained at each step: in proportion to size (proportional, Eq. 3), uniform, or "
        "by a budget of updates (budget, Eq. 2).",
        choices=tuple(SAMPLERS),
    )
    size: str = setting("live-parameters", SIZE_HELP, choices=(*SIZE_NAMES, "latency"))
    distinct: str = setting("text", DISTINCT_HELP, choices=DISTINCT)
    alpha: float = setting(
        1.0,
        "Sampling probabilities are proportional to size ** alpha; 0 = uniform.",
        least=-MOST_ALPHA,
        most=MOST_ALPHA,
    )
    sample_from: str = setting(
        "new",
        "Genotypes that the supernet is trained on in each round: the newest (new), all so far (all), or a pool of one "
        "size in which the newest take the place of the worst (survivors).",
        choices=("new", "all", "survivors"),
    )
    score: str = setting(
        "accuracy",
        "What genotypes are scored by: the supernet's accuracy on the dev images, or the mean log-likelihood of their "
        "labels.",
        choices=SCORES,
    )
    rescore: str = setting(
        "all",
        "Genotypes scored in each round: all so far (all), the newest (new), or those that the supernet was trained on "
        "(trained), after which all others are out of the search.",
        choices=("all", "new", "trained"),
    )
    max_parameters: int | None = setting(
        None, "Search only genotypes with at most this many parameters.", least=1, most=MOST_COUNT
    )
    max_multiply_adds: int | None = setting(
        None, "Search only genotypes with at most this many multiply-adds.", least=1, most=MOST_COUNT
    )
    max_latency: float | None = duration("Search only genotypes of at most this latency, by the model of --latency.")
    latency: str | None = setting(None, "Latency model: a file that bnao latency wrote.")
    pareto: str | None = setting(
        None,
        "Search for a Pareto front of score and this cost in place of one ranking; size is the search's --size, or a "
        f"table's column. For the strategies {', '.join(WITH_FRONT)}; the others derive one genotype.",
        choices=FRONT_COSTS,
    )
    top: int = setting(5, "Number of genotypes in the final table.", least=1, most=MOST_GENOTYPES)
    rerank_epochs: int = setting(
        10, "Train the final genotypes alone for this many epochs and rank them by the result; 0 = off.", least=0
    )
    rerank_drop_path_epochs: int = setting(
        50, "Length, in epochs, of the drop-path schedule in these trainings; they may stop before its end.", least=1
    )
    rank_by: str = setting(
        "score",
        "Rank in the end by one-shot score, or by it joined with live size and zero-cost scores (fused).",
        choices=RANKINGS,
    )
    proxies: tuple[str, ...] = zero_cost_scores(
        ("jacob_cov", "naswot"), "Rank by fused: zero-cost scores that are joined, separated by commas, or none"
    )
    landmarks: int = setting(
        0,
        "Rank by fused: genotypes trained alone, from which the parts' weights are learned (>= 5); 0 = equal weights.",
        least=0,
    )
    landmark_epochs: int = setting(10, "Epochs of each of these trainings.", least=1)
    checkpoint_seconds: float = setting(60.0, "Seconds between checkpoints within a round.", least=0)
    network: NetworkConfig = section(NetworkConfig)
    data: DataConfig = section(DataConfig)
    training: TrainingConfig = section(TrainingConfig)
    controller: ControllerConfig = section(ControllerConfig)
    table: TableConfig = section(TableConfig)
    machine: MachineConfig = section(MachineConfig)
    ranks: RanksConfig = section(RanksConfig)
    watch: WatchConfig = section(WatchConfig, strategy=STEP_LEVEL)
    spos: SposConfig = section(SposConfig, strategy="spos")
    fairnas: FairnasConfig = section(FairnasConfig, strategy="fairnas")
    enas: EnasConfig = section(EnasConfig, strategy="enas")
    darts: gradient.DartsConfig = section(gradient.DartsConfig, strategy="darts")
    snas: gradient.SnasConfig = section(gradient.SnasConfig, strategy="snas")
    gdas: gradient.GdasConfig = section(gradient.GdasConfig, strategy="gdas")
    pc_darts: gradient.PcDartsConfig = section(gradient.PcDartsConfig, strategy="pc-darts")
    p_darts: gradient.PDartsConfig = section(gradient.PDartsConfig, strategy="p-darts")
    fair_darts: gradient.FairDartsConfig = section(gradient.FairDartsConfig, strategy="fair-darts")
    darts_minus: gradient.DartsMinusConfig = section(gradient.DartsMinusConfig, strategy="darts-minus")
    proxyless: gradient.ProxylessConfig = section(gradient.ProxylessConfig, strategy="proxyless")

    def __attrs_post_init__(self) -> None:
        if self.strategy in ROUND_LEVEL[1:]:
            object.__setattr__(self, "controller", evolve(self.controller, controller=self.strategy))
        width(self.network)
        check_splits(self.network.share_over, self.training.split_at)
        if self.score != "accuracy" and (self.sharing == "none" or self.machine.backend == "table"):
            scores = "stand-alone trainings have accuracies" if self.sharing == "none" else "a table has its own scores"
            raise ConfigError(f"score is {self.score}, and {scores}; it must be accuracy")
        check_costs(self, WITH_FRONT)
        check_landmarks(self.landmarks)
        if self.rank_by == "score" and self.landmarks:
            raise ConfigError(f"landmarks is {self.landmarks}; they are for rank_by fused, and it is {self.rank_by}")
