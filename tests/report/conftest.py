"""A page as a study of three models would make it, with sentences that try to break it; and what needs a browser."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seq2seq.report.page.document import Explorer, Figure, Page, Section, Table
from seq2seq.report.page.write import write_page
from seq2seq.runs.records import ExploredSentence

MODELS = ("lstm", "bahdanau", "transformer")
LENGTHS = (5, 12, 20, 28, 36, 48)
HEADS = [f"layer {layer}, head {head}" for layer in (1, 2) for head in (1, 2, 3, 4)]
MAPS = [[], ["attention"], HEADS]

EVIL = "<script>alert(1)</script>"
HOSTILE = [
    [EVIL, '"quoted"', "'single'", "&amp;", "</script>", "<!--", "${x}", "<img src=x onerror=alert(2)>"],
    ["שלום", "עולם", "זה", "משפט", "ארוך", "(כן)", "עם", "English", "בתוכו", "."],
    ["👩‍🚀", "🚀", "e\u0301", "日本語", "\u2028", "naïve", "a" * 300, "."],
    [f"word{n}" for n in range(400)],
]
TEXT = "the old dog , which had slept near the house , saw a small cat because it had heard her voice ."
PLAIN = TEXT.split()


def quality(model: str, length: float) -> float:
    """BLEU of a model on sentences of a length: one falls, two stay."""
    if model == "lstm":
        return 8 + 84 * math.exp(-max(length - 3, 0) / 11)
    return {"bahdanau": 96.5, "transformer": 97.6}[model] - 0.06 * length


def curves(name: str = "bleu-by-length", title: str = "BLEU by source length", **changes: Any) -> Figure:
    """Three lines with their bands."""
    rows = [
        {"model": m, "length": n, "BLEU": q, "low": q - 2.2 - n / 30, "high": min(q + 2.0 + n / 30, 100)}
        for m in MODELS
        for n in LENGTHS
        for q in [quality(m, n)]
    ]
    titles: dict[str, Any] = {"x_title": "source words", "y_title": "BLEU"}
    caption = "Bands: 95 % intervals over sentences and three seeds."
    figure = Figure(name, title, caption, rows, "lines", "length", "BLEU", "model", "low", "high", **titles)
    return replace(figure, **changes)


def bars(name: str, title: str, categories: list[str], **changes: Any) -> Figure:
    """Groups of three with whiskers."""
    rows = [
        {"cause": c, "model": m, "value": v, "low": v - 3, "high": v + 3}
        for n, c in enumerate(categories)
        for i, m in enumerate(MODELS)
        for v in [90 / (1 + n * (2 - i) / 2) - 5 * i]
    ]
    figure = Figure(
        name, title, "What is left.", rows, "bars", "cause", "value", "model", "low", "high", y_title="BLEU"
    )
    return replace(figure, order=tuple(categories), **changes)


def seeds(name: str, title: str) -> Figure:
    """Means with whiskers, the seeds beside them."""
    rows: list[dict[str, Any]] = []
    for n, model in enumerate(MODELS):
        mean = (19.4, 91.8, 93.9)[n]
        rows += [{"model": model, "BLEU": mean + d, "low": None, "high": None} for d in (-1.4, 0.3, 1.1)]
        rows.append({"model": model, "BLEU": mean, "low": mean - 2, "high": mean + 2})
    return Figure(name, title, "Each seed.", rows, "points", "model", "BLEU", "model", "low", "high")


def heat(name: str, title: str, facet: bool) -> Figure:
    """Accuracy by place and length, for each model where ``facet``."""
    places = [f"{n}–{n + 10} %" for n in range(0, 100, 10)]
    rows = [
        {"model": m, "place": p, "words": f"{n} words", "accuracy": (0.95 if i else 1 / (1 + k * n / 60)) - k / 99}
        for i, m in enumerate(MODELS if facet else MODELS[:1])
        for k, p in enumerate(places)
        for n in LENGTHS
    ]
    figure = Figure(name, title, "Teacher-forced.", rows, "heat", "place", "accuracy", row="words")
    return replace(
        figure,
        facet="model" if facet else None,
        order=tuple(places),
        x_title="place in the source",
        y_title="accuracy",
    )


def training(name: str, title: str) -> Figure:
    """Learning curves, one small chart a bucket of lengths, on a logarithmic axis."""
    rows = [
        {"model": m, "words": w, "tokens": t, "BLEU": quality(m, n) * (1 - math.exp(-t / 1.5e6))}
        for m in MODELS
        for w, n in (("3–10 words", 6), ("11–30 words", 20), ("31–60 words", 45))
        for t in (250_000, 500_000, 1_000_000, 2_000_000, 4_000_000, 8_000_000)
    ]
    changes = {"facet": "words", "x": "tokens", "rows": rows, "low": None, "high": None, "log_x": True}
    return curves(name, title, **changes, x_title="target tokens trained on", caption="Each at its own best rate.")


def attention(targets: int, sources: int, peak: float, draw: random.Random) -> list[list[float]]:
    """Rows that sum to one, about the diagonal."""
    matrix = []
    for t in range(targets):
        centre = t * sources / max(targets, 1) + draw.gauss(0, 1)
        row = [math.exp(-peak * abs(s - centre)) + 1e-4 * draw.random() for s in range(sources)]
        matrix.append([weight / sum(row) for weight in row])
    return matrix


def sentence(
    src: list[str], made: list[list[str]], maps: list[list[str]], draw: random.Random
) -> tuple[ExploredSentence, ...]:
    """One sentence as each of the models translated it."""
    return tuple(
        ExploredSentence(
            index=0,
            src=src,
            reference=" ".join(made[0]),
            words=words,
            nll=draw.uniform(0.1, 2),
            chrf=draw.uniform(20, 100),
            attention=[attention(len(words), len(src), draw.uniform(0.3, 2.5), draw) for _ in names],
        )
        for words, names in zip(made, maps, strict=True)
    )


def length_of(sentence: tuple[ExploredSentence, ...]) -> int:
    """Words of a source, as the buckets count them: punctuation belongs to the word before it."""
    return sum(word not in (",", ".") for word in sentence[0]["src"])


def explorer(count: int = 8) -> Explorer:
    """Plain sentences of growing length, then those that try to break the page."""
    draw = random.Random(7)
    plain = [(PLAIN * 3)[: 4 + 5 * n] for n in range(count)]
    sentences = [sentence(src, [src[::-1], src, src], MAPS, draw) for src in plain]
    for n, words in enumerate(HOSTILE):
        sentences.append(sentence(words, [words, HOSTILE[n - 1], []], MAPS, draw))
    lengths = [length_of(each) for each in sentences]
    return Explorer(list(MODELS), MAPS, sentences, lengths, after="causes")


def page() -> Page:
    """Nine sections and an explorer."""
    scores = Table(
        "scores",
        "Scores on the test split",
        ["model", "parameters", "BLEU", "chrF", "p (against lstm)", "first", f"odd {EVIL}"],
        [
            ["lstm", 1_461_512, 19.41, 41.0, None, True, "a | b"],
            ["bahdanau", 1_463_048, 91.83, 96.127, 0.0002, False, EVIL],
            ["transformer", 1_449_984, 93.9, 97.2, 0.0002, False, math.nan],
        ],
        note="BLEU: nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0",
    )
    wide = Table(
        "wide", "Every trial", [f"column {n}" for n in range(24)], [[n * m for n in range(24)] for m in (1, 2)]
    )
    text = ["`bahdanau` and `transformer` stay flat; what is *left* of the gap is <b>not</b> undertraining."]
    causes = ["attention as learnt", "uniform weights", "last state only", "shuffled among the words"]
    beams = curves("beams", "BLEU against beam size", x="beam", log_x=True, x_title="beam size", low=None, high=None)
    sizes = dict(zip(LENGTHS, (1, 2, 4, 8, 16, 32), strict=True))
    beams = replace(beams, rows=[{**row, "beam": sizes[row["length"]]} for row in beams.rows])
    widths = [
        {"width": w, "words": n, "BLEU": quality("lstm", n * 256 / w)} for w in (64, 128, 256, 512) for n in LENGTHS
    ]
    sweep = curves("widths", "A wider vector buys words", rows=widths, x="words", colour="width", low=None, high=None)
    sections = [
        Section("fairness", "Fairness, checked", text, [], [scores, wide]),
        Section(
            "quality",
            "Quality with certainty",
            text * 2,
            [seeds("seeds", "BLEU, every seed")],
            [replace(scores, name="again")],
        ),
        Section("lengths", "By source length", text, [curves("chrf-by-length", "chrF by source length")]),
        Section("training", "Undertraining excluded", text, [training("learning", "BLEU while training, by length")]),
        Section(
            "causes",
            "Causes, not only effects",
            text,
            [
                bars("interventions", "Attention replaced at test time", causes),
                heat("forgetting", "Where the vector forgets", facet=True),
                heat("probe", "What a linear probe recovers", facet=False),
                sweep,
            ],
        ),
        Section("search", "Search", text, [beams, bars("errors", "Model or search error", ["model", "search"])]),
        Section("failures", "Failures by length", text, [bars("repeats", "Repetition", ["3–10", "11–30", "31–60"])]),
        Section("cost", "Cost", text, [bars("latency", "Seconds a sentence", ["3–10", "11–30", "31–60"])]),
        Section("again", "To repeat it", text, [], [], code='make compare\n# on <two> cores & "slow"\nseeds=[1,2,3]'),
    ]
    answer = [
        "From 8 words on (95 % interval 6 to 10) the fixed context falls behind, and on sentences of 41–60 words it "
        "loses 85.2 BLEU to Bahdanau's attention (82.9 to 87.4).",
        "The two models that may look back lose 2.6 BLEU from the shortest sentences to the longest.",
        "Ten times the training leaves 61 of those 85 BLEU, so the rest is the vector and not the patience.",
    ]
    return Page(
        title="One vector against looking back: three architectures, one budget",
        answer=answer,
        figure=curves(rows=[*curves().rows, {"model": "lstm", "length": 60, "BLEU": None, "low": None, "high": None}]),
        sections=sections,
        explorer=explorer(),
        warnings=["Bucket 49–60 holds 31 sentences: too few to speak.", f"seed 3 of {EVIL} is missing."],
        colours=MODELS,
    )


@pytest.fixture(scope="session")
def sample() -> Page:
    """The page as parts."""
    return page()


@pytest.fixture(scope="session")
def written(sample: Page, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the page and everything beside it, written once."""
    pytest.importorskip("altair", reason="the extra `report` is not installed")
    folder = tmp_path_factory.mktemp("report")
    write_page(sample, folder)
    return folder
