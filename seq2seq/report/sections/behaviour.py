"""Sections on behaviour: sentences beyond the trained lengths, other searches, and kinds of failure."""

from __future__ import annotations

from itertools import product

from seq2seq.analysis.measurements import EXTRAPOLATION, SEARCH
from seq2seq.data.lengths import WORDS
from seq2seq.evaluation.failures import FAILURES
from seq2seq.evaluation.metrics import BLEU
from seq2seq.evaluation.statistics import interval
from seq2seq.report.data import ReportData
from seq2seq.report.model_runs import mean, mean_row
from seq2seq.report.page.document import Figure, Row, Section, table_of
from seq2seq.report.sections.quality import at, mean_score, spread
from seq2seq.report.sections.trained import are_covered
from seq2seq.terminal.numbers import number

SHORT = 0.85  # an output below this share of the reference's length ends too early
LOST = 0.1  # a loss of less than this share of the test BLEU counts as none


def extrapolation(data: ReportData) -> Section:
    """BLEU and output length on sentences longer than the grammar's, and on several test sentences as one."""
    rows: list[Row] = []
    for group in data.groups:
        for same in group.cells(EXTRAPOLATION, lambda record: record["sets"]):
            first = same[0]
            if not first["src"]:  # a tiny test has too few sentences to join
                continue
            length, count = mean(data.unit.counts(first["src"])), data.tgt_unit.counts
            wanted = max(sum(count(first["references"])), 1)
            ratio = mean(sum(count(one["hypotheses"])) for one in same) / wanted
            system = [data.bleu(one["hypotheses"], one["references"]) for one in same]
            row = {"model": group.model, "sentences": first["name"], "kind": first["kind"], data.source_length: length}
            rows.append({**row, **spread("BLEU", interval(system, BLEU)), "output / reference": ratio})
    kinds = {"grammar": "Beyond the trained lengths: one sentence", "joined": "Several test sentences as one"}
    figures = []
    for kind, title in kinds.items():
        own = [row for row in rows if row["kind"] == kind]
        for ending, more, value in (("", "", "BLEU"), ("-length", ": output length", "output / reference")):
            figures.append(_figure(f"extrapolation-{kind}{ending}", title + more, own, data.source_length, value))
    if not rows:
        return Section("extrapolation", "Extrapolation, kept apart")
    text = [_what_is_beyond(data), *_verdicts(data, rows)]
    table = table_of("extrapolation", "Longer sentences", rows)
    return Section("extrapolation", "Extrapolation, kept apart", text, figures, [table])


def _what_is_beyond(data: ReportData) -> str:
    """Which lengths the rest of the page is about, and why longer sentences are kept apart; only what is so here."""
    longest = f"{data.lengths.max()} {data.unit.name}"
    known = are_covered(data)
    covered, beyond = (", which training covers", "Beyond them") if known else ("", "Beyond the trained lengths")
    text = (
        f"The sections above use the lengths of the test, up to {longest}{covered}. {beyond} an architecture may fail "
        "for another reason than the bottleneck: its output keeps to lengths that it was trained on. So the output's "
        "length stands beside each BLEU."
    )
    if data.config.data.joins_training:
        return text
    return f"{text} Joined sentences also differ in kind: in training a full stop ends the output."


def _figure(name: str, title: str, rows: list[Row], x: str, value: str) -> Figure:
    low, high = ("low", "high") if value == "BLEU" else (None, None)
    return Figure(name, title, "", rows, "lines", x, value, "model", low, high, y_title=value)


def _verdicts(data: ReportData, rows: list[Row]) -> list[str]:
    """For each model, on the longest set of each kind: whether its BLEU holds, or length or content is lost."""
    verdicts = []
    for group in (group for group in data.groups if data.level.reached(group.model)):
        own = [row for row in rows if row["model"] == group.model]
        for kind in dict.fromkeys(row["kind"] for row in own):
            row = max((row for row in own if row["kind"] == kind), key=lambda row: row[data.source_length])
            ratio = row["output / reference"]
            if row["BLEU"] >= (1 - LOST) * group.bleu:
                seen = "it holds"
            elif ratio < SHORT:
                seen = "its output stays short, so it fails by length"
            else:
                seen = "its output is long enough, so it loses content"
            verdicts.append(
                f"{group.model}, {row['sentences']}: BLEU {number(row['BLEU'])} ({number(group.bleu)} on the test), "
                f"output {number(ratio, 2)} of the reference's length: {seen}."
            )
    return verdicts


def search(data: ReportData) -> Section:
    """Validation BLEU by beam size and length penalty; model errors and search errors."""
    rows: list[Row] = []
    errors: list[Row] = []
    for group in data.groups:
        found = group.measured(SEARCH)
        for cells in group.cells(SEARCH, lambda record: record["rows"]):
            value = mean_score([data.bleu(cell["hypotheses"], found[0]["references"]) for cell in cells], BLEU)
            own = {"model": group.model, "beam": cells[0]["beam"], "length penalty": cells[0]["length_penalty"]}
            rows.append({**own, "BLEU": value})
        for way, label in (("total", "log-probability"), ("average", "mean over the tokens")) if found else ():
            errors.append({"model": group.model, "by": label, **mean_row([one["preference"][way] for one in found])})
    if not rows:
        return Section("search", "Search")
    beams = [row for row in rows if row["length penalty"] == "average"]
    wide = [row["beam"] for row in rows if row["length penalty"] != "average"][:1]
    penalties = [row for row in rows if [row["beam"]] == wide]
    figures = [
        Figure("beam", "BLEU by beam size", "Validation split, scored by the mean log-probability a token.", beams,
               "lines", "beam", "BLEU", "model", y_title="validation BLEU", log_x=True),
        Figure("length-penalty", "BLEU by length penalty", "Validation split, the same beam for all.",
               penalties, "bars", "length penalty", "BLEU", "model", y_title="validation BLEU"),
    ]  # fmt: skip
    text = [
        "The search is the same for all models and was not tuned; here it is varied on the validation split. A model "
        "error: the model gives its own translation a higher probability than the reference, so a better search would "
        "not have helped. A search error: it gives the reference a higher one, and the search missed it."
    ]
    tables = [
        table_of("search", "Validation BLEU by search", rows),
        table_of("errors", "Model error or search error", errors),
    ]
    return Section("search", "Search", text, figures, [table for table in tables if table.rows])


def failing(data: ReportData) -> Section:
    """Rates of repetition, short output, missing words and names or numbers that are not copied, by source length."""
    rows: list[Row] = []
    for group, metric, bucket in product(data.groups, FAILURES, data.buckets):
        inside = at(data.system(group, metric), bucket)
        if inside[0][:, 1].sum():  # else nothing could have failed
            row = {"model": group.model, "failure": metric.label, **data.place(bucket)}
            rows.append({**row, **spread("rate", interval(inside, metric))})
    figure = Figure(
        "failures", "Failures by source length",
        "Shares of the sentences (repetition, length) or of the words (missing, not copied), with 95 % intervals.",
        rows, "lines", data.source_length, "rate", "model", "low", "high", facet="failure", y_title="rate",
    )  # fmt: skip
    columns = ["model", "failure", "bucket", "rate", "low", "high"]
    table = table_of("failures", "Failures", rows, columns, {"bucket": data.source_length})
    text = [
        "Failures that show in the text: three words in a row that are repeated more often than in the reference; "
        "fewer than four fifths of the reference's words; words of the reference that are missing; names and numbers "
        "that source and reference share and the translation lacks."
    ]
    if data.tgt_unit != WORDS:
        text.append("The references have no spaces between words: characters are counted, six in a row for three.")
    if not any("names" in row["failure"] for row in rows):
        text.append("This test has no names and numbers to copy.")
    return Section("failures", "Failures by length", text, [figure], [table])
