"""The events that listeners are told: each is listed with its fields, in the code and in docs/events.md."""

import itertools
import pathlib
import re

import numpy as np
import pytest
from attrs import evolve
from pretend_backend import BACKEND

from bnao.config.evaluation import EvaluateConfig
from bnao.config.latency import LatencyConfig
from bnao.config.settings import ControllerConfig, NetworkConfig, SearchConfig
from bnao.config.studies import ProxiesConfig
from bnao.config.table_studies import ControllersConfig, PredictorConfig
from bnao.evaluation.candidates import StandAloneScores
from bnao.evaluation.fused import Fuser
from bnao.evaluation.latencies import measure_latencies
from bnao.evaluation.scoring import score_genotypes
from bnao.evaluation.trainings import evaluate
from bnao.events import EVENTS, Work
from bnao.proxies import zero_cost_scores
from bnao.run import Run
from bnao.space.spaces import space_named
from bnao.strategies.ridge import RidgeController
from bnao.strategies.rounds import search
from bnao.strategies.single_path import UniformPaths
from bnao.strategies.steps import search_by_steps
from bnao.streams import stream
from bnao.studies.controllers import study_controllers
from bnao.studies.predictor import study_predictor
from bnao.studies.ranking import study_ranking
from bnao.testing import ToyScorer, small_dataset
from tests.strategies.test_rounds import CountingSupernet, Foreteller, NoIdeas
from tests.studies.test_ranking import SMALL

PAGE = pathlib.Path(__file__).resolve().parents[1] / "docs" / "events.md"
NETWORK = NetworkConfig(channels=4, cells=1, nodes=1)


def of_a_search(listen):
    # twenty genotypes, so that there is none left for a third round
    config = SearchConfig(rounds=3, pool=12, new=8, epochs=1, top=2, network=NETWORK)
    supernet = CountingSupernet()
    supernet.network = NETWORK
    supernet.candidates = space_named("nao", 1).random_genotypes(20, stream(0, "events"))
    search(config, supernet, NoIdeas(), fuse=joined, rerank=lambda genotype: 0.5, listen=listen)
    # each genotype trained alone, and a controller that is measured
    config = SearchConfig(rounds=2, pool=3, new=2, alone_epochs=1, sharing="none")
    alone = StandAloneScores(config, BACKEND, small_dataset())
    search(config, alone, Foreteller(space_named("nao"), ControllerConfig(), 0), listen=listen)
    # a strategy that decides at each update
    config, data = SearchConfig(strategy="spos", rounds=1, steps=3, network=NETWORK), small_dataset()
    search_by_steps(config, UniformPaths, lambda network: ToyScorer(config, data), data, listen=listen)


def joined(genotypes, scores, listen):
    config = SearchConfig(rank_by="fused", landmarks=5, landmark_epochs=1, proxies="naswot", network=NETWORK)
    return Fuser(config, BACKEND, small_dataset())(genotypes, scores, listen)


def of_zero_cost_scores(listen):
    genotypes = space_named("nao", 1).random_genotypes(2, stream(0, "events"))
    zero_cost_scores(genotypes, ProxiesConfig(batch=4, network=NETWORK), BACKEND, small_dataset(), listen=listen)


def of_latencies(listen):
    genotypes = space_named("nao", 1).random_genotypes(2, stream(0, "events"))
    measure_latencies(genotypes, LatencyConfig(network=NETWORK), BACKEND.forward_seconds, listen=listen)


def of_scoring(listen):
    supernet = CountingSupernet()
    supernet.network = NETWORK
    score_genotypes(space_named("nao", 1).random_genotypes(2, stream(0, "events")), supernet, listen=listen)


def of_controllers(listen):
    genotypes, scores = space_named("nao", 1).random_genotypes(20, stream(0, "events")), np.linspace(0.5, 0.9, 20)
    config = ControllersConfig(controllers="random:3:2", queries=9, pool=4, network=NETWORK)
    study_controllers(config, genotypes, scores, scores, {}, listen=listen)


def of_a_predictor(listen):
    genotypes, scores = space_named("nao", 1).random_genotypes(20, stream(0, "events")), np.linspace(0.5, 0.9, 20)
    config = PredictorConfig(sizes=(10,), seeds=2, controller=ControllerConfig(controller="ridge"))
    make = lambda settings, seed: RidgeController(space_named("nao", 1), settings, seed)  # noqa: E731
    study_predictor(config, genotypes, scores, make, listen=listen)


def of_an_evaluation(listen):
    genotypes = space_named("nao", 1).random_genotypes(2, stream(0, "events"))
    evaluate(genotypes, EvaluateConfig(epochs=2, network=NETWORK), BACKEND, small_dataset(), listen=listen)


def of_a_study(listen):
    dataset = small_dataset()
    study_ranking(evolve(SMALL, short="1", proxies="naswot"), BACKEND, dataset, dataset.joined(), listen=listen)


@pytest.mark.parametrize(
    ("function", "work"),
    [
        ("search", of_a_search),
        ("evaluate", of_an_evaluation),
        ("score_genotypes", of_scoring),
        ("zero_cost_scores", of_zero_cost_scores),
        ("measure_latencies", of_latencies),
        ("study_ranking", of_a_study),
        ("study_controllers", of_controllers),
        ("study_predictor", of_a_predictor),
    ],
)
def test_every_event_is_listed_with_exactly_its_fields(function, work):
    told = []

    work(told.append)

    found = {event["event"]: set(event) - {"event"} for event in told}
    assert found == {kind: set(fields) for kind, fields in EVENTS[function].items()}
    assert [event["event"] for event in told].index("plan") == 0
    assert [event["event"] for event in told].count("plan") == (3 if function == "search" else 1)
    for event in told:
        assert set(event) - {"event"} == set(EVENTS[function][event["event"]])


@pytest.mark.parametrize(
    "work",
    [
        of_a_search,
        of_an_evaluation,
        of_scoring,
        of_zero_cost_scores,
        of_latencies,
        of_a_study,
        of_controllers,
        of_a_predictor,
    ],
)
def test_after_the_last_event_nothing_of_the_plan_is_left(work):
    told = []

    work(told.append)

    plans = [at for at, event in enumerate(told) if event["event"] == "plan"]
    for first, end in itertools.pairwise([*plans, len(told)]):
        done = Work(told[first]["phases"])
        for event in told[first + 1 : end]:
            done.update(event)
        assert done.left() == {}


def test_no_plan_is_logged_in_a_folder(tmp_path):
    # a run that was stopped and resumed has the same log as one that was not
    config = SearchConfig(rounds=1, pool=12, epochs=1, network=NETWORK)
    supernet, told = CountingSupernet(), []
    supernet.network = NETWORK
    with Run.create(tmp_path / "run", config) as run:
        search(config, supernet, NoIdeas(), run=run, listen=told.append)
        logged = [event["event"] for event in run.events()]

    assert logged == [event["event"] for event in told if event["event"] != "plan"]


def test_the_page_lists_the_same_events():
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]

    listed = {}
    for section in sections:
        rows = re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", section, re.M)
        listed[section.split()[0]] = {kind: set(re.findall(r"`(\w+)`", fields)) for kind, fields in rows}

    assert listed == {name: {kind: set(fields) for kind, fields in of.items()} for name, of in EVENTS.items()}
