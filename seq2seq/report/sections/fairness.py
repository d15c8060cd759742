"""The section on fairness: options, data and code that should be equal, compared in the runs' own files; all trials."""

from __future__ import annotations

from seq2seq.report.data import ModelRuns, ReportData
from seq2seq.report.page.document import Figure, Section, Table, table_of
from seq2seq.runs.run import Run
from seq2seq.study.options import StudyConfig


def fairness(data: ReportData) -> Section:
    """The table of checks, the parameters by part, and every trial of a learning rate."""
    checks = _checks(data.groups)
    counts = [group.parameters for group in data.groups]
    apart = max(counts) / min(counts) - 1
    within = f"within {apart:.1%}" if apart <= StudyConfig.tolerance else "differ"
    checks.append(["parameters", f"{min(counts):,} to {max(counts):,}", within])
    differ = [row[0] for row in checks if row[2] == "differ"]
    text = [
        "Everything but the architecture that a run depends on is compared in the files that the runs wrote. Batches "
        "are determined by text, budget and seed; the seed is set before the parameters are initialised. "
        + (f"The models differ in: {', '.join(differ)}." if differ else "Nothing else differs.")
    ]
    tables = [
        Table("declared", "One declared budget", ["what", "value", "models"], checks),
        table_of(
            "parameters",
            "Parameters by part",
            [{"model": group.model, **group.summaries[0]["parameters"]} for group in data.groups],
        ),
    ]
    figures: list[Figure] = []
    if data.trials:
        said, figures, shown = _trials(data)
        text.append(said)
        tables.append(shown)
    return Section("fairness", "Fairness, checked", text, figures, tables)


def _declared(run: Run, seeds: list[int]) -> dict[str, object]:
    """Values of one run that should be equal in all runs, by name; ``seeds``: those of its model."""
    config, summary, fingerprint = run.load_config(), run.load_summary(), run.load_fingerprint()
    trainer, optimizer, decode = config.trainer, config.trainer.optimizer, config.decode
    versions, machine = fingerprint["versions"], fingerprint["machine"]
    return {
        "training, validation and test text": fingerprint["data"][:12],
        "subwords": fingerprint["subwords"][:12],
        "test references": fingerprint["references"][:12],
        "seeds": ", ".join(map(str, seeds)),
        "positions of a batch": trainer.batch_tokens * trainer.accumulate,
        "updates": f"{summary['steps']:,}",
        "target tokens trained on": f"{summary['tokens']:,}",
        "optimiser": optimizer.name,
        "peak learning rate": f"{optimizer.lr:g}",
        "schedule": f"{optimizer.schedule}, {optimizer.warmup_steps} updates of warm-up",
        "dropout, label smoothing": f"{config.model.dropout}, {trainer.label_smoothing}",
        "EMA decay, validations averaged": f"{trainer.ema:g}, {trainer.average}",
        "search": f"beam {decode.beam}, length penalty {decode.length_penalty}",
        "precision asked for": trainer.precision,
        "code": fingerprint["code"][:12],
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "machine": f"{machine['processor']}, {machine['threads']} thread(s)",
    }


def _checks(groups: list[ModelRuns]) -> list[list[str]]:
    """Rows of the table. Values are compared seed by seed, since seeds may have different batches."""
    runs = [(run, seed, group.seeds) for group in groups for run, seed in zip(group.runs, group.seeds, strict=True)]
    declared = [(seed, _declared(run, seeds)) for run, seed, seeds in runs]
    rows = []
    for name in declared[0][1]:
        found = list(dict.fromkeys((seed, values[name]) for seed, values in declared))
        same = len(found) == len({seed for seed, _ in found})
        shown = list(dict.fromkeys(str(value) for _, value in found))
        text = shown[0] if len(shown) == 1 else f"{shown[0]} … {shown[-1]}"
        rows.append([name, text, "the same" if same else "differ"])
    return rows


def _trials(data: ReportData) -> tuple[str, list[Figure], Table]:
    """The choice of the learning rates in words, and every trial."""
    rows = [{"model": t.model, "learning rate": t.rate, "BLEU": t.bleu, "NLL": t.nll} for t in data.trials]
    figure = Figure(
        "trials", "Every trial of a learning rate", "Validation BLEU (greedy) of a short training by its peak rate.",
        rows, "lines", "learning rate", "BLEU", "model", y_title="validation BLEU", log_x=True,
    )  # fmt: skip
    columns = ["model", "learning rate", "target tokens", "validation BLEU", "validation NLL", ""]
    cells = [
        [t.model, f"{t.rate:g}", t.tokens, t.bleu, t.nll, "chosen" if data.rates.get(t.model) == t.rate else ""]
        for t in data.trials
    ]
    return _about_trials(data), [figure], Table("trials", "Every trial", columns, cells)


def _about_trials(data: ReportData) -> str:
    chosen = ", ".join(f"{model} {rate:g}" for model, rate in data.rates.items() if rate is not None)
    tokens = max(trial.tokens for trial in data.trials)
    rates = sorted({trial.rate for trial in data.trials})
    edge = ", ".join(model for model, rate in data.rates.items() if rate == rates[-1])
    said = (
        f"Tuning: {len(rates)} learning rates for each model, {tokens:,} target tokens each, compared by BLEU on the "
        "validation split; the smallest rate near the best one is chosen, since a short trial favours high rates. "
        f"Chosen: {chosen}. Every trial is shown."
    )
    if edge:
        said += f" The largest rate tried was the best for {edge}: a larger one might be better."
    for model, rate in data.rates.items():
        own = [trial for trial in data.trials if trial.model == model]
        likeliest = min(own, key=lambda trial: trial.nll, default=None)
        if likeliest is not None and likeliest.rate != rate:
            said += f" By likelihood, {model} would take {likeliest.rate:g}."
    return said
