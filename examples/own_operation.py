"""An operation of one's own, and a space that has it: MobileNetV2's inverted bottleneck beside DARTS' convolutions.

    PYTHONPATH=examples bnao search --space own_operation:space

In a package that is installed, name both by entry points; other spaces may then have the operation by its name:

    [project.entry-points."bnao.operations"]
    inverted_3x3 = "own_operation:inverted"

    [project.entry-points."bnao.spaces"]
    inverted = "own_operation:space"
"""

from bnao import Operation, SearchSpace
from bnao.space.spaces import Rules


def inverted_bottleneck(layers, x, name, channels, stride):
    """Return x convolved by 1x1 to twice its channels, by 3x3 in each of them, and by 1x1 back."""
    wide = layers.convolution(layers.relu(x), f"{name}.expand", 2 * channels, (1, 1))
    wide = layers.relu(layers.norm(wide, f"{name}.norm_1"))
    wide = layers.convolution(wide, f"{name}.depthwise", 2 * channels, (3, 3), stride=(stride, stride), depthwise=True)
    wide = layers.relu(layers.norm(wide, f"{name}.norm_2"))
    return layers.norm(layers.convolution(wide, f"{name}.project", channels, (1, 1)), f"{name}.norm_3")


inverted = Operation("inverted_3x3", inverted_bottleneck)

space = SearchSpace(
    "inverted",
    operations=[inverted, "sep_conv_3x3", "max_pool_3x3", "skip_connect"],
    nodes=3,
    rules=Rules(output="nodes", always_fits=True, relu_before_reduce=True),
)
