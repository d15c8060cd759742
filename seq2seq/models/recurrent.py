"""The RNN encoder, and the RNN decoder, which is parameterised by a ``Context``: a fixed vector, or attention.

``lstm`` and ``bahdanau`` are this decoder with different contexts. Shapes as in ``interface``; E units of an
embedding, C of a context, G of a cell's gates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2seq.config.schema import RecurrentDecoderConfig, RecurrentEncoderConfig
from seq2seq.models.embedding import Embedding
from seq2seq.models.interface import Decoder, DecoderOutput, Encoder, Memory, State, Step
from seq2seq.models.kernels import is_plain
from seq2seq.models.kernels.dropout import Dropout
from seq2seq.models.kernels.linear import Linear, linear
from seq2seq.models.kernels.scan import Attended, lstm_scan
from seq2seq.models.mingru import MinGRU

HELD = 1e4  # added to gates that are to be 0 or 1 exactly


def recurrent_layer(cell: str, inputs: int, width: int) -> nn.Module:
    """One layer in one direction. An LSTM's forget bias is raised by 1, so that early gradients reach far back."""
    if cell == "mingru":
        return MinGRU(inputs, width)
    layer = {"lstm": nn.LSTM, "gru": nn.GRU}[cell](inputs, width, batch_first=True)
    if cell == "lstm":
        with torch.no_grad():
            layer.bias_ih_l0[width : 2 * width] += 1
    return layer


def matrices_of(layer: nn.Module) -> list[Tensor]:
    """Input weights (G, I), recurrent weights (G, D), and the bias of each (G)."""
    assert isinstance(layer, nn.RNNBase)
    return [*layer.all_weights[0]]


def reverse(x: Tensor, mask: Tensor) -> Tensor:
    """Reverse each sequence of (B, S[, D]); its padding stays at the end.

    The length S is the mask's, since an exporter takes that of an LSTM's output for a constant.
    """
    positions = torch.arange(mask.shape[1], device=x.device)
    lengths = mask.sum(1, keepdim=True)
    index = torch.where(mask, lengths - 1 - positions, positions)
    return x.gather(1, index if x.dim() == 2 else index[..., None].expand(-1, -1, x.shape[2]))


def lstm_to_the_end(layer: nn.Module, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The states (B, S, D) of an LSTM layer over ``x`` (B, S, I), and its cell (B, D) after each sequence's last input.

    torch gives the cell only after the padding. So a further input, 1 at padding, closes the input gate and opens the
    forget gate there: the cell stays as it is.
    """
    weight, *others = matrices_of(layer)
    width = len(weight) // 4
    hold = weight.new_tensor([-HELD, HELD, 0, 0]).repeat_interleave(width)[:, None]
    x = torch.cat([x, ~mask[..., None]], -1)
    zeros = x.new_zeros(1, x.shape[0], width)  # an exporter takes ``len(x)`` for a constant
    read, _, cell = torch.lstm(
        x, (zeros, zeros), [torch.cat([weight, hold], 1), *others], True, 1, 0.0, layer.training, False, True
    )
    return read, cell[0]


class RecurrentEncoder(Encoder):
    """LSTM, GRU or minGRU layers in both directions or one (Bahdanau et al. 2014, section 3.2).

    The backward direction is a second layer over reversed input, because packed sequences are slower on a CPU.

    Attributes:
        hands_over: whether the sentence vector is the last h and c of every layer, side by side in the order of a
            decoder's states, in place of the last h of the last layer. There is one direction then.
    """

    hands_over = False

    def __init__(self, options: RecurrentEncoderConfig, embedding: Embedding, dropout: float) -> None:
        super().__init__()
        self.embedding = embedding
        self.reverse_source = options.reverse_source
        self.dropout = Dropout(dropout)
        directions = 2 if options.bidirectional else 1
        widths = [embedding.embedding_dim] + [options.width * directions] * (options.layers - 1)
        self.layers = nn.ModuleList(
            nn.ModuleList(recurrent_layer(options.cell, width, options.width) for _ in range(directions))
            for width in widths
        )

    def forward(self, src: Tensor, src_mask: Tensor) -> Memory:
        """The states are the last layer's; the sentence vector is the last state of each direction, side by side."""
        # To reverse the source is to exchange the directions; the states stay in the source's order.
        backwards = (self.reverse_source, not self.reverse_source)
        last = (src_mask.sum(1) - 1)[:, None, None]
        x = self.embedding(src)
        ends: list[Tensor] = []
        for layer in self.layers:
            x = self.dropout(x)
            outputs, ends = [], ends if self.hands_over else []
            for direction, backward in zip(layer.children(), backwards, strict=False):
                given = reverse(x, src_mask) if backward else x
                cells: list[Tensor] = []
                if self.hands_over and isinstance(direction, nn.LSTM):
                    read, cell = lstm_to_the_end(direction, given, src_mask)
                    cells = [cell]
                else:
                    read, _ = direction(given)
                ends += [read.gather(1, last.expand(-1, 1, read.shape[2]))[:, 0], *cells]
                outputs.append(reverse(read, src_mask) if backward else read)
            x = torch.cat(outputs, -1)
        return Memory(x, src_mask, torch.cat(ends, -1))

    def layer_methods(self) -> dict[nn.Module, tuple[str, ...]]:
        if self.hands_over:  # ``lstm_to_the_end`` reads a layer's weights without calling it
            return {}
        return {direction: () for layer in self.layers for direction in layer.children()}

    def uncompiled_methods(self) -> dict[nn.Module, tuple[str, ...]]:
        return {self: ("forward",)}


class Context(nn.Module, ABC):
    """The part of an RNN decoder that reads the memory: one vector (B, C) of the source at each step."""

    width: int  # C
    first_width: int  # C', of the vector that the first state is computed from; 0: it is that state
    changes: bool  # whether the vector depends on the decoder's state
    after = False  # whether that is the state after the cell, so that the next step's cell reads the vector

    @abstractmethod
    def precompute(self, memory: Memory) -> Memory:
        """Add to the memory what depends on the sentence alone."""

    @abstractmethod
    def first(self, memory: Memory) -> Tensor:
        """The vector (B, C') from which the decoder's first state is computed."""

    def bottleneck(self, memory: Memory) -> Tensor:
        """All that the decoder reads of the source (B, …), where the context never changes."""
        return self.first(memory)

    @abstractmethod
    def forward(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor | None]:
        """From the state (B, K, D): the context (B, K, C), and the attention weights (B, K, S) or None.

        A context that is the same for all hypotheses of a sentence is (B, 1, C).
        """

    def scan(
        self, gates: Tensor, reading: Tensor, recurrent: Tensor, state: Tensor, cell: Tensor, memory: Memory
    ) -> Attended | None:
        """All steps of one LSTM layer by a fused kernel; None where there is none, and the caller loops over steps.

        The gates include the part of a context that never changes, so that its layer is like any other.

        Args:
            gates: (T, B, 4D), the part of the gates from embeddings, biases and a context that never changes.
            reading, recurrent: weights of the context (4D, C) and of the state (4D, D).
            state, cell: (B, D), before the first step.
        """
        return None if self.changes else Attended(lstm_scan(gates, recurrent, state, cell), None, None)


class RecurrentDecoder(Decoder):
    """s_i = cell(y_{i-1}, c_i, s_{i-1}), then a readout of s_i, y_{i-1} and c_i, after Bahdanau et al. 2014, A.2.2.

    The order is RNNsearch's: the previous state determines the context, which enters the cell of the next state. Where
    the context is chosen ``after`` the step, s_i = cell(y_{i-1}, c_{i-1}, s_{i-1}) determines c_i, and c_0 = 0.
    """

    def __init__(self, options: RecurrentDecoderConfig, embedding: Embedding, context: Context, dropout: float) -> None:
        super().__init__()
        self.embedding, self.context = embedding, context
        self.dropout = Dropout(dropout)
        width, inputs = options.width, embedding.embedding_dim + context.width
        self.layers = nn.ModuleList(
            recurrent_layer(options.cell, inputs if n == 0 else width, width) for n in range(options.layers)
        )
        self.parts = ("h", "c") if options.cell == "lstm" else ("h",)
        states = options.layers * len(self.parts)
        given = context.first_width
        self.first = Linear(given, width * states, output_parts=states) if given else None
        self.readout = Linear(width + inputs, embedding.embedding_dim)

    def precompute(self, memory: Memory) -> Memory:
        """Append what a context that never changes adds to the gates (B, 1, G) and to the readout (B, 1, E)."""
        memory = self.context.precompute(memory)
        if self.context.changes:
            return memory
        context, _ = self.context(memory.sentence_vector[:, None], memory)  # the same for any state
        weights = (matrices_of(self.layers[0])[0], self.readout.weight)
        products = (linear(context, self._of_context(weight)[1]) for weight in weights)
        return memory._replace(precomputed=(*memory.precomputed, *products))

    def _of_context(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Split a weight (…, I + C) into the columns of the other inputs (…, I) and those of the context (…, C)."""
        own, of_context = weight.split([weight.shape[1] - self.context.width, self.context.width], 1)
        return own, of_context

    def bottleneck(self, memory: Memory) -> Tensor | None:
        return super().bottleneck(memory) if self.context.changes else self.context.bottleneck(memory)

    def init_state(self, memory: Memory) -> State:
        first = self.context.first(memory)[:, None]
        first = first if self.first is None else torch.tanh(self.first(first))
        names = [f"{part}{n}" for n in range(len(self.layers)) for part in self.parts]
        state = dict(zip(names, first.chunk(len(names), -1), strict=True))
        # Cells are sums over all steps: in bf16 a small addition to a large cell would be rounded away.
        high = torch.promote_types(first.dtype, torch.float32)
        state = {name: part.to(high) if name.startswith("c") else part for name, part in state.items()}
        if self.context.after:
            state["read"] = self._nothing(memory)
        return state

    def _nothing(self, memory: Memory) -> Tensor:
        """c_0 (B, 1, C), where a context is chosen after the step."""
        sentences = memory.states.shape[0]  # an exporter takes ``len`` for a constant
        return memory.states.new_zeros(sentences, 1, self.context.width)

    def step(self, token: Tensor, state: State, memory: Memory) -> Step:
        embedded, top = self.embedding(token), f"h{len(self.layers) - 1}"
        context, weights, of_readout = state.get("read"), None, None
        if self.context.changes:
            if context is None:
                context, weights = self.context(state[top], memory)
            weight, _, bias, _ = matrices_of(self.layers[0])
            gates = linear(torch.cat([embedded, context], -1), weight, bias)
        else:
            of_gates, of_readout = memory.precomputed[-2:]
            gates = self._embedded_gates(embedded) + of_gates
        state = self._advance(gates, state)
        if self.context.after:
            context, weights = self.context(state[top], memory)
            state["read"] = context
        hidden = self._read_out(state[top], embedded, context, of_readout)
        return Step(hidden, state, memory.over_positions(None if weights is None else weights[:, :, None]))

    def forward(self, memory: Memory, tgt_in: Tensor, attention: bool = False) -> DecoderOutput:
        # What does not depend on the previous state is computed for all steps at once.
        embedded = self.dropout(self.embedding(tgt_in)).transpose(0, 1)  # (T, B, E): a step is one block of memory
        found = self._forward_steps(embedded, memory)
        of_readout = None if self.context.changes else memory.precomputed[-1].transpose(0, 1)
        hidden = self._read_out(found.states, embedded, found.contexts, of_readout).transpose(0, 1)
        maps = found.weights.permute(1, 0, 2)[:, None] if attention and found.weights is not None else None
        return DecoderOutput(hidden, memory.over_positions(maps))

    def uncompiled_methods(self) -> dict[nn.Module, tuple[str, ...]]:
        return {self: ("precompute", "_forward_steps")}

    def _forward_steps(self, embedded: Tensor, memory: Memory) -> Attended:
        """All steps of all layers, from embeddings (T, B, E)."""
        fast = None if is_plain() else self._forward_fused(embedded, memory) or self._forward_cudnn(embedded, memory)
        return fast or self._forward_loop(embedded, memory)

    def _forward_fused(self, embedded: Tensor, memory: Memory) -> Attended | None:
        """LSTM layers by ``scan``: one, or several over a context that never changes; None for other decoders."""
        if len(self.parts) == 1 or (len(self.layers) > 1 and self.context.changes):
            return None
        if embedded.is_cuda and not self.context.changes:  # cuDNN is faster
            return None
        weight, recurrent, bias, recurrent_bias = matrices_of(self.layers[0])
        from_embedding, reading = self._of_context(weight)
        gates = F.linear(embedded, from_embedding, bias + recurrent_bias)
        if not self.context.changes:
            gates = gates + memory.precomputed[-2].transpose(0, 1)
        state = self.init_state(memory)
        found = self.context.scan(gates, reading, recurrent, state["h0"][:, 0], state["c0"][:, 0], memory)
        for n, layer in enumerate([*self.layers][1:], start=1):
            assert found is not None
            weight, recurrent, bias, recurrent_bias = matrices_of(layer)
            gates = F.linear(self.dropout(found.states), weight, bias + recurrent_bias)
            found = Attended(lstm_scan(gates, recurrent, state[f"h{n}"][:, 0], state[f"c{n}"][:, 0]), None, None)
        return found

    def _forward_cudnn(self, embedded: Tensor, memory: Memory) -> Attended | None:
        """Each torch layer over all steps in one call; None where the context changes from step to step."""
        if self.context.changes:
            return None
        state = self.init_state(memory)
        contexts = self.context(embedded[0, :, None], memory)[0].transpose(0, 1).expand(len(embedded), -1, -1)
        x = torch.cat([embedded, contexts], -1).transpose(0, 1)
        for n, layer in enumerate(self.layers):
            kind = state[f"h{n}"].dtype  # a torch layer wants state and cell alike
            first = tuple(state[f"{part}{n}"].transpose(0, 1).to(kind).contiguous() for part in self.parts)
            x, _ = layer(x if n == 0 else self.dropout(x), first if len(first) > 1 else first[0])
        return Attended(x.transpose(0, 1), None, None)

    def _forward_loop(self, embedded: Tensor, memory: Memory) -> Attended:
        """The reference: a loop over steps, as in a search."""
        state, states, contexts, maps = self.init_state(memory), [], [], []
        context, top = self._nothing(memory), f"h{len(self.layers) - 1}"
        _, reading = self._of_context(matrices_of(self.layers[0])[0])
        for gates in self._embedded_gates(embedded):
            if not self.context.after:
                context, weights = self.context(state[top], memory)
            state = self._advance(gates[:, None] + F.linear(context, reading), state)
            if self.context.after:
                context, weights = self.context(state[top], memory)
            states.append(state[top][:, 0])
            contexts.append(context[:, 0])
            maps.append(weights)
        given = [weights[:, 0] for weights in maps if weights is not None]
        return Attended(torch.stack(states), torch.stack(contexts), torch.stack(given) if given else None)

    def _embedded_gates(self, embedded: Tensor) -> Tensor:
        """The embeddings' part of the first layer's gates, (…, E) to (…, G)."""
        weight, _, bias, _ = matrices_of(self.layers[0])
        return linear(embedded, self._of_context(weight)[0], bias)

    def _advance(self, gates: Tensor, state: State) -> State:
        """One step of all layers, from the input's part of the first layer's gates (B, K, G)."""
        new: State = {}
        for n, layer in enumerate(self.layers):
            weight, recurrent_weight, bias, recurrent_bias = matrices_of(layer)
            if n > 0:
                gates = linear(self.dropout(new[f"h{n - 1}"]), weight, bias)
            recurrent = linear(state[f"h{n}"], recurrent_weight, recurrent_bias)
            if len(self.parts) == 2:
                new[f"h{n}"], new[f"c{n}"] = lstm_cell(gates + recurrent, state[f"c{n}"])
            else:
                new[f"h{n}"] = gru_cell(gates, recurrent, state[f"h{n}"])
        return new

    def _read_out(self, state: Tensor, embedded: Tensor, context: Tensor | None, of_context: Tensor | None) -> Tensor:
        """The readout. ``of_context`` is the context's part of it, given where ``context`` is None."""
        if context is not None:
            hidden: Tensor = self.readout(torch.cat([state, embedded, context], -1))
        else:
            assert of_context is not None
            own, _ = self._of_context(self.readout.weight)
            hidden = linear(torch.cat([state, embedded], -1), own, self.readout.bias) + of_context
        return self.dropout(torch.tanh(hidden))


def lstm_cell(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """An LSTM step: gates (…, 4D) in torch's order and the old cell (…, D) to the new state and cell (…, D)."""
    input_, forget, candidate, output = gates.chunk(4, -1)
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(input_) * torch.tanh(candidate)
    return (torch.sigmoid(output) * torch.tanh(cell)).to(gates.dtype), cell


def gru_cell(gates: Tensor, recurrent: Tensor, state: Tensor) -> Tensor:
    """A GRU step: the gates (…, 3D) of input and state in torch's order, and the old state (…, D), to the new one."""
    reset_x, update_x, candidate_x = gates.chunk(3, -1)
    reset_h, update_h, candidate_h = recurrent.chunk(3, -1)
    update = torch.sigmoid(update_x + update_h)
    candidate = torch.tanh(candidate_x + torch.sigmoid(reset_x + reset_h) * candidate_h)
    return update * state + (1 - update) * candidate
