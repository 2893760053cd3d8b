import csv
import json
import math
import pathlib

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from bnao.config.bounds import (
    MOST_CELLS,
    MOST_CHANNELS,
    MOST_CLASSES,
    MOST_PIXELS,
)
from bnao.config.settings import (
    AUTO,
    NetworkConfig,
)
from bnao.errors import ConfigError, GenotypeError
from bnao.metrics import better_tau, kendall_tau
from bnao.network.parameters import stand_alone_shapes
from bnao.network.size import SIZES, count_multiply_adds, count_parameters, supernet_parameters, within_budget
from bnao.space.genotype import Cell, Edge, Genotype, Node
from bnao.space.notation.notations import parse, read
from bnao.space.spaces import SPACES, space_named
from bnao.streams import stream

FACTS = json.loads((pathlib.Path(__file__).parents[1] / "facts" / "params_nao.json").read_text())["rows"]

# published cells and what the authors' networks hold at so many channels and normal cells a stack
BALANCED_NAO = "1 1 0 1 2 4 0 0 0 0 2 1 0 0 0 2 0 3 0 0 0 2 0 2 2 2 1 0 0 0 0 1 0 0 0 3 0 0 0 1"
NAONET_B = "0 1 0 2 0 1 2 2 1 3 0 2 4 0 1 3 2 1 0 3 1 1 1 0 2 1 2 4 1 0 2 3 3 1 2 2 0 2 0 2"
NAO_WS = "0 1 0 4 2 2 1 3 1 0 2 0 2 3 1 3 1 2 0 4 1 1 0 3 2 3 2 3 1 0 0 1 0 4 2 4 2 3 2 3"
ENAS = "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1 1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1"
PUBLISHED = [
    (BALANCED_NAO, 36, 6, 4_387_654),
    (BALANCED_NAO, 36, 5, 3_724_894),
    (BALANCED_NAO, 34, 6, 3_936_564),
    (NAONET_B, 36, 6, 2_921_302),
    (NAONET_B, 36, 5, 2_492_902),
    (NAO_WS, 36, 6, 2_708_038),
    (NAO_WS, 36, 5, 2_301_310),
    (ENAS, 36, 5, 3_729_430),
]


def nao(integers):
    return parse(integers, SPACES["nao"])


@pytest.mark.parametrize("row", FACTS, ids=range(len(FACTS)))
def test_the_counted_networks_have_these_parameters(row):
    network = NetworkConfig(channels=row["channels"], cells=row["cells"])

    assert count_parameters(nao(row["genotype"]), network) == row["parameters"]


@pytest.mark.parametrize(("integers", "channels", "cells", "expected"), PUBLISHED)
def test_the_published_networks_have_these_parameters(integers, channels, cells, expected):
    assert count_parameters(nao(integers), NetworkConfig(channels=channels, cells=cells)) == expected


# --- counts beyond int64, and what is no genotype

HUGE = st.integers(-(10**40), 10**40) | st.integers(1, 70).map(lambda digits: 10**digits) | st.just(10**5000)


@given(
    st.sampled_from(["channels", "cells", "classes", "height", "width", "depth"]),
    HUGE,
    st.sampled_from(sorted(SPACES)),
    st.sampled_from(["cifar", "imagenet"]),
)
@settings(max_examples=100, deadline=None)
def test_any_whole_number_for_a_networks_size_is_counted_or_refused_in_one_line(name, number, space, stem):
    (genotype,) = SPACES[space].random_genotypes(1, stream(0, "huge"))
    image = {"height": 32, "width": 32, "depth": 3}
    given = {name: number} if name not in image else {"image": tuple({**image, name: number}.values())}
    try:
        network = NetworkConfig(space=space, network=stem, **{"channels": 4, "cells": 1, **given})
        if network.channels == AUTO:
            return
    except ConfigError as error:
        assert len(str(error)) < 300 and "\n" not in str(error)
        return

    assert count_parameters(genotype, network) == parameters_one_by_one(genotype, network)
    assert count_multiply_adds(genotype, network) > 0


def parameters_one_by_one(genotype, network):
    return sum(math.prod(shape) for shape in stand_alone_shapes(genotype, network).values())


@pytest.mark.parametrize("space", sorted(SPACES))
@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
def test_the_largest_network_of_all_is_counted_exactly(space, stem):
    genotypes = SPACES[space].random_genotypes(2, stream(0, "largest"))
    network = NetworkConfig(
        space=space, network=stem, channels=MOST_CHANNELS, cells=20, classes=MOST_CLASSES,
        image=(MOST_PIXELS, MOST_PIXELS, 3),
    )  # fmt: skip

    small = evolve(network, image=(64, 64, 3))
    pairs = [(count_multiply_adds(g, small), count_multiply_adds(g, network)) for g in genotypes]

    # all but the classifier goes with the pixels, of which there are so many times as many
    times = (MOST_PIXELS // 64) ** 2
    for genotype, (few, many) in zip(genotypes, pairs, strict=True):
        classifier = math.prod(stand_alone_shapes(genotype, network)["classifier.weight"])
        assert many - classifier == times * (few - classifier)
        assert many > 2**63 or stem == "imagenet" or space == "nas-bench-201"
    assert count_multiply_adds(genotypes, network).tolist() == [many for _, many in pairs]
    assert count_parameters(genotypes, network).tolist() == [parameters_one_by_one(g, network) for g in genotypes]


def test_counts_are_int64_where_they_fit():
    genotypes = SPACES["nao"].random_genotypes(2, stream(0, "fit"))
    wide = NetworkConfig(channels=MOST_CHANNELS, cells=MOST_CELLS, image=(MOST_PIXELS, MOST_PIXELS, 3))

    assert count_parameters(genotypes, wide).dtype == count_parameters(genotypes, NetworkConfig()).dtype == np.int64
    assert count_multiply_adds(genotypes, wide).dtype == object


@pytest.mark.parametrize("count", [count_parameters, count_multiply_adds])
def test_what_is_no_genotype_is_refused_by_its_type(count):
    network = NetworkConfig(space="darts")
    right = "give a bnao.Genotype or a sequence of them; bnao.parse"

    with pytest.raises(GenotypeError, match=f"genotypes is 'DARTS_V2', of type str; {right}"):
        count("DARTS_V2", network)
    with pytest.raises(GenotypeError, match=f"genotypes is None, of type NoneType; {right}"):
        count(None, network)
    with pytest.raises(GenotypeError, match=rf"genotypes\[1\] is 'DARTS_V2', of type str; {right}"):
        count([parse("DARTS_V2"), "DARTS_V2"], network)
    with pytest.raises(ConfigError, match=r"network is 'darts'; give a bnao.NetworkConfig"):
        count(parse("DARTS_V2"), "darts")


def imagenet(channels):
    return NetworkConfig(channels=channels, cells=4, network="imagenet", classes=1000, image=(224, 224, 3))


def test_the_imagenet_network_of_52_channels_has_7026850_parameters():
    assert count_parameters(nao(BALANCED_NAO), imagenet(52)) == 7_026_850


@pytest.mark.parametrize(("channels", "millions"), [(52, 782.07), (44, 570.13)])
def test_the_imagenet_networks_need_these_multiply_adds(channels, millions):
    assert round(count_multiply_adds(nao(BALANCED_NAO), imagenet(channels)) / 1e6, 2) == millions


def test_the_papers_supernet_has_7387350_parameters():
    assert supernet_parameters(NetworkConfig(channels=20, cells=3)) == 7_387_350


# --- the widest network within a budget


def test_600_million_multiply_adds_are_kept_by_the_most_channels_that_do():
    needed = {c: count_multiply_adds(nao(BALANCED_NAO), imagenet(c)) for c in range(2, 80)}

    chosen = within_budget(nao(BALANCED_NAO), imagenet(AUTO), 600_000_000).channels

    assert chosen == max(c for c, products in needed.items() if products <= 600_000_000)
    assert chosen >= 44  # the paper's, which has 570 million
    # as large as the budget itself is kept, and one less is not
    assert within_budget(nao(BALANCED_NAO), imagenet(AUTO), needed[60]).channels == 60
    assert within_budget(nao(BALANCED_NAO), imagenet(AUTO), needed[60] - 1).channels == 59


@pytest.mark.parametrize("network", ["cifar", "imagenet"])
def test_more_channels_never_need_fewer_multiply_adds(network):
    pool = SPACES["nao"].random_genotypes(20, stream(0, "monotone"))
    counts = [
        count_multiply_adds(pool, NetworkConfig(channels=c, cells=1, network=network, image=(33, 47, 3)))
        for c in range(2, 60)
    ]

    assert (np.diff(counts, axis=0) > 0).all()


@pytest.mark.parametrize("network", ["cifar", "imagenet"])
@pytest.mark.parametrize("channels", [3, 45])
def test_an_odd_number_of_channels_is_counted_as_it_is_built(network, channels):
    settings = NetworkConfig(channels=channels, cells=1, network=network, image=(40, 40, 3))
    for genotype in SPACES["nao"].random_genotypes(20, stream(0, "odd")):
        shapes = stand_alone_shapes(genotype, settings)

        assert count_parameters(genotype, settings) == sum(math.prod(shape) for shape in shapes.values())


def test_a_network_over_the_budget_is_refused_with_both_numbers():
    with pytest.raises(
        ConfigError, match=r"with 52 channels .* has 782,0\d\d,\d{3} multiply-adds, and max_multiply_adds is"
    ):
        within_budget(nao(BALANCED_NAO), imagenet(52), 600_000_000)
    with pytest.raises(
        ConfigError, match=r"max_multiply_adds is 1,000, but even with 2 channels .* has [\d,]+ multiply-a"
    ):
        within_budget(nao(BALANCED_NAO), imagenet(AUTO), 1000)
    with pytest.raises(ConfigError, match=r"channels is auto; say how large a network may be, such as --max-multiply-"):
        within_budget(nao(BALANCED_NAO), imagenet(AUTO), None)
    assert within_budget(nao(BALANCED_NAO), imagenet(44), 600_000_000) == imagenet(44)
    assert within_budget(nao(BALANCED_NAO), imagenet(52), None) == imagenet(52)


def test_channels_that_nobody_chose_are_refused_wherever_they_are_met():
    for count in (count_parameters, count_multiply_adds):
        with pytest.raises(ConfigError, match="channels is auto, which bnao evaluate and bnao show take; here it must"):
            count(nao(BALANCED_NAO), imagenet(AUTO))
    with pytest.raises(ConfigError, match="channels is auto"):
        supernet_parameters(NetworkConfig(channels=AUTO))


IDENTITIES = "0:skip_connect+1:skip_connect"
# one node, C = 2, N = 1, 8 x 8 grey images, 10 classes: small enough to count by hand
BY_HAND = NetworkConfig(nodes=1, channels=2, cells=1, image=(8, 8, 1), classes=10)


def test_a_network_of_identities_is_counted_as_by_hand():
    genotype = Genotype.parse(f"{IDENTITIES}|{IDENTITIES}", output="loose ends")

    assert count_parameters(genotype, BY_HAND) == sum(
        [
            9 * 6 + 12,  # stem: 3x3 from 1 to 3C = 6 channels, norm
            2 * (6 * 2 + 4),  # normal cell of 2 channels: both inputs of 6 are fitted
            (6 * 4 + 8) + (2 * 4 + 8) + 2 * (4 * 4 + 8),  # reduction: inputs of 6 and 2 fitted, two reduces
            2 * 4 + 8,  # normal cell of 4 channels: state 0 is twice as large, a reduce from 2
            2 * (4 * 8 + 16) + 2 * (8 * 8 + 16),  # reduction: both inputs of 4 fitted, two reduces
            4 * 8 + 16,  # normal cell of 8 channels: state 0, a reduce from 4
            8 * 10 + 10,  # classifier
        ]
    )
    assert count_multiply_adds(genotype, BY_HAND) == sum(
        [
            64 * 9 * 6,
            64 * 2 * 6 * 2,
            64 * (6 * 4 + 2 * 4) + 16 * 2 * 4 * 4,  # inputs are fitted before the image is halved
            16 * 2 * 4,
            16 * 2 * 4 * 8 + 4 * 2 * 8 * 8,
            4 * 4 * 8,
            8 * 10,
        ]
    )


def test_a_loose_input_of_a_reduction_cell_costs_a_reduce_and_widens_what_follows():
    read_both = Genotype.parse(f"{IDENTITIES}|{IDENTITIES}", output="loose ends")
    read_one = Genotype.parse(f"{IDENTITIES}|0:skip_connect+0:skip_connect", output="loose ends")

    more = count_parameters(read_one, BY_HAND) - count_parameters(read_both, BY_HAND)

    # a reduce more in both reduction cells (C = 4 and 8), which now put out 2C channels: as state 1, cells 2
    # and 4 must fit them (8 to 4, 16 to 8), while cell 3 of 8 channels need no longer fit its state 0 (4 to 8)
    assert more == (4 * 4 + 8) + (8 * 8 + 16) + (8 * 4 + 8) + (16 * 8 + 16) - (4 * 8 + 16)


def test_pooling_and_the_identity_at_stride_one_cost_nothing():
    pooled = Genotype.parse(f"0:avg_pool_3x3+1:max_pool_3x3|{IDENTITIES}", output="loose ends")
    kept = Genotype.parse(f"{IDENTITIES}|{IDENTITIES}", output="loose ends")

    for size in (count_parameters, count_multiply_adds):
        assert size(pooled, BY_HAND) == size(kept, BY_HAND)


def test_an_odd_image_is_rounded_up_at_each_reduction():
    genotype = Genotype.parse(f"{IDENTITIES}|{IDENTITIES}", output="loose ends")
    odd, even = (NetworkConfig(nodes=1, channels=2, cells=1, image=(side, side, 1)) for side in (13, 14))

    # from the first reduction on both are 7 x 7 and then 4 x 4; before it, every weight counts at each pixel
    before = 9 * 6 + 2 * 6 * 2 + 6 * 4 + 2 * 4
    assert count_multiply_adds(genotype, even) - count_multiply_adds(genotype, odd) == before * (14 * 14 - 13 * 13)


@pytest.mark.parametrize("size", [count_parameters, count_multiply_adds])
def test_a_pool_is_counted_as_its_genotypes_one_by_one(size):
    pool = space_named("nao", 4).random_genotypes(50, stream(0, "pool"))
    network = NetworkConfig(nodes=4, channels=6, cells=2, classes=7, image=(17, 12, 1))

    together = size(pool, network)

    assert together.dtype == np.int64
    assert together.tolist() == [size(genotype, network) for genotype in pool]
    assert size(pool[:0], network).shape == (0,)


def test_size_options_name_both_counts():
    assert SIZES["parameters"] is count_parameters
    assert SIZES["multiply-adds"] is count_multiply_adds


def test_a_genotype_of_another_space_is_refused_with_its_place():
    pool = [nao(BALANCED_NAO), space_named("nao", 4).random_genotypes(1, stream(0, "pool"))[0]]

    with pytest.raises(GenotypeError, match="genotype 1: the normal cell has 4 nodes"):
        count_parameters(pool, NetworkConfig())


# --- NAS-Bench-201

BENCH = SPACES["nas-bench-201"]
BENCH_NETWORK = NetworkConfig(space="nas-bench-201", channels=16, cells=5)


def operations_in(genotype, name):
    return sum(edge.operation == name for node in genotype.normal.nodes for edge in node.edges)


def test_the_benchmarks_networks_have_the_parameters_of_its_closed_form():
    for genotype in BENCH.random_genotypes(300, stream(0, "bench")):
        three, one = operations_in(genotype, "nor_conv_3x3"), operations_in(genotype, "nor_conv_1x1")

        assert count_parameters(genotype, BENCH_NETWORK) == 73_306 + 243_040 * three + 28_000 * one


def test_the_benchmarks_flops_are_our_multiply_adds_and_the_norms_relus_and_pools_beside_them():
    # a stack of 5 cells has so many values at C = 16, 32 and 64: 5 x (16 x 32 x 32 + 32 x 16 x 16 + 64 x 8 x 8)
    values = 5 * (16 * 32 * 32 + 32 * 16 * 16 + 64 * 8 * 8)
    for genotype in BENCH.random_genotypes(300, stream(0, "bench")):
        three, one, pools = (operations_in(genotype, name) for name in ("nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3"))
        flops = 7_943_872 + 35_819_520 * three + 4_362_240 * one + 1_290_240 * pools

        ours = count_multiply_adds(genotype, BENCH_NETWORK)

        # 3 for each value of a convolution (norm and ReLU), 9 for each of a pool; the rest of the network's are fixed
        assert flops - ours == 160_832 + 3 * values * (three + one) + 9 * values * pools
        assert ours == 7_783_040 + 35_389_440 * three + 3_932_160 * one


def test_the_benchmarks_supernet_holds_each_parametric_operation_once_an_edge():
    assert supernet_parameters(BENCH_NETWORK) == 73_306 + 6 * (243_040 + 28_000)


# --- the networks of DARTS and of NAO without weight sharing, as their authors' programs count them

DARTS_NETWORKS = [
    ("DARTS_V1", 36, 6, 3_169_414),
    ("DARTS_V2", 36, 6, 3_349_342),
    ("P-DARTS", 36, 6, 3_433_798),
    ("PC-DARTS-CIFAR", 36, 6, 3_634_678),
    ("PC-DARTS-ImageNet", 36, 6, 3_721_510),
    ("SNAS-mild", 36, 6, 2_661_382),
    ("SNAS-moderate", 36, 6, 2_847_358),
    ("SNAS-aggressive", 36, 6, 2_313_622),
    ("NASNet-A", 36, 6, 3_830_950),
    ("AmoebaNet-A", 36, 6, 3_145_078),
    ("NAONet-A", 36, 6, 11_470_150),
    ("NAONet-A", 36, 5, 9_722_278),
    ("NAONet-A", 64, 6, 36_186_058),
    ("NAONet-A", 128, 6, 144_576_394),
    ("NAONet-A-json", 36, 6, 11_470_150),
    ("NAONet-B", 36, 6, 2_921_302),
    ("NAO-WS", 36, 5, 2_301_310),
    ("NAONet-V2", 36, 6, 4_387_654),
    ("ENAS", 36, 5, 3_729_430),
]


@pytest.mark.parametrize(("name", "channels", "cells", "expected"), DARTS_NETWORKS)
def test_the_published_cells_have_the_parameters_of_their_authors_networks(name, channels, cells, expected):
    found = read(name)

    network = NetworkConfig(space=found.space.name, channels=channels, cells=cells)

    assert count_parameters(found.genotype, network) == expected


def test_darts_second_cell_on_imagenet_has_4718752_parameters_and_529_91_million_multiply_adds():
    network = evolve(imagenet(48), space="darts")

    assert count_parameters(parse("DARTS_V2"), network) == 4_718_752
    assert round(count_multiply_adds(parse("DARTS_V2"), network) / 1e6, 2) == 529.91


def test_the_214_cells_of_a_benchmark_have_its_counts(shared_data):
    with (shared_data / "tables" / "darts_214_yang" / "darts_214.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    cells = [[json.loads(row[kind]) for kind in ("normal", "reduce")] for row in rows]
    genotypes = [Genotype(*[cell_of_pairs(pairs) for pairs in both], output="loose ends") for both in cells]

    counted = count_parameters(genotypes, NetworkConfig(space="darts", channels=36, cells=6))

    assert len(rows) == 214
    assert counted.tolist() == [int(row["params_C36_L20"]) for row in rows]


def cell_of_pairs(pairs):
    return Cell([Node([Edge(source, name) for name, source in pairs[at : at + 2]]) for at in range(0, len(pairs), 2)])


def test_a_cell_whose_output_is_all_nodes_takes_its_inputs_through_a_convolution_each():
    # one node a cell, pools alone: what is left are stem, fits and classifier, at C = 2, N = 1 and 2 classes
    pools = "0:max_pool_3x3+1:max_pool_3x3"
    genotype = parse(f"{pools}|{pools}", space_named("darts", 1))
    network = NetworkConfig(space="darts", nodes=1, channels=2, cells=1, classes=2)

    # channels of cells 2 4 4 8 8; their inputs 6 6, 6 2, 2 4, 4 4, 4 8; each fit is a kernel and a norm
    stem = 27 * 6 + 12
    fits = 2 * (6 + 6) + 4 * (6 + 2) + 4 * (2 + 4) + 8 * (4 + 4) + 8 * (4 + 8) + 2 * 2 * (2 + 4 + 4 + 8 + 8)
    assert count_parameters(genotype, network) == stem + fits + 8 * 2 + 2


# --- live sizes: what carries something of the image to the classifier


@pytest.mark.parametrize("name", ["nao", "nao-large"])
@pytest.mark.parametrize("count", [count_parameters, count_multiply_adds])
def test_where_every_state_is_read_or_given_out_all_is_alive(name, count):
    pool = SPACES[name].random_genotypes(50, stream(0, "live"))
    network = NetworkConfig(space=name, channels=4, cells=2)

    assert count(pool, network, live=True).tolist() == count(pool, network).tolist()


def test_dead_edges_of_a_nas_bench_201_cell_do_not_count():
    def sizes(text):
        cell = parse(text, BENCH)
        return count_parameters(cell, BENCH_NETWORK), count_parameters(cell, BENCH_NETWORK, live=True)

    # node 2 is read by none alone; node 1 is zero and read by a convolution; nothing reaches the output
    assert sizes("|skip_connect~0|+|nor_conv_3x3~0|none~1|+|none~0|nor_conv_1x1~1|none~2|") == (
        73_306 + 243_040 + 28_000, 73_306 + 28_000,
    )  # fmt: skip
    assert sizes("|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|skip_connect~2|") == (
        73_306 + 243_040 + 28_000, 73_306 + 28_000,
    )  # fmt: skip
    assert sizes("|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|none~0|none~1|none~2|") == (
        73_306 + 3 * 243_040, 73_306,
    )  # fmt: skip


def test_live_parameters_order_nas_bench_201_as_published_tables_say(shared_data):
    path = shared_data / "tables" / "nasbench201" / "nasbench201.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    cells = [parse(row["arch_str"], BENCH) for row in rows]
    truth = np.array([float(row["c10_test_200"]) for row in rows])

    live = count_parameters(cells, BENCH_NETWORK, live=True)

    assert round(kendall_tau(live, truth), 3) == 0.654
    assert round(better_tau(live, truth), 3) == 0.419
    assert round(better_tau(live, truth, 0.1), 3) == 0.093
    assert round(kendall_tau(count_parameters(cells, BENCH_NETWORK), truth), 3) == 0.578


def test_an_input_that_no_node_reads_needs_no_fitting_in_darts_network():
    # every normal cell reads the cell before the last alone, both reductions the last
    normal, reduction = "0:max_pool_3x3+0:avg_pool_3x3", "1:max_pool_3x3+1:avg_pool_3x3"
    genotype = parse(f"{normal}|{reduction}", space_named("darts", 1))
    network = NetworkConfig(space="darts", nodes=1, channels=2, cells=1, classes=2)

    # places: 0 normal, 1 reduction, 2 normal, 3 reduction, 4 normal. 4 reads 2, 2 reads 0, 0 reads the stem: the
    # reductions, places 1 and 3, are read by nobody. Fits: 6 to 2, 2 to 4 (a reduce), 4 to 8 (a reduce)
    stem = 27 * 6 + 12
    fits = (6 * 2 + 4) + (2 * 4 + 8) + (4 * 8 + 16)
    assert count_parameters(genotype, network, live=True) == stem + fits + 8 * 2 + 2


@pytest.mark.parametrize("name", sorted(SPACES))
def test_a_pools_live_sizes_are_those_of_its_genotypes_and_no_larger_than_all(name):
    pool = SPACES[name].random_genotypes(30, stream(0, "live pool"))
    network = NetworkConfig(space=name, channels=4, cells=2, network="imagenet", image=(64, 64, 3))

    for count in (count_parameters, count_multiply_adds):
        live, whole = count(pool, network, live=True), count(pool, network)
        assert live.tolist() == [count(genotype, network, live=True) for genotype in pool]
        assert (live > 0).all() and (live <= whole).all()


def test_live_sizes_beyond_int64_are_exact():
    pool = SPACES["nasnet"].random_genotypes(3, stream(0, "large"))
    network = NetworkConfig(
        space="nasnet", channels=MOST_CHANNELS, cells=MOST_CELLS, image=(MOST_PIXELS, MOST_PIXELS, 3)
    )
    half = evolve(network, image=(MOST_PIXELS // 2, MOST_PIXELS // 2, 3))

    many, few = (count_multiply_adds(pool, each, live=True) for each in (network, half))

    assert many.dtype == object and all(most > 2**63 for most in many)
    # all but the classifier's products, fewer than 1e9, goes with the pixels
    assert all(abs(most - 4 * least) < 10**9 for most, least in zip(many, few, strict=True))
