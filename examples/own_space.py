"""A search space of one's own: DARTS' network with cells of three nodes and four operations.

    PYTHONPATH=examples bnao search --space own_space:space

In a package that is installed, name it by an entry point, and the space by that name alone:

    [project.entry-points."bnao.spaces"]
    slim = "own_space:space"

    bnao search --space slim
"""

from bnao import SearchSpace
from bnao.space.spaces import Rules

space = SearchSpace(
    "slim",
    operations=["sep_conv_3x3", "dil_conv_3x3", "max_pool_3x3", "skip_connect"],
    nodes=3,
    rules=Rules(output="nodes", always_fits=True, relu_before_reduce=True),
)
