"""The JSON files of a run folder, typed, so that a misspelt key is found by the type checker. Knows names alone."""

from __future__ import annotations

from typing import Any, TypedDict


class Third(TypedDict):
    """BLEU of a third of the sentences, with the fewest and the most source words in it."""

    third: str
    from_words: int
    to_words: int
    sentences: int
    bleu: float


class Likelihood(TypedDict):
    """Scores of the references under teacher forcing."""

    nll: float  # negative log-likelihood, nats a token
    ppl: float
    bits_per_character: float  # of the reference, so that vocabularies can be compared
    token_accuracy: float  # share of tokens that are the argmax
    target_tokens: int


class MetricScores(TypedDict, total=False):
    """Corpus scores and signatures, for each metric that was asked for."""

    bleu: float
    bleu_signature: str
    chrf: float
    chrf_signature: str
    ter: float
    ter_signature: str


class Details(TypedDict, total=False):
    """Entries of ``scores.json`` that are there only if they were asked for."""

    by_length: list[Third]
    models: list[str]  # checkpoints of the ensemble
    decode: dict[str, Any]  # options of the search


class Scores(Likelihood, MetricScores, Details):
    """``evaluations/<name>/scores.json``."""

    sentences: int  # that were translated and scored
    length_ratio: float  # characters of the output for each of the references
    seconds: float  # of translating
    sentences_per_second: float


class Sample(TypedDict):
    """A test sentence and its translation."""

    src: str
    reference: str
    translation: str


class Summary(TypedDict):
    """``summary.json``: the result of a finished run."""

    checkpoint: str  # the weights that were tested: best or averaged
    steps: int
    best_step: int
    tokens: int  # target tokens trained on
    seconds: float  # of updates
    tokens_per_second: float
    parameters: dict[str, int]  # embeddings, encoder, decoder, output, total
    test: Scores
    samples: list[Sample]


class Machine(TypedDict):
    """The hardware of a run."""

    processor: str
    threads: int


class Fingerprint(TypedDict):
    """``fingerprint.json``: hashes of everything that the scores of a run depend on, with versions and machine."""

    data: str
    subwords: str
    references: str
    code: str
    versions: dict[str, str]
    machine: Machine
