"""The three models as a good PyTorch tutorial writes them. Knows torch alone.

Shapes: B sentences, S source and T target positions, D units, V tokens. Ids 0 and 2 are padding and begin-of-sentence.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PAD, BOS = 0, 2
State = tuple[Tensor, ...]


class Translation(nn.Module):
    """A model: ``encode``, ``decode`` (teacher forcing), and ``init_state`` and ``step`` for a search."""

    generator: nn.Linear
    encode: Callable[[Tensor], State]
    decode: Callable[..., Tensor]
    init_state: Callable[..., State]
    step: Callable[[Tensor, State], tuple[Tensor, State]]

    def forward(self, src: Tensor, tgt_in: Tensor) -> Tensor:
        """(B, S) and (B, T) to logits (B, T, V)."""
        return self.generator(self.decode(tgt_in, *self.encode(src)))


class TransformerTranslation(Translation):
    """``nn.Transformer`` with scaled, tied embeddings and sinusoidal positions."""

    def __init__(self, vocabulary: int, size: dict[str, int], dropout: float) -> None:
        super().__init__()
        width = size["width"]
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PAD)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.dropout = nn.Dropout(dropout)
        self.transformer = nn.Transformer(
            width,
            size["heads"],
            size["layers"],
            size["layers"],
            size["feed_forward"],
            dropout,
            batch_first=True,
            norm_first=True,
        )
        for module in self.transformer.modules():
            if isinstance(module, nn.MultiheadAttention):
                module.dropout = 0.0  # no dropout of attention weights: ours has none
        self.generator = nn.Linear(width, vocabulary)
        self.generator.weight = self.embedding.weight
        place = torch.arange(1024)[:, None] * torch.exp(torch.arange(0, width, 2) * (-math.log(10_000) / width))
        self.positions: Tensor
        self.register_buffer("positions", torch.stack([place.sin(), place.cos()], -1).flatten(1), persistent=False)

    def embed(self, ids: Tensor) -> Tensor:
        """(B, L) to (B, L, D)."""
        scaled = self.embedding(ids) * math.sqrt(self.embedding.embedding_dim)
        return self.dropout(scaled + self.positions[: ids.shape[1]])

    def encode(self, src: Tensor) -> State:
        """Memory (B, S, D), and its padding mask (B, S), True at padding."""
        padding = src == PAD
        return self.transformer.encoder(self.embed(src), src_key_padding_mask=padding), padding

    def decode(self, tgt_in: Tensor, memory: Tensor, padding: Tensor) -> Tensor:
        """(B, T) to (B, T, D). Targets are padded at their ends, which a causal mask hides already."""
        mask = nn.Transformer.generate_square_subsequent_mask(tgt_in.shape[1], device=tgt_in.device)
        embedded = self.embed(tgt_in)
        return self.transformer.decoder(
            embedded, memory, tgt_mask=mask, tgt_is_causal=True, memory_key_padding_mask=padding
        )

    def init_state(self, memory: Tensor, padding: Tensor) -> State:
        """The state holds no cache, only the tokens so far: the decoder reads the whole prefix at each step."""
        return (memory, padding, torch.zeros(len(memory), 0, dtype=torch.long, device=memory.device))

    def step(self, token: Tensor, state: State) -> tuple[Tensor, State]:
        """(B,) to logits (B, V)."""
        memory, padding, prefix = state
        prefix = torch.cat([prefix, token[:, None]], 1)
        return self.generator(self.decode(prefix, memory, padding)[:, -1]), (memory, padding, prefix)


class RecurrentTranslation(Translation):
    """A bidirectional LSTM encoder, and an LSTM decoder with or without additive attention."""

    def __init__(self, vocabulary: int, size: dict[str, int], dropout: float, attention: bool) -> None:
        super().__init__()
        embedding, encoder, width = size["embedding"], size["encoder"], size["decoder"]
        self.attention = attention
        context = 2 * encoder if attention else width
        self.embedding = nn.Embedding(vocabulary, embedding, padding_idx=PAD)
        nn.init.normal_(self.embedding.weight, std=embedding**-0.5)
        self.dropout = nn.Dropout(dropout)
        self.encoder = nn.LSTM(embedding, encoder, batch_first=True, bidirectional=True)
        self.first = nn.Linear(2 * encoder, 2 * width)
        self.readout = nn.Linear(width + embedding + context, embedding)
        self.generator = nn.Linear(embedding, vocabulary)
        self.generator.weight = self.embedding.weight
        if attention:
            self.cell = nn.LSTMCell(embedding + context, width)
            self.query = nn.Linear(width, size["attention"], bias=False)
            self.key = nn.Linear(2 * encoder, size["attention"])
            self.energy = nn.Linear(size["attention"], 1, bias=False)
        else:
            self.compress = nn.Linear(2 * encoder, context)
            self.decoder = nn.LSTM(embedding + context, width, batch_first=True)

    def embed(self, ids: Tensor) -> Tensor:
        """(B, L) to (B, L, E)."""
        return self.dropout(self.embedding(ids) * math.sqrt(self.embedding.embedding_dim))

    def encode(self, src: Tensor) -> State:
        """Encoder states (B, S, 2E), their keys, the mask of real positions (B, S), and the first h and c (B, D).

        The source is packed, so that the backward direction begins at each sentence's end.

        Without attention: the context (B, D) in place of the first three.
        """
        real = src != PAD
        lengths = real.sum(1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(self.embed(src), lengths, batch_first=True, enforce_sorted=False)
        outputs, (last, _) = self.encoder(packed)
        memory, _ = nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True, total_length=src.shape[1])
        summary = torch.cat([last[0], last[1]], -1)
        hidden, cell = torch.tanh(self.first(summary)).chunk(2, -1)
        if self.attention:
            return memory, self.key(memory), real, hidden.contiguous(), cell.contiguous()
        return torch.tanh(self.compress(summary)), hidden.contiguous(), cell.contiguous()

    def attend(self, hidden: Tensor, memory: Tensor, keys: Tensor, real: Tensor) -> Tensor:
        """The context (B, 2E) for the state (B, D) (Bahdanau et al. 2014)."""
        energies = self.energy(torch.tanh(self.query(hidden)[:, None] + keys)).squeeze(-1)
        weights = F.softmax(energies.masked_fill(~real, float("-inf")), -1)
        return torch.bmm(weights[:, None], memory).squeeze(1)

    def decode(self, tgt_in: Tensor, *state: Tensor) -> Tensor:
        """(B, T) to (B, T, E): the cell in a loop over the target, the readout of all steps at once."""
        embedded = self.embed(tgt_in)
        *source, hidden, cell = state
        if not self.attention:
            context = source[0][:, None].expand(-1, tgt_in.shape[1], -1)
            states, _ = self.decoder(torch.cat([embedded, context], -1), (hidden[None], cell[None]))
            return self.read_out(states, embedded, context)
        states, contexts = [], []
        for t in range(tgt_in.shape[1]):
            context = self.attend(hidden, *source)
            hidden, cell = self.cell(torch.cat([embedded[:, t], context], -1), (hidden, cell))
            states.append(hidden)
            contexts.append(context)
        return self.read_out(torch.stack(states, 1), embedded, torch.stack(contexts, 1))

    def read_out(self, states: Tensor, embedded: Tensor, contexts: Tensor) -> Tensor:
        """Decoder states, embeddings and contexts to the embedding's width."""
        return self.dropout(torch.tanh(self.readout(torch.cat([states, embedded, contexts], -1))))

    def init_state(self, *encoded: Tensor) -> State:
        """The encoder's output, with h and c last."""
        return encoded

    def step(self, token: Tensor, state: State) -> tuple[Tensor, State]:
        """(B,) to logits (B, V)."""
        *source, hidden, cell = state
        embedded = self.embed(token)
        context = self.attend(hidden, *source) if self.attention else source[0]
        inputs = torch.cat([embedded, context], -1)
        if self.attention:
            hidden, cell = self.cell(inputs, (hidden, cell))
        else:
            _, (hidden, cell) = self.decoder(inputs[:, None], (hidden[None], cell[None]))
            hidden, cell = hidden[0], cell[0]
        return self.generator(self.read_out(hidden, embedded, context)), (*source, hidden, cell)


def build(model: str, vocabulary: int, size: dict[str, int], dropout: float) -> Translation:
    """``transformer``, ``bahdanau`` or ``lstm``."""
    if model == "transformer":
        return TransformerTranslation(vocabulary, size, dropout)
    return RecurrentTranslation(vocabulary, size, dropout, attention=model == "bahdanau")
