"""The Transformer encoder and decoder (Vaswani et al. 2017).

Shapes as in ``interface``; W = D / heads units of a head, L layers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seq2seq.config.schema import TransformerOptions
from seq2seq.models.attention import CrossAttention, SelfAttention
from seq2seq.models.embedding import Embedding
from seq2seq.models.interface import Decoder, DecoderOutput, Encoder, Memory, State, Step
from seq2seq.models.kernels import is_plain
from seq2seq.models.kernels.dropout import Dropout
from seq2seq.models.kernels.linear import Linear
from seq2seq.models.positions import Positions


class Residual(nn.Module):
    """The residual connection of a sub-layer f: x + f(norm(x)), or norm(x + f(x)) as in the paper."""

    def __init__(self, options: TransformerOptions, dropout: float) -> None:
        super().__init__()
        self.pre = options.norm == "pre"
        self.norm = nn.LayerNorm(options.width)
        self.dropout = Dropout(dropout)

    def before(self, x: Tensor) -> Tensor:
        """The input of the sub-layer."""
        return self.norm(x) if self.pre else x

    def after(self, x: Tensor, y: Tensor) -> Tensor:
        """The sum of ``x`` and of ``y``, the sub-layer's output."""
        x = x + self.dropout(y)
        return x if self.pre else self.norm(x)


class FeedForward(nn.Sequential):
    """Two linear layers with a nonlinearity between them, applied to each position (section 3.3)."""

    def __init__(self, options: TransformerOptions, dropout: float) -> None:
        activation = {"relu": nn.ReLU, "gelu": nn.GELU}[options.activation]()
        into, out = Linear(options.width, options.feed_forward), Linear(options.feed_forward, options.width)
        super().__init__(into, activation, Dropout(dropout), out)

    def forward(self, x: Tensor) -> Tensor:
        """(…, D) to (…, D)."""
        into, activation, dropout, out = self
        inner = into(x, "relu") if isinstance(activation, nn.ReLU) else activation(into(x))
        y: Tensor = out(dropout(inner))
        return y


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward."""

    def __init__(self, options: TransformerOptions, dropout: float) -> None:
        super().__init__()
        self.attention = SelfAttention(options.width, options.heads, options.positions)
        self.around_attention = Residual(options, dropout)
        self.feed_forward, self.around_feed_forward = FeedForward(options, dropout), Residual(options, dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``x`` (B, S, D), ``mask`` (B, 1, 1, S)."""
        x = self.around_attention.after(x, self.attention(self.around_attention.before(x), mask))
        return self.around_feed_forward.after(x, self.feed_forward(self.around_feed_forward.before(x)))


class DecoderLayer(nn.Module):
    """Causal self-attention, cross-attention and feed-forward."""

    def __init__(self, options: TransformerOptions, memory_width: int, dropout: float) -> None:
        super().__init__()
        self.attention = SelfAttention(options.width, options.heads, options.positions)
        self.around_attention = Residual(options, dropout)
        self.cross = CrossAttention(options.width, options.heads, memory_width)
        self.around_cross = Residual(options, dropout)
        self.feed_forward, self.around_feed_forward = FeedForward(options, dropout), Residual(options, dropout)

    def precompute(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """The cross-attention's keys and values (B, H, S, W) of memory states (B, S, D)."""
        return self.cross.precompute(states)

    def forward(
        self, x: Tensor, causal: Tensor, key: Tensor, value: Tensor, mask: Tensor, weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Teacher forcing: ``x`` (B, T, D), ``causal`` (T, T), ``mask`` (B, S); maps (B, H, T, S) where asked for."""
        x = self.around_attention.after(x, self.attention(self.around_attention.before(x), causal))
        return self._look(x, key, value, mask, weights)

    def step(
        self, x: Tensor, keys: Tensor, values: Tensor, place: int | None, key: Tensor, value: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
        """One token: ``x`` (B, K, D), and the layer's caches (B, K, H, T, W), as ``SelfAttention.step`` has them."""
        y, keys, values = self.attention.step(self.around_attention.before(x), keys, values, place)
        x, maps = self._look(self.around_attention.after(x, y), key, value, mask, weights=True)
        return x, maps, keys, values

    def _look(self, x: Tensor, key: Tensor, value: Tensor, mask: Tensor, weights: bool) -> tuple[Tensor, Tensor | None]:
        y, maps = self.cross(self.around_cross.before(x), key, value, mask, weights)
        x = self.around_cross.after(x, y)
        return self.around_feed_forward.after(x, self.feed_forward(self.around_feed_forward.before(x))), maps


def last_norm(options: TransformerOptions) -> nn.Module:
    """The norm after the last layer: with pre-norm the residual path has none; with post-norm the identity."""
    return nn.LayerNorm(options.width) if options.norm == "pre" else nn.Identity()


def initialise(stack: nn.Module) -> None:
    """Xavier initialisation of every matrix, zero for every bias."""
    for module in stack.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)


class TransformerEncoder(Encoder):
    """A stack of encoder layers. The sentence vector is the mean of the states."""

    def __init__(self, options: TransformerOptions, embedding: Embedding, dropout: float) -> None:
        super().__init__()
        self.embedding, self.positions, self.dropout = embedding, Positions(options), Dropout(dropout)
        self.layers = nn.ModuleList(EncoderLayer(options, dropout) for _ in range(options.layers))
        self.norm = last_norm(options)
        initialise(self)

    def forward(self, src: Tensor, src_mask: Tensor) -> Memory:
        places = torch.arange(src.shape[1], device=src.device)
        x = self.dropout(self.positions(self.embedding(src), places))
        for layer in self.layers:
            x = layer(x, src_mask[:, None, None, :])
        x = self.norm(x)
        share = src_mask / src_mask.sum(1, keepdim=True)
        return Memory(x, src_mask, (x * share[..., None]).sum(1))

    def layer_methods(self) -> dict[nn.Module, tuple[str, ...]]:
        return dict.fromkeys(self.layers, ())


class TransformerDecoder(Decoder):
    """A stack of decoder layers. Its attention is the cross-attention of all heads of all layers, H = L × heads."""

    def __init__(self, options: TransformerOptions, embedding: Embedding, memory_width: int, dropout: float) -> None:
        super().__init__()
        self.heads = options.heads
        self.embedding, self.positions, self.dropout = embedding, Positions(options), Dropout(dropout)
        self.layers = nn.ModuleList(DecoderLayer(options, memory_width, dropout) for _ in range(options.layers))
        self.norm = last_norm(options)
        initialise(self)

    @property
    def _layers(self) -> list[DecoderLayer]:
        return [layer for layer in self.layers if isinstance(layer, DecoderLayer)]

    def layer_methods(self) -> dict[nn.Module, tuple[str, ...]]:
        return dict.fromkeys(self.layers, ("precompute", "step"))

    def precompute(self, memory: Memory) -> Memory:
        pairs = [layer.precompute(memory.states) for layer in self._layers]
        return memory._replace(precomputed=tuple(part for pair in pairs for part in pair))

    def forward(self, memory: Memory, tgt_in: Tensor, attention: bool = False) -> DecoderOutput:
        places = torch.arange(tgt_in.shape[1], device=tgt_in.device)
        causal = places[:, None] >= places
        x = self.dropout(self.positions(self.embedding(tgt_in), places))
        maps: list[Tensor] = []
        for n, layer in enumerate(self._layers):
            key, value = memory.precomputed[2 * n : 2 * n + 2]
            x, weights = layer(x, causal, key, value, memory.mask, attention)
            maps += [] if weights is None else [weights]
        return DecoderOutput(self.norm(x), memory.over_positions(torch.cat(maps, 1) if attention else None))

    def init_state(self, memory: Memory) -> State:
        key = memory.precomputed[0]  # (B, H, S, W)
        empty = key.new_empty(key.shape[0], 1, self.heads, 0, key.shape[-1])
        caches = {f"{part}{n}": empty for n in range(len(self.layers)) for part in ("keys", "values")}
        return {"position": memory.mask.new_zeros(key.shape[0], 1, dtype=torch.long), **caches}

    def step(self, token: Tensor, state: State, memory: Memory) -> Step:
        position = state["position"]  # (B, K), all the same
        place = None if is_plain() else int(position[0, 0])
        x = self.positions(self.embedding(token), position[0, :1])
        new: State = {"position": position + 1}
        maps: list[Tensor] = []
        for n, layer in enumerate(self._layers):
            key, value = memory.precomputed[2 * n : 2 * n + 2]
            x, weights, new[f"keys{n}"], new[f"values{n}"] = layer.step(
                x, state[f"keys{n}"], state[f"values{n}"], place, key, value, memory.mask
            )
            maps += [] if weights is None else [weights]
        return Step(self.norm(x), new, memory.over_positions(torch.cat(maps, 1).transpose(1, 2)))
