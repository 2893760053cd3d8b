"""Operations of other packages: named by entry point or by a space, counted along their walk, refused in a line."""

import pathlib
import sys

import pytest

from bnao.config.settings import NetworkConfig
from bnao.errors import SpaceError
from bnao.network.counting import own_parameters, own_parts
from bnao.network.size import count_multiply_adds, count_parameters
from bnao.space.operations import Operation, forget_operations, own_operation
from bnao.space.own import own_space
from bnao.space.spaces import SearchSpace, space_named
from bnao.strategies.bias import parameter_free_share
from tests.cli.test_cli import PRETEND, bnao, workplace  # noqa: F401  # the fixture is used by its name

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(autouse=True)
def forgotten():
    """What one test's packages named, the next does not know."""
    forget_operations()
    own_space.cache_clear()
    yield
    forget_operations()
    own_space.cache_clear()


@pytest.fixture
def example(monkeypatch):
    """The example of the documentation, as if installed; its reference."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.delitem(sys.modules, "own_operation", raising=False)
    return "own_operation:space"


def test_a_search_of_a_space_with_an_own_operation_finds_its_genotypes(example):
    done = bnao(*PRETEND, "--space", example, "--out", "run")

    assert done.exit_code == 0, done.output
    assert "inverted_3x3" in pathlib.Path("run/result.json").read_text()
    assert bnao("show", "run:1").exit_code == 0
    assert bnao("evaluate", "run", "--top", 1, "--epochs", 1, "--train-images", 640).exit_code == 0


def test_the_cost_of_the_example_is_as_by_hand(example):
    space_named(example)

    # 1x1 to 2c, 3x3 in each of 2c, 1x1 to c; norms of 2c, 2c and c channels
    c = 8
    assert own_parameters(own_operation("inverted_3x3"), c) == 2 * c * c + 9 * 2 * c + 2 * c * c + 2 * (
        2 * c + 2 * c + c
    )


def test_a_wider_edge_adds_its_own_cost_at_each_place(example):
    space = space_named(example, 1)
    network = NetworkConfig(space=example, nodes=1, channels=4, cells=1, image=(16, 16, 3))
    plain, own = (
        space.parse(f"0:skip_connect+1:{each}|0:skip_connect+1:max_pool_3x3")
        for each in ("max_pool_3x3", "inverted_3x3")
    )

    def cost(c):
        return 4 * c * c + 18 * c, 10 * c

    # normal cells of 4, 8 and 16 channels on 16, 8 and 4 pixels
    weights = [cost(c) for c in (4, 8, 16)]
    assert count_parameters(own, network) - count_parameters(plain, network) == sum(map(sum, weights))
    products = sum(w * side**2 for (w, _), side in zip(weights, (16, 8, 4), strict=True))
    assert count_multiply_adds(own, network) - count_multiply_adds(plain, network) == products
    assert parameter_free_share([own]) == 0.75


def test_an_operation_is_found_by_its_entry_point(example, tmp_path, monkeypatch):
    site = tmp_path / "other-site"
    (site / "inverted-1.0.dist-info").mkdir(parents=True)
    (site / "inverted-1.0.dist-info" / "entry_points.txt").write_text(
        "[bnao.operations]\ninverted_3x3 = own_operation:inverted\n"
    )
    (site / "inverted-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: inverted\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(site))

    assert own_parts(own_operation("inverted_3x3"))[0] == "expand"
    assert own_operation("inverted_5x5") is None


def _convolution(**changes):
    def walk(layers, x, name, channels, stride):
        given = {"channels": channels, "kernel": (3, 3), "stride": (stride, stride), **changes}
        return layers.convolution(x, f"{name}.kernel", **given)

    return walk


@pytest.mark.parametrize(
    ("walk", "why"),
    [
        (_convolution(kernel=(2, 2)), "makes 8x10x9 of a state of 8x9x8 at stride 1; it must make 8x9x8"),
        (_convolution(channels=3), "makes 3x9x8 of a state of 8x9x8"),
        (_convolution(depthwise=True), "calls a kernel 'kernel' that is depthwise"),
        (lambda layers, x, name, channels, stride: layers.norm(x, "mine"), "names a parameter 'mine.scale'"),
        (lambda layers, x: x, "cannot be walked"),
        (lambda layers, x, name, channels, stride: layers.softmax(x), "has no attribute 'softmax'"),
    ],
)
def test_an_operation_that_no_network_can_be_made_of_is_refused(walk, why):
    with pytest.raises(SpaceError, match="operation 'mine' ") as told:
        own_parts(Operation("mine", walk))

    assert why in str(told.value)


def test_two_operations_of_one_name_are_refused():
    SearchSpace("a", [Operation("mine", _convolution()), "skip_connect"])

    with pytest.raises(SpaceError, match="has the name of another"):
        SearchSpace("b", [Operation("mine", lambda *given: given), "skip_connect"])
    with pytest.raises(SpaceError, match="a name is made of letters, digits and underscores"):
        Operation("my conv", _convolution())
