"""Balanced one-shot neural architecture search: what the paper computes, as a library.

Luo, Qin, Chen: *Balanced One-shot Neural Architecture Optimization* (arXiv 1909.10815).
"""

from bnao.backends import load as load_backend
from bnao.config import EvaluateConfig, NetworkConfig, SearchConfig, StudyConfig
from bnao.data import load_dataset
from bnao.errors import BnaoError
from bnao.evaluate import evaluate
from bnao.formats import parse, written
from bnao.genotype import Cell, Edge, Genotype, Node
from bnao.pool import random_genotypes
from bnao.ranking import compared, kendall_tau, pairwise_accuracy, rank_agreement, spearman
from bnao.sampler import BudgetSampler, ProportionalSampler, UniformSampler
from bnao.scoring import classify_test_images, score_genotypes
from bnao.search import search
from bnao.sets import RankingSets, ranking_sets
from bnao.size import multiply_adds, parameters
from bnao.space import SPACES, SearchSpace, neighbours
from bnao.study import RankingStudy, ranking_study
from bnao.zoo import published

__version__ = "0.1.0"

__all__ = [
    "SPACES",
    "BnaoError",
    "BudgetSampler",
    "Cell",
    "Edge",
    "EvaluateConfig",
    "Genotype",
    "NetworkConfig",
    "Node",
    "ProportionalSampler",
    "RankingSets",
    "RankingStudy",
    "SearchConfig",
    "SearchSpace",
    "StudyConfig",
    "UniformSampler",
    "__version__",
    "classify_test_images",
    "compared",
    "evaluate",
    "kendall_tau",
    "load_backend",
    "load_dataset",
    "multiply_adds",
    "neighbours",
    "pairwise_accuracy",
    "parameters",
    "parse",
    "published",
    "random_genotypes",
    "rank_agreement",
    "ranking_sets",
    "ranking_study",
    "score_genotypes",
    "search",
    "spearman",
    "written",
]
