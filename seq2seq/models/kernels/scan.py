"""All steps of an LSTM layer in one autograd function with its own backward: a fast form of ``recurrent``'s loop.

Autograd would add to the gradient of every weight at every step. Here a step computes only what its neighbour needs;
the gradient of a weight is one matrix product after the loop. The inputs' part of the gates is computed before it.

Matrix products, and the sums of gates, are in autocast's type; cells, and sums over steps, in float32 or better. On a
CPU tanh costs three times as much as the sigmoid, so it is written as tanh x = 2σ(2x) - 1. In bf16 σ has steps of 2⁻⁸
near ½, so that tanh x errs by up to 0.004, evenly to both sides, where bf16's own would err by 0.002 of its size.
Tensors are (T, B, …), so that a step is one block of memory.

Shapes: T steps, B sentences, S source positions, D units of the state, C of a source position, A of the energies. In
equations ⊙ multiplies element by element, and dx is the gradient of the loss with respect to x.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seq2seq.models.kernels.linear import product_type

Gradients = tuple[Tensor | None, ...]


class Cells:
    """The LSTM cell at all steps (torch's order of gates: input i, forget f, candidate g, output o).

    With the sums of gates a_t = gates_t + W x_t, where x_t is the previous state (and the context, if any), a step is

        i = σ(a_i)   f = σ(a_f)   g = tanh(a_g) = 2s - 1, s = σ(2 a_g)   o = σ(a_o)
        c_t = f ⊙ c_{t-1} + i ⊙ g = f ⊙ c_{t-1} + 2 i ⊙ s - i
        h_t = o ⊙ tanh(c_t)

    The candidate's rows of gates and weights are doubled beforehand, so that a single sigmoid gives i, f, s and o.
    Given dh_t, and from step t + 1 the gradient dc_t, the backward of a step is

        dc_t ← dc_t + dh_t ⊙ o ⊙ (1 - tanh²(c_t))
        da_i = dc_t ⊙ g ⊙ i(1 - i)                  da_f = dc_t ⊙ c_{t-1} ⊙ f(1 - f)
        da_g = dc_t ⊙ i ⊙ (1 - g²), 1 - g² = 4s(1 - s)   da_o = dh_t ⊙ tanh(c_t) ⊙ o(1 - o)
        dc_{t-1} = dc_t ⊙ f
    """

    def __init__(self, gates: Tensor, cell: Tensor) -> None:
        """``gates`` (T, B, 4D): the inputs' part, in the type of products; ``cell`` (B, D): c_0."""
        steps, sentences, width = gates.shape
        self.width = width // 4
        self.gates = gates.clone()  # overwritten step by step with i, f, s, o
        self.gates[..., 2 * self.width : 3 * self.width] *= 2
        self.cells = cell.new_empty(steps + 1, sentences, self.width)
        self.cells[0] = cell

    def doubled(self, weight: Tensor) -> Tensor:
        """A copy of a weight (4D, …) whose candidate's rows are doubled, as ``forward`` expects it."""
        weight = weight.clone()
        weight[2 * self.width : 3 * self.width] *= 2
        return weight

    def forward(self, t: int, x: Tensor, weight: Tensor) -> Tensor:
        """The state h_t (B, D) of step ``t``, from ``x`` (B, …) and the doubled ``weight`` (4D, …) that it meets."""
        gates = self.gates[t].addmm_(x, weight.t()).sigmoid_()
        input_, forget, candidate, output = gates.to(self.cells.dtype).chunk(4, -1)
        cell = torch.mul(forget, self.cells[t], out=self.cells[t + 1])
        cell.addcmul_(input_, candidate, value=2).sub_(input_)
        return torch.mul(cell, 2).sigmoid_().mul_(2).sub_(1).mul_(output)

    def backward(self, t: int, grad_state: Tensor, grad_cell: Tensor) -> tuple[Tensor, Tensor]:
        """The gradients da_t (B, 4D) and dc_{t-1} (B, D), from dh_t (B, D) and, from step t + 1, dc_t (B, D)."""
        gates = self.gates[t].to(grad_cell.dtype)
        input_, forget, candidate, output = gates.chunk(4, -1)
        squashed = torch.mul(self.cells[t + 1], 2).sigmoid_().mul_(2).sub_(1)
        through = torch.addcmul(output, torch.mul(output, squashed), squashed, value=-1)  # o (1 - tanh²(c_t))
        grad_cell = torch.addcmul(grad_cell, grad_state, through)
        slopes = torch.addcmul(gates, gates, gates, value=-1)  # σ(1 - σ) of all four
        to_input, to_forget, to_candidate, to_output = slopes.chunk(4, -1)
        to_input.mul_(candidate.mul(2).sub_(1))  # g = 2s - 1
        to_forget.mul_(self.cells[t])
        to_candidate.mul_(input_).mul_(4)  # 1 - g² = 4s(1 - s)
        to_output.mul_(squashed).mul_(grad_state)
        slopes.unflatten(-1, (4, -1))[:, :3].mul_(grad_cell[:, None])
        return slopes, grad_cell.mul_(forget)


def lstm_scan(gates: Tensor, weight: Tensor, state: Tensor, cell: Tensor) -> Tensor:
    """An LSTM layer over T steps: the states (T, B, D).

    Args:
        gates: (T, B, 4D), the part of the gates from inputs and biases, in torch's order.
        weight: (4D, D), recurrent.
        state, cell: (B, D), before the first step.
    """
    states: Tensor = _LSTMScan.apply(gates, weight, state, cell)  # type: ignore[no-untyped-call]
    return states


class _LSTMScan(torch.autograd.Function):
    """a_t = gates_t + W h_{t-1}, then the cell. The backward runs from the last step to the first:

    da_t as in ``Cells``          dgates_t = da_t
    dh_{t-1} = da_t W + the gradient of the returned h_{t-1}
    dW = Σ_t da_tᵀ h_{t-1}, one product after the loop
    """

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
    def backward(ctx: Any, grad_states: Tensor) -> Gradients:
        weight, states = ctx.saved_tensors
        low, cells = states.dtype, ctx.cells
        weight = weight.to(low)
        grad_gates = torch.empty_like(cells.gates)
        grad_cell = torch.zeros_like(cells.cells[0])
        grad_state = torch.zeros_like(grad_cell)
        for t in reversed(range(len(grad_gates))):
            grad_gates[t], grad_cell = cells.backward(t, grad_state.add_(grad_states[t]), grad_cell)
            grad_state = (grad_gates[t] @ weight).to(grad_cell.dtype)
        grad_weight = grad_gates.flatten(0, 1).t() @ states[:-1].flatten(0, 1)
        found = grad_gates, grad_weight, grad_state, grad_cell
        return tuple(x.to(type_) for x, type_ in zip(found, ctx.types, strict=True))


class Attended(NamedTuple):
    """Results of all steps: states (T, B, D), contexts (T, B, C), attention weights (T, B, S).

    Contexts are None where they are the same at every step, weights are None without attention.
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
    after: bool = False,
) -> Attended:
    """An LSTM layer with additive attention, over T steps (Bahdanau et al. 2014, appendix A.2.2).

    Args:
        gates: (T, B, 4D), the part of the gates from embeddings and biases, in torch's order.
        weights: from the state (4D, D) and the context (4D, C) to the gates; of the query (A, D), of the energy (A).
        memory: keys (B, S, A); states (B, S, C); the padding (B, S), -inf at padded positions, else 0.
        state, cell: (B, D), before the first step.
        after: attend after each cell, which reads the last context, first 0 (Luong et al. 2015, section 3.3).
    """
    keep = torch.is_grad_enabled()
    return Attended(*_AttentiveScan.apply(keep, after, gates, *weights, *memory, state, cell))  # type: ignore[no-untyped-call]


class _AttentiveScan(torch.autograd.Function):
    """A step attends with the previous state h, then runs the cell. With keys k_j, memory m_j, energy weight v:

        z_tj = σ(2(Q h_{t-1} + k_j))
        e_tj = v·tanh(Q h_{t-1} + k_j) = 2 v·z_tj - Σv    (the constant Σv is left out: softmax does not change by it)
        α_t = softmax_j(e_tj + padding_j)
        r_t = Σ_j α_tj m_j                                 (the context)
        a_t = gates_t + W h_{t-1} + R r_t                  (one product with [W R])

    The backward runs from the last step to the first, da_t as in ``Cells``:

        [dh_{t-1}, dr_t] = da_t [W R]       dr_t also gets the gradient of the returned context
        dα_tj = dr_t·m_j + the gradient of the returned weights
        de_tj = α_tj (dα_tj - Σ_k α_tk dα_tk)
        du_tj = 4 de_tj v ⊙ z_tj(1 - z_tj)  of the inside u = Q h + k, because tanh'(u) = 4z(1 - z)
        dh_{t-1} also gets dq_t Q, where dq_t = Σ_j du_tj, and the gradient of the returned h_{t-1}

    After the loop, one product or sum each:

        d[W R] = Σ_t da_tᵀ [h_{t-1}, r_t]   dQ = Σ_t dq_tᵀ h_{t-1}   dk_j = Σ_t du_tj   dm_j = Σ_t α_tj dr_t
        dv = Σ_tj de_tj tanh(u_tj) = 2 Σ_tj de_tj z_tj, because Σ_j de_tj = 0

    ``after``: a step runs the cell with h_{t-1} and r_{t-1} (r_{-1} = 0), then attends with h_t. So the equations of z,
    e, dq and dQ have h_t for h_{t-1}, those of a and d[W R] r_{t-1} for r_t; the backward begins with the attention.
    """

    @staticmethod
    def forward(ctx: Any, keep: bool, after: bool, *given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gates, recurrent, reading, query, energy, keys, memory, padding, state, cell = given
        ctx.types = [x.dtype for x in (gates, recurrent, reading, query, energy, keys, memory, state, cell)]
        low, ctx.after = product_type(recurrent), after
        steps, (sentences, width) = len(gates), state.shape
        with torch.autocast(recurrent.device.type, enabled=False):
            cells = Cells(gates.to(low), cell.to(recurrent.dtype))
            both = torch.cat([recurrent, reading], 1).to(low)
            into, twice_query, twice_keys = cells.doubled(both), query.to(low) * 2, keys.to(low) * 2
            low_energy, memory = energy.to(low)[:, None] * 2, memory.to(low)
            # The state and the context that a step's cell reads, side by side: the input of one product.
            inputs = memory.new_empty(steps + 1, sentences, both.shape[1])
            # All z_tj. Nothing else is as large, so without a backward only one step's are held.
            squashed = memory.new_empty(steps if keep else 1, *keys.shape)
            weights = memory.new_empty(steps, *padding.shape)
            inputs[0, :, :width], inputs[0, :, width:] = state, 0
            for t in range(steps):
                if after:
                    inputs[t + 1, :, :width] = cells.forward(t, inputs[t], into)
                attending = inputs[t + after]  # by its state, which is given its context
                queries = attending[:, :width] @ twice_query.t()
                inside = torch.add(twice_keys, queries[:, None], out=squashed[t if keep else 0]).sigmoid_()
                energies = (inside.flatten(0, 1) @ low_energy).view(padding.shape)
                weights[t] = torch.softmax(padding + energies, -1)
                torch.bmm(weights[t][:, None], memory, out=attending[:, None, width:])
                if not after:
                    inputs[t + 1, :, :width] = cells.forward(t, inputs[t], into)
        ctx.cells = cells
        ctx.save_for_backward(both, query, energy, memory, inputs, squashed, weights)
        ctx.set_materialize_grads(False)  # the weights seldom have a gradient
        return inputs[1:, :, :width], inputs[after : steps + after, :, width:], weights

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_states: Tensor | None, grad_contexts: Tensor | None, grad_attention: Tensor | None
    ) -> Gradients:
        both, query, energy, memory, inputs, squashed, weights = ctx.saved_tensors
        cells, after, low = ctx.cells, ctx.after, inputs.dtype
        steps, sentences, width = len(inputs) - 1, inputs.shape[1], both.shape[1] - memory.shape[2]
        grad_states = inputs.new_zeros(steps, sentences, width) if grad_states is None else grad_states
        grad_contexts = inputs.new_zeros(steps, sentences, memory.shape[2]) if grad_contexts is None else grad_contexts
        low_query = query.to(low)
        grad_gates, grad_queries = torch.empty_like(cells.gates), inputs.new_empty(steps, sentences, len(query))
        read, grad_energies = torch.empty_like(inputs[:-1, :, width:]), torch.empty_like(weights)  # read: all dr_t
        grad_cell = torch.zeros_like(cells.cells[0])
        grad_state = torch.zeros_like(grad_cell)
        grad_keys = torch.zeros(squashed.shape[1:], dtype=grad_cell.dtype, device=grad_cell.device)
        inner = (energy * 4).to(grad_cell.dtype)
        through = torch.zeros_like(inputs[0])  # the gradients of h and r from the cell that reads them
        for t in reversed(range(steps)):
            if not after:
                grad_gates[t], grad_cell = cells.backward(t, grad_state.add_(grad_states[t]), grad_cell)
                through = grad_gates[t] @ both
            torch.add(through[:, width:], grad_contexts[t], out=read[t])
            grad_weights = torch.bmm(memory, read[t][:, :, None]).squeeze(-1).to(grad_cell.dtype)
            if grad_attention is not None:
                grad_weights += grad_attention[t]
            attention = weights[t].to(grad_cell.dtype)
            grad_weights -= (attention * grad_weights).sum(-1, keepdim=True)
            grad_energies[t] = attention * grad_weights
            slope = torch.addcmul(squashed[t], squashed[t], squashed[t], value=-1)  # z(1 - z)
            grad_queries[t] = torch.bmm(grad_energies[t][:, None], slope).squeeze(1) * inner
            grad_keys += slope.mul_(grad_energies[t][:, :, None])
            grad_state = torch.addmm(through[:, :width], grad_queries[t], low_query).to(grad_cell.dtype)
            if after:
                grad_gates[t], grad_cell = cells.backward(t, grad_state.add_(grad_states[t]), grad_cell)
                through = grad_gates[t] @ both
        if after:
            grad_state = through[:, :width]
        flat = grad_gates.flatten(0, 1)
        grad_both = flat.t() @ inputs[:-1].flatten(0, 1)
        grad_query = grad_queries.flatten(0, 1).t() @ inputs[after : steps + after, :, :width].flatten(0, 1)
        grad_energy = (grad_energies.flatten()[None] @ squashed.flatten(0, 2)).squeeze(0) * 2
        grad_memory = torch.bmm(weights.permute(1, 2, 0), read.transpose(0, 1))
        into_cell = grad_gates, grad_both[:, :width], grad_both[:, width:]
        found = (*into_cell, grad_query, grad_energy, grad_keys * inner, grad_memory, grad_state, grad_cell)
        typed = [x.to(type_) for x, type_ in zip(found, ctx.types, strict=True)]
        return None, None, *typed[:7], None, *typed[7:]
