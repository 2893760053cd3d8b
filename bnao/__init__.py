"""Balanced one-shot neural architecture search: what the paper computes, as a library.

Luo, Qin, Chen: *Balanced One-shot Neural Architecture Optimization* (arXiv 1909.10815).
"""

from bnao.backends import load as load_backend
from bnao.config.evaluation import EvaluateConfig
from bnao.config.presets import preset
from bnao.config.settings import DataConfig, NetworkConfig, SearchConfig
from bnao.config.studies import ProxiesConfig, StudyConfig
from bnao.data.dataset import load_dataset
from bnao.errors import BnaoError
from bnao.evaluation.fused import Fuser
from bnao.evaluation.proxies import ZeroCostScores, zero_cost_scores
from bnao.evaluation.scoring import classify_test_images, score_genotypes
from bnao.evaluation.trainings import evaluate
from bnao.metrics import compare_rankings, kendall_tau, pairwise_accuracy, rank_agreement, spearman
from bnao.network.size import count_multiply_adds, count_parameters
from bnao.reporting.page import write_report
from bnao.sampler import BudgetSampler, ProportionalSampler, UniformSampler
from bnao.searches import PreparedSearch, PreparedStepSearch, prepare_search, resumed_search, run_search
from bnao.space.edits import neighbours
from bnao.space.genotype import Cell, Edge, Genotype, Node
from bnao.space.notation.notations import parse, to_text
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
from bnao.version import VERSION as __version__

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
    "NetworkConfig",
    "Node",
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
