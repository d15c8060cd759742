"""The section on attention, and the explorer: alignment, sharpness, and the effect of hiding attended words."""

from __future__ import annotations

from seq2seq.analysis.measurements import ATTENTION, EXPLORER
from seq2seq.report.data import ReportData
from seq2seq.report.model_runs import ModelRuns, mean, mean_row
from seq2seq.report.page.document import Explorer, Figure, Row, Section, table_of
from seq2seq.terminal.numbers import number

VALUES, OTHER_VALUES = "the values of the {} most attended", "the values of a random {}"
"""The names of value zeroing, at a word and at another one."""
STATES = {"before": "before the word is written", "after": "after it"}
"""The decoder state whose attention aligns a target word: the one that predicts it, or the one that has read it."""


def attention(data: ReportData) -> Section:
    """Alignment error rate by map and state, entropy and coverage, and the effect of masking single words."""
    scores = [
        (group, [mean_row(cells) for cells in group.cells(ATTENTION, lambda record: record.get("alignment"))])
        for group in data.groups
    ]
    aligned, masked = [(group, rows) for group, rows in scores if rows], _masked(data)
    one = data.unit.one
    masking = Figure(
        "masking", f"The effect of hiding one source {one}",
        f"Change of the log-probability (nats) of the reference's next token when the tokens of one source {one} "
        f"become unknown: the {one} with the most attention, or the {one} aligned by gold, against a random {one} "
        "beside it. Values: value zeroing (Mohebbi et al. 2023) takes away what the decoder's attention reads at the "
        f"{one}, while the encoder still reads it.",
        masked, "bars", "model", "change", "masked", y_title="change in nats",
    )  # fmt: skip
    tables = [
        table_of(
            "aer", "Alignment by attention",
            [{"model": group.model, **row} for group, maps in aligned for row in maps] + _bounds(data),
            ["model", "map", "state", "aer_words", "precision_words", "recall_words", "aer"],
            {"aer_words": "AER", "precision_words": "precision", "recall_words": "recall",
             "aer": "AER with punctuation"},
            "Means over the seeds; up to 1,000 test pairs. Bounds: the best that one link a target word can reach, as "
            "the argmax of attention gives, and the diagonal, which knows no words.",
        ),
        table_of(
            "sharpness", "Sharpness and coverage of attention",
            [{"model": group.model, **mean_row(cells)} for group in data.groups
             for cells in group.cells(ATTENTION, lambda record: record.get("maps"))],
            ["model", "map", "entropy", "entropy_share", "coverage", "spread"],
            {"entropy": "entropy (nats)", "entropy_share": "share of the greatest possible entropy"},
            f"Coverage: share of the {data.source_length} that get at least half of an even share of all attention.",
        ),
        table_of("masking", f"Hiding one source {one}", masked, headings={"change": "change (nats)"}),
    ]  # fmt: skip
    words, shown = _words(data, aligned, masked), [table for table in tables if table.rows]
    return Section("attention", "Attention as explanation", words, [_alignment_figure(data, aligned), masking], shown)


Aligned = list[tuple[ModelRuns, list[Row]]]
"""Each model with attention and its alignment scores: a row for each map and state, the mean over the seeds."""


def _bounds(data: ReportData) -> list[Row]:
    """Rows of alignments without a model, the same for all runs; none without gold."""
    found = (one["bounds"] for group in data.groups for one in group.measured(ATTENTION) if "bounds" in one)
    return [{"model": "bound", **row, "state": ""} for row in next(found, [])]


def _alignment_figure(data: ReportData, aligned: Aligned) -> Figure:
    rows: list[Row] = []
    for group, maps in aligned:
        for row in maps:
            name = group.model if len(maps) == len(STATES) else f"{group.model}, {row['map']}"
            rows.append({"map": name, "state": STATES[row["state"]], "AER": row["aer_words"]})
    return Figure(
        "aer", "Alignment error rate of attention",
        f"Each target {data.tgt_unit.one} is linked to the source {data.unit.one} with the most attention and compared "
        "with the gold alignment; lower is better. Target punctuation is left out. Attention of the step that "
        "predicts the word, and of the step that has read it.",
        rows, "bars", "map", "AER", "state", y_title="AER",
    )  # fmt: skip


def _masked(data: ReportData) -> list[Row]:
    """Effect of masking a source word on the next token of the reference, by model and choice of the word."""
    rows: list[Row] = []
    unit = data.unit.one
    for group in data.groups:
        found = [one["masking"] for one in group.measured(ATTENTION)]
        ways = {
            f"the {unit} most attended": [one["attended"] for one in found if "word" in one.get("attended", {})],
            f"the {unit} aligned by gold": [one["gold"] for one in found if "word" in one.get("gold", {})],
            VALUES.format(unit): [one["zeroed"] for one in found if "word" in one.get("zeroed", {})],
        }
        for label, own in ways.items():
            other = OTHER_VALUES.format(unit) if label == VALUES.format(unit) else f"a random {unit} beside {label}"
            arms = {label: [one["word"] for one in own], other: [one["random"] for one in own]} if own else {}
            for name, arm in arms.items():
                row = {"model": group.model, "masked": name, "change": mean(one["change"] for one in arm)}
                changes = mean(one["prediction_changes"] for one in arm)
                rows.append({**row, "prediction changes": changes, "positions": own[0]["positions"]})
    return rows


def _apart(group: ModelRuns) -> bool:
    """Whether masking the most attended word costs more than a random one, by two standard errors in every run."""
    masking = [one["masking"] for one in group.measured(ATTENTION)]
    found = [one["attended"]["difference"] for one in masking if "difference" in one.get("attended", {})]
    costs = ((one["change"], one["standard_error"]) for one in found)
    return bool(found) and all(error is not None and change + 2 * error < 0 for change, error in costs)


def _judged(data: ReportData, group: ModelRuns) -> str:
    """A clause: whether it matters where a model looks; empty where it has not learned enough to say."""
    if not data.level.reached(group.model):
        return ""
    return ": where it looks matters" if _apart(group) else ": the difference may be chance"


def _words(data: ReportData, aligned: Aligned, masked: list[Row]) -> list[str]:
    words = []
    for group, maps in aligned:
        states = {row["state"]: row["aer_words"] for row in maps if row["map"] == "mean"}
        chosen = [each for one in group.measured(ATTENTION) if (each := one.get("chosen"))]
        before, after = (number(states[state], 2) for state in STATES)
        text = f"{group.model}: AER {before} before the word is written, {after} after it"
        if len(maps) > len(STATES) and chosen:
            best = number(mean(one["aer_words"] for one in chosen), 2)
            text += f" (the mean of its maps; the map that is best on the validation split has {best} on the test)"
        words.append(f"{text}.")
    if told := [f"{number(row['aer_words'], 3)} for {row['map']}" for row in _bounds(data)]:
        words.append(f"With one link a target word, as here, the AER is {' and '.join(told)}, by no model.")
    rows = {(row["model"], row["masked"]): row["change"] for row in masked}
    unit = data.unit.one
    for group in data.groups:
        hidden = rows.get((group.model, f"the {unit} most attended"))
        other = rows.get((group.model, f"a random {unit} beside the {unit} most attended"))
        if hidden is not None and other is not None:
            words.append(
                f"Hiding the {unit} that {group.model} looks at most costs {number(-hidden, 2)} nats, another "
                f"{number(-other, 2)}{_judged(data, group)}."
            )
        hidden, other = (rows.get((group.model, label)) for label in (VALUES.format(unit), OTHER_VALUES.format(unit)))
        if hidden is not None and other is not None:
            words.append(
                f"Where {group.model}'s encoder reads it and attention alone gets nothing there (its values are zero), "
                f"that costs {number(-hidden, 2)}, at another {unit} {number(-other, 2)}."
            )
    if not words:
        words.append("No model here has attention, or it was not measured.")
    elif not aligned:
        words.append("There is no gold alignment for this test; seq2seq align RUN --gold FILE scores against one.")
    return words


def explorer(data: ReportData) -> Explorer | None:
    """Sentences with the translations of each model's first seed. None unless all models have the measurement."""
    found = [records[0] for group in data.groups if (records := group.measured(EXPLORER))]
    if len(found) < len(data.groups):
        return None
    models = [group.model for group in data.groups]
    sentences = list(zip(*(one["sentences"] for one in found), strict=True))
    lengths = [int(data.lengths[same[0]["index"]]) for same in sentences]
    units = data.unit.name, data.tgt_unit.name
    return Explorer(models, [one["maps"] for one in found], sentences, lengths, units, after="attention")
