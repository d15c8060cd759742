"""The section on the dose: quality by length where the decoder sees one vector of the source, several, or all."""

from __future__ import annotations

from seq2seq.evaluation.metrics import BLEU, NLL, Metric
from seq2seq.evaluation.statistics import difference, interval
from seq2seq.report.data import ModelRuns, ReportData
from seq2seq.report.page.document import Figure, Row, Section, table_of
from seq2seq.report.sections.causes import first_seed
from seq2seq.report.sections.quality import at, spread
from seq2seq.terminal.numbers import number

TITLE = "The dose: how much of the source may pass"
EVERY = "all"  # states: one for each position
VECTORS = "vectors of the source"


def dose(data: ReportData) -> Section:
    """Test BLEU and what is taken from the source, by the number of vectors, with a line for each length."""
    swept = data.variants_on("slots")
    if not swept:
        return Section("dose", TITLE)
    [of] = {variant.of for variant, _ in data.variants if variant.question == "slots"}
    whole = first_seed(next(group for group in data.groups if group.model == of))
    doses = {str(group.configs[0].model.vectors or EVERY): group for group in [*swept, whole]}
    doses = dict(sorted(doses.items(), key=lambda item: float("inf") if item[0] == EVERY else int(item[0])))
    rows = [row for metric in (BLEU, NLL) for row in _rows(data, doses, metric)]
    figures = [
        Figure(
            name, title, f"{what} on the test, by the number of vectors of the source that {of}'s decoder sees; a line "
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
    table = table_of("dose", "The dose and its response", rows)
    return Section("dose", TITLE, _response(data, doses, of), figures, [table])


def _more(doses: dict[str, ModelRuns]) -> str:
    """How many more parameters the model with the most vectors has."""
    *_, most, whole = doses.values()
    return f"{most.parameters - whole.parameters:,} more"


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
    """What one vector costs on the shortest and on the longest sentences, and how many vectors win half of it back."""
    sound = [bucket for bucket in data.buckets if not bucket.small]
    if len(sound) < 2 or len(doses) < 2 or not data.level.reached(of):
        return []
    fewest, most = next(iter(doses)), list(doses)[-1]
    ends = (sound[0], sound[-1])
    text = [
        f"{of}'s encoder and decoder with learned queries between them, trained alike: what differs is how many "
        "vectors of the source the decoder sees. The queries and what reads the states for them come on top of the "
        f"parameters of {of} itself ({EVERY}), {_more(doses)}, so a loss is not one of parameters."
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
