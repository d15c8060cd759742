"""The answer and the sections on quality: differences between the models, by source length, with their uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from itertools import combinations, product
from typing import Any

from seq2seq.data.lengths import Unit
from seq2seq.evaluation.metrics import BLEU, CHRF, NLL, USUAL, Metric, SufficientStatistics, TextMetric
from seq2seq.evaluation.onset import Onset, onset
from seq2seq.evaluation.people import ITERATED, PAIRS, UNRELATED, people_agree
from seq2seq.evaluation.statistics import (
    Bucket,
    Difference,
    Estimate,
    System,
    difference,
    holm,
    interval,
    select,
)
from seq2seq.report.data import LENGTH_RATIO, ReportData
from seq2seq.report.level import shown
from seq2seq.report.model_runs import ModelRuns, mean
from seq2seq.report.page.document import Figure, Row, Section, Table
from seq2seq.report.sections.scales import Growth, Growths, chance
from seq2seq.terminal.numbers import number

MARGIN = 2.0  # a model is behind another if it has this much less BLEU
TESTED = ("difference", "low", "high", "p (bootstrap)", "p (randomisation)")
"""Columns of a table of differences, as ``_tested`` fills them."""


def at(system: System, bucket: Bucket) -> list[SufficientStatistics]:
    """A system's sufficient statistics of the sentences of one bucket."""
    return select(system, bucket.indices)


def mean_score(system: System, metric: Metric) -> float:
    """The score of all sentences, the mean over a system's runs."""
    return mean(float(metric.score(counts.sum(0))) for counts in system)


def spread(name: str, estimate: Estimate) -> Row:
    """An estimate and the ends of its interval as columns of a row."""
    return {name: estimate.value, "low": estimate.low, "high": estimate.high}


def _length(found: Onset, unit: Unit) -> str:
    """A length with its interval, whose ends may lie beyond the longest sentences."""
    low = "beyond the longest" if found.low is None else f"{found.low:.0f}"
    high = "beyond the longest" if found.high is None else f"{found.high:.0f}"
    return f"{found.length:.0f} {unit.name} on (95 % interval {low} to {high})"


def behind_from(found: Onset, unit: Unit) -> str:
    """A phrase for the length from which on a model is behind, after "it is behind X"."""
    if found.length is None:
        return "at no length for good"
    return "from the shortest sentences on" if found.from_start else f"from {_length(found, unit)}"


def _growing(grown: Growth) -> str:
    """A phrase for the direction in which the gap in BLEU changes with length, and whether it may be chance."""
    assert grown.change is not None and grown.p is not None
    found = grown.change
    p = f"p {chance(grown.p)}" if grown.p < 0.001 else f"p = {chance(grown.p)}"
    text = f"grows by {shown(found)}"
    if grown.verdict == "shrinks":
        text = f"shrinks by {number(-found.value)} [{number(-found.high)}, {number(-found.low)}]"
    elif grown.verdict == "may be chance":
        text = f"changes by {shown(found)}, which may be chance"
    return f"{text} (95 % interval over {found.covers}; {p} after Holm's correction)"


def _sight(groups: Sequence[ModelRuns]) -> str:
    """A clause for the models that have attention over the source's positions; empty where none has."""
    looking = [group.model for group in groups if group.configs[0].model.sees == "positions"]
    if not looking:
        return ""
    named = " and ".join(looking) if len(looking) < len(groups) or len(looking) == 1 else "they"
    return f"; {named} {'has' if len(looking) == 1 else 'have'} attention over all source positions"


def _tested(found: Mapping[tuple[str | int, ...], Difference]) -> list[list[Any]]:
    """A row for each difference: the cells of its key, then ``TESTED``, with Holm's correction over all of them."""
    drawn = holm([each.p_bootstrap for each in found.values()])
    swapped = holm([each.p_randomisation for each in found.values()])
    return [
        [*label, each.value, each.low, each.high, chance(p), chance(q)]
        for (label, each), p, q in zip(found.items(), drawn, swapped, strict=True)
    ]


Scores = dict[tuple[str, TextMetric], tuple[Estimate, list[float]]]
"""By model and metric: the mean over the seeds with its interval, and the score of each seed."""


def _score_table(name: str, title: str, scores: Scores, note: str) -> Table:
    rows = [
        [model, metric.label, whole.value, whole.low, whole.high, ", ".join(number(value, 2) for value in singles)]
        for (model, metric), (whole, singles) in scores.items()
    ]
    return Table(name, title, ["model", "metric", "score", "low", "high", "each seed"], rows, note)


class Quality:
    """Estimates that several parts of the page share, each computed once: BLEU by length, gaps and their growth.

    "Shortest" and "longest" sentences are those of the first and the last bucket that is large enough.
    """

    def __init__(self, data: ReportData) -> None:
        self.data, self.buckets = data, data.buckets
        self.by_length = self._by_length(BLEU)
        self.behind = {group.model: self._differences(group, BLEU) for group in data.others}
        sound = [n for n, bucket in enumerate(self.buckets) if not bucket.small]
        self.ends = (sound[0], sound[-1]) if len(sound) > 1 else None
        self.growths = Growths(data, self.buckets, sound)
        if self.ends is None:
            return
        lengths, base = data.lengths.tolist(), data.system(data.baseline, BLEU)
        systems = {group.model: data.system(group, BLEU) for group in data.others}
        self.onset = {name: onset(own, base, lengths, BLEU, MARGIN) for name, own in systems.items()}

    def _by_length(self, metric: Metric) -> dict[str, list[Estimate]]:
        """Each model's score in each bucket."""
        return {
            group.model: [interval(at(self.data.system(group, metric), bucket), metric) for bucket in self.buckets]
            for group in self.data.groups
        }

    def _differences(self, group: ModelRuns, metric: Metric) -> list[Difference]:
        """The model's score less the baseline's in each bucket."""
        system, base = self.data.system(group, metric), self.data.system(self.data.baseline, metric)
        return [difference(at(system, bucket), at(base, bucket), metric) for bucket in self.buckets]

    @property
    def covers(self) -> str:
        """The sources of chance that all intervals include: sentences, or sentences and seeds."""
        found = [each.covers for estimates in self.by_length.values() for each in estimates]
        return "sentences" if "sentences" in found else found[0]

    def answer(self) -> list[str]:
        """What has not learned enough to be compared, if anything; then the result in a few sentences."""
        base, notice, compared = self.data.baseline, self.data.level.notice(), self.data.compared
        if not self.data.others:
            return [*notice, f"There are only runs of {base.model}: nothing to compare it with."]
        if not compared:
            return notice
        if self.ends is None:
            few = f"The test has too few sentences of different lengths to say how {base.model} depends on them."
            return [*notice, few]
        name = self.growths.named.model
        grown = self.growths.of(name)
        assert grown is not None
        by_vector = base.configs[0].model.sees == "vector"
        nature = ", which reads the source as one vector," if by_vector else ""
        slopes = " and ".join(self._slope(group.model) for group in compared)
        ends = [(self.buckets[n].name, self.by_length[base.model][n].value) for n in self.ends]
        gap = f"The gap to {name} is {self._gap(name)}: with length it {_growing(grown)}."
        return [
            *notice,
            f"{base.model}{nature} goes from {number(ends[0][1])} BLEU on sources of {ends[0][0]} "
            f"{self.data.unit.name} to {number(ends[1][1])} on {ends[1][0]}; {self._behind_from(name)}.",
            " ".join(filter(None, [gap, self.growths.where(name)])),
            *filter(None, [self.growths.agreement(name)]),
            f"Over the same lengths {slopes}{_sight(compared)}.",
        ]

    def _gap(self, name: str) -> str:
        """The gap to a model on the shortest and on the longest sentences."""
        assert self.ends is not None
        short, long = ((shown(self.behind[name][n]), self.buckets[n].name) for n in self.ends)
        return f"{short[0]} BLEU on {short[1]} {self.data.unit.name} and {long[0]} on {long[1]}"

    def _behind_from(self, name: str) -> str:
        found = self.onset[name]
        if found.length is None:
            return f"it does not fall {MARGIN:g} BLEU behind {name} for good at any length seen here"
        if not found.from_start:
            return f"it falls behind {name} from {_length(found, self.data.unit)}"
        return f"it is more than {MARGIN:g} BLEU behind {name} from the shortest sentences on"

    def _slope(self, model: str) -> str:
        assert self.ends is not None
        first, last = (self.by_length[model][n].value for n in self.ends)
        word = "loses" if last < first else "gains"
        return f"{model} {word} {number(abs(first - last))} BLEU ({number(first)} to {number(last)})"

    @cached_property
    def curves(self) -> list[Figure]:
        """Scores by source length: BLEU, which is the page's opening figure, chrF, likelihood and output length."""
        return [
            self._curve("bleu-by-length", "BLEU by source length",
                        f"Test BLEU in buckets of {self.data.source_length}, with 95 % intervals over {self.covers}; "
                        "points stand at the mean length of each bucket.",
                        self.by_length, "BLEU", "test BLEU"),
            self._curve("chrf-by-length", "chrF by source length", "A score of character n-grams.",
                        self._by_length(CHRF), "chrF", "test chrF"),
            self._curve("nll-by-length", "Negative log-likelihood of the reference, by source length",
                        "In nats a token, by teacher forcing: no search is involved.",
                        self._by_length(NLL), "nats", "nats a token"),
            self._curve("ratio-by-length", "Output length, by source length",
                        f"{self.data.tgt_unit.name.capitalize()} of the output for each of the reference.",
                        self._by_length(LENGTH_RATIO), "ratio", "output / reference"),
        ]  # fmt: skip

    def _curve(
        self, name: str, title: str, caption: str, estimates: Mapping[str, Sequence[Estimate]], value: str, y_title: str
    ) -> Figure:
        """A line with its interval for each model, with points at the mean length of each bucket's sentences."""
        rows: list[Row] = [
            {"model": model, **self.data.place(bucket), **spread(value, each)}
            for model, found in estimates.items()
            for bucket, each in zip(self.buckets, found, strict=True)
        ]
        return Figure(
            name, title, caption, rows, "lines", self.data.source_length, value, "model", "low", "high", y_title=y_title
        )

    def overall(self) -> Section:
        """Section 2: test scores with intervals, single seeds, and tests of every pair of models."""
        scores = self._scores(self.data.system)
        rows: list[Row] = []
        for (model, metric), (whole, singles) in scores.items():
            label = {"metric": metric.label, "model": model}
            rows.append({**label, **spread("score", whole)})
            rows += [{**label, "score": value, "low": None, "high": None} for value in singles]
        summary = self.data.baseline.summaries[0]["test"]
        signatures = "; ".join(metric.signature_of(summary) for metric in USUAL)
        few = (
            "Some model has fewer than three seeds: of it, nothing is said about seeds to come, and the bootstrap's "
            "p-value is sacreBLEU's, which is lenient. "
        )
        text = [
            f"Means over the seeds, with 95 % intervals that cover {self.covers}; each seed is a point. "
            f"{'' if 'seeds' in self.covers else few}Differences are paired over sentences: by bootstrap, which covers "
            "what the intervals cover, and by approximate randomisation, which speaks of these trained models alone; "
            "p-values are corrected for the number of comparisons (Holm).",
            *([self._meaning()] if self.data.others else []),
        ]
        figure = Figure(
            "quality", "Quality, seed by seed", "Means with 95 % intervals; every seed is a point.", rows,
            "points", "model", "score", "model", "low", "high", facet="metric", y_title="score",
        )  # fmt: skip
        tables = [_score_table("quality", "Test scores", scores, f"sacreBLEU {signatures}"), self._pairs()]
        return Section("quality", "Quality with certainty", text, [figure], [*tables, *self._further_tests()])

    def _scores(self, system: Callable[[ModelRuns, TextMetric], System]) -> Scores:
        """The scores of each model's ``system``."""
        found: Scores = {}
        for metric, group in product(USUAL, self.data.groups):
            own = system(group, metric)
            found[group.model, metric] = interval(own, metric), [mean_score([counts], metric) for counts in own]
        return found

    def _further_tests(self) -> list[Table]:
        """The scores on each further test set."""
        return [
            _score_table(
                f"test-{n}", f"Scores on the test set {name}", self._scores(partial(self.data.further, name=name)),
                f"{len(src):,} sentences; intervals as of the test scores.",
            )
            for n, (name, (src, _)) in enumerate(self.data.tests.items(), 1)
        ]  # fmt: skip

    def _pairs(self) -> Table:
        rows: list[list[Any]] = []
        for metric in USUAL:
            systems = {group.model: self.data.system(group, metric) for group in self.data.groups}
            found: dict[tuple[str | int, ...], Difference] = {
                (f"{b} − {a}", metric.label): difference(systems[b], systems[a], metric)
                for a, b in combinations(systems, 2)
            }
            people = [people_agree(metric, each.value) for each in found.values()]
            rows += [
                [*row, *([each] if self._judged else [])] for row, each in zip(_tested(found), people, strict=True)
            ]
        columns = ["pair", "metric", *TESTED, *(["people agree"] if self._judged else [])]
        return Table("pairs", "Differences", columns, rows, note="p-values after Holm's correction within each metric.")

    @property
    def _judged(self) -> bool:
        """Whether people's judgements of other texts may say anything of these: not of the grammar's."""
        return self.data.config.data.source != "grammar"

    def _meaning(self) -> str:
        """What a difference means to a person, as it was published, and what that does not say."""
        if not self._judged:
            return (
                "What such a difference means to a person is not known: published thresholds are of judgements of real "
                "text, and nobody judges sentences of a grammar by taste."
            )
        unrelated, iterated = (
            " and ".join(f"{shares[metric.key]:.0f} % ({metric.label})" for metric in USUAL)
            for shares in (UNRELATED, ITERATED)
        )
        return (
            f"“People agree” is no test of these models. Of {PAIRS:,} pairs of systems that people judged, it is the "
            "share in which they, too, preferred the one with the higher score, by the size of the difference on the "
            f"whole test (Kocmi et al. 2024, a fitted curve; 50 % is a coin's). Over all sizes it was {unrelated} for "
            f"unrelated systems, as different architectures are, and {iterated} for versions of one system; languages "
            "and texts were others. A low p-value says that a difference is there, not that anybody would notice it."
        )

    def lengths(self) -> Section:
        """Section 3: scores by source length, and the length from which on the baseline is behind."""
        small = [bucket.name for bucket in self.buckets if bucket.small]
        text = []
        for group in self.data.compared if self.ends else ():
            name, grown = group.model, self.growths.of(group.model)
            assert grown is not None and grown.change is not None
            zero = "includes zero" if grown.change.low <= 0 <= grown.change.high else "excludes zero"
            text.append(
                f"Against {name}, the gap is {self._gap(name)}; {self._behind_from(name)}. The difference of the two, "
                f"{shown(grown.change)}, {zero}."
            )
        if small:
            text.append(f"Too few sentences to speak: {', '.join(small)} {self.data.unit.name}.")
        gap = self._curve(
            "gap-by-length", f"BLEU above {self.data.baseline.model}, by source length",
            "Paired differences with 95 % intervals.", self.behind, "BLEU", "difference in BLEU",
        )  # fmt: skip
        tables = [self._bucket_table(), self._gap_table]
        return Section("lengths", "By source length", text, [gap, *self.curves[1:]], tables)

    def _bucket_table(self) -> Table:
        """The rows of the curves side by side."""
        sizes = {bucket.name: len(bucket.indices) for bucket in self.buckets}
        rows: list[list[Any]] = []
        for cells in zip(*(curve.rows for curve in self.curves), strict=True):
            row = [cells[0]["model"], cells[0]["bucket"], sizes[cells[0]["bucket"]]]
            for curve, cell in zip(self.curves, cells, strict=True):
                row += [cell[curve.y], cell["low"], cell["high"]]
            rows.append(row)
        spreads = [f"{name}{end}" for name in ("BLEU", "chrF", "NLL", "length ratio") for end in ("", " low", " high")]
        columns = ["model", self.data.source_length, "sentences", *spreads]
        return Table("by-length", "Every figure by source length", columns, rows)

    def gaps(self) -> list[Row]:
        """The rows of the differences by source length, as they stand in the page's files."""
        return [dict(zip(self._gap_table.columns, row, strict=True)) for row in self._gap_table.rows]

    @cached_property
    def _gap_table(self) -> Table:
        rows: list[list[Any]] = []
        base = self.data.baseline.model
        for metric, group in product((*USUAL, NLL), self.data.others):
            found = zip(self.buckets, self._differences(group, metric), strict=True)
            label = f"{group.model} − {base}", metric.label
            rows += _tested({(*label, bucket.name, len(bucket.indices)): each for bucket, each in found})
        columns = ["pair", "metric", self.data.source_length, "sentences", *TESTED]
        return Table("gap-by-length", "Differences by source length", columns, rows, note="Holm over the buckets.")
