"""Settings of ENAS: a policy that is trained by REINFORCE on the accuracy of the paths it draws."""

from collections.abc import Mapping

from attrs import frozen

from bnao.config.fields import Settings, setting


@frozen
class EnasConfig:
    """ENAS' policy and its training; the defaults are the authors' (``cifar10_micro_search.sh``).

    Source: Pham et al. 2018, arXiv 1802.03268.
    """

    policy: str = setting(
        "lstm",
        "Policy: the authors' recurrent controller (lstm), or independent logits for every decision (tabular).",
        choices=("lstm", "tabular"),
    )
    units: int = setting(64, "Units of the policy's LSTM.", least=1)
    tanh_constant: float = setting(1.1, "Bound of the LSTM's logits, by a tanh; 0 = none.", least=0)
    operation_reduce: float = setting(2.5, "The bound of operations' logits is so many times smaller.", least=0.01)
    prefer_separable: bool = setting(
        False,
        "LSTM: add the authors' fixed bias of 0.25 towards separable convolutions in the normal cell, and start from "
        "a trained bias of 10 towards them.",
    )
    learning_rate: float = setting(
        0.0035, "Learning rate of the policy's Adam (beta1 0, beta2 0.999, eps 0.001).", least=0
    )
    policy_steps: int = setting(30, "Policy updates after each epoch of the shared weights.", least=1)
    policy_samples: int = setting(10, "Genotypes drawn for each policy update, scored on one dev batch.", least=1)
    entropy_weight: float = setting(1e-4, "Weight of the entropy that is added to the reward.", least=0)
    baseline_decay: float = setting(0.99, "Decay of the reward's moving average, the baseline.", least=0, most=1)
    candidates: int = setting(10, "Genotypes drawn in the end, of which the best by all dev images are kept.", least=1)


#: what a preset changes besides for a search by this strategy; small is for all presets but paper
PRESETS: Mapping[str, Mapping[str, Settings]] = {
    "enas": {
        "small": {"enas": {"policy_steps": 10, "policy_samples": 5, "candidates": 20}},
        "paper": {
            "rounds": 1,
            "epochs": 150,
            "training": {"batch_size": 160, "learning_rate": 0.05, "learning_rate_end": 0.0005, "weight_decay": 1e-4},
            "enas": {"prefer_separable": True},
        },
    }
}
