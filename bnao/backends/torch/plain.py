"""A genotype's own network in plain PyTorch, which needs nothing of bnao: the template of ``bnao export --to python``.

An exported file is this module with an architecture filled in and without what that does not use. Attributes have the
names of bnao's parameters, so the names of a state_dict are these, with PyTorch's own ``weight``, ``bias``,
``running_mean`` and ``running_var`` at their ends.
"""

import hashlib
import json
import re
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: cells: their nodes, each the (state, operation) of its edges, and the states that make the output; and what is around
ARCHITECTURE: dict = {}


class Convolution(nn.Module):
    """ReLU, a convolution padded by half its kernel, and a batch norm; in front of images there is no ReLU."""

    def __init__(self, before: int, channels: int, kernel: int, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.relu = relu
        self.kernel = nn.Conv2d(before, channels, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.kernel(F.relu(x) if self.relu else x))


class FactorizedReduce(nn.Module):
    """Half the size: 1x1 convolutions of every second pixel and of its lower right neighbour, and a batch norm."""

    def __init__(self, before: int, channels: int, relu: bool = False) -> None:
        super().__init__()
        self.relu = relu
        self.even = nn.Conv2d(before, channels // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(before, channels - channels // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x) if self.relu else x
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        return self.norm(torch.cat([self.even(x), self.odd(shifted)], 1))


class SeparableConvolution(nn.Module):
    """Twice: ReLU, a depthwise convolution (only the first has the stride), a pointwise one, and a batch norm."""

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.depthwise_1 = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)
        self.pointwise_1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm_1 = nn.BatchNorm2d(channels)
        self.depthwise_2 = nn.Conv2d(channels, channels, kernel, 1, kernel // 2, groups=channels, bias=False)
        self.pointwise_2 = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm_2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm_1(self.pointwise_1(self.depthwise_1(F.relu(x))))
        return self.norm_2(self.pointwise_2(self.depthwise_2(F.relu(x))))


class DilatedConvolution(nn.Module):
    """ReLU, a depthwise convolution of every second pixel, a pointwise one, and a batch norm."""

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            channels, channels, kernel, stride, kernel - 1, dilation=2, groups=channels, bias=False
        )
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.pointwise(self.depthwise(F.relu(x))))


class CrossedConvolution(nn.Module):
    """ReLU, a convolution along the rows, one along the columns, and a batch norm."""

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        half = kernel // 2
        self.first = nn.Conv2d(channels, channels, (1, kernel), (1, stride), (0, half), bias=False)
        self.second = nn.Conv2d(channels, channels, (kernel, 1), (stride, 1), (half, 0), bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.second(self.first(F.relu(x))))


class CrossedConvolutionWithNorms(nn.Module):
    """Twice: ReLU, a convolution along the rows and then one along the columns, and a batch norm."""

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        half = kernel // 2
        self.first = nn.Conv2d(channels, channels, (1, kernel), (1, stride), (0, half), bias=False)
        self.norm_1 = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, (kernel, 1), (stride, 1), (half, 0), bias=False)
        self.norm_2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm_1(self.first(F.relu(x)))
        return self.norm_2(self.second(F.relu(x)))


class MaxPoolOfTwo(nn.Module):
    """The maximum of 2 x 2 pixels from each on, at the lower right edge of those there are."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=float("-inf")), 2, self.stride)


class AveragePoolOfTwo(nn.Module):
    """The average of 2 x 2 pixels from each on, at the lower right edge of those there are."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        there = F.pad(torch.ones_like(x[:1, :1]), (0, 1, 0, 1))
        return F.avg_pool2d(F.pad(x, (0, 1, 0, 1)), 2, self.stride) / F.avg_pool2d(there, 2, self.stride)


#: an edge's operation by its name, with so many channels and that stride; ``none`` is left out by the nodes
OPERATIONS = {
    "sep_conv_3x3": lambda channels, stride: SeparableConvolution(channels, 3, stride),
    "sep_conv_5x5": lambda channels, stride: SeparableConvolution(channels, 5, stride),
    "sep_conv_7x7": lambda channels, stride: SeparableConvolution(channels, 7, stride),
    "dil_conv_3x3": lambda channels, stride: DilatedConvolution(channels, 3, stride),
    "dil_conv_5x5": lambda channels, stride: DilatedConvolution(channels, 5, stride),
    "conv_7x1_1x7": lambda channels, stride: CrossedConvolution(channels, 7, stride),
    "conv_1x3_3x1": lambda channels, stride: CrossedConvolutionWithNorms(channels, 3, stride),
    "conv_1x7_7x1": lambda channels, stride: CrossedConvolutionWithNorms(channels, 7, stride),
    "conv_1x1": lambda channels, stride: Convolution(channels, channels, 1, stride),
    "conv_3x3": lambda channels, stride: Convolution(channels, channels, 3, stride),
    "nor_conv_1x1": lambda channels, stride: Convolution(channels, channels, 1, stride),
    "nor_conv_3x3": lambda channels, stride: Convolution(channels, channels, 3, stride),
    "avg_pool_2x2": lambda channels, stride: AveragePoolOfTwo(stride),
    "avg_pool_3x3": lambda channels, stride: nn.AvgPool2d(3, stride, 1, count_include_pad=False),
    "avg_pool_5x5": lambda channels, stride: nn.AvgPool2d(5, stride, 2, count_include_pad=False),
    "max_pool_2x2": lambda channels, stride: MaxPoolOfTwo(stride),
    "max_pool_3x3": lambda channels, stride: nn.MaxPool2d(3, stride, 1),
    "max_pool_5x5": lambda channels, stride: nn.MaxPool2d(5, stride, 2),
    "skip_connect": lambda channels, stride: nn.Identity() if stride == 1 else FactorizedReduce(channels, channels),
}


class Node(nn.Module):
    """The sum of its edges, each an operation on an earlier state; in a reduction cell those on its inputs halve.

    Where ``relu_before_reduce`` is true, a ``skip_connect`` that halves begins with a ReLU.
    """

    def __init__(self, edges: list, channels: int, reduction: bool, relu_before_reduce: bool = False) -> None:
        super().__init__()
        self.reduction = reduction
        self.sources = [source for source, operation in edges if operation != "none"]
        self.relus = [
            relu_before_reduce and reduction and source < 2 and operation == "skip_connect"
            for source, operation in edges
            if operation != "none"
        ]
        self.edges = nn.ModuleDict(
            {
                str(number): nn.ModuleDict({operation: OPERATIONS[operation](channels, 1 + (reduction and source < 2))})
                for number, (source, operation) in enumerate(edges)
                if operation != "none"
            }
        )

    def forward(self, states: list) -> Tensor:
        outputs = [
            operation(F.relu(states[source]) if relu else states[source])
            for source, relu, edge in zip(self.sources, self.relus, self.edges.values(), strict=True)
            for operation in edge.values()
        ]
        if not outputs:
            return torch.zeros_like(states[0][:, :, ::2, ::2] if self.reduction else states[0])
        total = outputs[0]
        for output in outputs[1:]:
            total = total + output
        return total


class Cell(nn.Module):
    """States 0 and 1 are the outputs of the cell before the last and of the last, then comes one for each node."""

    def __init__(
        self, architecture: dict, before: int, last: int, channels: int, reduction: bool, halve_before: bool
    ) -> None:
        super().__init__()
        cell, always_fit = architecture["reduction" if reduction else "normal"], architecture["always_fit"]
        self.fit = nn.ModuleDict({"0": nn.Identity(), "1": nn.Identity()})
        if halve_before:
            self.fit["0"] = FactorizedReduce(before, channels, relu=True)
        elif before != channels or always_fit:
            self.fit["0"] = Convolution(before, channels, 1)
        if last != channels or always_fit:
            self.fit["1"] = Convolution(last, channels, 1)
        relu = architecture["relu_before_reduce"]
        self.nodes = nn.ModuleList(Node(edges, channels, reduction, relu) for edges in cell["nodes"])
        self.loose = nn.ModuleDict(
            {
                str(state): FactorizedReduce(channels, channels) if reduction and state < 2 else nn.Identity()
                for state in cell["output"]
            }
        )

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        states = [self.fit["0"](before), self.fit["1"](last)]
        for node in self.nodes:
            states.append(node(states))
        return torch.cat([end(states[int(state)]) for state, end in self.loose.items()], 1)


def two_input_cells(architecture: dict) -> tuple[list, nn.Module, int]:
    """N normal cells, a reduction cell, N, a reduction cell, N; no head; and the channels behind them."""
    channels, n = architecture["channels"], architecture["cells"]
    before = last = architecture["stem"]["channels"][-1]
    halve_before = len(architecture["stem"]["channels"]) > 1
    cells = []
    for index in range(3 * n + 2):
        reduction = index in (n, 2 * n + 1)
        channels *= 2 if reduction else 1
        cells.append(Cell(architecture, before, last, channels, reduction, halve_before))
        before, last, halve_before = last, channels * len(cells[-1].loose), reduction
    return cells, nn.Identity(), last


class OneInputCell(nn.Module):
    """State 0 is the output of the last cell, then comes one for each node; the last node's is the output."""

    def __init__(self, cell: dict, channels: int) -> None:
        super().__init__()
        self.nodes = nn.ModuleList(Node(edges, channels, reduction=False) for edges in cell["nodes"])

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        states = [last]
        for node in self.nodes:
            states.append(node(states))
        return states[-1]


class Residual(nn.Module):
    """Half the size: two 3x3 convolutions beside an average of 2 x 2 pixels and a 1x1 convolution."""

    def __init__(self, before: int, channels: int) -> None:
        super().__init__()
        self.residual = nn.ModuleDict(
            {
                "0": Convolution(before, channels, 3, stride=2),
                "1": Convolution(channels, channels, 3),
                "shortcut": nn.ModuleDict({"kernel": nn.Conv2d(before, channels, 1, bias=False)}),
            }
        )

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        averaged = F.avg_pool2d(last, 2, 2, ceil_mode=True, count_include_pad=False)
        shortcut = self.residual["shortcut"]["kernel"](averaged)
        return self.residual["1"](self.residual["0"](last)) + shortcut


class Head(nn.Module):
    """Batch norm and ReLU in front of the classifier."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(x))


def one_input_cells(architecture: dict) -> tuple[list, nn.Module, int]:
    """N cells, a residual block, N cells, a residual block, N cells; the head; and the channels behind them."""
    channels, n = architecture["channels"], architecture["cells"]
    cells: list = []
    for index in range(3 * n + 2):
        if index in (n, 2 * n + 1):
            cells.append(Residual(channels, 2 * channels))
            channels *= 2
        else:
            cells.append(OneInputCell(architecture["normal"], channels))
    return cells, Head(channels), channels


#: what stands between stem and classifier, by the inputs of a cell
STACKS = {
    1: one_input_cells,
    2: two_input_cells,
}


class Network(nn.Module):
    """Logits (b, classes) of images (b, channels, height, width), float32 in 0..1; it normalises them itself."""

    def __init__(self, architecture: dict = ARCHITECTURE) -> None:
        super().__init__()
        self.register_buffer("image_mean", torch.tensor(architecture["mean"]).view(-1, 1, 1))
        self.register_buffer("image_std", torch.tensor(architecture["std"]).view(-1, 1, 1))
        self.stem = nn.ModuleList()
        before = architecture["image"][2]
        for index, channels in enumerate(architecture["stem"]["channels"]):
            self.stem.append(Convolution(before, channels, 3, architecture["stem"]["stride"], relu=index > 0))
            before = channels
        cells, self.head, features = STACKS[architecture["inputs"]](architecture)
        self.cells = nn.ModuleList(cells)
        self.classifier = nn.Linear(features, architecture["classes"])

    def forward(self, images: Tensor) -> Tensor:
        before = last = (images - self.image_mean) / self.image_std
        for convolution in self.stem:
            before, last = last, convolution(last)
        before = last if len(self.stem) == 1 else before
        for cell in self.cells:
            before, last = last, cell(before, last)
        return self.classifier(self.head(last).mean((2, 3)))

    def load(self, path: str | Path) -> "Network":
        """Take the weights of a safetensors file, all of float32.

        Where it says sha256, that is the SHA-256 of its bytes with zeros in place of these 64 digits.
        """
        content = Path(path).read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")
        digits = re.search(rb'sha256\\": \\"([0-9a-f]{64})', content[:start])
        if digits:
            hashed = hashlib.sha256(content[: digits.start(1)] + b"0" * 64 + content[digits.end(1) :])
            if hashed.hexdigest().encode() != digits[1]:
                raise ValueError(f"{path} is damaged: its bytes do not have the SHA-256 that stands in it")
        tensors = {}
        for name, entry in json.loads(content[8:start]).items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                values = bytearray(content[start + begin : start + end])
                tensors[name] = torch.frombuffer(values, dtype=torch.float32).reshape(entry["shape"])
        self.load_state_dict(tensors)
        return self


if __name__ == "__main__":
    network = Network().load(Path(__file__).with_suffix(".safetensors")).eval()
    height, width, channels = ARCHITECTURE["image"]
    with torch.no_grad():
        logits = network(torch.rand(2, channels, height, width))
    count = sum(parameter.numel() for parameter in network.parameters())
    print(f"{count:,} parameters; logits of two random images have shape {tuple(logits.shape)}")
