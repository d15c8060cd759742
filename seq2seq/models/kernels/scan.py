"""All steps of a recurrent layer at once, with their own backward: what ``recurrent`` does step by step, faster.

Autograd adds up a gradient of every weight at every step. Here a step computes only what the step beside it needs; the
gradients of the weights are one product each, after the loop. What does not depend on the previous state has left the
loop too: the inputs' part of the gates, and the readout.

Products run in autocast's type, and a gate's sum with them; cells, and what is summed over steps, are in float32 or
better. tanh is written with the sigmoid, tanh x = 2σ(2x) - 1, which costs a third of it on a CPU. Time comes first, so
that a step is one block of memory.

Shapes: T steps, B sentences, S source positions, D units of the state, C of a source position, A of the energies.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Gradients = tuple[Tensor | None, ...]


def product_type(x: Tensor) -> torch.dtype:
    """The type that matrix products run in here: autocast's where it is on, else the tensor's own."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


class Cells:
    """The cells of an LSTM layer at all steps, in torch's order of gates: input, forget, candidate, output."""

    def __init__(self, gates: Tensor, cell: Tensor) -> None:
        """``gates`` (T, B, 4D): the inputs' part, in the type of products; ``cell`` (B, D): before the first step."""
        steps, sentences, width = gates.shape
        self.width = width // 4
        self.gates = gates.clone()  # becomes their sigmoids
        self.gates[..., 2 * self.width : 3 * self.width] *= 2
        self.cells = cell.new_empty(steps + 1, sentences, self.width)
        self.cells[0] = cell

    def doubled(self, weight: Tensor) -> Tensor:
        """A weight of the gates (4D, …) for ``forward``, whose sigmoid of twice the candidate gives its tanh."""
        weight = weight.clone()
        weight[2 * self.width : 3 * self.width] *= 2
        return weight

    def forward(self, t: int, x: Tensor, weight: Tensor) -> Tensor:
        """Step ``t`` with the states' part ``x`` (B, …) through ``weight`` (4D, …), doubled: the new state (B, D)."""
        gates = self.gates[t].addmm_(x, weight.t()).sigmoid_()
        input_, forget, candidate, output = gates.to(self.cells.dtype).chunk(4, -1)
        cell = torch.mul(forget, self.cells[t], out=self.cells[t + 1])
        cell.addcmul_(input_, candidate, value=2).sub_(input_)
        return torch.mul(cell, 2).sigmoid_().mul_(2).sub_(1).mul_(output)

    def backward(self, t: int, state: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """From the gradients of step t's state and cell: those of its gates (B, 4D) and of the cell before it."""
        gates = self.gates[t].to(cell.dtype)
        input_, forget, candidate, output = gates.chunk(4, -1)
        squashed = torch.mul(self.cells[t + 1], 2).sigmoid_().mul_(2).sub_(1)
        through = torch.addcmul(output, torch.mul(output, squashed), squashed, value=-1)  # o (1 - tanh² c)
        cell = torch.addcmul(cell, state, through)
        slopes = torch.addcmul(gates, gates, gates, value=-1)  # σ (1 - σ)
        to_input, to_forget, to_candidate, to_output = slopes.chunk(4, -1)
        to_input.mul_(candidate.mul(2).sub_(1))
        to_forget.mul_(self.cells[t])
        to_candidate.mul_(input_).mul_(4)  # 1 - tanh²x = 4σ(1 - σ) of 2x
        to_output.mul_(squashed).mul_(state)
        slopes.unflatten(-1, (4, -1))[:, :3].mul_(cell[:, None])
        return slopes, cell.mul_(forget)


def lstm_scan(gates: Tensor, weight: Tensor, state: Tensor, cell: Tensor) -> Tensor:
    """An LSTM layer over T steps: the states (T, B, D).

    Args:
        gates: (T, B, 4D), what comes of the inputs and biases, in torch's order.
        weight: (4D, D), recurrent.
        state, cell: (B, D), before the first step.
    """
    states: Tensor = _LSTMScan.apply(gates, weight, state, cell)  # type: ignore[no-untyped-call]
    return states


class _LSTMScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gates: Tensor, weight: Tensor, state: Tensor, cell: Tensor) -> Tensor:
        low = product_type(weight)
        with torch.autocast(weight.device.type, enabled=False):
            cells = Cells(gates.to(low), cell.to(weight.dtype))
            recurrent = cells.doubled(weight.to(low))
            states = cells.gates.new_empty(len(gates) + 1, *state.shape)
            states[0] = state
            for t in range(len(gates)):
                states[t + 1] = cells.forward(t, states[t], recurrent)
        ctx.cells = cells
        ctx.save_for_backward(weight, states)
        ctx.types = gates.dtype, weight.dtype, state.dtype, cell.dtype
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Gradients:
        weight, states = ctx.saved_tensors
        low, cells = states.dtype, ctx.cells
        weight = weight.to(low)
        gates = torch.empty_like(cells.gates)
        cell = torch.zeros_like(cells.cells[0])
        state = torch.zeros_like(cell)
        for t in reversed(range(len(gates))):
            slopes, cell = cells.backward(t, state.add_(grad[t]), cell)
            gates[t] = slopes
            state = (gates[t] @ weight).to(cell.dtype)
        of_weight = gates.flatten(0, 1).t() @ states[:-1].flatten(0, 1)
        found = gates, of_weight, state, cell
        return tuple(x.to(type_) for x, type_ in zip(found, ctx.types, strict=True))


class Attended(NamedTuple):
    """What all steps came to: states (T, B, D), and attention (T, B, S) if there is any.

    Contexts are (T, B, C), or None where one serves for all steps.
    """

    states: Tensor
    contexts: Tensor | None
    weights: Tensor | None


def attentive_scan(
    gates: Tensor,
    weights: tuple[Tensor, Tensor, Tensor, Tensor],
    memory: tuple[Tensor, Tensor, Tensor],
    state: Tensor,
    cell: Tensor,
) -> Attended:
    """An LSTM layer that looks back, over T steps (Bahdanau et al. 2014, appendix A.2.2).

    Args:
        gates: (T, B, 4D), what comes of the embeddings and biases, in torch's order.
        weights: of the state (4D, D) and the context (4D, C) to the gates, of the query (A, D), of the energy (A).
        memory: keys (B, S, A), states (B, S, C), and (B, S) that is -inf at padding, else 0.
        state, cell: (B, D), before the first step.
    """
    given = (gates, *weights, *memory, state, cell, torch.is_grad_enabled())
    found = _AttentiveScan.apply(*given)  # type: ignore[no-untyped-call]
    return Attended(*found)


class _AttentiveScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        gates: Tensor,
        recurrent: Tensor,
        reading: Tensor,
        query: Tensor,
        energy: Tensor,
        keys: Tensor,
        memory: Tensor,
        padding: Tensor,
        state: Tensor,
        cell: Tensor,
        keep: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.types = [x.dtype for x in (gates, recurrent, reading, query, energy, keys, memory, state, cell)]
        low = product_type(recurrent)
        steps, (sentences, width) = len(gates), state.shape
        with torch.autocast(recurrent.device.type, enabled=False):
            cells = Cells(gates.to(low), cell.to(recurrent.dtype))
            both = torch.cat([recurrent, reading], 1).to(low)
            into, twice_query, twice_keys = cells.doubled(both), query.to(low) * 2, keys.to(low) * 2
            low_energy, memory = energy.to(low)[:, None] * 2, memory.to(low)
            # A step's previous state and its context lie side by side, as one input of one product.
            inputs = memory.new_empty(steps + 1, sentences, both.shape[1])
            # σ of twice the energies' insides. Nothing else is as large, and only a backward asks for all of them.
            squashed = memory.new_empty(steps if keep else 1, *keys.shape)
            weights = memory.new_empty(steps, *padding.shape)
            inputs[0, :, :width] = state
            for t in range(steps):
                queries = inputs[t, :, :width] @ twice_query.t()
                inside = torch.add(twice_keys, queries[:, None], out=squashed[t if keep else 0]).sigmoid_()
                energies = (inside.flatten(0, 1) @ low_energy).view(padding.shape)  # up to a constant
                weights[t] = torch.softmax(padding + energies, -1)
                torch.bmm(weights[t][:, None], memory, out=inputs[t, :, None, width:])
                inputs[t + 1, :, :width] = cells.forward(t, inputs[t], into)
        ctx.cells = cells
        ctx.save_for_backward(both, query, energy, memory, inputs, squashed, weights)
        ctx.mark_non_differentiable(weights)
        return inputs[1:, :, :width], inputs[:-1, :, width:], weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_states: Tensor, of_contexts: Tensor, _: Tensor) -> Gradients:
        both, query, energy, memory, inputs, squashed, weights = ctx.saved_tensors
        cells, low = ctx.cells, inputs.dtype
        steps, sentences, width = of_states.shape
        low_query = query.to(low)
        gates, queries = torch.empty_like(cells.gates), inputs.new_empty(steps, sentences, len(query))
        contexts, energies = torch.empty_like(inputs[:-1, :, width:]), torch.empty_like(weights)
        cell = torch.zeros_like(cells.cells[0])
        state = torch.zeros_like(cell)
        keys = torch.zeros(squashed.shape[1:], dtype=cell.dtype, device=cell.device)
        inner = (energy * 4).to(cell.dtype)  # of tanh' = 4σ(1 - σ) and the energy's weight
        for t in reversed(range(steps)):
            slopes, cell = cells.backward(t, state.add_(of_states[t]), cell)
            gates[t] = slopes
            before = gates[t] @ both
            torch.add(before[:, width:], of_contexts[t], out=contexts[t])
            of_weights = torch.bmm(memory, contexts[t][:, :, None]).squeeze(-1).to(cell.dtype)
            attention = weights[t].to(cell.dtype)
            of_weights -= (attention * of_weights).sum(-1, keepdim=True)
            energies[t] = attention * of_weights
            slope = torch.addcmul(squashed[t], squashed[t], squashed[t], value=-1)
            queries[t] = torch.bmm(energies[t][:, None], slope).squeeze(1) * inner
            keys += slope.mul_(energies[t][:, :, None])
            state = torch.addmm(before[:, :width], queries[t], low_query).to(cell.dtype)
        flat = gates.flatten(0, 1)
        of_both = flat.t() @ inputs[:-1].flatten(0, 1)
        of_query = queries.flatten(0, 1).t() @ inputs[:-1, :, :width].flatten(0, 1)
        of_energy = (energies.flatten()[None] @ squashed.flatten(0, 2)).squeeze(0) * 2
        of_memory = torch.bmm(weights.permute(1, 2, 0), contexts.transpose(0, 1))
        found = (gates, of_both[:, :width], of_both[:, width:], of_query, of_energy, keys * inner, of_memory)
        typed = [x.to(type_) for x, type_ in zip((*found, state, cell), ctx.types, strict=True)]
        return *typed[:7], None, *typed[7:], None
