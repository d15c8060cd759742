"""The measurement "probe": which source words a linear probe recovers from a sentence vector, and a baseline.

For a sentence with k of the words in question the probe names the k words with the highest scores, so that recall
equals precision and no threshold is needed. The baseline is the same probe for the words of another sentence of the
same length: what can be known of length and frequency alone. (The control task of Hewitt and Liang 2019, a random label
for each word type, would tell nothing here: the words themselves are asked for, and another order of them is no other
task.)

Vectors of several models compare at one width: one wider than ``NARROW`` is also probed after a random projection to
that width, the same for all. Knows vectors and words. Shapes: N sentences, C units of the vector, W words in question.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import regex
import torch
from torch import Tensor

from seq2seq import grammar
from seq2seq.analysis.loaded_run import SEED, LoadedRun
from seq2seq.config.schema import Config, DecodeConfig
from seq2seq.data.batches import batched, pad
from seq2seq.data.blank import is_blank
from seq2seq.data.joining import joined_pairs
from seq2seq.data.lengths import WORDS, Unit, unit_of
from seq2seq.decoding.translator import Translator
from seq2seq.errors import UserError
from seq2seq.runs.loading import corpus_of
from seq2seq.runs.records import Probe

FITTED = 4_000  # sentences that the probe is fitted on,
MOST = 10 * FITTED  # joined from at most so many
AROUND = regex.compile(r"^[^\w\p{M}]+|[^\w\p{M}]+$")  # punctuation around a word; vowel signs are part of it
ASKED = 150  # the words most frequent in them,
EVERYWHERE = 0.6  # without those that are in more than this share of them
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)  # ridge penalties, of which the best on the validation split is taken
BINS = 5  # of a word's place in its sentence
NARROW = 128  # units at which the vectors of all models can be compared


@dataclass(frozen=True)
class Examples:
    """Sentences that the probe is fitted or tested on."""

    lengths: list[int]  # in words
    vectors: Tensor  # (N, C)
    present: Tensor  # (N, W), which words each sentence has


def measure(run: LoadedRun) -> Probe:
    """Fit the probe on training text and test it on the test sentences, at both widths, beside the baseline.

    Raises:
        UserError: every training sentence is a test sentence too, or ``corpus_of`` raises it.
    """
    text = fitting_text(run)
    if not text:
        raise UserError(
            f"{run.run.folder}: every training sentence is a test sentence too: the probe has nothing to learn"
        )
    unit = unit_of(run.src)
    asked = frequent(text, unit)
    sets = [examples(run.translator, lines, asked, unit, run.longest) for lines in (text, run.valid[0], run.src)]
    narrow = [projected(each) for each in sets]
    dealt = [deal(each) for each in narrow]
    found, guessed = answers(*sets), answers(*dealt)
    same = narrow[2].vectors.shape == sets[2].vectors.shape
    narrow_found = found if same else answers(*narrow)
    words = max(int(sets[2].present.sum()), 1)
    recall, narrow_recall, chance = (int(hits.sum()) / words for hits in (found, narrow_found, guessed))
    return {
        "vector": "bottleneck" if run.config.model.sees == "vector" else "summary",
        "units": sets[2].vectors.shape[1],
        "narrow_units": narrow[2].vectors.shape[1],
        "fitted_on": len(text),
        "asked": list(asked),
        "recall": recall,
        "narrow_recall": narrow_recall,
        "baseline_recall": chance,
        "rows": by_sentence(sets[2], found),
        "narrow": by_sentence(narrow[2], narrow_found),
        "baseline": by_sentence(dealt[2], guessed),
        "places": by_place(run.src, unit, asked, found),
    }


def by_sentence(sentences: Examples, found: Tensor) -> list[list[int]]:
    """Rows of the record, one a sentence; ``found`` (N, W): which words the probe has named."""
    counts = sentences.present.sum(1).tolist(), found.sum(1).tolist()
    return [[*row] for row in zip(sentences.lengths, *counts, strict=True)]


def by_place(lines: Sequence[str], unit: Unit, asked: dict[str, int], found: Tensor) -> list[list[int]]:
    """Words that occur once, summed by the length of the sentence and the part of it in which they stand."""
    places: dict[tuple[int, int], list[int]] = {}
    for line, hits in zip(lines, found.tolist(), strict=True):
        words = normal(line, unit)
        for word, count in Counter(words).items():
            if word in asked and count == 1:
                row = places.setdefault((len(words), words.index(word) * BINS // len(words)), [0, 0])
                row[0] += 1
                row[1] += hits[asked[word]]
    return [[*key, *row] for key, row in sorted(places.items())]


def projected(sentences: Examples) -> Examples:
    """Vectors of more than ``NARROW`` units, multiplied by a Gaussian matrix of a fixed seed (C, ``NARROW``)."""
    width = sentences.vectors.shape[1]
    if width <= NARROW:
        return sentences
    matrix = torch.randn(width, NARROW, generator=torch.Generator().manual_seed(SEED)) / NARROW**0.5
    return replace(sentences, vectors=sentences.vectors @ matrix)


def normal(line: str, unit: Unit = WORDS) -> list[str]:
    """Words, or characters, in lower case, without the punctuation around them."""
    return [AROUND.sub("", word).casefold() for word in unit.split(line)]


def fitting_text(run: LoadedRun) -> list[str]:
    """Sentences outside the test: new ones of the grammar, as long as the test's, or the first training sentences."""
    data, test = run.config.data, set(run.src)
    if data.source == "grammar":
        rng = random.Random("probe")
        english = run.src if data.codes[0] == "en" else run.references  # the grammar counts words of the English side
        lengths = sorted(max(len(line.split()), data.grammar.min_words) for line in english)
        rounds, rest = divmod(FITTED, len(lengths))
        wanted = lengths * rounds + [lengths[n * len(lengths) // rest] for n in range(rest)]
        kind = data.grammar.version, data.grammar.exponent
        pairs = (grammar.sentence(rng, length, *kind) for length in wanted)
        lines = [pair.src if data.codes[0] == "en" else pair.tgt for pair in pairs]
    else:
        lines = [src for src, _ in islice(_as_trained(run.config), FITTED)]
    return [line for line in lines if not is_blank(line) and line not in test]


def _as_trained(config: Config) -> Iterator[tuple[str, str]]:
    """The training pairs, joined where the training has joined them, if not to the same ones."""
    pairs = corpus_of(config, "train").pairs("train")
    return joined_pairs(islice(pairs, MOST), config.data.join or 0, "probe") if config.data.joins_training else pairs


def frequent(lines: Sequence[str], unit: Unit = WORDS) -> dict[str, int]:
    """The words in question with their indices, the most frequent first."""
    counts = Counter(word for line in lines for word in dict.fromkeys(normal(line, unit)) if word)
    kept = [word for word, count in counts.most_common() if count <= EVERYWHERE * len(lines)]
    return {word: number for number, word in enumerate(kept[:ASKED])}


def examples(
    translator: Translator,
    lines: Sequence[str],
    asked: dict[str, int],
    unit: Unit = WORDS,
    longest: int = DecodeConfig.max_input,
) -> Examples:
    """Encode lines to vectors, and look up which of the words they have.

    A vector is the decoder's bottleneck, or the encoder's sentence vector if the decoder has none.
    """
    words = [normal(line, unit) for line in lines]
    present = torch.tensor([[word in has for word in asked] for has in map(set, words)], dtype=torch.bool)
    encoded = translator.subwords.encode_src(lines, longest)
    [model] = translator.models
    vectors: dict[int, Tensor] = {}
    for rows in batched([len(ids) for ids in encoded]):
        src = torch.from_numpy(pad([encoded[n] for n in rows])).to(translator.device)
        with torch.inference_mode(), translator.autocast():
            memory = model.encode(src)
            narrow = model.decoder.bottleneck(memory)
        found = memory.sentence_vector if narrow is None else narrow
        vectors |= zip(rows, found.float().cpu(), strict=True)
    return Examples([len(each) for each in words], torch.stack([vectors[n] for n in range(len(lines))]), present)


def deal(sentences: Examples) -> Examples:
    """The baseline: each sentence gets the words of another of its length, or of the next length if it is alone."""
    rng = random.Random("control")
    order = sorted(range(len(sentences.lengths)), key=lambda n: (sentences.lengths[n], rng.random()))
    groups: list[list[int]] = [[]]
    for n in order:
        if len(groups[-1]) > 1 and sentences.lengths[n] > sentences.lengths[groups[-1][-1]]:
            groups.append([])
        groups[-1].append(n)
    if len(groups) > 1 and len(groups[-1]) == 1:
        alone = groups.pop()
        groups[-1] += alone
    givers = torch.zeros(len(order), dtype=torch.long)
    for group in groups:
        givers[group] = torch.tensor(group).roll(1)
    return replace(sentences, present=sentences.present[givers])


def answers(fitted: Examples, valid: Examples, test: Examples) -> Tensor:
    """Fit the probe with the best penalty; which of the test sentences' words it names (N, W)."""
    best = max(PENALTIES, key=lambda p: int(named(predict(fitted, valid.vectors, p), valid.present).sum()))
    return named(predict(fitted, test.vectors, best), test.present)


def predict(fitted: Examples, vectors: Tensor, penalty: float) -> Tensor:
    """Scores (N, W) of the words, by ridge regression on standardised vectors."""
    mean, deviation = fitted.vectors.mean(0), fitted.vectors.std(0) + 1e-6
    x, y = ((fitted.vectors - mean) / deviation).double(), fitted.present.double()
    share = y.mean(0)
    damped = x.T @ x + penalty * len(x) * torch.eye(x.shape[1], dtype=x.dtype)
    weights = torch.linalg.solve(damped, x.T @ (y - share))
    return ((vectors - mean) / deviation).double() @ weights + share


def named(scores: Tensor, present: Tensor) -> Tensor:
    """Which of a sentence's k words are among its k highest scores (N, W)."""
    rank = scores.argsort(dim=1, descending=True, stable=True).argsort(1)
    return present & (rank < present.sum(1, keepdim=True))
