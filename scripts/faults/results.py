"""From the files of finished runs to the table: BLEU with each fault, and what it differs by from the sound run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from scripts.faults.plan import Row, Source
from scripts.faults.token_bleu import pieces, statistics, words
from seq2seq.data.lengths import EDGES, unit_of
from seq2seq.data.subwords import Subwords
from seq2seq.evaluation.metrics import BLEU, SufficientStatistics
from seq2seq.evaluation.statistics import Difference, by_bucket, difference, interval, select
from seq2seq.report.data import lines_of
from seq2seq.runs.loading import saved_split
from seq2seq.runs.run import Run
from seq2seq.terminal.numbers import number


class Cost(TypedDict):
    """A difference in BLEU, wrong less right, with its 95 % confidence interval."""

    value: float
    low: float
    high: float
    p: float


class Result(TypedDict):
    """A line of the table."""

    fault: str
    what: str
    bleu: float
    without: float
    seeds: int
    covers: str
    cost: Cost
    by_length: dict[str, Cost]  # words of the source: those sentences alone


class Runs:
    """The finished runs of each training, one a seed."""

    def __init__(self, runs: dict[str, list[Run]]) -> None:
        self.runs = runs
        self._known: dict[Source, list[SufficientStatistics]] = {}

    def statistics(self, source: Source) -> list[SufficientStatistics]:
        """Of each seed, sufficient statistics of BLEU."""
        if source not in self._known:
            self._known[source] = self._count(source)
        return self._known[source]

    def _count(self, source: Source) -> list[SufficientStatistics]:
        found = []
        for run in self.runs[source.training]:
            texts = saved_split(run, "test")
            assert texts is not None, "a finished run has its test's text"
            _, references = texts
            hypotheses = lines_of(run.evaluation(source.evaluation) / "hypotheses.txt")
            if source.tokens is None:
                found.append(BLEU.statistics(hypotheses, references, "de"))
            else:
                tokens = words if source.tokens == "words" else pieces(Subwords.load(run.subwords))
                found.append(statistics(tokens, hypotheses, references))
        return found

    def lengths(self) -> list[int]:
        """Words of each source sentence of the test, which is the same for all runs."""
        texts = saved_split(next(iter(self.runs.values()))[0], "test")
        assert texts is not None, "a finished run has its test's text"
        return unit_of(texts[0]).counts(texts[0])

    def result(self, row: Row) -> Result:
        """The figures of a row."""
        wrong, right = self.statistics(row.wrong), self.statistics(row.right)
        whole = difference(wrong, right, BLEU)
        buckets = by_bucket(self.lengths(), EDGES)
        by_length = {
            bucket.name: cost(difference(select(wrong, bucket.indices), select(right, bucket.indices), BLEU))
            for bucket in buckets
        }
        return Result(
            fault=row.fault,
            what=row.what,
            bleu=interval(wrong, BLEU).value,
            without=interval(right, BLEU).value,
            seeds=len(wrong),
            covers=whole.covers,
            cost=cost(whole),
            by_length=by_length,
        )


def cost(found: Difference) -> Cost:
    """As plain data."""
    return Cost(value=found.value, low=found.low, high=found.high, p=found.p_bootstrap)


def told(found: Cost) -> str:
    """``−3.2 [−4.1, −2.3]``."""
    ends = ", ".join(number(end) for end in (found["low"], found["high"]))
    return f"{number(found['value'], signed=True)} [{ends}]"


def outermost(result: Result) -> list[str]:
    """The names of the shortest and the longest bucket, or of the one that all sentences are in."""
    names = [*result["by_length"]]
    return [*dict.fromkeys((names[0], names[-1]))]


def columns(results: Sequence[Result]) -> list[str]:
    """The heads of the table."""
    lengths = [f"{bucket} words" for bucket in outermost(results[0])]
    return ["", "fault", "without", "with", "difference", *lengths]


def cells(result: Result) -> list[str]:
    """A line of the table."""
    costs = [result["cost"], *(result["by_length"][bucket] for bucket in outermost(result))]
    return [result["fault"], result["what"], number(result["without"]), number(result["bleu"]), *map(told, costs)]


def markdown(results: Sequence[Result]) -> str:
    """The table of docs/seven-faults.md."""
    heads = columns(results)
    lines = [heads, ["---"] * len(heads), *map(cells, results)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
