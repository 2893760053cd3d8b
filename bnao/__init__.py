"""Balanced one-shot neural architecture search: what the paper computes, as a library.

Luo, Qin, Chen: *Balanced One-shot Neural Architecture Optimization* (arXiv 1909.10815).
"""

from bnao.backends import load as load_backend
from bnao.config.settings import DataConfig, EvaluateConfig, NetworkConfig, SearchConfig, StudyConfig, preset
from bnao.data.dataset import load_dataset
from bnao.errors import BnaoError
from bnao.evaluation.scoring import classify_test_images, score_genotypes
from bnao.evaluation.trainings import evaluate
from bnao.metrics import compare_rankings, kendall_tau, pairwise_accuracy, rank_agreement, spearman
from bnao.network.size import count_multiply_adds, count_parameters
from bnao.sampler import BudgetSampler, ProportionalSampler, UniformSampler
from bnao.searches import PreparedSearch, prepare_search, resumed_search, run_search
from bnao.space.genotype import Cell, Edge, Genotype, Node
from bnao.space.notation.notations import parse, to_text
from bnao.space.spaces import SPACES, SearchSpace, neighbours
from bnao.space.zoo import published_cell
from bnao.strategies.rounds import search
from bnao.studies.genotypes import random_genotypes
from bnao.studies.ranking import RankingStudy, ranking_study
from bnao.studies.sets import RankingSets, ranking_sets
from bnao.version import VERSION as __version__

__all__ = [
    "SPACES",
    "BnaoError",
    "BudgetSampler",
    "Cell",
    "DataConfig",
    "Edge",
    "EvaluateConfig",
    "Genotype",
    "NetworkConfig",
    "Node",
    "PreparedSearch",
    "ProportionalSampler",
    "RankingSets",
    "RankingStudy",
    "SearchConfig",
    "SearchSpace",
    "StudyConfig",
    "UniformSampler",
    "__version__",
    "classify_test_images",
    "compare_rankings",
    "count_multiply_adds",
    "count_parameters",
    "evaluate",
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
    "ranking_sets",
    "ranking_study",
    "resumed_search",
    "run_search",
    "score_genotypes",
    "search",
    "spearman",
    "to_text",
]
