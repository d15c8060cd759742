"""Which parameters of a model are hidden matrices. Knows torch's layers and the interface, no architecture."""

from __future__ import annotations

from torch import nn

from seq2seq.models.interface import Seq2Seq
from seq2seq.models.kernels.linear import Linear

Parts = tuple[int, int]
"""The dimension of a weight along which equal matrices lie in it, and their number."""


def hidden_matrices(model: nn.Module) -> dict[nn.Parameter, Parts]:
    """The weights of products of hidden states, each with the matrices that lie in it.

    The gates of a torch RNN are such matrices, and what a ``Linear`` says of itself; any other weight is a single one.
    Tables are left out: embeddings, learned positions and the output layer, whose rows are of tokens or positions. A
    weight of more than two dimensions, such as a convolution's, counts as the matrix of its first by all others.
    """
    modules = list(model.modules())
    tables: list[nn.Module] = [module for module in modules if isinstance(module, nn.Embedding)]
    tables += [module.output for module in modules if isinstance(module, Seq2Seq)]
    rows = {parameter for table in tables for parameter in table.parameters()}
    return {
        parameter: _parts(module, parameter)
        for module in modules
        for parameter in module.parameters(recurse=False)
        if parameter.dim() >= 2 and parameter not in rows
    }


def _parts(module: nn.Module, weight: nn.Parameter) -> Parts:
    if isinstance(module, nn.RNNBase):
        return 0, max(weight.shape[0] // module.hidden_size, 1)
    return module.parts if isinstance(module, Linear) else (0, 1)
