"""The JSON files of a run folder, typed, so that a misspelt key is found by the type checker. Knows only names."""

from __future__ import annotations

from typing import Any, TypedDict


class InUnit(TypedDict, total=False):
    """The unit of lengths; older records lack it and count words."""

    unit: str  # words or characters


class Third(InUnit):
    """BLEU of a third of the sentences, with the least and the greatest source length in it."""

    third: str
    from_words: int  # in the unit, as the next
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


class Placeholder(TypedDict):
    """What became of one symbol of ``data.subwords.keep`` in all sentences."""

    symbol: str
    in_source: int
    came_through: int  # of those in the source, into the translation of their own sentence
    too_many: int  # in translations, beyond those in the source


class Details(TypedDict, total=False):
    """Entries of ``scores.json`` that are there only if they were asked for."""

    placeholders: list[Placeholder]
    by_length: list[Third]
    models: list[str]  # checkpoints of the ensemble
    steps: list[int | None]  # of each, the updates after which its weights were saved, where it says so
    decode: dict[str, Any]  # options of the search
    date: str  # ISO 8601, with the time zone
    text: str  # the split, or the files that were scored
    options: dict[str, Any]  # by key, those that are not the run's own


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


class Gain(TypedDict):
    """The score of a test set before a training that began from trained weights, and after it."""

    test: str
    metric: str
    before: float
    after: float
    low: float  # ends of the 95 % confidence interval of the difference
    high: float


class FurtherTests(TypedDict, total=False):
    """Entries of ``summary.json`` that older runs do not have."""

    tests: dict[str, Scores]  # of the further test sets, by name
    gains: list[Gain]  # of a training that began from trained weights


class Summary(FurtherTests):
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


class Leg(TypedDict):
    """A later leg of a training that was made longer."""

    step: int  # updates made before it
    tokens: int  # target tokens trained on before it
    changed: list[str]  # options, each as ``key: before -> since``


class History(TypedDict, total=False):
    """Entries of ``fingerprint.json`` that only some runs have."""

    legs: list[Leg]
    initial: str  # checksum of the trained weights from which it began


class Fingerprint(History):
    """``fingerprint.json``: hashes of everything that the scores of a run depend on, with versions and machine."""

    data: str
    subwords: str
    references: str
    code: str
    versions: dict[str, str]
    machine: Machine


class Replaced(TypedDict):
    """Greedy test translations under one replacement of the attention weights."""

    attention: str  # name of the replacement
    hypotheses: list[str]


class Interventions(TypedDict):
    """``measurements/interventions.json``; a model without attention has one row."""

    search: str
    sentences: list[int]  # indices in the test
    rows: list[Replaced]


class MapName(TypedDict, total=False):
    """An attention map; layer and head count from 1, and the mean of all maps has neither."""

    map: str
    layer: int
    head: int


class MapSharpness(MapName, total=False):
    """Means over target words, source words (coverage) or sentences (spread)."""

    entropy: float  # of a target word's attention over the source words, nats
    entropy_share: float  # of the greatest possible entropy
    outside: float  # attention on tokens of no word
    coverage: float  # share of source words that get enough attention
    spread: float  # standard deviation of the attention that source words get, 1 being an even share


class Agreement(TypedDict):
    """Alignment error rate, precision and recall against a gold alignment."""

    aer: float
    precision: float
    recall: float


class WordAgreement(Agreement):
    """Agreement of all links, and of those without the target's punctuation."""

    aer_words: float  # without punctuation, as the next two
    precision_words: float
    recall_words: float


class MapAgreement(MapName, WordAgreement):
    """Agreement of the links of one map in one state."""

    state: str  # before or after


class ChosenMap(MapAgreement):
    """Agreement on the test of the map and state with the least AER on the validation split."""

    valid_sentences: int
    valid_aer_words: float


class Effect(TypedDict, total=False):
    """Effect of hiding a source word on the log-probability (nats) of the reference's token."""

    change: float  # mean
    standard_error: float | None  # None for a single position
    prediction_changes: float  # share of positions with another argmax; not of a difference


class Masked(TypedDict, total=False):
    """Effects of hiding a word; only ``positions`` if there is none."""

    positions: int
    log_probability: float  # mean, with nothing hidden
    word: Effect
    random: Effect  # of hiding another word
    difference: Effect  # of the first less the second


class Masking(TypedDict, total=False):
    """Effects by the choice of the word, and the number of positions drawn."""

    drawn: int
    attended: Masked  # the word that this model attends to most; only with attention
    gold: Masked  # the word that the gold alignment links, the same for all models; only with gold
    zeroed: Masked  # the values of the word attended to most; only where the decoder attends to every position


class AttentionMaps(TypedDict, total=False):
    """What is measured of a model with attention."""

    maps: list[MapSharpness]
    alignment: list[MapAgreement]  # with a gold alignment of the test
    bounds: list[MapAgreement]  # with it: of the best links, one a target word, and of the diagonal
    chosen: ChosenMap | None  # with that of the test; None without one of the validation split


class Attention(AttentionMaps):
    """``measurements/attention.json``."""

    attention: bool  # whether the model has any
    sentences: int
    masking: Masking


class Forgetting(TypedDict):
    """``measurements/forgetting.json``; no rows without a word alignment of the test."""

    rows: list[tuple[int, int | None, int, float, int]]
    """Source words, place of the aligned source word, target tokens, sum of their NLL, correct argmaxes."""


class Probe(TypedDict):
    """``measurements/probe.json``; rows, one a test sentence, are [its source words, words asked for, words found]."""

    vector: str  # "bottleneck" where all that the decoder knows of the source passes through it, else "summary"
    units: int
    narrow_units: int  # at which models are compared: those of the vector, or of a random projection of it
    fitted_on: int  # sentences
    asked: list[str]
    recall: float
    narrow_recall: float
    baseline_recall: float  # of length and frequency alone, at the narrow width
    rows: list[list[int]]
    narrow: list[list[int]]
    baseline: list[list[int]]
    places: list[list[int]]  # [source words, fifth of the sentence, words asked for, found], of words that occur once


class TranslatedSet(TypedDict):
    """Sources of one kind and length with references and translations."""

    name: str
    kind: str
    parts: int  # sentences joined to one
    src: list[str]
    references: list[str]
    hypotheses: list[str]


class Extrapolation(TypedDict):
    """``measurements/extrapolation.json``."""

    beam: int
    sets: list[TranslatedSet]


class Searched(TypedDict):
    """Translations by one search."""

    beam: int
    length_penalty: str
    seconds: float
    hypotheses: list[str]


class SearchErrors(TypedDict):
    """``measurements/search.json``."""

    split: str
    sentences: list[int]  # indices in the split
    src: list[str]
    references: list[str]
    rows: list[Searched]
    preference: dict[str, dict[str, float]]  # by total and by average log-probability: shares of outcomes


class LengthCost(TypedDict):
    """Cost of translating a sentence of one length."""

    words: int
    pieces: int  # tokens
    greedy_seconds: float
    beam_seconds: float
    memory: dict[str, int]  # bytes that depend on the source alone, by part
    state: int  # bytes of a hypothesis's decoder state after its last token


class Cost(TypedDict):
    """``measurements/cost.json``."""

    beam: int
    device: str
    threads: int
    rows: list[LengthCost]


class ExploredSentence(TypedDict):
    """A test sentence and its translation, word by word."""

    index: int  # in the test
    src: list[str]  # words
    reference: str
    words: list[str]  # of the translation
    nll: float  # of the reference, nats a token
    chrf: float  # of the translation
    attention: list[list[list[float]]]  # for each map, target words by source words; empty without attention


class Explored(TypedDict):
    """``measurements/explorer.json``."""

    sentences: list[ExploredSentence]
    maps: list[str]  # names


class TrainedLengths(TypedDict):
    """``measurements/lengths.json``, of one run of a study."""

    origin: str  # a hash of the training text and of what decides which of it is trained on
    counts: list[list[int]]  # [length of a source, training pairs], joined ones where they are joined
    read: int  # training pairs, before any is dropped or joined
    cut: bool  # whether there are more


class Nearness(TypedDict):
    """``measurements/nearness.json``, of one run of a study."""

    origin: str  # a hash of the test and the training text
    near: list[int]  # indices of test sources that are at most one word away from a training source
    read: int  # training pairs
    cut: bool  # whether there are more


class Frequencies(TypedDict):
    """``measurements/frequencies.json``, of one run of a study."""

    origin: str  # a hash of the test and the training text
    counts: dict[str, int]  # times that each word of the test references occurs in the training targets
    read: int  # training pairs
    cut: bool  # whether there are more
