import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnao.streams import epoch_order, stream, uniforms


def first(*place):
    return stream(*place).integers(2**62)


def test_a_stream_is_the_same_each_time_it_is_asked_for():
    assert first(0, "pool", 1) == first(0, "pool", 1)


def test_streams_of_another_seed_purpose_or_place_differ():
    places = [
        (seed, purpose, *indices)
        for seed in (0, 1, -1)
        for purpose in ("pool", "order")
        for indices in ((), (0,), (1,), (0, 0), (0, 1), (1, 0), (10,), (1, 1))
    ]

    assert len({first(*place) for place in places}) == len(places)


def test_a_numpy_integer_names_the_same_stream_as_a_plain_one():
    assert first(np.int64(3), "pool", np.int32(2)) == first(3, "pool", 2)


def test_streams_do_not_change_from_one_version_to_the_next():
    # runs and published results depend on these; Philox keyed by blake2b-128 of "0/pool/1"
    assert stream(0, "pool", 1).integers(1000, size=5).tolist() == [688, 788, 289, 613, 314]
    assert uniforms(0, "draw", 3).tolist() == [0.3848144510304775, 0.9456218848078992, 0.5284682039365141]


@given(start=st.integers(0, 10**12), n=st.integers(0, 50), skip=st.integers(0, 50))
def test_an_element_of_the_row_does_not_depend_on_which_others_are_asked_for(start, n, skip):
    row = uniforms(7, "draw", skip + n, start)

    assert uniforms(7, "draw", n, start + skip).tolist() == row[skip:].tolist()


def test_the_row_is_uniform():
    row = uniforms(0, "test", 100_000)

    counts = np.histogram(row, bins=10, range=(0, 1))[0]
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 27.88  # chi-square, 9 degrees of freedom, 1 in 1,000
    assert row.min() >= 0
    assert row.max() < 1


@pytest.mark.parametrize("n", [0, 1, 100])
def test_an_epoch_visits_every_example_once_in_an_order_of_its_own(n):
    order = epoch_order(0, "order", 3, n)

    assert sorted(order.tolist()) == list(range(n))
    assert order.tolist() == epoch_order(0, "order", 3, n).tolist()
    if n > 1:
        assert order.tolist() != epoch_order(0, "order", 4, n).tolist()
