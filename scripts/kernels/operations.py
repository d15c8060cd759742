"""The time of each operation, forward and backward: our kernel against plain torch.

    python -m scripts.kernels.operations [THREADS]

Both forms are measured in one process, in turns, in processor time; tests/models shows that they compute the same.
The sizes are those of the bench: width 256, vocabulary 8,000, batches of about 1,500 target tokens.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seq2seq.config.schema import (
    AttentionDecoderConfig,
    FixedContextDecoderConfig,
    ModelConfig,
    RecurrentEncoderConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
)
from seq2seq.models import kernels
from seq2seq.models.attention import scaled_dot_product_attention
from seq2seq.models.build import build
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.kernels.dropout import Dropout
from seq2seq.models.kernels.linear import linear, prepacked_weights
from seq2seq.models.loss import sequence_loss
from seq2seq.system.devices import multiplies_bf16, prepare_process

ROUNDS = 7
VOCABULARY, SENTENCES, LENGTH = 8_000, 96, 16

Form = Callable[[], object]


def cost(form: Form) -> float:
    """Milliseconds of processor time of one call."""
    started = time.process_time()
    form()
    return 1000 * (time.process_time() - started)


def compare(name: str, slow: Form, fast: Form) -> None:
    """Print the medians of both and their ratio, in fp32 and, where the CPU has instructions for it, bf16."""
    native = multiplies_bf16(torch.device("cpu"))
    for precision in (torch.float32, torch.bfloat16) if native else (torch.float32,):
        with torch.autocast("cpu", precision, enabled=precision == torch.bfloat16):
            slow(), fast()  # the first call makes kernels
            rounds = [(cost(slow), cost(fast)) for _ in range(ROUNDS)]
        before, after = (statistics.median(column) for column in zip(*rounds, strict=True))
        kind = "bf16" if precision == torch.bfloat16 else "fp32"
        print(f"{name:<54} {kind} {before:8.1f} {after:8.1f} {before / after:6.2f}×")


def ids(length: int = LENGTH) -> Tensor:
    """Full rows of ids, so that both forms have the same work."""
    return torch.randint(4, VOCABULARY, (SENTENCES, length))


def both(form: Form) -> tuple[Form, Form]:
    """The form with plain torch operations, and with our kernels."""

    def plain() -> None:
        with kernels.plain():
            form()

    return plain, form


def loss_layer() -> tuple[Form, Form]:
    """Output layer, label-smoothed cross-entropy and all gradients."""
    model, hidden, target = recurrent("lstm"), torch.randn(SENTENCES, LENGTH, 256, requires_grad=True), ids()
    return both(lambda: sequence_loss(model, hidden, target, 0.1).loss.backward())


def recurrent(name: str, width: int = 256, vocabulary: int = VOCABULARY) -> Seq2Seq:
    """A model of the bench's size; with half its width and a quarter of its vocabulary it is the preset's."""
    decoder = {
        "lstm": FixedContextDecoderConfig(width=2 * width, context_width=2 * width),
        "bahdanau": AttentionDecoderConfig(width=2 * width, attention_width=width),
    }[name]
    options = ModelConfig(name=name, embedding=width, encoder=RecurrentEncoderConfig(width=width), decoder=decoder)
    return build(options, vocabulary, vocabulary)


def decoder(name: str) -> tuple[Form, Form]:
    """The whole decoder with teacher forcing: a loop over the steps, and the scan."""
    model, src, tgt = recurrent(name), ids(), ids()

    def steps() -> None:
        with torch.no_grad():
            memory = model.encoder(src, src > 0)
        model.decoder(model.decoder.precompute(memory), tgt).hidden.sum().backward()

    return both(steps)


def fixed_context() -> tuple[Form, Form]:
    """The steps of the fixed-context decoder: by nn.LSTM, and by the scan."""
    model, ones = recurrent("lstm"), torch.ones(SENTENCES, LENGTH, dtype=torch.bool)
    decoder: Any = model.decoder
    with torch.no_grad():
        memory = decoder.precompute(model.encoder(ids(), ones))
    embedded = torch.randn(LENGTH, SENTENCES, 256, requires_grad=True)
    forms = decoder._forward_cudnn, decoder._forward_fused
    slow, fast = (lambda form=form: form(embedded, memory).states.sum().backward() for form in forms)
    return slow, fast


def dropout() -> tuple[Form, Form]:
    """A mask on 1,536 × 1,024 units: torch's, and one random number for eight units."""
    x, layer = torch.randn(SENTENCES * LENGTH, 1024, requires_grad=True), Dropout(0.1)
    return both(lambda: layer(x).sum().backward())


def attention(length: int) -> tuple[Form, Form]:
    """Four heads over 2,048 positions in rows of ``length``: torch's fused kernel, and the plain products."""
    given = torch.randn(3, 2048 // length, 4, length, 64, requires_grad=True)
    mask = torch.ones(length, length, dtype=torch.bool).tril()

    def parts() -> tuple[Tensor, Tensor, Tensor]:
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
        query, key, value = given.to(kind).unbind()
        return query, key, value

    def fused() -> None:
        F.scaled_dot_product_attention(*parts(), attn_mask=mask).sum().backward()

    return fused, lambda: scaled_dot_product_attention(*parts(), mask)[0].sum().backward()


def squashing() -> tuple[Form, Form]:
    """The activation in the additive attention scores of one step, 96 × 16 × 256."""
    x = torch.randn(SENTENCES, LENGTH, 256, dtype=torch.bfloat16)
    return lambda: [torch.tanh(x) for _ in range(20)], lambda: [torch.sigmoid(2 * x) for _ in range(20)]


def transformer_step() -> tuple[Form, Form]:
    """Thirty steps of a Transformer's decoder, 320 hypotheses: caches copied at every step, and grown in blocks."""
    encoder = TransformerEncoderConfig(width=256, layers=3, heads=4, feed_forward=1024)
    decoder = TransformerDecoderConfig(width=256, layers=3, heads=4, feed_forward=1024)
    options = ModelConfig(name="transformer", embedding=256, encoder=encoder, decoder=decoder)
    model = build(options, VOCABULARY, VOCABULARY).eval()
    src = ids()

    def steps(tight: bool) -> None:
        with torch.no_grad():
            memory = model.encode(src)
            state, token = model.decoder.init_state(memory), src[:, :1]
            for place in range(1, 31):
                _, state, _ = model.decoder.step(token, state, memory)
                if tight:  # no room left: the next step makes a longer cache and copies this one
                    caches = {name: cache for name, cache in state.items() if name != "position"}
                    state |= {name: cache[..., :place, :].clone() for name, cache in caches.items()}

    return lambda: steps(True), lambda: steps(False)


def step_products(rows: int) -> tuple[Form, Form]:
    """The products of thirty decoding steps, ``rows`` hypotheses: weights as they are, and prepacked once."""
    weights = [torch.randn(shape) for shape in ((VOCABULARY, 256), (1024, 256), (256, 1024), (2048, 512))]
    inputs = [torch.randn(rows, weight.shape[1]) for weight in weights]

    @torch.no_grad()
    def unpacked() -> None:
        for _ in range(30):
            for x, weight in zip(inputs, weights, strict=True):
                linear(x, weight)

    def prepacked() -> None:
        with prepacked_weights():
            unpacked()

    return unpacked, prepacked


def optimizer(model: Seq2Seq, foreach: bool) -> tuple[Form, Form]:
    """Ten updates of all weights by AdamW: for each tensor alone or for all together, and in torch's fused kernel."""
    for parameter in model.parameters():
        parameter.grad = 1e-3 * torch.randn_like(parameter)
    slow = torch.optim.AdamW(model.parameters(), lr=1e-6, foreach=foreach)
    fast = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
    return lambda: [slow.step() for _ in range(10)], lambda: [fast.step() for _ in range(10)]


def main() -> None:
    """Print the table."""
    prepare_process()
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    torch.manual_seed(1)
    print(f"{'':<54}         plain     fast  ratio   (ms of processor time, {torch.get_num_threads()} thread(s))")
    compare("output layer + loss + gradients", *loss_layer())
    compare("attentive decoder: steps, scan", *decoder("bahdanau"))
    compare("fixed-context decoder: steps, scan", *decoder("lstm"))
    compare("fixed-context decoder's steps: nn.LSTM, scan", *fixed_context())
    compare("dropout: torch's, one draw for eight", *dropout())
    compare("energies: tanh, sigmoid", *squashing())
    for size, model in (("bench's", recurrent("lstm")), ("preset's", recurrent("lstm", 128, VOCABULARY // 4))):
        compare(f"10 × AdamW of the {size} lstm: loop, fused", *optimizer(model, foreach=False))
        compare(f"10 × AdamW of the {size} lstm: foreach, fused", *optimizer(model, foreach=True))
    for length in (16, 64, 256, 1024):
        compare(f"attention, rows of {length}: fused kernel, plain", *attention(length))
    compare("30 steps: caches copied, in blocks", *transformer_step())
    for rows in (5, 64, 320):
        compare(f"30 steps of {rows} rows: weights as they are, prepacked", *step_products(rows))


if __name__ == "__main__":
    main()
