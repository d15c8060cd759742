"""Loss against torch's cross-entropy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from seq2seq.config.schema import PAD
from seq2seq.models import kernels
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.kernels import cross_entropy
from seq2seq.models.loss import attention_loss, sequence_loss


@pytest.fixture
def output() -> Seq2Seq:
    """An output layer; the loss needs no more of a model."""
    torch.manual_seed(0)
    return Seq2Seq(nn.Identity(), nn.Identity(), nn.Linear(8, 20))  # type: ignore[arg-type]


@pytest.fixture
def target(sentences: Callable[..., Tensor]) -> Tensor:
    return sentences([6, 3, 1])


@pytest.fixture
def hidden() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(3, 6, 8, requires_grad=True)


@pytest.mark.parametrize("rows", [1, 4, 1_000])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_loss_and_gradients_are_torchs_cross_entropys(
    smoothing: float, rows: int, output: Seq2Seq, hidden: Tensor, target: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_entropy, "BLOCK", {"cpu": 20 * rows})
    nn.init.normal_(output.output.bias)
    found = sequence_loss(output, hidden, target, smoothing)
    logits = output.logits(hidden).flatten(0, 1)
    options = {"ignore_index": PAD, "reduction": "sum"}
    expected = F.cross_entropy(logits, target.flatten(), label_smoothing=smoothing, **options)
    torch.testing.assert_close(found.loss, expected)
    torch.testing.assert_close(found.nll, F.cross_entropy(logits, target.flatten(), **options))
    learned = (hidden, output.output.weight, output.output.bias)
    torch.testing.assert_close(torch.autograd.grad(found.loss / 3, learned), torch.autograd.grad(expected / 3, learned))


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_gradients_are_those_of_finite_differences(smoothing: float, output: Seq2Seq, target: Tensor) -> None:
    output.double()
    hidden = torch.randn(3, 6, 8, dtype=torch.float64, requires_grad=True)
    weight, bias = (nn.Parameter(part.detach().clone()) for part in output.output.parameters())

    def loss_of(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        output.output.weight, output.output.bias = weight, bias  # type: ignore[assignment]
        return sequence_loss(output, hidden, target, smoothing).loss

    del output.output.weight, output.output.bias  # so that plain tensors may stand in for parameters
    assert torch.autograd.gradcheck(loss_of, (hidden, weight, bias))


def test_in_bf16_gradients_are_nearer_to_the_truth_than_autograds(
    output: Seq2Seq, hidden: Tensor, target: Tensor
) -> None:
    real, weight = target != PAD, output.output.weight
    exact = torch.autograd.grad(sequence_loss(output, hidden, target, 0.1).loss, (hidden, weight))
    with torch.autocast("cpu", torch.bfloat16):
        ours = torch.autograd.grad(sequence_loss(output, hidden, target, 0.1).loss, (hidden, weight))
        logits = output.logits(hidden[real]).float()
    plain = F.cross_entropy(logits, target[real], reduction="sum", label_smoothing=0.1)
    plains = torch.autograd.grad(plain, (hidden, weight))
    for gradient, one, other in zip(exact, ours, plains, strict=True):
        assert (one - gradient).norm() < (other - gradient).norm() < 0.02 * gradient.norm()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_in_bf16_what_is_left_to_learn_of_sure_tokens_is_not_rounded_away(
    smoothing: float, output: Seq2Seq, hidden: Tensor
) -> None:
    """At a probability of 0.998 the gradient is 0.002, half the distance of numbers in bf16 near 1."""
    with torch.no_grad():
        output.output.weight.mul_(30)
        logits = output.logits(hidden)
        target = logits[..., PAD + 1 :].argmax(-1) + PAD + 1
        sure = logits.log_softmax(-1).gather(-1, target[..., None])[..., 0].exp()
        target = target.where((sure > 0.99) & (sure < 0.9999), PAD)
    assert (target != PAD).sum() >= 2
    learned = (hidden, output.output.weight, output.output.bias)
    exact = sequence_loss(output, hidden, target, smoothing)
    exact_gradients = torch.autograd.grad(exact.loss, learned)
    with torch.autocast("cpu", torch.bfloat16):
        found = sequence_loss(output, hidden, target, smoothing)
        gradients = torch.autograd.grad(found.loss, learned)
    torch.testing.assert_close(found.nll, exact.nll, rtol=0.1, atol=0)  # logits of 10 are rounded to 1/32
    for one, gradient in zip(gradients, exact_gradients, strict=True):
        assert (one - gradient).norm() < 0.1 * gradient.norm()


class Products(TorchDispatchMode):
    """Notes the shapes of the factors of every matrix product."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: set[tuple[torch.Size, ...]] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm):
            self.shapes.add(tuple(factor.shape for factor in args[-2:]))
        elif function.overloadpacket is torch.ops.mkldnn._linear_pointwise:
            self.shapes.add((args[0].shape, args[1].t().shape))
        return function(*args, **kwargs or {})


@pytest.mark.parametrize("rows", [100, 200, 1_000])
def test_in_bf16_numbers_of_tokens_share_the_shapes_of_products(
    rows: int, output: Seq2Seq, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every new shape is a new kernel, which costs more than the product."""
    monkeypatch.setattr(cross_entropy, "BLOCK", {"cpu": 20 * rows})
    with torch.autocast("cpu", torch.bfloat16), Products() as seen:
        for count in (1, 60, 64, 65, 127, 128, 130, 190, 191):
            sequence_loss(output, torch.randn(1, count, 8), torch.full((1, count), 7), 0.1)
    rows_of = {max(shape[0] for shape in shapes) for shapes in seen.shapes}
    assert rows_of == {64, 128, 192} - {n for n in (128, 192) if n > rows}
    assert len(seen.shapes) == 3 * len(rows_of)  # forward, and both gradients


@pytest.mark.parametrize("rows", [3, 4, 1_000])  # of 10 tokens: one, or two, in a block with rows of filling
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_rows_that_fill_up_count_nothing(
    smoothing: float, rows: int, output: Seq2Seq, hidden: Tensor, target: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_entropy, "BLOCK", {"cpu": 20 * rows})
    learned = (hidden, output.output.weight, output.output.bias)
    found = []
    for multiple in (1, 64):
        monkeypatch.setattr(cross_entropy, "ROWS", multiple)
        with torch.autocast("cpu", torch.bfloat16):
            summed = sequence_loss(output, hidden, target, smoothing)
        found.append((summed, torch.autograd.grad(summed.loss, learned)))
    torch.testing.assert_close(found[1], found[0])


def test_perplexity_does_not_depend_on_smoothing(output: Seq2Seq, hidden: Tensor, target: Tensor) -> None:
    found = [sequence_loss(output, hidden, target, smoothing) for smoothing in (0.0, 0.1, 0.9)]
    assert found[0].nll == found[1].nll == found[2].nll
    assert found[0].loss != found[1].loss
    assert not any(f.nll.requires_grad for f in found)


def test_what_stands_at_padding_counts_nothing(output: Seq2Seq, hidden: Tensor, target: Tensor) -> None:
    before = sequence_loss(output, hidden, target, 0.1)
    after = sequence_loss(output, torch.where((target == PAD)[..., None], 50.0, hidden), target, 0.1)
    torch.testing.assert_close(after.loss, before.loss)


def test_loss_is_in_float32_whatever_the_products_are(output: Seq2Seq, hidden: Tensor, target: Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert sequence_loss(output, hidden, target, 0.1).loss.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_an_unlikely_target_counts_fully_in_low_precision(dtype: torch.dtype, output: Seq2Seq, hidden: Tensor) -> None:
    """A probability of 1e-13 is 0 in fp16."""
    target = torch.full((3, 6), 7)
    nn.init.zeros_(output.output.bias)
    with torch.no_grad():
        output.output.bias[7] = -30.0
    exact = sequence_loss(output, hidden, target, 0.0).nll
    with torch.autocast("cpu", dtype):
        torch.testing.assert_close(sequence_loss(output, hidden, target, 0.0).nll, exact, rtol=0.01, atol=0)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_plain_loss_and_its_gradients_are_the_kernels(
    smoothing: float, output: Seq2Seq, hidden: Tensor, target: Tensor
) -> None:
    learned = (hidden, output.output.weight, output.output.bias)
    found = []
    for block in (kernels.plain, contextlib.nullcontext):
        with block():
            summed = sequence_loss(output, hidden, target, smoothing)
        assert not summed.nll.requires_grad
        found.append((summed, torch.autograd.grad(summed.loss, learned)))
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("type_", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 7), (64, 2_000), (5, 8_001), (2, 40_000)])
def test_softmax_that_overwrites_its_logits_is_softmax(shape: tuple[int, int], type_: torch.dtype) -> None:
    logits = 5 * torch.randn(shape).to(type_)
    expected = logits.softmax(-1)
    assert torch.equal(cross_entropy._softmax_(logits, type_), expected)


def test_the_loss_of_attention_is_the_cross_entropy_of_linked_tokens() -> None:
    torch.manual_seed(0)
    attention = torch.rand(2, 3, 4).softmax(-1)
    links = torch.zeros(2, 3, 4)
    links[0, 0, 2], links[0, 2, [1, 3]], links[1, 1, 0] = 1, 0.5, 1
    logs = attention.log()
    expected = -(logs[0, 0, 2] + (logs[0, 2, 1] + logs[0, 2, 3]) / 2 + logs[1, 1, 0])
    torch.testing.assert_close(attention_loss(attention, links), expected)
    nowhere = torch.zeros(1, 1, 2, requires_grad=True)  # a weight that underflowed
    loss = attention_loss(nowhere, torch.ones(1, 1, 2))
    loss.backward()
    assert loss.isfinite() and nowhere.grad is not None and not nowhere.grad.any()


@pytest.mark.parametrize(
    "name", ["bahdanau", "bahdanau-general", "transformer", "transformer-alibi", "hybrid", "mingru"]
)
def test_the_loss_of_attention_has_the_gradients_of_plain_operations(
    name: str, build_tiny: Callable[..., Seq2Seq], src: Tensor, tgt: Tensor, shift: Callable[[Tensor], Tensor]
) -> None:
    """The fused scan gives the gradient of the weights that it returns."""
    model = build_tiny(name).train()
    links = torch.rand(tgt.shape[0], tgt.shape[1], src.shape[1])

    def gradients() -> list[Tensor]:
        attention = model(src, shift(tgt), attention=True).attention
        loss = attention_loss(attention[:, 0], links)
        return list(torch.autograd.grad(loss, [*model.parameters()], allow_unused=True, materialize_grads=True))

    fast = gradients()
    with kernels.plain():
        plain = gradients()
    assert sum(bool(gradient.any()) for gradient in fast) > len(fast) // 2
    torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-5)
