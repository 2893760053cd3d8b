"""A trained network by itself: what its file says of it, and what is refused."""

import json

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from bnao.config.settings import NetworkConfig
from bnao.data.dataset import Dataset
from bnao.errors import GenotypeError, WeightsError
from bnao.network import walk as blueprint
from bnao.network.parameters import initial_weights, stand_alone_shapes
from bnao.network.trained import Trained, about_training, reaching, trained_of, with_statistics
from bnao.space.genotype import Genotype
from bnao.space.notation.notations import parse
from bnao.space.spaces import SPACES, space_named
from bnao.streams import stream
from bnao.testing import small_dataset

NETWORK = NetworkConfig(channels=4, cells=1, nodes=2, image=(12, 12, 3), classes=4)
TEXT = "0:sep_conv_3x3+1:skip_connect;0:avg_pool_3x3+2:sep_conv_5x5"
GENOTYPE = Genotype.parse(f"{TEXT}|{TEXT}", output="loose ends")
BENCH = NetworkConfig(space="nas-bench-201", channels=4, cells=1, image=(8, 8, 1))

genotypes = st.sampled_from(["nao", "nas-bench-201"]).flatmap(
    lambda space: st.integers(0, 10_000).map(lambda seed: (space, SPACES[space].random_genotypes(1, stream(seed, "t"))))
)


def state_of(genotype, network, auxiliary=False):
    return initial_weights(with_statistics(stand_alone_shapes(genotype, network, auxiliary)), seed=0)


def about(genotype=GENOTYPE, network=NETWORK):
    """What a file says, as it comes back from its JSON."""
    return json.loads(json.dumps(about_training(genotype, network, small_dataset(), seed=3, test_error=0.25)))


def test_a_file_says_all_that_the_network_needs():
    dataset = small_dataset()

    trained = trained_of(state_of(GENOTYPE, NETWORK), about(), "file")

    assert (trained.genotype, trained.network) == (GENOTYPE, NETWORK)
    assert (trained.seed, trained.test_error, trained.class_names) == (3, 0.25, dataset.class_names)
    images = dataset.x_test[:5]
    exact = dataset.normalised(images)
    assert np.abs(trained.normalised(images.astype(np.float32) / 255) - exact).max() < 1e-5


def test_a_channel_of_one_value_is_not_divided_by_zero():
    images = np.zeros((8, 12, 12, 3), np.uint8)
    images[..., 1] = 51  # 0.2
    labels = np.arange(8) % 4
    flat = Dataset("flat", images, labels, images[:0], labels[:0], images, labels, tuple("abcd"))

    says = about_training(GENOTYPE, NETWORK, flat, 0, 0.0)

    assert says["std"] == [1.0, 1.0, 1.0]
    assert says["mean"] == pytest.approx([0, 0.2, 0])


def test_the_auxiliary_head_is_left_out():
    trained = trained_of(state_of(GENOTYPE, NETWORK, auxiliary=True), about(), "file")

    assert not any(name.startswith("auxiliary.") for name in trained.weights)
    assert set(trained.weights) == set(with_statistics(stand_alone_shapes(GENOTYPE, NETWORK)))


@given(genotypes)
def test_the_walk_reads_every_parameter_once(drawn):
    space, (genotype,) = drawn
    network = NetworkConfig(space=space, channels=4, cells=1, image=(8, 8, 1))
    trained = trained_of(state_of(genotype, network), about_of(genotype, network), "file")
    read = []

    class Recorder:
        def convolution(self, x, name, channels, kernel, **how):
            read.append(name)
            return x

        def norm(self, x, name):
            read.extend(f"{name}.{part}" for part in ("scale", "shift", "mean", "variance"))
            return x

        def linear(self, x, name):
            read.extend([f"{name}.weight", f"{name}.bias"])
            return x

        def __getattr__(self, layer):
            return lambda x, *how: x

    blueprint.logits(trained.architecture(), Recorder(), "images")

    assert sorted(read) == sorted(trained.weights)


@pytest.mark.parametrize("space", SPACES)
def test_the_walk_knows_every_operation_of_every_space(space):
    assert set(SPACES[space].operations) - {"none"} <= set(blueprint.OPERATIONS)


def about_of(genotype, network):
    channels = network.image[2]
    names = tuple(map(str, range(network.classes)))
    return Trained(genotype, network, (0.5,) * channels, (0.2,) * channels, names, {}).about()


def test_the_architecture_of_the_published_cell_is_what_its_integers_say():
    published = "1 1 0 1 2 4 0 0 0 0 2 1 0 0 0 2 0 3 0 0 0 2 0 2 2 2 1 0 0 0 0 1 0 0 0 3 0 0 0 1"
    genotype = parse(published, SPACES["nao"])
    network = NetworkConfig(channels=8, cells=1, image=(14, 14, 1))

    made = trained_of(state_of(genotype, network), about_of(genotype, network), "file").architecture()

    assert made["normal"]["nodes"][1] == [(0, "sep_conv_3x3"), (2, "skip_connect")]
    assert made["normal"]["output"] == [3, 4, 5, 6]  # no node reads these
    assert made["stem"] == {"channels": [24], "stride": 1}
    assert (made["inputs"], made["channels"], made["cells"], made["image"]) == (2, 8, 1, [14, 14, 1])


# --- edges that do not reach the output


def test_edges_into_a_node_that_nobody_reads_are_cut():
    # the last node reads node 0 (state 1) and not node 1 (state 2)
    text = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_3x3~1|none~2|"

    cut = reaching(parse(text, SPACES["nas-bench-201"]))

    assert str(cut) == "0:nor_conv_3x3;0:none+1:none;0:avg_pool_3x3+1:nor_conv_3x3+2:none"


def test_what_the_output_does_not_depend_on_is_no_part_of_the_network():
    text = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_3x3~1|none~2|"
    genotype = parse(text, SPACES["nas-bench-201"])
    whole = state_of(genotype, BENCH)

    trained = trained_of(whole, about_of(genotype, BENCH), "file")

    # node 1's 1x1 convolution and its norm, in each of the three cells: of 4, 8 and 16 channels
    dead = sum(c * c + 2 * c for c in (4, 8, 16))
    assert trained.parameters == sum(value.size for value in whole.values()) - dead - _statistics(whole)
    assert trained.genotype == genotype


def _statistics(state):
    return sum(value.size for name, value in state.items() if name.endswith((".mean", ".variance")))


def test_a_network_of_two_cells_is_whole():
    assert reaching(GENOTYPE) is GENOTYPE


# --- refusals


def trained():
    return trained_of(state_of(GENOTYPE, NETWORK), about(), "file")


def other(normal=TEXT, reduction=TEXT):
    return space_named("nao", 2).check(Genotype.parse(f"{normal}|{reduction}", output="loose ends"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            other(normal=TEXT.replace("0:sep_conv_3x3", "0:sep_conv_5x5")),
            "it lacks cells.0.nodes.0.edges.0.sep_conv_5x5.depthwise_1 of shape (4, 1, 5, 5)",
        ),
        (
            other(reduction=TEXT.replace("0:sep_conv_3x3", "0:max_pool_3x3")),
            "it has cells.1.nodes.0.edges.0.sep_conv_3x3.depthwise_1, which the given genotype's network lacks",
        ),
        (  # no node reads node 0 any more: cell 0 gives 8 channels instead of 4, which is what cell 1 has
            other(normal=TEXT.replace("2:sep_conv_5x5", "1:sep_conv_5x5")),
            "it has cells.1.fit.1.kernel, which the given genotype's network lacks",
        ),
        (  # three loose ends instead of one
            other(normal="0:sep_conv_3x3+0:skip_connect;0:avg_pool_3x3+0:sep_conv_5x5"),
            "its cells.1.fit.1.kernel has shape (8, 4, 1, 1), the given genotype's (8, 12, 1, 1)",
        ),
        (  # the same in the reduction cell: cell 1 gives 16 channels instead of 8 to cell 2, which has 8
            other(reduction=TEXT.replace("2:sep_conv_5x5", "1:sep_conv_5x5")),
            "it lacks cells.2.fit.1.kernel of shape (8, 16, 1, 1)",
        ),
        (
            other(reduction=TEXT.replace("avg_pool", "max_pool")),
            "its node 1 in the reduction cell has the edge 0:avg_pool_3x3, the given one 0:max_pool_3x3; their "
            "parameters are alike",
        ),
    ],
)
def test_another_genotype_is_refused_with_the_first_parameter_that_differs(given, message):
    with pytest.raises(GenotypeError) as error:
        trained().check_is(given, "w.safetensors")

    assert str(error.value) == f"w.safetensors is of another genotype: {message}"


def test_its_own_genotype_is_not_refused():
    trained().check_is(other(), "w.safetensors")


def test_weights_that_do_not_say_their_network_are_refused_with_what_would_be_right():
    with pytest.raises(WeightsError, match=r"old does not say which network it is of; give weights that .* trainings/"):
        trained_of(state_of(GENOTYPE, NETWORK), {"format": 1, "genotype": str(GENOTYPE)}, "old")


@pytest.mark.parametrize(
    "change",
    [
        {"network": "nao"},
        {"network": {"space": "nowhere"}},
        {"network": {"channels": 4, "colour": "red"}},
        {"genotype": "0:sep_conv_3x3"},
        {"genotype": 7},
        {"mean": [0.1]},
        {"mean": None},
        {"std": [0.1, 0.2, 0.0]},
        {"std": [0.1, 0.2, float("nan")]},
        {"class_names": ["one"]},
        {"class_names": 4},
    ],
)
def test_what_a_file_says_wrongly_is_refused(change):
    with pytest.raises(WeightsError, match="what w says of its network is not what bnao writes"):
        trained_of(state_of(GENOTYPE, NETWORK), about() | change, "w")


def test_weights_of_another_network_than_the_file_says_are_refused_by_name():
    wider = state_of(GENOTYPE, evolve(NETWORK, channels=6))

    with pytest.raises(WeightsError, match=r"w has stem.0.kernel of shape \(18, 3, 3, 3\); this network's is \(12, "):
        trained_of(wider, about(), "w")


def test_weights_without_running_statistics_are_refused():
    state = {name: value for name, value in state_of(GENOTYPE, NETWORK).items() if not name.endswith(".mean")}

    with pytest.raises(WeightsError, match=r"w lacks stem.0.norm.mean of shape \(12,\)"):
        trained_of(state, about(), "w")


def test_a_genotype_of_another_space_is_refused_by_the_first_parameter_that_differs():
    trained = Trained(parse("DARTS_V2"), NetworkConfig(space="darts", channels=4, cells=1), (), (), (), {})

    with pytest.raises(GenotypeError, match=r"w is of another genotype: it \w+ cells\.0\.nodes\.0\.edges\.0\.\w+"):
        trained.check_is(parse("NAONet-V2"), "w", SPACES["nao"])
    trained.check_is(parse("DARTS_V2"), "w", SPACES["snas"])  # which has the same network


def test_the_same_cells_in_a_space_of_other_rules_are_another_genotype():
    cells = space_named("nao", 2).random_genotypes(1, stream(0, "the same cells"))[0]
    trained = Trained(cells, NetworkConfig(space="nao", nodes=2, channels=4, cells=1), (), (), (), {})

    with pytest.raises(GenotypeError, match="w is of another genotype: "):
        trained.check_is(cells, "w", space_named("nasnet", 2))
