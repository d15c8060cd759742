"""The section on the dose: quality by length where the decoder sees one vector of the source, several, or all."""

from __future__ import annotations

import math

from seq2seq.evaluation.metrics import BLEU, NLL, Metric
from seq2seq.evaluation.statistics import difference, interval
from seq2seq.report.data import ReportData
from seq2seq.report.model_runs import ModelRuns
from seq2seq.report.page.document import Figure, Row, Section, Table, table_of
from seq2seq.report.sections.quality import at, spread
from seq2seq.report.sections.varied import of_seed, variants_by_model, varied_by
from seq2seq.terminal.numbers import number

TITLE = "The dose: how much of the source may pass"
EVERY = "all"  # states: one for each position
VECTORS = "vectors of the source"


def dose(data: ReportData) -> Section:
    """Test BLEU and what is taken from the source, by the number of vectors, with a line for each length.

    Figures and a table for each model that is varied; none where that has no run with the seed of its variants.
    """
    text, figures, tables = list[str](), list[Figure](), list[Table]()
    by_model = _by_model(data)
    for n, (of, doses) in enumerate(by_model.items(), start=1):
        suffix = f"-{n}" if n > 1 else ""
        named = f", {of}" if len(by_model) > 1 else ""
        rows = [row for metric in (BLEU, NLL) for row in _rows(data, doses, metric)]
        figures += _figures(data, of, doses, rows, suffix, named)
        tables.append(table_of(f"dose{suffix}", f"The dose and its response{named}", rows))
        text += _response(data, doses, of)
    return Section("dose", TITLE, text, figures, tables)


def _by_model(data: ReportData) -> dict[str, dict[str, ModelRuns]]:
    """By model: its variants and itself by the number of vectors, growing.

    Of variants with as many vectors, by different optimisers, it is the one with the lowest validation NLL.
    """
    found: dict[str, list[ModelRuns]] = {}
    for of, swept in variants_by_model(data, "slots").items():
        model = varied_by(data, of)
        whole = of_seed(model, swept[0]) if model else None
        if whole is not None:
            found[whole.model] = sorted([*swept, whole], key=lambda one: (_vectors(one) or math.inf, -_lowest_nll(one)))
    # The last of those with as many vectors stays.
    return {of: {str(_vectors(group) or EVERY): group for group in groups} for of, groups in found.items()}


def _lowest_nll(group: ModelRuns) -> float:
    """The lowest validation NLL of the group's first run, in nats a token."""
    return min(filter(math.isfinite, group.runs[0].curve("valid/nll").values()), default=math.inf)


def _vectors(group: ModelRuns) -> int | None:
    """How many vectors of the source the decoder sees; None: one for each position."""
    return group.configs[0].model.vectors


def _figures(
    data: ReportData, of: str, doses: dict[str, ModelRuns], rows: list[Row], suffix: str, named: str
) -> list[Figure]:
    """BLEU and likelihood by the number of vectors; ``suffix`` and ``named`` tell several models apart."""
    return [
        Figure(
            f"{name}{suffix}", f"{title}{named}",
            f"{what} on the test, by the number of vectors of the source that {of}'s decoder sees; a line "
            "for each length of the source. One seed; 95 % intervals over sentences.",
            [row for row in rows if row["metric"] == metric.label],
            "lines", VECTORS, "score", data.source_length, "low", "high",
            x_title=VECTORS, y_title=y_title, order=tuple(doses),
        )
        for name, metric, title, what, y_title in (
            ("dose", BLEU, "BLEU by the number of vectors", "BLEU", "test BLEU"),
            ("dose-nll", NLL, "Likelihood by the number of vectors", "NLL of the references", "nats a token"),
        )
    ]  # fmt: skip


def _by_optimiser(doses: dict[str, ModelRuns]) -> str:
    """Which optimiser each was trained by, where it was not one for all."""
    by = {vectors: group.configs[0].trainer.optimizer.name for vectors, group in doses.items()}
    if len({*by.values()}) == 1:
        return ""
    told = "; ".join(f"{name} with {', '.join(k for k in by if by[k] == name)}" for name in dict.fromkeys(by.values()))
    return f", and by which optimiser, the likelier on the validation split ({told})"


def _parameters(doses: dict[str, ModelRuns], of: str) -> str:
    """A sentence: how many more parameters the model with the most vectors has, or how many fewer."""
    *_, most, whole = doses.values()
    more = most.parameters - whole.parameters
    if more < 0:
        fewer = f"The model with the most vectors has {-more:,} parameters fewer than {of} itself ({EVERY})"
        return f"{fewer}, so a loss may be one of parameters."
    return (
        "The queries and what reads the states for them come on top of the parameters of "
        f"{of} itself ({EVERY}), {more:,} more, so a loss is not one of parameters."
    )


def _rows(data: ReportData, doses: dict[str, ModelRuns], metric: Metric) -> list[Row]:
    """A row for each dose and bucket."""
    return [
        {
            "metric": metric.label,
            VECTORS: vectors,
            data.source_length: bucket.name,
            **spread("score", interval(at(data.system(group, metric), bucket), metric)),
        }
        for vectors, group in doses.items()
        for bucket in data.buckets
    ]


def _response(data: ReportData, doses: dict[str, ModelRuns], of: str) -> list[str]:
    """What is varied; then, of the shortest and longest sentences, BLEU by dose and what the fewest vectors cost."""
    sound = [bucket for bucket in data.buckets if not bucket.small]
    if len(sound) < 2 or len(doses) < 2 or not data.level.reached(of):
        return []
    fewest, most = next(iter(doses)), list(doses)[-1]
    ends = (sound[0], sound[-1])
    text = [
        f"{of}'s encoder and decoder with learned queries between them, trained alike: what differs is how many "
        f"vectors of the source the decoder sees{_by_optimiser(doses)}. {_parameters(doses, of)}"
    ]
    for bucket in ends:
        whole, least = (at(data.system(doses[name], BLEU), bucket) for name in (most, fewest))
        loss = difference(whole, least, BLEU)
        values = [
            f"{number(interval(at(data.system(group, BLEU), bucket), BLEU).value)} with {vectors}"
            for vectors, group in doses.items()
        ]
        text.append(
            f"On sources of {bucket.name} {data.unit.name}: {', '.join(values)} (BLEU). Against {most}, {fewest} costs "
            f"{number(loss.value)} [{number(loss.low)}, {number(loss.high)}]."
        )
    return text
