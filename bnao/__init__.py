"""Balanced one-shot neural architecture search: what the paper computes, as a library.

Luo, Qin, Chen: *Balanced One-shot Neural Architecture Optimization* (arXiv 1909.10815).
"""

import typing as _typing
from importlib import import_module as _import_module
from importlib.util import find_spec as _find_spec

from bnao.version import VERSION as __version__

if _typing.TYPE_CHECKING:
    from bnao.backends import load as load_backend
    from bnao.config.evaluation import EvaluateConfig
    from bnao.config.presets import preset
    from bnao.config.settings import DataConfig, NetworkConfig, SearchConfig
    from bnao.config.studies import ProxiesConfig, StudyConfig
    from bnao.data.dataset import load_dataset
    from bnao.errors import BnaoError
    from bnao.evaluation.fused import Fuser
    from bnao.evaluation.scoring import classify_test_images, score_genotypes
    from bnao.evaluation.trainings import evaluate
    from bnao.metrics import compare_rankings, kendall_tau, pairwise_accuracy, rank_agreement, spearman
    from bnao.network.latency import LatencyModel, MeasuredLatency, fit_latency
    from bnao.network.size import count_multiply_adds, count_parameters
    from bnao.proxies import ZeroCostScores, zero_cost_scores
    from bnao.reporting.page import write_report
    from bnao.sampler import BudgetSampler, ProportionalSampler, UniformSampler
    from bnao.searches import PreparedSearch, PreparedStepSearch, prepare_search, resumed_search, run_search
    from bnao.space.edits import neighbours
    from bnao.space.genotype import Cell, Edge, Genotype, Node
    from bnao.space.notation.notations import parse, to_text
    from bnao.space.operations import Operation
    from bnao.space.spaces import SPACES, SearchSpace
    from bnao.space.zoo import published_cell
    from bnao.strategies.fusion import Fusion, fuse
    from bnao.strategies.rounds import search
    from bnao.strategies.steps import search_by_steps
    from bnao.studies.genotypes import random_genotypes
    from bnao.studies.ranking import RankingStudy, study_ranking
    from bnao.studies.sets import RankingSets, study_ranking_sets
    from bnao.studies.tables import run_study
    from bnao.verification import verify

__all__ = [
    "SPACES",
    "BnaoError",
    "BudgetSampler",
    "Cell",
    "DataConfig",
    "Edge",
    "EvaluateConfig",
    "Fuser",
    "Fusion",
    "Genotype",
    "LatencyModel",
    "MeasuredLatency",
    "NetworkConfig",
    "Node",
    "Operation",
    "PreparedSearch",
    "PreparedStepSearch",
    "ProportionalSampler",
    "ProxiesConfig",
    "RankingSets",
    "RankingStudy",
    "SearchConfig",
    "SearchSpace",
    "StudyConfig",
    "UniformSampler",
    "ZeroCostScores",
    "__version__",
    "classify_test_images",
    "compare_rankings",
    "count_multiply_adds",
    "count_parameters",
    "evaluate",
    "fit_latency",
    "fuse",
    "kendall_tau",
    "load_backend",
    "load_dataset",
    "neighbours",
    "pairwise_accuracy",
    "parse",
    "prepare_search",
    "preset",
    "published_cell",
    "random_genotypes",
    "rank_agreement",
    "resumed_search",
    "run_search",
    "run_study",
    "score_genotypes",
    "search",
    "search_by_steps",
    "spearman",
    "study_ranking",
    "study_ranking_sets",
    "to_text",
    "verify",
    "write_report",
    "zero_cost_scores",
]

# The imports above, made when a name is first asked for: whoever wants a sampler need not load all studies.
_HOMES = {
    "BnaoError": "errors",
    "BudgetSampler": "sampler",
    "Cell": "space.genotype",
    "DataConfig": "config.settings",
    "Edge": "space.genotype",
    "EvaluateConfig": "config.evaluation",
    "Fuser": "evaluation.fused",
    "Fusion": "strategies.fusion",
    "Genotype": "space.genotype",
    "LatencyModel": "network.latency",
    "MeasuredLatency": "network.latency",
    "NetworkConfig": "config.settings",
    "Node": "space.genotype",
    "Operation": "space.operations",
    "PreparedSearch": "searches",
    "PreparedStepSearch": "searches",
    "ProportionalSampler": "sampler",
    "ProxiesConfig": "config.studies",
    "RankingSets": "studies.sets",
    "RankingStudy": "studies.ranking",
    "SPACES": "space.spaces",
    "SearchConfig": "config.settings",
    "SearchSpace": "space.spaces",
    "StudyConfig": "config.studies",
    "UniformSampler": "sampler",
    "ZeroCostScores": "proxies",
    "classify_test_images": "evaluation.scoring",
    "compare_rankings": "metrics",
    "count_multiply_adds": "network.size",
    "count_parameters": "network.size",
    "evaluate": "evaluation.trainings",
    "fit_latency": "network.latency",
    "fuse": "strategies.fusion",
    "kendall_tau": "metrics",
    "load_backend": "backends:load",
    "load_dataset": "data.dataset",
    "neighbours": "space.edits",
    "pairwise_accuracy": "metrics",
    "parse": "space.notation.notations",
    "prepare_search": "searches",
    "preset": "config.presets",
    "published_cell": "space.zoo",
    "random_genotypes": "studies.genotypes",
    "rank_agreement": "metrics",
    "resumed_search": "searches",
    "run_search": "searches",
    "run_study": "studies.tables",
    "score_genotypes": "evaluation.scoring",
    "search": "strategies.rounds",
    "search_by_steps": "strategies.steps",
    "spearman": "metrics",
    "study_ranking": "studies.ranking",
    "study_ranking_sets": "studies.sets",
    "to_text": "space.notation.notations",
    "verify": "verification",
    "write_report": "reporting.page",
    "zero_cost_scores": "proxies",
}


def __getattr__(name: str) -> _typing.Any:
    """Return a public name, or a module of the package, loading it now."""
    if name in _HOMES:
        home, _, own = _HOMES[name].partition(":")
        value = getattr(_import_module(f"bnao.{home}"), own or name)
        globals()[name] = value
        return value
    if not name.startswith("_") and _find_spec(f"bnao.{name}") is not None:
        return _import_module(f"bnao.{name}")
    raise AttributeError(f"module 'bnao' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
