"""A search by Keras that was killed with kill -9, again and again, ends bit for bit as if it had not been."""

import pytest

from bnao.backends import load
from bnao.errors import BackendError
from bnao.streams import stream
from tests.killing import contents, events, finish, images_file, kill_after, options, start

try:
    load("keras")
except BackendError as error:
    pytest.skip(str(error), allow_module_level=True)


def test_a_search_killed_three_times_ends_as_if_it_had_not_been(tmp_path):
    # a space that runs operation by operation: each of the five processes would build a graph
    more = ("--backend", "keras", "--space", "nas-bench-201", "--nodes", 3)
    images = images_file(tmp_path)
    finish(start(*options(images, tmp_path / "whole"), *more))
    moments = sorted(int(at) for at in stream(0, "killed keras").integers(1, events(tmp_path / "whole"), 3))

    kill_after(moments[0], start(*options(images, tmp_path / "run"), *more), tmp_path / "run")
    for at in moments[1:]:
        kill_after(at, start("--resume", tmp_path / "run"), tmp_path / "run")
    finish(start("--resume", tmp_path / "run"))

    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
