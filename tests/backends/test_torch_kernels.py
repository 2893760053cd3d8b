"""Gradients of depthwise convolutions, made by hand, against autograd's."""

import pytest

torch = pytest.importorskip("torch")

from bnao.backends.torch import kernels  # noqa: E402


@pytest.mark.parametrize("few", [0, 1 << 30])
@pytest.mark.parametrize("sides", [(8, 12), (7, 8), (5, 9)])
@pytest.mark.parametrize(("k", "stride", "dilation"), [(k, s, d) for k in (3, 5, 7) for s in (1, 2) for d in (1, 2)])
def test_gradients_of_a_depthwise_convolution_are_autograds(monkeypatch, k, stride, dilation, sides, few):
    monkeypatch.setattr(kernels, "_FEW_FOR_SPLIT", few)
    torch.manual_seed(0)
    x = torch.randn(3, 4, *sides, dtype=torch.float64).contiguous(memory_format=torch.channels_last).requires_grad_()
    kernel = torch.randn(4, 1, k, k, dtype=torch.float64, requires_grad=True)
    y = torch.nn.functional.conv2d(x, kernel, None, stride, dilation * (k // 2), dilation, 4)
    g = torch.randn_like(y)
    expected = torch.autograd.grad(y, [x, kernel], g)

    with torch.no_grad():
        found = kernels._depthwise_backward(g, x, kernel, stride, dilation)
        one = kernels._depthwise_backward(g, x, kernel, stride, dilation, by_input=True, by_weights=False)
        other = kernels._depthwise_backward(g, x, kernel, stride, dilation, by_input=False, by_weights=True)

    for gradient, right in zip(found, expected, strict=True):
        assert torch.allclose(gradient, right, rtol=1e-10, atol=1e-12)
    assert one[1] is None and torch.equal(one[0], found[0])
    assert other[0] is None and torch.equal(other[1], found[1])
