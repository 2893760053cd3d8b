"""Seconds and memory of one first-order DARTS step, written in PyTorch as the paper has it: the other side of
mixture_step.py.

    python benchmarks/naive_darts.py --channels 16 --cells 2 --image 32 --batch 64

prints one JSON line. Source: Liu et al., DARTS, arXiv 1806.09055: every edge sums all operations, each multiplied by
softmax weight (Eq. 2); first Adam moves the logits along the gradient of a dev batch's loss, then SGD the weights
along that of a train batch's. Operations, network and parameters are those of bnao's space ``darts`` (norms have a
scale and a shift, pools no norm, there is no ``none``), so both compute the same numbers from the same weights.
"""

import argparse
import json
import resource
import statistics
import time

import numpy as np
import torch
import torch.nn.functional as F
from arguments import whole
from torch import Tensor, nn

OPERATIONS = (
    "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5",
)  # fmt: skip
NODES = 4
PLACES = [(node, source) for node in range(NODES) for source in range(2 + node)]


class Separable(nn.Module):
    """Twice: ReLU, depthwise and pointwise convolution, norm."""

    def __init__(self, c: int, kernel: int, stride: int) -> None:
        super().__init__()
        pad = kernel // 2
        self.depthwise_1 = nn.Conv2d(c, c, kernel, stride, pad, groups=c, bias=False)
        self.pointwise_1 = nn.Conv2d(c, c, 1, bias=False)
        self.norm_1 = nn.BatchNorm2d(c, track_running_stats=False)
        self.depthwise_2 = nn.Conv2d(c, c, kernel, 1, pad, groups=c, bias=False)
        self.pointwise_2 = nn.Conv2d(c, c, 1, bias=False)
        self.norm_2 = nn.BatchNorm2d(c, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm_1(self.pointwise_1(self.depthwise_1(F.relu(x))))
        return self.norm_2(self.pointwise_2(self.depthwise_2(F.relu(x))))


class Dilated(nn.Module):
    """ReLU, depthwise convolution of every second pixel, pointwise convolution, norm."""

    def __init__(self, c: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(c, c, kernel, stride, kernel - 1, dilation=2, groups=c, bias=False)
        self.pointwise = nn.Conv2d(c, c, 1, bias=False)
        self.norm = nn.BatchNorm2d(c, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.pointwise(self.depthwise(F.relu(x))))


class Reduce(nn.Module):
    """ReLU, 1x1 convolutions of every second pixel and of its lower right neighbours side by side, norm."""

    def __init__(self, before: int, c: int) -> None:
        super().__init__()
        self.even = nn.Conv2d(before, c // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(before, c // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(c, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        return self.norm(torch.cat([self.even(x), self.odd(shifted)], 1))


class Convolution(nn.Module):
    """ReLU, convolution, norm."""

    def __init__(self, before: int, c: int, kernel: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.relu = relu
        self.kernel = nn.Conv2d(before, c, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(c, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.kernel(F.relu(x) if self.relu else x))


def operation(name: str, c: int, stride: int) -> nn.Module:
    """Return an operation of the space."""
    kernel = int(name[-1]) if name[-1].isdigit() else 0
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else Reduce(c, c)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride, 1)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    return (Separable if name.startswith("sep") else Dilated)(c, kernel, stride)


class Cell(nn.Module):
    """A cell whose nodes sum all operations of all states before them."""

    def __init__(self, earlier: tuple[int, int], c: int, reduction: bool, after_reduction: bool) -> None:
        super().__init__()
        first = Reduce(earlier[0], c) if after_reduction else Convolution(earlier[0], c)
        self.fit = nn.ModuleList([first, Convolution(earlier[1], c)])
        self.nodes = nn.ModuleList()
        for node in range(NODES):
            of_node = nn.ModuleDict({name: nn.ModuleDict({"source": nn.ModuleDict()}) for name in OPERATIONS})
            for name in OPERATIONS:
                for source in range(2 + node):
                    stride = 2 if reduction and source < 2 else 1
                    of_node[name]["source"][str(source)] = operation(name, c, stride)
            self.nodes.append(of_node)

    def forward(self, before: Tensor, last: Tensor, weights: Tensor) -> Tensor:
        states = [self.fit[0](before), self.fit[1](last)]
        places = iter(weights)
        for node in self.nodes:
            sums = []
            for source, state in enumerate(states):
                of_place = next(places)
                outputs = [node[name]["source"][str(source)](state) for name in OPERATIONS]
                sums.append(sum(weight * output for weight, output in zip(of_place, outputs, strict=True)))
            states.append(sum(sums))
        return torch.cat(states[2:], 1)


class NaiveDarts(nn.Module):
    """DARTS' network of 3 ``cells`` + 2 cells, two of them reductions, for images of three channels."""

    def __init__(self, channels: int, cells: int, classes: int = 10) -> None:
        super().__init__()
        c, self.reductions = channels, (cells, 2 * cells + 1)
        self.stem = nn.ModuleList([Convolution(3, 3 * c, 3, relu=False)])
        earlier, after = (3 * c, 3 * c), False
        self.cells = nn.ModuleList()
        for index in range(3 * cells + 2):
            reduction = index in self.reductions
            c *= 1 + reduction
            self.cells.append(Cell(earlier, c, reduction, after))
            earlier, after = (earlier[1], NODES * c), reduction
        self.classifier = nn.Linear(NODES * c, classes)

    def forward(self, images: Tensor, normal: Tensor, reduction: Tensor) -> Tensor:
        """Return logits (b, classes), given the weights (places, operations) of the two kinds of cell."""
        before = last = self.stem[0](images)
        for index, cell in enumerate(self.cells):
            before, last = last, cell(before, last, reduction if index in self.reductions else normal)
        return self.classifier(last.mean((2, 3)))

    def canonical(self) -> dict[str, nn.Parameter]:
        """Return the parameters by bnao's names."""
        named = {}
        for name, parameter in self.named_parameters():
            layer, kind = name.rsplit(".", 1)
            if layer == "classifier":
                named[name] = parameter
            elif "norm" in layer.rsplit(".", 1)[1]:
                named[f"{layer}.{'scale' if kind == 'weight' else 'shift'}"] = parameter
            else:
                named[layer] = parameter
        return named


def step(
    net: NaiveDarts, alphas: list[Tensor], of_weights: torch.optim.SGD, of_alphas: torch.optim.Adam,
    dev: tuple[Tensor, Tensor], train: tuple[Tensor, Tensor],
) -> float:  # fmt: skip
    """Move the logits by a dev batch, then the weights by a train batch; return the train loss."""
    images, labels = dev
    loss = F.cross_entropy(net(images, *(F.softmax(alpha, 1) for alpha in alphas)), labels)
    for alpha, gradient in zip(alphas, torch.autograd.grad(loss, alphas), strict=True):
        alpha.grad = gradient
    of_alphas.step()
    images, labels = train
    of_weights.zero_grad()
    # the logits stay as they are here, so nothing is kept for their gradient
    loss = F.cross_entropy(net(images, *(F.softmax(alpha.detach(), 1) for alpha in alphas)), labels)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    of_weights.step()
    return loss.item()


def measure(channels: int, cells: int, image: int, batch: int, steps: int, seed: int) -> dict[str, object]:
    """Return median seconds of a step, after one that warms up, and the process's peak of memory."""
    torch.manual_seed(seed)
    net = NaiveDarts(channels, cells)
    alphas = [(1e-3 * torch.randn(len(PLACES), len(OPERATIONS))).requires_grad_() for _ in range(2)]
    of_weights = torch.optim.SGD(net.parameters(), 0.025, momentum=0.9, weight_decay=3e-4)
    of_alphas = torch.optim.Adam(alphas, 3e-4, betas=(0.5, 0.999), weight_decay=1e-3)
    rng = np.random.default_rng(seed)

    def given() -> tuple[Tensor, Tensor]:
        images = rng.standard_normal((batch, 3, image, image), np.float32)
        return torch.from_numpy(images), torch.from_numpy(rng.integers(10, size=batch))

    times, busy = [], []
    for _ in range(1 + steps):
        batches = given(), given()
        began, used = time.perf_counter(), time.process_time()
        step(net, alphas, of_weights, of_alphas, *batches)
        times.append(time.perf_counter() - began)
        busy.append(time.process_time() - used)
    return {
        "seconds_per_step": statistics.median(times[1:]),
        "cpu_seconds_per_step": statistics.median(busy[1:]),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "torch": torch.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default, least in (
        ("channels", 16, 2), ("cells", 2, 1), ("image", 32, 8), ("batch", 64, 2), ("steps", 3, 1), ("seed", 0, 0),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=whole(least), default=default)
    chosen = vars(parser.parse_args())
    print(json.dumps({**measure(**chosen), **chosen}))


if __name__ == "__main__":
    main()
