import pytest

from bnao.config.settings import NetworkConfig
from bnao.network.parameters import auxiliary_cell
from bnao.network.stack import halved, stack, stem_channels, stem_sizes


@pytest.mark.parametrize(("cells", "total"), [(1, 5), (3, 11), (5, 17), (6, 20)])
def test_a_stack_of_n_normal_cells_has_3n_plus_2_cells(cells, total):
    assert len(stack(NetworkConfig(cells=cells))) == total


def test_reductions_stand_behind_each_of_the_first_two_stacks():
    cells = stack(NetworkConfig(cells=6))

    assert [cell.index for cell in cells if cell.reduction] == [6, 13]
    assert [cell.index for cell in cells if cell.after_reduction] == [7, 14]


def test_a_reduction_halves_the_image_and_doubles_the_channels():
    cells = stack(NetworkConfig(channels=20, cells=1))

    assert [cell.channels for cell in cells] == [20, 40, 40, 80, 80]
    assert [cell.input_size for cell in cells] == [(32, 32), (32, 32), (16, 16), (16, 16), (8, 8)]
    assert [cell.size for cell in cells] == [(32, 32), (16, 16), (16, 16), (8, 8), (8, 8)]


def test_an_odd_side_is_rounded_up():
    assert halved((7, 8)) == (4, 4)
    assert [cell.size for cell in stack(NetworkConfig(cells=1, image=(9, 10, 1)))] == [
        (9, 10),
        (5, 5),
        (5, 5),
        (3, 3),
        (3, 3),
    ]


def test_the_stem_for_cifar_has_three_times_the_channels():
    network = NetworkConfig(channels=36)

    assert stem_channels(network) == (108,)
    assert stem_sizes(network) == ((32, 32),)


def test_the_stem_for_imagenet_halves_three_times_and_leaves_state_0_twice_as_large():
    network = NetworkConfig(channels=52, cells=4, network="imagenet", image=(224, 224, 3))

    cells = stack(network)

    assert stem_channels(network) == (26, 52, 52)
    assert stem_sizes(network) == ((112, 112), (56, 56), (28, 28))
    assert len(cells) == 14
    assert cells[0].after_reduction
    assert cells[0].input_size == (28, 28)
    assert cells[-1].size == (7, 7)


def test_the_auxiliary_head_reads_the_second_reduction():
    for cells in (1, 3, 6):
        network = NetworkConfig(cells=cells)
        assert [cell.index for cell in stack(network) if cell.reduction][1] == auxiliary_cell(network)
