"""The measurement "forgetting": how well target tokens are predicted, by the place of their words in the source.

Knows texts, word alignments and teacher forcing; no architecture.
"""

from __future__ import annotations

from collections import defaultdict

from seq2seq.analysis.loaded_run import LoadedRun
from seq2seq.data.lengths import unit_of
from seq2seq.errors import UserError
from seq2seq.evaluation.evaluate import token_log_probs
from seq2seq.evaluation.words import splitter
from seq2seq.runs.records import Forgetting


def measure(run: LoadedRun) -> Forgetting:
    """Sum over target tokens of the references by source length and place of the aligned word.

    Words are aligned by ``run.links``. The place is the index of the aligned source word, the mean of several; None for
    tokens without an aligned word, such as EOS.

    Raises:
        UserError: not one alignment for each test sentence.
    """
    if run.links is None:
        return {"rows": []}
    if len(run.links) != len(run.src):
        raise UserError(f"{len(run.links):,} alignments but {len(run.src):,} test sentences: give one for each")
    split, unit = splitter(run.config, run.src), unit_of(run.src)
    pairs = run.encode_pairs(run.src, run.references)
    scored = token_log_probs(run.translator, run.src, run.references, lambda count: None, run.longest)
    sums: dict[tuple[int, int | None], tuple[int, float, int]] = defaultdict(lambda: (0, 0.0, 0))
    for line, links, pair, (log_probs, is_argmax) in zip(run.src, run.links, pairs, scored, strict=True):
        spaced = unit.split(line)
        place_of = [place for place, word in enumerate(spaced) for _ in split(word)]  # punctuation goes with its word
        for owner, log_prob, correct in zip(pair.tgt.of_token, log_probs, is_argmax, strict=True):
            places = [place_of[i] for i, j in links if j == owner]
            key = len(spaced), int(sum(places) / len(places) + 0.5) if places else None
            tokens, nll, hits = sums[key]
            sums[key] = tokens + 1, nll - log_prob, hits + correct
    ordered = sorted(sums.items(), key=lambda item: (item[0][0], -1 if item[0][1] is None else item[0][1]))
    return {"rows": [(*key, *row) for key, row in ordered]}
