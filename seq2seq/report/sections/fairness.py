"""Section 1: what was equal, checked on what the runs themselves wrote down, and what was tried for each model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seq2seq.report.data import ModelRuns, ReportData
from seq2seq.report.page.document import Figure, Section, Table
from seq2seq.study.options import StudyConfig


def fairness(data: ReportData) -> Section:
    """The declared budget as a table of checks, the parameters by part, and every trial."""
    checks = [_check(what, data.groups, values) for what, values in _declared(data.groups).items()]
    counts = [group.parameters for group in data.groups]
    apart = max(counts) / min(counts) - 1
    within = f"within {apart:.1%}" if apart <= StudyConfig.tolerance else "differ"
    checks.append(["parameters", f"{min(counts):,} to {max(counts):,}", within])
    differ = [row[0] for row in checks if row[2] == "differ"]
    text = [
        "What a run depends on, beside its architecture, is compared on what the runs themselves wrote down; batches "
        "follow from text, budget and seed, and the seed is set before the weights are made. "
        + (f"The models differ in: {', '.join(differ)}." if differ else "Nothing else differs.")
    ]
    tables = [
        Table("declared", "One declared budget", ["what", "value", "models"], checks),
        Table(
            "parameters",
            "Parameters by part",
            ["model", *data.groups[0].summaries[0]["parameters"]],
            [[group.model, *group.summaries[0]["parameters"].values()] for group in data.groups],
        ),
    ]
    figures = []
    if data.trials:
        text.append(_about_trials(data))
        figures.append(_trial_figure(data))
        tables.append(_trial_table(data))
    return Section("fairness", "Fairness, checked", text, figures, tables)


def _declared(groups: list[ModelRuns]) -> dict[str, list[Any]]:
    """What should be equal, by name: one value for each run."""
    runs = [run for group in groups for run in group.runs]
    configs = [config for group in groups for config in group.configs]
    summaries = [summary for group in groups for summary in group.summaries]
    prints: list[Mapping[str, Any]] = [run.load_fingerprint() for run in runs]
    trainers = [config.trainer for config in configs]
    seeds = [tuple(group.seeds) for group in groups for _ in group.runs]
    named = {"data": "training, validation and test text", "subwords": "subwords", "references": "test references"}
    declared: dict[str, list[Any]] = {
        title: [one.get(part, "")[:12] for one in prints] for part, title in named.items()
    }
    declared |= {
        "seeds": [", ".join(map(str, own)) for own in seeds],
        "positions of a batch": [trainer.batch_tokens * trainer.accumulate for trainer in trainers],
        "updates": [f"{summary['steps']:,}" for summary in summaries],
        "target tokens trained on": [f"{summary['tokens']:,}" for summary in summaries],
        "peak learning rate": [f"{trainer.optimizer.lr:g}" for trainer in trainers],
        "schedule": [f"{t.optimizer.schedule}, {t.optimizer.warmup_steps} updates of warm-up" for t in trainers],
        "dropout, label smoothing": [f"{config.model.dropout}, {config.trainer.label_smoothing}" for config in configs],
        "moving average, validations averaged": [f"{trainer.ema:g}, {trainer.average}" for trainer in trainers],
        "search": [_search(config.decode) for config in configs],
        "precision asked for": [trainer.precision for trainer in trainers],
        "code": [one.get("code", "")[:12] for one in prints],
        "versions": [", ".join(f"{k} {v}" for k, v in one.get("versions", {}).items()) for one in prints],
        "machine": [f"{one['machine']['processor']}, {one['machine']['threads']} thread(s)" for one in prints],
    }
    return declared


def _search(decode: Any) -> str:
    return f"beam {decode.beam}, length penalty {decode.length_penalty}"


def _check(what: str, groups: list[ModelRuns], values: list[Any]) -> list[Any]:
    """A row of the table. Seeds may see different batches, so values are compared seed by seed."""
    by_seed: dict[int, set[Any]] = {}
    places = [seed for group in groups for seed in group.seeds]
    for seed, value in zip(places, values, strict=True):
        by_seed.setdefault(seed, set()).add(value)
    same = all(len(found) == 1 for found in by_seed.values())
    shown = list(dict.fromkeys(map(str, values)))
    text = shown[0] if len(shown) == 1 else f"{shown[0]} … {shown[-1]}"
    return [what, text, "the same" if same else "differ"]


def _about_trials(data: ReportData) -> str:
    chosen = ", ".join(f"{model} {rate:g}" for model, rate in data.rates.items() if rate is not None)
    tokens = max(trial.tokens for trial in data.trials)
    rates = sorted({trial.rate for trial in data.trials})
    edge = [model for model, rate in data.rates.items() if rate == rates[-1]]
    each = len(rates)
    return (
        f"Tuning: {each} learning rates for each model, {tokens:,} target tokens each, judged by BLEU on the "
        "validation split alone; of the rates that come near the best one the smallest is taken, since a short trial "
        f"favours high rates. Chosen: {chosen}. Every trial is shown."
        + (f" The largest rate tried was the best for {', '.join(edge)}: a larger one might be better." if edge else "")
        + _disagreement(data)
    )


def _disagreement(data: ReportData) -> str:
    """Where another rate has the better likelihood: a sceptic will ask."""
    said = []
    for model, rate in data.rates.items():
        own = [trial for trial in data.trials if trial.model == model]
        likeliest = min(own, key=lambda trial: trial.nll, default=None)
        if likeliest is not None and likeliest.rate != rate:
            said.append(f" By likelihood, {model} would take {likeliest.rate:g}.")
    return "".join(said)


def _trial_figure(data: ReportData) -> Figure:
    rows = [{"model": t.model, "learning rate": t.rate, "BLEU": t.bleu, "NLL": t.nll} for t in data.trials]
    return Figure(
        "trials", "Every trial of a learning rate", "Validation BLEU (greedy) of a short training by its peak rate.",
        rows, "lines", "learning rate", "BLEU", "model", y_title="validation BLEU", log_x=True,
    )  # fmt: skip


def _trial_table(data: ReportData) -> Table:
    rows = [
        [t.model, f"{t.rate:g}", t.tokens, t.bleu, t.nll, "chosen" if data.rates.get(t.model) == t.rate else ""]
        for t in data.trials
    ]
    columns = ["model", "learning rate", "target tokens", "validation BLEU", "validation NLL", ""]
    return Table("trials", "Every trial", columns, rows)
