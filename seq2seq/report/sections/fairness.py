"""The section on fairness: options, data and code that should be equal, compared in the runs' own files; all trials."""

from __future__ import annotations

from seq2seq.report.data import ReportData
from seq2seq.report.model_runs import ModelRuns
from seq2seq.report.page.document import Figure, Row, Section, Table, table_of
from seq2seq.runs.run import Run, differences
from seq2seq.study.fairness import MAY_DIFFER, unlike_entries
from seq2seq.study.plan import Trial, best, deciding

OF_THE_BATCHES = ("updates", "target tokens trained on")
"""What the batches of a seed decide, so that it is compared between runs of one seed."""

OF_ROWS = (
    *("trainer.optimizer.schedule", "trainer.optimizer.warmup_steps", "trainer.label_smoothing", "trainer.ema"),
    *("trainer.average", "trainer.precision", "decode.beam", "decode.length_penalty"),
)
"""Options that have a row of their own, as those of ``MAY_DIFFER`` have that are no part of the architecture."""
ORIGINS = {"legs": "trainings that it continues", "initial": "weights from which it began"}
"""Entries of a fingerprint that no option and no other row shows."""


def fairness(data: ReportData) -> Section:
    """The table of checks, the parameters by part, and every trial."""
    checks = _checks(data.groups)
    counts = [group.parameters for group in data.groups]
    apart = max(counts) / min(counts) - 1
    within = f"within {apart:.1%}" if apart <= data.tolerance else "differ"
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
    """Rows of the table: of each value what it is in the runs, and whether it is the same in all."""
    runs = [(run, seed, group.seeds) for group in groups for run, seed in zip(group.runs, group.seeds, strict=True)]
    declared = [(seed, _declared(run, seeds)) for run, seed, seeds in runs]
    rows = []
    for name in declared[0][1]:
        found = {(seed if name in OF_THE_BATCHES else None, values[name]) for seed, values in declared}
        same = len(found) == len({seed for seed, _ in found})
        shown = list(dict.fromkeys(str(values[name]) for _, values in declared))
        text = shown[0] if len(shown) == 1 else f"{shown[0]} … {shown[-1]}"
        rows.append([name, text, "the same" if same else "differ"])
    others = _other_differences([run for run, *_ in runs])
    return [*rows, ["other options", "; ".join(others) or "equal in all runs", "differ" if others else "the same"]]


def _other_differences(runs: list[Run]) -> list[str]:
    """In what the runs differ from the first of them, apart from the architecture and what other rows show."""
    first, *others = runs
    config, found = first.load_config(), list[str]()
    for other in others:
        options = [each.partition(": ") for each in differences(config, other.load_config())]
        options = [each for each in options if not each[0].startswith(MAY_DIFFER) and each[0] not in OF_ROWS]
        found += [f"{key}{sign}{values.replace(' -> ', ' … ')}" for key, sign, values in options]
        found += [ORIGINS[entry] for entry in unlike_entries(first, other) if entry in ORIGINS]
    return list(dict.fromkeys(found))


def _trials(data: ReportData) -> tuple[str, list[Figure], Table]:
    """The choice of optimisers and learning rates in words, and every trial."""
    rows: list[Row] = [
        {
            "subject": t.subject,
            "optimiser": f"{t.optimizer or 'its own'}{', finals' if t.final else ''}",
            "learning rate": t.rate,
            "NLL": t.nll,
        }
        for t in data.trials
    ]
    figure = Figure(
        "trials", "Every trial", "Lowest validation NLL (nats a token) of a training by its peak learning rate.",
        rows, "lines", "learning rate", "NLL", "subject", facet="optimiser", y_title="validation NLL", log_x=True,
    )  # fmt: skip
    columns = ["", "optimiser", "learning rate", "target tokens", "validation BLEU", "validation NLL", "chosen"]
    cells = [
        [t.subject, t.optimizer or "its own", f"{t.rate:g}", t.tokens, t.bleu, t.nll, _verdict(data, t)]
        for t in data.trials
    ]
    note = "best of its optimiser: the other one's best has a lower NLL."
    return _about_trials(data), [figure], Table("trials", "Every trial", columns, cells, note=note)


def _verdict(data: ReportData, trial: Trial) -> str:
    """What became of a trial: chosen, the best of its optimiser, in the finals, or nothing."""
    others = deciding(data.trials, trial.subject)
    if trial not in others:
        return "in the finals" if trial.setting in {other.setting for other in others} else ""
    if data.settings.get(trial.subject) == trial.setting:
        return "chosen"
    own = [other for other in others if other.optimizer == trial.optimizer]
    return "best of its optimiser" if best(own) == trial and _optimizers(data) > 1 else ""


def _optimizers(data: ReportData) -> int:
    return len({trial.optimizer for trial in data.trials})


def _at_the_edge(data: ReportData, subject: str) -> list[Trial]:
    """The best of each optimiser that lies at an end of its rates; of finals, which all compete, the best of all."""
    tried = deciding(data.trials, subject)
    found = []
    for optimizer in dict.fromkeys(trial.optimizer for trial in tried):
        own = [trial for trial in tried if trial.optimizer == optimizer]
        rates = [trial.rate for trial in own]
        likeliest = best(own)
        decides = not likeliest.final or likeliest == best(tried)
        if decides and len(own) > 1 and likeliest.rate in (min(rates), max(rates)):
            found.append(likeliest)
    return found


def _others(data: ReportData) -> str:
    """A phrase for what has trials and no finals, such as the language model."""
    final = {trial.subject for trial in data.trials if trial.final}
    others = dict.fromkeys(trial.subject for trial in data.trials if trial.subject not in final)
    return f" ({' and '.join(others)}: between the trials)" if others else ""


def _about_trials(data: ReportData) -> str:
    subjects = dict.fromkeys(trial.subject for trial in data.trials)
    chosen = "; ".join(f"{name} {data.settings[name]}" for name in subjects if name in data.settings)
    tokens = max(trial.tokens for trial in data.trials if not trial.final)
    finals = [trial.tokens for trial in data.trials if trial.final]
    edges = [f"{trial.subject} ({trial.setting})" for subject in subjects for trial in _at_the_edge(data, subject)]
    both = "each optimiser and " if _optimizers(data) > 1 else ""
    said = (
        f"Tuning: a training of {tokens:,} target tokens for {both}each learning rate, with the schedule of the runs, "
        "the same for every model. "
    )
    if finals:
        of_each = " of each optimiser" if _optimizers(data) > 1 else ""
        said += (
            f"Since short trainings may favour another setting than long ones, the likeliest{of_each} were then "
            f"trained in full, for {max(finals):,} target tokens, and the choice is between these finals"
            f"{_others(data)}. "
        )
    said += (
        "The one with the lowest validation NLL is chosen, of equals the smaller rate. "
        f"Chosen: {chosen}. Every trial is shown."
    )
    if edges:
        said += f" The best of the rates tried is at their end for {', '.join(edges)}: one beyond might be better."
    return said
