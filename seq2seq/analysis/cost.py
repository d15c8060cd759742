"""The measurement "cost": seconds and bytes of translating a sentence by length. Knows the interface of models."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from itertools import cycle, islice

import torch
from torch import Tensor

from seq2seq.analysis.loaded_run import LoadedRun
from seq2seq.config.schema import BOS, EOS, DecodeConfig
from seq2seq.data.lengths import unit_of
from seq2seq.decoding.search import search
from seq2seq.decoding.translator import Translator
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.kernels.linear import prepacked_weights
from seq2seq.runs.records import Cost, LengthCost

LENGTHS = (10, 20, 40, 80)  # source words, as so many tokens as the test has for them on average
REPEATS = 3


def measure(run: LoadedRun) -> Cost:
    """Time and weigh the translation of sources made of test text, by greedy search and with the run's beam.

    The output is as long as the source, in tokens, so that no model gains by stopping early.
    """
    translator, beam = run.translator, run.config.decode.beam
    stream = [token for ids in translator.subwords.encode_src(run.src) for token in ids[:-1]]
    unit = unit_of(run.src)
    per_word = unit.per_word * len(stream) / sum(unit.counts(run.src))
    rows = []
    for words in LENGTHS:
        length = max(round(words * per_word), 2)
        src = torch.tensor([[*islice(cycle(stream), length - 1), EOS]], device=translator.device)
        options = run.search_options(min_length=length, max_ratio=1.0, max_extra=0, no_repeat_ngram=0)
        greedy, wide = (median_seconds(translator, src, replace(options, beam=width)) for width in (1, beam))
        with translator.autocast():
            memory, state = bytes_held(run.model, src, length)
        row = LengthCost(
            words=words, pieces=length, greedy_seconds=greedy, beam_seconds=wide, memory=memory, state=state
        )
        rows.append(row)
    return {"beam": beam, "device": str(translator.device), "threads": torch.get_num_threads(), "rows": rows}


def median_seconds(translator: Translator, src: Tensor, options: DecodeConfig) -> float:
    """The median time of ``REPEATS`` searches, after one that is not counted."""
    times = []
    with prepacked_weights():  # as a translator has it for a whole file
        for _ in range(1 + REPEATS):
            started = time.perf_counter()
            with translator.autocast():
                search(translator.models, src, options)
            times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


@torch.inference_mode()
def bytes_held(model: Seq2Seq, src: Tensor, length: int) -> tuple[dict[str, int], int]:
    """Bytes of the encoded source by part, and of the decoder state after ``length`` tokens, whichever they are."""
    memory = model.encode(src)
    parts = {"states": [memory.states], "mask": [memory.mask], "summary": [memory.sentence_vector]}
    parts["keys"] = [key for key in memory.precomputed if key is not memory.states]
    state, token = model.decoder.init_state(memory), src.new_full((1, 1), BOS)
    for _ in range(length):
        state = model.decoder.step(token, state, memory).state
    held = sum(part.nbytes for part in state.values() if part.is_floating_point())  # the position is a counter
    return {name: sum(part.nbytes for part in tensors) for name, tensors in parts.items()}, held
