"""The section on the number of training pairs: which architecture wins where, and from how many pairs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from seq2seq.evaluation.metrics import BLEU
from seq2seq.evaluation.onset import Crossover, crossover
from seq2seq.evaluation.statistics import System, difference, holm, interval
from seq2seq.report.data import ReportData
from seq2seq.report.level import Level
from seq2seq.report.model_runs import ModelRuns, mean
from seq2seq.report.page.document import Figure, Row, Section, Table
from seq2seq.report.sections.quality import TESTED, mean_score, spread
from seq2seq.report.sections.scales import CERTAIN, chance
from seq2seq.terminal.numbers import number

TITLE = "Which architecture wins where, by the number of training pairs"
PAIRS = "training pairs"
ALIKE = 1.02  # a training ends with the first update beyond its tokens
LOST = f"No two models have runs at every number of {PAIRS}, so none is compared."
Systems = Mapping[str, list[System]]
"""By model: its system at each size, in the order of the sizes."""


def data_size(data: ReportData) -> Section:
    """Test BLEU by the number of training pairs, the best at each, and from which number on a model is ahead."""
    full = data.config.data.take
    if not data.sized or full is None:
        return Section("sizes", TITLE)
    by_size = {**dict(sorted(data.sized.items())), full: data.groups}
    systems: dict[str, list[System]] = {}
    for model in (group.model for group in data.groups):
        found = [group for groups in by_size.values() for group in groups if group.model == model]
        if len(found) == len(by_size):  # a run that failed leaves a gap, across which nothing is interpolated
            systems[model] = [data.system(group, BLEU) for group in found]
    sizes = list(by_size)
    rows: list[Row] = [
        {"model": model, PAIRS: size, **spread("BLEU", interval(system, BLEU))}
        for model, own in systems.items()
        for size, system in zip(sizes, own, strict=True)
    ]
    figure = Figure(
        "bleu-by-pairs", "BLEU by the number of training pairs",
        "Test BLEU of the same test at every size, with 95 % intervals.",
        rows, "lines", PAIRS, "BLEU", "model", "low", "high", y_title="test BLEU", log_x=True,
    )  # fmt: skip
    how = _how(data, by_size, full)
    if len(systems) < 2:
        return Section("sizes", TITLE, [how, *([LOST] if data.others else [])], [figure])
    levels = [data.level_of({model: own[n] for model, own in systems.items()}) for n in range(len(sizes))]
    best = _best(systems, sizes)
    crossings, said = _crossings(systems, sizes, levels)
    text = [how, *_winners(best, levels), *said]
    return Section("sizes", TITLE, text, [figure], [best, *([crossings] if crossings.rows else [])])


def _how(data: ReportData, by_size: Mapping[int, Sequence[ModelRuns]], full: int) -> str:
    """How the runs were made: their setting, target tokens and weights, as the study and the runs' summaries say."""
    chosen = f"that its trials chose on {full:,} pairs" if data.trials else "of its experiment"
    groups = [group for at_size in by_size.values() for group in at_size]
    tested = {summary["checkpoint"] for group in groups for summary in group.summaries}
    averaged = f"the mean weights of the last {data.config.trainer.average} validations"
    weights = {"best": "the weights that validation chooses", "averaged": averaged}
    return (
        "Each model is trained on the first so many training pairs, the same for all, with the optimiser and the rate "
        f"{chosen}, and with the same subwords at every number; {_for_how_long(groups)}; and tested with "
        f"{' or '.join(text for name, text in weights.items() if name in tested)}. With trials at each size a small "
        "difference might turn out another way."
    )


def _for_how_long(groups: Sequence[ModelRuns]) -> str:
    """A phrase for the target tokens that the runs at all sizes were trained on: of which they are equal, or none."""
    tokens: dict[str, list[float]] = {}
    for group in groups:
        tokens.setdefault(group.model, []).append(mean(summary["tokens"] for summary in group.summaries))
    if _alike([each for own in tokens.values() for each in own]):
        return "for the same number of target tokens, so that few pairs are seen more often"
    if all(map(_alike, tokens.values())):
        told = ", ".join(f"{model} {round(mean(own)):,}" for model, own in tokens.items())
        return f"each for as many target tokens at every number ({told}), so that few pairs are seen more often"
    told = ", ".join(f"{model} {round(min(own)):,} to {round(max(own)):,}" for model, own in tokens.items())
    return f"for unequal numbers of target tokens ({told}), which the scores are of as well"


def _alike(tokens: Sequence[float]) -> bool:
    """Whether numbers of tokens are equal but for the last batch of a training."""
    return max(tokens) <= ALIKE * min(tokens)


def _best(systems: Systems, sizes: list[int]) -> Table:
    """At each size the best model, and how far it is ahead of the second."""
    found = []
    for n, size in enumerate(sizes):
        scores = {model: mean_score(own[n], BLEU) for model, own in systems.items()}
        first, second = sorted(scores, key=lambda model: -scores[model])[:2]
        found.append((size, first, second, difference(systems[first][n], systems[second][n], BLEU)))
    drawn = holm([each.p_bootstrap for *_, each in found])
    swapped = holm([each.p_randomisation for *_, each in found])
    rows: list[list[Any]] = [
        [size, first, second, each.value, each.low, each.high, chance(p), chance(q), max(p, q) < CERTAIN]
        for (size, first, second, each), p, q in zip(found, drawn, swapped, strict=True)
    ]
    columns = [PAIRS, "best", "second", *TESTED, "certain"]
    note = f"p-values after Holm's correction over the sizes; certain: both are below {CERTAIN:g}."
    return Table("best-by-pairs", "The best model at each number of training pairs", columns, rows, note)


def _winners(best: Table, levels: Sequence[Level]) -> list[str]:
    """A sentence on the best model at each size, and one on the sizes at which none has learned enough to be best."""
    said, few = [], []
    for (size, first, second, value, *_, certain), level in zip(best.rows, levels, strict=True):
        ahead = f"by {number(value)} BLEU" if certain else f"but its lead on {second} may be chance"
        if level.reached(first):
            said.append(f"{first} at {size:,} ({ahead})")
        else:
            few.append(f"{size:,}")
    none = f"On {' and '.join(few)} {PAIRS} no model has learned enough to be compared, so none is called the best."
    return [*([f"The best: {', '.join(said)}."] if said else []), *([none] if few else [])]


def _crossings(systems: Systems, sizes: list[int], levels: Sequence[Level]) -> tuple[Table, list[str]]:
    """From which number of pairs on the better of two models on the most pairs is ahead of the other.

    Of the sizes at which one of the two, at the least, has learned enough: below them both are noise.
    """
    rows: list[list[Any]] = []
    text = []
    for pair in combinations(systems, 2):
        learned = next((n for n, level in enumerate(levels) if any(map(level.reached, pair))), len(sizes) - 1)
        if not levels[-1].reached(*pair) or len(sizes) - learned < 2:
            continue
        own = sizes[learned:]
        loser, winner = sorted(pair, key=lambda model: mean_score(systems[model][-1], BLEU))
        found = crossover(systems[winner][learned:], systems[loser][learned:], own, BLEU)
        rows.append([winner, loser, found.size, found.low, found.high, found.covers])
        text.append(f"{winner} is ahead of {loser} {_from(found, own)}.")
    note = (
        "Interpolated on the logarithm of the number; 95 % bootstrap intervals. Empty: beyond the most that was tried; "
        "the least that was tried stands for all below it. Only numbers from which on one of the two has learned "
        "enough to be compared, and only models that have on the most pairs."
    )
    columns = ["ahead", "of", f"from {PAIRS}", "low", "high", "the interval covers"]
    return Table("crossovers", "From how many training pairs on", columns, rows, note), text


def _from(found: Crossover, sizes: list[int]) -> str:
    """A phrase for the number of pairs, after "X is ahead of Y"."""
    low, high = (
        f"beyond {sizes[-1]:,}" if end is None else f"{sizes[0]:,} or fewer" if end <= sizes[0] else f"{end:,.0f}"
        for end in (found.low, found.high)
    )
    where = "at no number for good" if found.size is None else f"from {found.size:,.0f} training pairs on"
    where = f"at every number from {sizes[0]:,} on" if found.from_start else where
    return f"{where} (95 % interval of the crossover {low} to {high})"
