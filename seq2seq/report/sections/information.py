"""The section on information: what the models know of the reference from its source, beyond a language model of it.

A language model of the target that sees no source gives each reference a likelihood. What a translation model adds to
its logarithm is the information, in nats, that the model takes from the source: log p(y | x) − log p(y), the pointwise
mutual information of source and reference by these two models. Knows buckets and statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seq2seq.evaluation.metrics import INFORMATION, NLL, Metric, SufficientStatistics
from seq2seq.evaluation.statistics import Estimate, System, change, interval
from seq2seq.report.data import ReportData
from seq2seq.report.page.document import Figure, Row, Section, Table
from seq2seq.report.sections.quality import Quality, at, spread
from seq2seq.report.sections.scales import SHARE, precise

TITLE = "Information taken from the source"
ABSENT = (
    "There is no language model of the target among the runs, so what the models take from the source is not measured: "
    "a study with `language_model=…` trains one, and `seq2seq report` takes runs of one."
)


def of_sentences(system: System) -> list[SufficientStatistics]:
    """A system whose mean is one a sentence in place of one a token."""
    return [np.stack([counts[:, 0], np.ones(len(counts))], axis=1) for counts in system]


class Information:
    """Nats that each model takes from the source, by the length of the source."""

    def __init__(self, data: ReportData, quality: Quality) -> None:
        self.data, self.quality, self.buckets = data, quality, data.buckets
        self.tokens = {group.model: data.information(group) for group in data.groups}
        self.sentences = {model: of_sentences(system) for model, system in self.tokens.items()}

    def section(self) -> Section:
        """Information a token and a sentence, and the baseline's share of what each other model takes."""
        assert self.data.language_model is not None
        seeds = len(self.data.language_model.runs)
        text = [
            "The reference's log-probability with the source, less that without it by a language model of the target "
            f"({f'the mean over {seeds} seeds' if seeds > 1 else 'one seed'}), which is one fixed measure for all "
            f"models: intervals cover {self.quality.covers}, but not what another language model would say. It has "
            "neither floor nor ceiling. A difference of two models' information is that of their likelihood, since "
            "the language model cancels out; it is needed for the sum and for the share.",
            *self._answer(),
        ]
        figures = [
            self._figure("information-by-length", self.tokens, "token"),
            self._figure("information-a-sentence", self.sentences, "sentence"),
            self._share_figure(),
        ]
        tables = [each for each in (self._table(), self._share_table()) if each.rows]
        return Section("information", TITLE, text, figures, tables)

    def _by_bucket(self, system: System, metric: Metric = INFORMATION) -> list[Estimate]:
        return [interval(at(system, bucket), metric) for bucket in self.buckets]

    def _answer(self) -> list[str]:
        """What the baseline takes, how that changes with length, and its share; nothing where nothing is compared."""
        growths, ends, base = self.quality.growths, self.quality.ends, self.data.baseline.model
        if ends is None or not self.data.compared:
            return []
        other = growths.named.model
        first, last = (self.buckets[n] for n in ends)
        words = f"{first.name} and {{}} on {last.name} {self.data.unit.name}"
        token, sentence = self._by_bucket(self.tokens[base]), self._by_bucket(self.sentences[base])
        of_other = self._by_bucket(self.tokens[other])
        text = [
            f"{base} takes {precise(token[ends[0]])} nats a token on {words.format(precise(token[ends[1]]))}; {other} "
            f"takes {precise(of_other[ends[0]])} and {precise(of_other[ends[1]])}. In a whole sentence that is for "
            f"{base} {precise(sentence[ends[0]], 1)} and {precise(sentence[ends[1]], 1)} nats: {self._limit()}"
        ]
        share = growths.of(other, SHARE)
        if share and share.short and share.long:
            text.append(
                f"Of what {other} takes, {base} takes {precise(share.short)} on {words.format(precise(share.long))}."
            )
        return text

    def _limit(self) -> str:
        """Whether the information of a whole sentence still rises at the end, and how it rises against the length."""
        sound, base = self.quality.growths.sound, self.data.baseline.model
        before, last = sound[-2], sound[-1]
        rise = change(self.sentences[base], before.indices, last.indices, INFORMATION)
        fall = change(self.tokens[base], sound[0].indices, last.indices, INFORMATION)
        between = f"from {before.name} to {last.name} {self.data.unit.name} it changes by {precise(rise, 1)}"
        if rise.low > 0:
            slowly = "more slowly than the number of tokens, " if fall.high < 0 else ""
            return f"{between}, so it still rises, {slowly}and no fixed limit shows at these lengths."
        if rise.high < 0:
            return f"{between}, so the longest sentences give it less than shorter ones do."
        return f"{between}, which may be chance: whether it has reached a limit cannot be told."

    def _figure(self, name: str, systems: dict[str, list[SufficientStatistics]], of: str) -> Figure:
        rows: list[Row] = [
            {"model": model, **self.data.place(bucket), **spread("nats", each)}
            for model, system in systems.items()
            for bucket, each in zip(self.buckets, self._by_bucket(system), strict=True)
        ]
        caption = f"Nats a {of} beyond a language model that sees no source, with 95 % intervals."
        return Figure(
            name, f"Information a {of}, by source length", caption, rows,
            "lines", self.data.source_length, "nats", "model", "low", "high",
            y_title=f"nats a {of}",
        )  # fmt: skip

    def _shares(self) -> list[tuple[str, int, Estimate]]:
        """The baseline's share of what each other model takes in each bucket where it is defined."""
        found = []
        for group in self.data.others:
            pair = SHARE.pair(self.data, group)
            for n, bucket in enumerate(self.buckets):
                if each := SHARE.figure(pair, bucket.indices):
                    found.append((group.model, n, each))
        return found

    def _share_figure(self) -> Figure:
        base = self.data.baseline.model
        rows: list[Row] = [
            {"model": model, **self.data.place(self.buckets[n]), **spread("share", each)}
            for model, n, each in self._shares()
        ]
        return Figure(
            "information-share", f"What {base} takes of what another model takes, by source length",
            f"{base}'s information divided by the other model's; 1 is as much. Geometric means over the seeds.", rows,
            "lines", self.data.source_length, "share", "model", "low", "high", y_title="share of the information",
        )  # fmt: skip

    def _table(self) -> Table:
        assert self.data.language_model is not None
        without = self.data.system(self.data.language_model, NLL)
        systems: list[tuple[str, Metric, Sequence[SufficientStatistics]]] = [
            (model, INFORMATION, system) for model, system in self.tokens.items()
        ]
        systems.append((f"{self.data.language_model.model} (NLL)", NLL, without))
        rows: list[list[Any]] = []
        for name, metric, system in systems:
            both = (self._by_bucket(each, metric) for each in (system, of_sentences(system)))
            for bucket, token, sentence in zip(self.buckets, *both, strict=True):
                spreads = [end for each in (token, sentence) for end in (each.value, each.low, each.high)]
                rows.append([name, bucket.name, len(bucket.indices), *spreads])
        spreads = [f"{name}{end}" for name in ("nats a token", "nats a sentence") for end in ("", " low", " high")]
        columns = ["model", self.data.source_length, "sentences", *spreads]
        note = (
            "The last model's rows are its NLL without a source, the sum that the others' information is measured from."
        )
        return Table("information", "Information by source length", columns, rows, note)

    def _share_table(self) -> Table:
        base = self.data.baseline.model
        rows = [
            [f"{base} / {model}", self.buckets[n].name, each.value, each.low, each.high]
            for model, n, each in self._shares()
        ]
        columns = ["pair", self.data.source_length, "share", "low", "high"]
        return Table("information-share", "Share of the information by source length", columns, rows)


def information(data: ReportData, quality: Quality) -> Section:
    """What each model takes from the source; a line on how to measure it where there is no language model."""
    if data.language_model is None:
        return Section("information", TITLE, [ABSENT])
    return Information(data, quality).section()
