"""The NAO controller in PyTorch (``bnao.strategies.nao``): it learns which score well and moves them uphill."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bnao.config.settings import ControllerConfig
from bnao.space.spaces import START, SearchSpace
from bnao.strategies.nao import TOGETHER, Block, Nao, TrainingData

Parameters = Mapping[str, Tensor]


class NaoController(Nao):
    """Encoder, performance predictor and decoder in PyTorch: ``bnao.strategies.nao.Nao``.

    Args:
        space, config, seed: as there.
        device: where it computes.

    >>> from bnao.space.spaces import SPACES
    >>> NaoController(SPACES["nao"], ControllerConfig(), seed=0).parameters
    80845
    """

    def __init__(
        self, space: SearchSpace, config: ControllerConfig, seed: int, device: torch.device | str = "cpu"
    ) -> None:
        super().__init__(space, config, seed)
        self._device = torch.device(device)
        allowed = torch.from_numpy(space.token_mask())
        # what is added to the logits: shape (length, vocabulary)
        self._mask = torch.zeros(allowed.shape).masked_fill_(~allowed, -math.inf).to(self._device)
        self._one_hot = torch.eye(space.vocabulary, device=self._device)
        self._initialise(round_index=0)

    def _set_parameters(self, row: NDArray[np.float32]) -> None:
        self._flat = torch.from_numpy(row).to(self._device).requires_grad_()

    def _row(self) -> NDArray[np.float32]:
        return self._flat.detach().cpu().numpy()

    def _training_step(self, data: TrainingData) -> Callable[[NDArray[np.int64]], float]:
        config = self._config
        tokens, targets = self._tensor(data.tokens.T), self._tensor(data.targets)  # steps come first throughout
        features = self._tensor(data.features)
        optimizer = torch.optim.Adam([self._flat], config.learning_rate, fused=True)

        def train_epoch(order: NDArray[np.int64]) -> float:
            total = 0.0
            for batch in self._tensor(order).split(config.batch_size):
                loss, self._flat.grad = self._loss_and_gradient(
                    tokens.index_select(1, batch), features[batch], targets[batch]
                )
                if config.gradient_norm:
                    torch.nn.utils.clip_grad_norm_([self._flat], config.gradient_norm)
                optimizer.step()
                total += loss.item() * len(batch)
            return total / len(order)

        return train_epoch

    def _proposals(self, blocks: Sequence[Block]) -> Iterator[NDArray[np.int64]]:
        p = self._named()
        outputs = torch.cat([self._outputs(p, tokens).detach() for tokens, _ in blocks], 1).requires_grad_()
        features = torch.cat([self._tensor(features) for _, features in blocks])
        (gradient,) = torch.autograd.grad(_predicted(p, _representation(outputs), features).sum(), outputs)
        for step in range(1, self._config.most_steps + 1):
            yield self._decoded(p, F.normalize(outputs.detach() + self._config.eta * step * gradient, dim=-1))

    @torch.inference_mode()
    def _scores(self, tokens: NDArray[np.int64], features: NDArray[np.float32]) -> NDArray[np.float32]:
        p = self._named()
        return _predicted(p, _representation(self._outputs(p, tokens)), self._tensor(features)).cpu().numpy()

    @torch.inference_mode()
    def _representations(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        return _representation(self._outputs(self._named(), tokens)).cpu().numpy()

    @torch.inference_mode()
    def _reconstructions(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        p = self._named()
        return self._decoded(p, self._outputs(p, tokens))

    def _named(self) -> dict[str, Tensor]:
        parts = self._flat.split([math.prod(shape) for shape in self._shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)}

    def _tensor(self, values: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device)

    def _symbols(self, tokens: Tensor) -> Tensor:
        """Tokens (length, b) as one-hot vectors: (length, b, vocabulary)."""
        return self._one_hot.index_select(0, tokens.flatten()).view(*tokens.shape, -1)

    def _outputs(self, p: Parameters, tokens: NDArray[np.int64]) -> Tensor:
        """Return the encoder's outputs (steps, b, hidden) of sequences (b, length)."""
        return _encoded(p, self._symbols(self._tensor(tokens.T)))

    def _loss_and_gradient(self, tokens: Tensor, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of a batch, tokens (length, b), features (b, f) and targets (b,), and its gradient by the parameters."""
        p, weight = self._named(), self._config.predictor_weight
        symbols = self._symbols(tokens)
        outputs = _encoded(p, symbols)
        representation = _representation(outputs)
        error = F.mse_loss(_predicted(p, representation, features), targets)
        start = self._one_hot[START].expand(1, tokens.shape[1], -1)
        hidden = _recurrent(p, "decoder", torch.cat([start, symbols[:-1]]), representation)
        entropy, gradients = _reconstruction(p, hidden, outputs, tokens, self._mask, 1 - weight)
        roots = [error, hidden, outputs, *(p[name] for name in _ATTENTION)]
        (gradient,) = torch.autograd.grad(roots, self._flat, [torch.full_like(error, weight), *gradients])
        return weight * error.detach() + (1 - weight) * entropy, gradient

    def _decoded(self, p: Parameters, outputs: Tensor) -> NDArray[np.int64]:
        """Return the sequences (b, length) that encoder outputs are decoded to, the likeliest token each time."""
        with torch.inference_mode():
            hidden = cell = _representation(outputs)
            token = torch.full(hidden.shape[:1], START, device=self._device)
            tokens = []
            for mask in self._mask:
                embedded = p["decoder.embedding"][token]
                hidden, cell = torch.lstm_cell(embedded, (hidden, cell), *_lstm_parameters(p, "decoder"))
                token = (_logits(p, hidden[None], outputs)[0] + mask).argmax(-1)
                tokens.append(token)
            return torch.stack(tokens, 1).cpu().numpy()


def _lstm_parameters(p: Parameters, part: str) -> tuple[Tensor, ...]:
    names = ("input_weights", "recurrent_weights", "input_biases", "recurrent_biases")
    return tuple(p[f"{part}.lstm.{name}"] for name in names)


def _recurrent(p: Parameters, part: str, symbols: Tensor, start: Tensor) -> Tensor:
    """Return the states (steps, b, hidden) of an LSTM that starts at (b, hidden) and reads (steps, b, k x vocabulary).

    One-hot tokens are read, k of them side by side: embedding and input weights are multiplied once for each
    word of the vocabulary instead of once for each token.
    """
    input_weights, *others = _lstm_parameters(p, part)
    embedding = p[f"{part}.embedding"]
    of_words = input_weights.view(len(input_weights), -1, embedding.shape[1]) @ embedding.t()
    weights = (of_words.flatten(1), *others)
    return torch.lstm(symbols, (start[None], start[None]), weights, True, 1, 0.0, True, False, False)[0]


def _encoded(p: Parameters, symbols: Tensor) -> Tensor:
    """The encoder's outputs (steps, b, hidden), each of unit length, for one-hot tokens (length, b, vocabulary)."""
    _, b, vocabulary = symbols.shape
    edges = symbols.view(-1, TOGETHER, b, vocabulary).transpose(1, 2).reshape(-1, b, TOGETHER * vocabulary)
    start = symbols.new_zeros(b, p["encoder.lstm.recurrent_weights"].shape[1])
    return F.normalize(_recurrent(p, "encoder", edges, start), dim=-1)


def _representation(outputs: Tensor) -> Tensor:
    """Return the mean over steps, of unit length: (b, hidden)."""
    return F.normalize(outputs.mean(0), dim=-1)


def _predicted(p: Parameters, representation: Tensor, features: Tensor) -> Tensor:
    """Return the predicted score: (b,), in (0, 1), of representations (b, hidden) and features (b, f)."""
    x, layer = torch.cat([representation, features], -1) if features.shape[1] else representation, 0
    while f"predictor.mlp.{layer}.weights" in p:
        x = F.relu(F.linear(x, p[f"predictor.mlp.{layer}.weights"], p[f"predictor.mlp.{layer}.biases"]))
        layer += 1
    return torch.sigmoid(F.linear(x, p["predictor.weights"], p["predictor.biases"]))[:, 0]


_ATTENTION = (
    "decoder.attention.query",
    "decoder.attention.mix",
    "decoder.classifier.weights",
    "decoder.classifier.biases",
)


def _logits(p: Parameters, hidden: Tensor, outputs: Tensor) -> Tensor:
    """The logits (length, b, vocabulary) of decoder states (length, b, hidden) that look at the encoder's outputs."""
    query, mix, weights, biases = (p[name] for name in _ATTENTION)
    states, looked_at = hidden.transpose(0, 1), outputs.transpose(0, 1)
    attention = torch.softmax(F.linear(states, query) @ looked_at.transpose(1, 2), -1)  # (b, length, steps)
    mixed = torch.tanh(F.linear(torch.cat([attention @ looked_at, states], -1), mix))
    return F.linear(mixed, weights, biases).transpose(0, 1)


def _reconstruction(
    p: Parameters, hidden: Tensor, outputs: Tensor, tokens: Tensor, mask: Tensor, weight: float
) -> tuple[Tensor, list[Tensor]]:
    """Return the cross-entropy of tokens (length, b) under ``_logits``, and ``weight`` times its gradients.

    The same arithmetic as autograd's, in two thirds of the time: queries and mixed values are made of the
    encoder's few outputs and not of the decoder's many states, and tanh(x) is 2 sigmoid(2 x) - 1, which
    PyTorch computes several times faster on a CPU.

    Returns:
        The cross-entropy, and gradients by hidden, outputs and the parameters of ``_ATTENTION``.
    """
    query, mix, weights, biases = (p[name].detach() for name in _ATTENTION)
    hidden, outputs = hidden.detach(), outputs.detach()
    length, b, width = hidden.shape
    flat_hidden, flat_outputs = hidden.view(-1, width), outputs.view(-1, width)
    mix_values, mix_hidden = mix.split(width, 1)
    states = hidden.transpose(0, 1)  # (b, length, width)

    projection = torch.cat([query, mix_values.t()], 1)  # (width, 2 width)
    keys, values = (flat_outputs @ projection).view(-1, b, 2 * width).transpose(0, 1).split(width, 2)
    attention = torch.softmax(states @ keys.transpose(1, 2), -1)  # (b, length, steps)
    mixed = (flat_hidden @ mix_hidden.t()).view(length, b, width).add_((attention @ values).transpose(0, 1))
    mixed = mixed.mul_(2).sigmoid_().mul_(2).sub_(1).view(-1, width)
    logits = torch.addmm(biases[:, None], weights, mixed.t())  # (vocabulary, length x b)
    logits.view(-1, length, b).add_(mask.t()[:, :, None])
    logarithms = torch.log_softmax(logits, 0)
    right = tokens.view(1, -1)
    entropy = -logarithms.gather(0, right).mean()

    by_logits = logarithms.exp_().scatter_add_(0, right, mixed.new_full(right.shape, -1)).mul_(weight / right.numel())
    by_weights, by_biases = by_logits @ mixed, by_logits.sum(1)
    by_mixed = by_logits.t() @ weights
    by_sum = torch.addcmul(by_mixed, mixed.square(), by_mixed, value=-1)  # in front of the tanh: 1 - tanh^2
    by_sums = by_sum.view(length, b, width).transpose(0, 1)
    by_attention = by_sums @ values.transpose(1, 2)
    by_scores = torch.ops.aten._softmax_backward_data(by_attention, attention, -1, attention.dtype)
    by_hidden = (by_sum @ mix_hidden).view(length, b, width).add_((by_scores @ keys).transpose(0, 1))
    by_projected = torch.cat([by_scores.transpose(1, 2) @ states, attention.transpose(1, 2) @ by_sums], 2)
    by_projected = by_projected.transpose(0, 1).reshape(-1, 2 * width)
    by_outputs = (by_projected @ projection.t()).view_as(outputs)
    by_query, by_mix_values = (flat_outputs.t() @ by_projected).split(width, 1)
    by_mix = torch.cat([by_mix_values.t(), by_sum.t() @ flat_hidden], 1)
    return entropy, [by_hidden, by_outputs, by_query, by_mix, by_weights, by_biases]
