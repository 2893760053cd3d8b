"""A genotype keeps the rule of its space's outputs, wherever it comes from."""

import attrs
import pytest
from pretend_backend import _Backend as PretendBackend

from bnao.backends.table import TableSupernet
from bnao.config.fields import build
from bnao.config.settings import ControllerConfig, NetworkConfig, SearchConfig
from bnao.config.studies import StudyConfig
from bnao.errors import GenotypeError
from bnao.run import Run
from bnao.space.genotype import Genotype
from bnao.space.notation.notations import NOTATIONS, parse, to_text
from bnao.space.spaces import SPACES, space_named
from bnao.strategies.evolution import EvolutionController, mutate
from bnao.strategies.journal import Journal, read_pool
from bnao.strategies.result import read_result
from bnao.strategies.rounds import search
from bnao.streams import stream
from bnao.studies.ranking import RankingStudy, study_ranking
from bnao.testing import small_dataset

TEXT = "0:skip_connect+1:skip_connect"
DARTS = SPACES["darts"]


def rules_of(genotypes):
    return {genotype.output for genotype in genotypes}


def test_no_genotype_is_made_without_a_rule():
    cell = DARTS.parse("|".join([";".join([TEXT] * 4)] * 2)).normal

    with pytest.raises(TypeError, match="output"):
        Genotype(cell, cell)
    with pytest.raises(TypeError, match="output"):
        Genotype.parse(f"{TEXT}|{TEXT}")


def test_a_rule_that_does_not_exist_is_refused():
    with pytest.raises(GenotypeError, match="no output rule 'all'; there is loose ends, nodes, loose nodes, last node"):
        Genotype.parse(f"{TEXT}|{TEXT}", output="all")


def test_a_mutated_cell_of_darts_gives_out_all_its_nodes():
    (parent,) = DARTS.random_genotypes(1, stream(0, "example"))

    for index in range(20):
        child = mutate(parent, DARTS, stream(0, "mutation", index))

        assert child.output == "nodes"
        assert [cell.outputs(child.output) for cell in child.cells] == [(2, 3, 4, 5)] * 2


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_text_mutation_and_integers_of_a_space_have_its_rule(space):
    (drawn,) = space.random_genotypes(1, stream(0, "example"))
    found = [drawn, space.parse(str(drawn)), parse(str(drawn), space), mutate(drawn, space, stream(0, "mutation"))]
    found += [*space.decode(space.encode([drawn])), space.genotype_of(*drawn.cells)]
    for notation in NOTATIONS:
        try:
            found.append(parse(to_text(drawn, space, notation), space))
        except GenotypeError:
            continue  # a notation for other spaces

    assert rules_of(found) == {space.rules.output}


def test_pools_and_scores_and_the_result_read_from_a_run_have_the_rule_of_its_space(tmp_path):
    network = NetworkConfig(space="darts", nodes=2, channels=4, cells=1)
    space = space_named("darts", 2)
    pool = space.random_genotypes(40, stream(0, "example"))
    table = TableSupernet(pool, scores=[at / 40 for at in range(40)], network=network)
    config = SearchConfig(rounds=2, pool=10, new=5, n_seeds=2, network=network)
    with Run.create(tmp_path / "run", config) as run:
        found = search(config, table, EvolutionController(space, ControllerConfig(), 0), run=run)
        journal = Journal(run, space)

        assert rules_of(journal.pool(0)) == rules_of(journal.pool(1)) == {"nodes"}
        assert rules_of(journal.scores(1)) == {"nodes"}
    assert rules_of(read_pool(tmp_path / "run", 0)) == {"nodes"}
    assert rules_of(entry.genotype for entry in found.ranked) == {"nodes"}
    assert rules_of(entry.genotype for entry in read_result(tmp_path / "run").ranked) == {"nodes"}


def test_a_resumed_search_proposes_children_with_the_rule_of_its_space(tmp_path):
    network = NetworkConfig(space="darts", nodes=2, channels=4, cells=1)
    space = space_named("darts", 2)
    pool = space.random_genotypes(40, stream(0, "example"))
    table = TableSupernet(pool, scores=[at / 40 for at in range(40)], network=network)
    config = SearchConfig(rounds=1, pool=10, new=5, n_seeds=2, network=network)
    proposed = []

    class Watched(EvolutionController):
        def propose(self, seeds, n, accept, *, round_index):
            proposed.extend(seeds)
            return super().propose(seeds, n, accept, round_index=round_index)

    with Run.create(tmp_path / "run", config) as run:
        search(config, table, Watched(space, ControllerConfig(), 0), run=run)
        search(attrs.evolve(config, rounds=2), table, Watched(space, ControllerConfig(), 0), run=run)

    assert proposed
    assert rules_of(proposed) == {"nodes"}


def test_the_genotypes_of_a_study_read_from_its_file_have_the_rule_of_its_space():
    config = build(
        StudyConfig,
        {
            "genotypes": 4, "epochs": "1", "repeats": 1, "alone_epochs": 1, "top": 2, "resamples": 100,
            "network": {"channels": 4, "cells": 1, "space": "darts", "nodes": 2}, "training": {"batch_size": 8},
            "alone": {"channels": "supernet", "cells": "supernet", "cutout": "supernet"},
        },
    )  # fmt: skip
    dataset = small_dataset()

    study = study_ranking(config, PretendBackend(), dataset, dataset)

    assert rules_of(RankingStudy.from_json(study.to_json()).genotypes) == {"nodes"}
    assert rules_of(study.genotypes) == {"nodes"}
