"""Whether the baseline's gap to the other models grows with length, on several scales, in one family of tests.

BLEU ends at 0 and at 100: a gap in BLEU has little room to grow once the worse system is near 0. Likelihood has no such
floor, and ratios ask another question of the same figures. A gap is always that of the baseline to another model.
Knows buckets and statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise, product
from typing import Any, Literal

from seq2seq.evaluation.metrics import BLEU, INFORMATION, MISSING, NLL, Metric
from seq2seq.evaluation.statistics import (
    SMALL,
    Bucket,
    Change,
    Estimate,
    Indices,
    System,
    difference,
    growth,
    holm,
    interval,
    quotient,
    quotient_growth,
    select,
)
from seq2seq.report.data import ReportData
from seq2seq.report.level import shown
from seq2seq.report.model_runs import ModelRuns
from seq2seq.report.page.document import Section, Table
from seq2seq.terminal.numbers import number

Verdict = Literal["grows", "shrinks", "may be chance", "not defined"]
ALL, APART = "all", "not near the training text"
"""Which test sentences a growth is of."""
CERTAIN = 0.05  # a corrected p-value below this is no chance
NEAR_FLOOR = 20.0  # BLEU from which on the gap has little room to grow


@dataclass(frozen=True)
class Scale:
    """A way to put the baseline and another model beside each other as one figure."""

    name: str
    metric: Metric
    base_first: bool  # the baseline's score less the other's, or divided by it; else the other way round
    ratio: bool = False
    rises: bool = True  # whether a larger figure is a wider gap

    def pair(self, data: ReportData, group: ModelRuns) -> tuple[System, System]:
        """The baseline's and the group's sufficient statistics, in the order of the figure."""
        base, other = (self._system(data, each) for each in (data.baseline, group))
        return (base, other) if self.base_first else (other, base)

    def _system(self, data: ReportData, group: ModelRuns) -> System:
        if self.metric is INFORMATION:
            return data.information(group)
        return data.system(group, BLEU if self.metric is MISSING else self.metric)

    def figure(self, pair: tuple[System, System], indices: Indices) -> Estimate | None:
        """The figure of some sentences; None where a ratio means nothing."""
        one, other = (select(system, indices) for system in pair)
        return (quotient if self.ratio else difference)(one, other, self.metric)

    def growth(self, pair: tuple[System, System], short: Indices, long: Indices) -> Change | None:
        """How much, or how many times, the figure of the long sentences is that of the short ones."""
        return (quotient_growth if self.ratio else growth)(*pair, short, long, self.metric)

    def widens(self, found: Change) -> bool:
        """Whether a change is one to a wider gap."""
        return (found.value > (1 if self.ratio else 0)) == self.rises


POINTS = Scale("BLEU", BLEU, base_first=False)
LIKELIHOOD = Scale("nats a token", NLL, base_first=True)
SHARE = Scale("share of the information", INFORMATION, base_first=True, ratio=True, rises=False)
LACK = Scale("ratio of what is missing from 100 BLEU", MISSING, base_first=True, ratio=True)


@dataclass(frozen=True)
class Growth:
    """The gap to a model on the shortest and on the longest sentences, and how it grows between them."""

    group: ModelRuns
    scale: Scale
    sentences: str
    short: Estimate | None
    long: Estimate | None
    change: Change | None
    p: float | None = None  # after Holm's correction over all growths of the page

    @property
    def verdict(self) -> Verdict:
        """What may be said of the gap."""
        if self.change is None or self.p is None:
            return "not defined"
        if not self.p < CERTAIN:
            return "may be chance"
        return "grows" if self.scale.widens(self.change) else "shrinks"


def precise(estimate: Estimate, digits: int = 2) -> str:
    """A value with its interval and more decimals than BLEU has."""
    ends = ", ".join(number(end, digits) for end in (estimate.low, estimate.high))
    return f"{number(estimate.value, digits)} [{ends}]"


class Growths:
    """The growth of the gap to each model that is compared, on each scale, all tested as one family.

    All sentences of the shortest and of the longest bucket are taken; then those that are not near the training text.
    """

    def __init__(self, data: ReportData, buckets: list[Bucket], sound: list[int]) -> None:
        """``sound``: the buckets with enough sentences; growth goes from the first of them to the last."""
        self.data = data
        self.sound = [buckets[n] for n in sound]
        self.scales = [POINTS, LIKELIHOOD, *([SHARE] if data.language_model else []), LACK]
        found = list(self._untested()) if len(sound) > 1 else []
        corrected = iter(holm([each.change.p for each in found if each.change]))
        self.found = [replace(each, p=next(corrected)) if each.change else each for each in found]

    def _untested(self) -> Iterator[Growth]:
        ends = self.sound[0].indices, self.sound[-1].indices
        apart = tuple(indices[~self.data.near[indices]] for indices in ends)
        for group, scale in product(self.data.compared, self.scales):
            pair = scale.pair(self.data, group)
            yield self._growth(group, scale, ALL, pair, ends)
            if self.data.near.any() and min(map(len, apart)) >= SMALL:
                yield self._growth(group, scale, APART, pair, apart)

    @staticmethod
    def _growth(
        group: ModelRuns, scale: Scale, sentences: str, pair: tuple[System, System], ends: tuple[Indices, ...]
    ) -> Growth:
        short, long = (scale.figure(pair, indices) for indices in ends)
        return Growth(group, scale, sentences, short, long, scale.growth(pair, *ends))

    def of(self, model: str, scale: Scale = POINTS, sentences: str = ALL) -> Growth | None:
        """One of the growths; None where there is none."""
        wanted = model, scale, sentences
        return next((each for each in self.found if (each.group.model, each.scale, each.sentences) == wanted), None)

    @property
    def named(self) -> ModelRuns:
        """The model that the answer compares with: the study's first that attends to positions, else its first.

        The order of the study's ``models`` decides it, before there are scores.
        """
        compared = self.data.compared
        attending = (group for group in compared if group.configs[0].model.sees == "positions")
        return next(attending, compared[0])

    @cached_property
    def steps(self) -> dict[str, list[Change]]:
        """For each model, how the gap in BLEU grows from each bucket to the next."""
        return {
            group.model: [
                growth(*POINTS.pair(self.data, group), before.indices, after.indices, BLEU)
                for before, after in pairwise(self.sound)
            ]
            for group in self.data.compared
        }

    def where(self, model: str) -> str:
        """Sentences on the buckets between which the growth in BLEU lies; empty where nothing grows."""
        whole = self.of(model)
        if whole is None or whole.change is None or whole.verdict != "grows" or len(self.sound) < 3:
            return ""
        steps = self.steps[model]
        most = max(range(len(steps)), key=lambda n: steps[n].value)
        share = number(100 * steps[most].value / whole.change.value, 0)
        part = f"{share} %" if steps[most].value < whole.change.value else "All"
        between = f"between {self.sound[most].name} and {self.sound[most + 1].name} {self.data.unit.name}"
        return f"{part} of this growth lies {between}.{self._floor(steps[-1])}"

    def _floor(self, last: Change) -> str:
        """A sentence for a baseline that has so little BLEU on the longest that it cannot lose much more."""
        base = self.data.baseline
        lowest = interval(select(self.data.system(base, BLEU), self.sound[-1].indices), BLEU).value
        if lowest >= NEAR_FLOOR:
            return ""
        end = "" if last.value >= 0 else f", and from {self.sound[-2].name} on the gap changes by {shown(last)}"
        return (
            f" On {self.sound[-1].name} {self.data.unit.name} {base.model} has {number(lowest)} BLEU left, near the "
            f"scale's floor, where a gap has little room to grow{end}."
        )

    def agreement(self, model: str) -> str:
        """A sentence: whether the other scales say of the gap what BLEU says; empty where no other is defined."""
        points = self.of(model)
        others = [self.of(model, scale) for scale in self.scales if scale is not POINTS]
        found = [each for each in others if each and each.verdict != "not defined"]
        if points is None or not found:
            return ""
        if all(each.verdict == points.verdict for each in found):
            head = "On the other scales, too, the change may be chance"
            if points.verdict != "may be chance":
                head = f"The other scales agree that the gap {points.verdict}"
            return f"{head}: {'; '.join(self._clause(each) for each in found)}."
        said = "; ".join(f"{self._clause(each)}, so {_says(each.verdict)}" for each in found)
        return f"The scales do not agree on how the gap changes. In BLEU {_says(points.verdict)}; {said}."

    def _clause(self, found: Growth) -> str:
        """From which figure to which the gap goes on a scale."""
        assert found.short is not None and found.long is not None
        base, other = self.data.baseline.model, found.group.model
        if found.scale is SHARE:
            text, digits = (
                f"{base}'s share of the information that {other} takes from the source goes from {{}} to {{}}",
                2,
            )
        elif found.scale is LACK:
            text, digits = f"what {base} misses of 100 BLEU is first {{}}, then {{}} times what {other} misses", 1
        else:
            text, digits = "in nats a token it goes from {} to {}", 2
        return text.format(*(number(each.value, digits) for each in (found.short, found.long)))

    def section(self) -> Section:
        """The growth on every scale, with its tests, and where in between it lies."""
        if not self.found:
            return Section("scales", "Does the gap grow on every scale?")
        share = "the share that the baseline takes of the information that the other takes from the source; "
        share = share if self.data.language_model else ""
        text = [
            "A gap in BLEU depends on the scale, which ends at 0 and at 100, so growth is computed on several: the "
            "difference in BLEU; in the reference's negative log-likelihood, nats a token, which needs no search; "
            f"{share}and what is missing from 100 BLEU, as a ratio. All p-values of the table are corrected together "
            "(Holm), and the model that the answer names is fixed by the order of the models, not by its score."
        ]  # fmt: skip
        for group in self.data.compared:
            said = " ".join(filter(None, [self.agreement(group.model), self.where(group.model)]))
            text += [f"Against {group.model}. {said}"] if said else []
        return Section("scales", "Does the gap grow on every scale?", text, [], [self._table(), self._step_table()])

    def _table(self) -> Table:
        short, long = (f"{bucket.name} {self.data.unit.name}" for bucket in (self.sound[0], self.sound[-1]))
        rows: list[list[Any]] = []
        for each in self.found:
            ends = [None if end is None else end.value for end in (each.short, each.long)]
            change = each.change
            spread = [None] * 3 if change is None else [change.value, change.low, change.high]
            p = "–" if each.p is None else chance(each.p)
            how = "times" if each.scale.ratio else "less"
            row = [each.group.model, each.scale.name, each.sentences, *ends, how, *spread, p, each.verdict]
            rows.append(row)
        columns = ["against", "scale", "sentences", short, long, "change as", "change", "low", "high", "p", "the gap"]
        note = (
            "Change: the figure on the longest sentences less that on the shortest, or how many times it is. Intervals "
            "are of one figure each; p-values are corrected (Holm) over the whole table, and the last column goes by "
            "them. A ratio to nothing is not defined."
        )
        return Table("growth", "Growth of the gap with length, on every scale", columns, rows, note)

    def _step_table(self) -> Table:
        rows: list[list[Any]] = []
        for model, steps in self.steps.items():
            whole = sum(step.value for step in steps)
            for (before, after), step in zip(pairwise(self.sound), steps, strict=True):
                share = 100 * step.value / whole if whole else None
                rows.append([model, before.name, after.name, step.value, step.low, step.high, share])
        unit = self.data.unit.name
        columns = ["against", f"from {unit}", f"to {unit}", "growth in BLEU", "low", "high", "% of the whole"]
        return Table("growth-steps", "Between which lengths the gap in BLEU grows", columns, rows)


def _says(verdict: Verdict) -> str:
    """What a scale says of the gap."""
    return "its change may be chance" if verdict == "may be chance" else f"the gap {verdict}"


def chance(p: float) -> str:
    """A p-value as text. It is never zero, since a finite number of resamples cannot show that."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
