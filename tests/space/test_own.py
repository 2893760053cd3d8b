"""Search spaces of other packages: found by reference and by entry point, searched, counted as they are built."""

import itertools
import pathlib
import sys

import numpy as np
import pytest
from attrs import evolve

from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import NetworkConfig
from bnao.errors import ConfigError
from bnao.network.size import count_parameters
from bnao.space.own import OPERATIONS, own_space
from bnao.space.spaces import CompleteSpace, Rules, SearchSpace, parse_in, space_named
from bnao.strategies.result import read_result
from bnao.streams import stream
from bnao.testing import small_dataset
from tests.cli.test_cli import PRETEND, bnao, refused, workplace  # noqa: F401  # the fixture is used by its name

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(autouse=True)
def forgotten():
    """What one test's packages named, the next does not know."""
    own_space.cache_clear()
    yield
    own_space.cache_clear()


@pytest.fixture
def example(monkeypatch):
    """The example of the documentation, as if installed; its reference."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return "own_space:space"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Makes a module with one name, space."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def made(expression):
        path = tmp_path / "someones.py"
        path.write_text(f"from bnao.space.spaces import *\nfrom bnao.space.spaces import Rules\nspace = {expression}\n")
        monkeypatch.delitem(sys.modules, "someones", raising=False)
        return "someones:space"

    return made


def test_a_search_of_ones_own_space_finds_its_genotypes(example):
    done = bnao(*PRETEND, "--space", example, "--out", "run")

    assert done.exit_code == 0, done.output
    result = read_result(pathlib.Path("run"))
    operations = {e.operation for cell in result.best.cells for node in cell.nodes for e in node.edges}
    assert operations <= {"sep_conv_3x3", "dil_conv_3x3", "max_pool_3x3", "skip_connect"}
    assert (result.space, len(result.best.normal.nodes)) == (example, 3)
    assert bnao("show", "run:1").exit_code == 0
    assert bnao("evaluate", "run", "--top", 1, "--epochs", 1, "--train-images", 640).exit_code == 0


def test_a_space_is_found_by_its_entry_point(example, tmp_path, monkeypatch):
    site = tmp_path / "other-site"
    (site / "slim-1.0.dist-info").mkdir(parents=True)
    (site / "slim-1.0.dist-info" / "entry_points.txt").write_text("[bnao.spaces]\nslim = own_space:space\n")
    (site / "slim-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: slim\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(site))

    found = space_named("slim")

    assert (found.name, found.operations) == ("slim", space_named(example).operations)
    assert NetworkConfig(space="slim").space == "slim"


def test_a_text_is_read_in_the_space_that_a_file_names(example):
    space = space_named(example)
    (genotype,) = space.random_genotypes(1, stream(0, "own"))

    assert parse_in(example, str(genotype)) == genotype
    assert genotype.output == "nodes"


def test_other_nodes_make_another_space_of_the_same_kind(example):
    assert space_named(example, 5).length == 2 * 5 * 2 * 2


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("3", "is of type int; it must be a bnao.SearchSpace"),
        ("SearchSpace('x', ['conv_9x9', 'skip_connect'])", "has the operation 'conv_9x9'; there is avg_pool_2x2"),
        ("SearchSpace('x', ['skip_connect'])", "has 1 different operations; give two or more"),
        ("SearchSpace('x', ['skip_connect', 'none'], inputs=1)", "has 1 inputs, 2 cells"),
        ("SearchSpace('x', ['skip_connect', 'none'], edges=3)", "has nodes of 3 edges; here it must be 2"),
        ("SearchSpace('x', ['skip_connect', 'none'], rules=Rules(residual=True))", "a SearchSpace has 2 inputs and 2"),
        ("SearchSpace('x', ['skip_connect', 'none'], rules=Rules('all'))", "gives out 'all'; it can be loose ends"),
    ],
)
def test_a_space_that_no_network_can_be_made_of_is_refused(module, expression, why):
    assert why in refused(1, "random", 2, "--space", module(expression))


def test_a_space_that_cannot_be_imported_is_said_to_be_missing(module):
    assert "cannot import nowhere (No module named 'nowhere')" in refused(1, "random", 1, "--space", "nowhere:space")
    assert "someones has no 'other'" in refused(1, "random", 1, "--space", module("3").replace(":space", ":other"))
    with pytest.raises(ConfigError, match="space is 'darst'; it can be nao, nao-large, darts"):
        NetworkConfig(space="darst")


def test_a_run_whose_space_is_gone_says_so_and_not_that_it_was_changed(example, monkeypatch):
    assert bnao(*PRETEND, "--space", example, "--out", "run").exit_code == 0
    own_space.cache_clear()
    monkeypatch.delitem(sys.modules, "own_space")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(EXAMPLES)])

    assert "cannot import own_space" in refused(1, "show", "run:1")


def test_a_complete_space_may_have_other_operations_and_nodes(module):
    rules = "rules=Rules('last node', residual=True)"
    name = module(f"CompleteSpace('x', {list(OPERATIONS[:4])}, nodes=2, inputs=1, edges=2, cells=1, {rules})")

    assert isinstance(space_named(name, 4), CompleteSpace)
    assert space_named(name).genotypes == 4**3


RULES = [
    Rules(output, always_fits=fits, relu_before_reduce=relu)
    for output, fits, relu in itertools.product(("loose ends", "nodes", "loose nodes"), (False, True), (False, True))
]


@pytest.mark.parametrize(
    "rules", RULES, ids=lambda rules: f"{rules.output}, {rules.always_fits}, {rules.relu_before_reduce}"
)
def test_each_rule_is_counted_as_it_is_built(rules, monkeypatch):
    pytest.importorskip("torch")
    from bnao.backends.torch import BACKEND

    space = SearchSpace("mine:space", OPERATIONS, nodes=2, rules=rules)
    monkeypatch.setitem(sys.modules, "mine", type("module", (), {"space": space}))
    config = EvaluateConfig(epochs=1, network=NetworkConfig(space="mine:space", channels=4, cells=1))
    dataset = small_dataset()
    network = dataset.network(config.network)

    for genotype in space.random_genotypes(4, stream(0, "rules")):
        built = BACKEND.stand_alone(genotype, config, dataset, seed=0)
        assert built.parameters == count_parameters(genotype, network)
        assert np.isfinite(built.logits(dataset.x_dev[:4])).all()


def test_the_example_is_searched_in_torch(example):
    pytest.importorskip("torch")
    small = ("--rounds", 2, "--pool", 4, "--new", 2, "--steps", 3, "--train-images", 640, "--channels", 4, "--cells", 1)

    done = bnao("search", "--space", example, *small, "--controller", "random", "--rerank-epochs", 0, "--out", "run")

    assert done.exit_code == 0, done.output
    assert evolve(space_named(example), nodes=3).check(read_result(pathlib.Path("run")).best)
