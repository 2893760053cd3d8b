"""Reports as lines of text."""

from bnao.cli.reports import learning_lines
from bnao.protocols import HeldOut
from bnao.strategies.result import Learning


def test_a_controller_that_decodes_nothing_has_no_reconstruction_distance():
    held_out = HeldOut(learned_from=9, n=2, pairwise_accuracy=None, kendall_tau=0.5, reconstruction_distance=None)

    *_, row = learning_lines([Learning(2, held_out, 4, 0.75, None)])

    assert row.split() == ["2", "9", "2", "-", "0.500", "-", "4", "75.0", "%", "-"]
