"""The measurement "extrapolation": translations of sources longer than any that the run was trained on.

Knows translators and texts. Every run is given the same sentences.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from seq2seq import grammar
from seq2seq.analysis.loaded_run import LoadedRun
from seq2seq.data.joining import joined_text
from seq2seq.data.lengths import unit_of
from seq2seq.runs.records import Extrapolation, TranslatedSet

SENTENCES = 60  # of each set
SPAN = 20  # lengths, in words, of a set of the grammar's sentences
JOINED = (2, 3, 4)  # test sentences joined to one


def measure(run: LoadedRun) -> Extrapolation:
    """Translate, by the run's own search, grammar sentences beyond the trained lengths and joined test sentences."""
    options = run.search_options()
    sets = generated(run) + joined(run.src, run.references)
    for each in sets:
        each["hypotheses"] = [best[0].text for best in run.translator.translate(each["src"], options)]
    return {"beam": options.beam, "sets": sets}


def generated(run: LoadedRun) -> list[TranslatedSet]:
    """Sentences with more English words than the longest of the grammar's corpus; none for another corpus."""
    data = run.config.data
    if data.source != "grammar":
        return []
    sets: list[TranslatedSet] = []
    for first in range(data.grammar.max_words + 1, data.grammar.max_words + 3 * SPAN, SPAN):
        rng = random.Random(f"extrapolation/{first}")
        kind = data.grammar.version, data.grammar.exponent
        pairs = [grammar.sentence(rng, first + n % SPAN, *kind) for n in range(SENTENCES)]
        english, german = [pair.src for pair in pairs], [pair.tgt for pair in pairs]
        src, references = (english, german) if data.codes[0] == "en" else (german, english)
        name = f"{first}–{first + SPAN - 1} {'words' if src is english else 'English words'}"
        sets.append(TranslatedSet(name=name, kind="grammar", parts=1, src=src, references=references, hypotheses=[]))
    return sets


def joined(src: Sequence[str], references: Sequence[str]) -> list[TranslatedSet]:
    """Test sentences joined two, three and four at a time, in a fixed random order, as ``data.join`` joins them."""
    units = [unit_of(side) for side in (src, references)]
    rng = random.Random("joined")
    order = sorted(range(len(src)), key=lambda n: rng.random())
    sets: list[TranslatedSet] = []
    for parts in JOINED:
        groups = [order[n * parts : (n + 1) * parts] for n in range(min(SENTENCES, len(src) // parts))]
        texts, wanted = (
            [joined_text([side[n] for n in group], unit) for group in groups]
            for side, unit in zip((src, references), units, strict=True)
        )
        name = f"{parts} joined"
        sets.append(TranslatedSet(name=name, kind="joined", parts=parts, src=texts, references=wanted, hypotheses=[]))
    return sets
