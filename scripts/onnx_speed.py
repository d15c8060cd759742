"""A decoder's step exported to ONNX beside ours, and what both translate: the figures of docs/export.md.

    python -m scripts.onnx_speed RUN FOLDER FOLDER-INT8 [--threads N] [--sentences N]

Contenders take turns in one process, and each ratio is the median of the rounds' own ratios, so that other work on the
machine meets all of them. A step is the decoder's step and the output layer, without the search. The sentences are of
one length, as ``translate`` batches them: the middle ones of the test, ordered by length.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import torch

import seq2seq
from seq2seq.config.schema import BOS
from seq2seq.data.batches import pad
from seq2seq.evaluation.metrics import BLEU
from seq2seq.models.interface import reorder_state
from seq2seq.models.kernels.linear import prepacked_weights
from seq2seq.runs.loading import TrainedModel, saved_split

ROUNDS, STEPS, SENTENCES = 15, 24, 64
Contenders = dict[str, TrainedModel]


def contenders_of(run: str, folder: str, int8: str) -> Contenders:
    """The run in both precisions of ours, and both folders."""
    ours = {f"ours {precision}": seq2seq.load(run, device="cpu", precision=precision) for precision in ("fp32", "bf16")}
    return {**ours, "onnx float32": seq2seq.load(folder), "onnx int8": seq2seq.load(int8)}


@torch.no_grad()
def seconds_of_steps(model: TrainedModel, lines: Sequence[str], width: int) -> tuple[float, float]:
    """Wall and processor seconds of ``STEPS`` steps with ``width`` hypotheses of each line."""
    translator = model.translator
    [network], src = translator.models, torch.from_numpy(pad(translator.subwords.encode_src(lines)))
    with prepacked_weights(), translator.autocast():
        memory = network.encode(src)
        rows, first = torch.arange(len(src)), torch.zeros(len(src), width, dtype=torch.long)
        state = reorder_state(network.decoder.init_state(memory), rows, first)
        token, spent = torch.full(first.shape, BOS), [0.0, 0.0]
        for n in range(STEPS + 1):
            began = time.perf_counter(), time.process_time()
            hidden, state, _ = network.decoder.step(token, state, memory)
            logits = network.logits(hidden)
            if n:  # the first makes kernels
                spent = [spent[0] + time.perf_counter() - began[0], spent[1] + time.process_time() - began[1]]
            token = logits.float().argmax(-1)
            if width > 1:
                state = reorder_state(state, rows, first + torch.arange(width))
    return spent[0], spent[1]


def seconds_of_translating(model: TrainedModel, lines: Sequence[str], width: int) -> tuple[float, float]:
    """Wall and processor seconds of text to text with a beam of ``width``."""
    began = time.perf_counter(), time.process_time()
    model.translate(lines, beam=width)
    return time.perf_counter() - began[0], time.process_time() - began[1]


Measure = Callable[[TrainedModel, Sequence[str], int], tuple[float, float]]


def race(what: str, measure: Measure, models: Contenders, lines: Sequence[str], width: int, rounds: int) -> None:
    """Print each contender's time, and its speed as a multiple of ours in both precisions."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in models}
    for n in range(rounds + 1):
        for name in sorted(models, reverse=bool(n % 2)):
            spent = measure(models[name], lines, width)
            if n:  # the first round warms up
                found[name].append(spent)
    for kind, clock in enumerate(("wall", "processor")):
        for name, rows in found.items():
            times = [each[kind] for each in rows]
            ratios = [
                statistics.median(ours[kind] / own for ours, own in zip(found[base], times, strict=True))
                for base in ("ours fp32", "ours bf16")
            ]
            figures = f"{1000 * statistics.median(times):8.1f} ms {ratios[0]:6.2f}× fp32 {ratios[1]:6.2f}× bf16"
            print(f"{what:<28} {clock:<10} {name:<13} {figures}", flush=True)


def compare_texts(models: Contenders, src: Sequence[str], references: Sequence[str]) -> None:
    """Print how many translations are those of our float32 model, and the BLEU of each contender."""
    for width in (1, 5):
        texts = {name: [each.text for each in model.translate(src, beam=width)] for name, model in models.items()}
        for name, found in texts.items():
            same = sum(a == b for a, b in zip(found, texts["ours fp32"], strict=True))
            bleu = BLEU.corpus_score(found, references, models[name].config.data.language)
            print(f"beam {width}  {name:<13} {same:,} of {len(src):,} the same  BLEU {bleu:.2f}", flush=True)


def main() -> None:
    """Measure what the arguments ask for."""
    taken = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    taken.add_argument("folders", nargs=3, metavar="FOLDER", help="a run, its float32 and its int8 export")
    taken.add_argument("--threads", type=int, default=1)
    taken.add_argument("--sentences", type=int, default=0, help="of the test to translate and count differences on")
    taken.add_argument("--rounds", type=int, default=ROUNDS)
    given = taken.parse_args()
    torch.set_num_threads(given.threads)
    models = contenders_of(*given.folders)
    first = models["ours fp32"]
    saved = saved_split(first.run, "test")
    assert saved is not None, "the run has saved no test"
    ordered = sorted(saved[0], key=lambda line: len(first.translator.subwords.encode_src([line])[0]))
    lines = ordered[max(len(ordered) - SENTENCES, 0) // 2 :][:SENTENCES]
    longest = max(map(len, first.translator.subwords.encode_src(lines)))
    what = f"{len(lines)} sentences of {longest} tokens, {STEPS} steps"
    print(f"{first.config.model.name}, {torch.get_num_threads()} threads, {what}")
    for width in (1, 5):
        race(f"step, {width} hypotheses", seconds_of_steps, models, lines, width, given.rounds)
        race(f"translate, beam {width}", seconds_of_translating, models, lines, width, max(given.rounds // 3, 1))
    if given.sentences:
        compare_texts(models, saved[0][: given.sentences], saved[1][: given.sentences])


if __name__ == "__main__":
    main()
