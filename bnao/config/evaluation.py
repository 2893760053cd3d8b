"""Settings of stand-alone training; as in ``bnao.config.settings``."""

from attrs import frozen

from bnao.config.bounds import (
    MOST_BATCH,
    MOST_REPEATS,
    MOST_SEED,
)
from bnao.config.fields import section, setting
from bnao.config.recipes import RECIPE_NAMES
from bnao.config.settings import (
    DataConfig,
    MachineConfig,
    NetworkConfig,
)


@frozen
class StandAloneTrainingConfig:
    """Training of one network from scratch (Sec. 5 and its appendix)."""

    batch_size: int = setting(128, "Batch size.", least=2, most=MOST_BATCH)
    learning_rate: float = setting(0.025, "Initial learning rate.", least=0)
    learning_rate_end: float = setting(0.0, "Final learning rate of the cosine schedule.", least=0)
    schedule: str = setting(
        "cosine",
        "Learning rate schedule: one cosine over the training (cosine), a cosine that restarts after periods that grow "
        "(restarts), or a factor after each epoch (exponential).",
        choices=("cosine", "restarts", "exponential"),
    )
    period: int = setting(10, "Schedule with restarts: epochs of the first period.", least=1)
    period_factor: int = setting(
        2, "Schedule with restarts: each period is so many times as long as the one before.", least=1, most=1000
    )
    decay: float = setting(
        0.97, "Exponential schedule: factor of the learning rate after each epoch.", least=0.01, most=1
    )
    momentum: float = setting(0.9, "Momentum of SGD.", least=0, most=1)
    weight_decay: float = setting(5e-4, "Weight decay (coupled, L2).", least=0)
    gradient_norm: float = setting(5.0, "Clip gradients to this global norm; 0 = no clipping.", least=0)
    drop_path_keep: float = setting(
        0.8, "Drop path: probability of keeping an edge, in the last cell at the end of training.", least=0.01, most=1
    )
    drop_path_epochs: int | None = setting(
        None,
        "Length, in epochs, of the drop-path schedule; by default that of the training, which may stop before its end.",
        least=1,
    )
    drop_path_depth: str = setting(
        "linear",
        "Drop path: edges are dropped the more often the deeper their cell lies (linear, as NAO and ENAS do), or "
        "equally often in every cell (constant, as DARTS does).",
        choices=("linear", "constant"),
    )
    dropout_keep: float = setting(
        0.6, "Dropout before the classifier: probability of keeping a feature.", least=0.01, most=1
    )
    auxiliary: float = setting(0.4, "Weight of the auxiliary head's loss; 0 = no auxiliary head.", least=0)
    label_smoothing: float = setting(0.0, "Label smoothing.", least=0, most=0.99)


@frozen
class EvaluateConfig:
    """Stand-alone training of chosen genotypes."""

    preset: str = setting("paper", "Preset that these settings are based on.", has_option=False)
    recipe: str | None = setting(
        None, "Recipe that these settings are based on, beside the preset.", choices=RECIPE_NAMES, has_option=False
    )
    seed: int = setting(
        0, "Random seed of the first repeat; the next repeats use the next seeds.", least=0, most=MOST_SEED
    )
    epochs: int = setting(600, "Training epochs.", least=1)
    repeats: int = setting(1, "Trainings per genotype, each with its own seed.", least=1, most=MOST_REPEATS)
    max_multiply_adds: int | None = setting(
        None,
        "Refuse networks with more multiply-adds; with --channels auto, make each as wide as this allows.",
        least=1,
    )
    from_supernet: str | None = setting(
        None,
        "Initialise from the supernet weights of this finished run, or of this .keras file of a Supernet, where shapes "
        "agree; random elsewhere.",
    )
    checkpoint_seconds: float = setting(60.0, "Seconds between checkpoints within a training.", least=0)
    network: NetworkConfig = section(lambda: NetworkConfig(channels=36, cells=6))
    data: DataConfig = section(lambda: DataConfig(cutout=16))
    training: StandAloneTrainingConfig = section(StandAloneTrainingConfig)
    machine: MachineConfig = section(MachineConfig)
