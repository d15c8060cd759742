"""The measurement "search": translations by beam and length penalty, and search errors against model errors.

Knows translators and texts.
"""

from __future__ import annotations

import time
from collections import Counter

from seq2seq.analysis.loaded_run import LoadedRun, evenly
from seq2seq.data.files import lines
from seq2seq.evaluation.evaluate import reference_likelihood
from seq2seq.runs.records import Searched, SearchErrors

SENTENCES = 150  # of the validation split, searched in several ways
SEARCHES = ((1, "average"), (2, "average"), (5, "average"), (10, "average"), (5, "none"), (5, "gnmt"))
"""Beam and length penalty of each search."""
OUTCOMES = ("higher", "lower", "same")


def measure(run: LoadedRun) -> SearchErrors:
    """Translate validation sentences by each search, and compare test translations with their references."""
    chosen = evenly(run.valid[0], SENTENCES)
    src, references = ([side[n] for n in chosen] for side in run.valid)
    rows: list[Searched] = []
    for beam, penalty in SEARCHES:
        started = time.perf_counter()
        found = run.translator.translate(src, run.search_options(beam=beam, length_penalty=penalty))
        seconds = time.perf_counter() - started
        hypotheses = [best[0].text for best in found]
        rows.append({"beam": beam, "length_penalty": penalty, "seconds": seconds, "hypotheses": hypotheses})
    return SearchErrors(
        split="valid", sentences=chosen, src=src, references=references, rows=rows, preference=preference(run)
    )


def preference(run: LoadedRun) -> dict[str, dict[str, float]]:
    """Compare the log-probability of each test translation with that of its reference: shares of ``OUTCOMES``.

    Where it is ``higher``, no better search would have found the reference (a model error); where it is ``lower``, the
    search has missed a sentence that the model prefers (a search error); where both are the ``same`` text, neither.
    Compared by the total log-probability, and by its average over the tokens.
    """
    folder = run.run.evaluation("test")
    own, scored = (list(lines(str(folder / name))) for name in ("hypotheses.txt", "log_probability.txt"))
    _, found = reference_likelihood(run.translator, run.src, own, longest=run.longest)
    sizes = [map(len, run.translator.subwords.encode_tgt(side, run.longest)) for side in (own, run.references)]
    counts = {"total": Counter[str](), "average": Counter[str]()}
    for text, wanted, ours, theirs, *tokens in zip(own, run.references, found, map(float, scored), *sizes, strict=True):
        for name, (a, b) in (("total", (1, 1)), ("average", tokens)):
            counts[name]["same" if text == wanted else "higher" if ours / a > theirs / b else "lower"] += 1
    return {name: {kind: count[kind] / len(own) for kind in OUTCOMES} for name, count in counts.items()}
