"""The report in Markdown: the ratios first, then a section for each part, then the contenders that are left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from scripts.bench.figures import Record, Results, held_after, records
from scripts.bench.plan import PARTS
from scripts.bench.report.results import disturbed, kept, left_out, speeds
from scripts.bench.report.tables import Columns, label, markdown, number, ratios, spread


def report(results: Results) -> str:
    """The whole report."""
    warning, table = disturbed(results), markdown(*ratios(results))
    lines = ["# Bench", "", *([f"**{warning}**", ""] if warning else []), *_head(results)]
    lines += ["## Ratios", "", *table] if table else []
    for part in PARTS:
        if records(results, part):
            lines += SECTIONS[part](results)
    left = [f"- {line}" for line in left_out(results)]
    lines += ["## Left out", "", *left] if left else []
    return "\n".join(lines).rstrip() + "\n"


def _head(results: Results) -> list[str]:
    about, earlier = results.get("about", {}), kept(results)
    if not about:
        return []
    versions = ", ".join(f"{name} {number}" for name, number in about.get("versions", {}).items())
    memory = f", {about['memory_gib']:.0f} GiB" if about.get("memory_gib") else ""
    where = about["processor"] if about["device"] == "cpu" else f"{about['device']} beside {about['processor']}"
    return [
        f"{about['date']}, commit {about.get('commit') or 'unknown'}, variant `{about['variant']}`, "
        f"{about.get('minutes', '–')} minutes. {where}, "
        f"{about['cores']} cores{memory}, {about['threads']} threads for everybody, {about['system']}. {versions}.",
        "",
        f"`{about.get('command', '')}`",
        "",
        "Contenders worked in turns, slice by slice, in one run; the first slice of each was a warm-up and is not "
        "counted. Figures are medians over the rounds, [smallest–largest] beside them. A ratio is the median over the "
        "rounds of ours divided by theirs, both of one round. A token is a target token that is not padding, EOS "
        "counted, for everybody alike. *Ours* is our default unless a precision is named.",
        "",
        *(["Kept from earlier runs (`--keep`):", "", *earlier, ""] if earlier else []),
    ]


# --------------------------------------------------------------------------------------- speed, in training and search


def _name(row: Record) -> str:
    return f"{label(row['contender'])} {row['version']}"


def _precision(row: Record) -> str:
    default = " (default)" if row["contender"] == "ours" and row["asked"] == "auto" else ""
    return f"{row['precision']}{default}"


def _check(row: Record) -> str:
    check = row["check"]
    if check is None:
        return ""
    if check.get("same") is None:
        return f"not checked: {check.get('error')}"
    return "same" if check["same"] else f"**differs**: {check['own']:.4f}, by hand {check['recomputed']:.4f}"


def _speed_columns(unit: str, updates: str, update: str) -> Columns:
    return {
        "": _name,
        "precision": _precision,
        unit: lambda row: spread(row["tokens_per_second"]),
        updates: lambda row: row["updates"],
        f"tokens {update}": lambda row: number(row["tokens_per_update"]),
        "parameters": lambda row: f"{row['parameters'] / 1e6:.2f}M",
        "peak memory": lambda row: f"{number(row['rss_mb'] if row['cuda_mb'] is None else row['cuda_mb'])} MiB",
        f"first {update.split()[1]}": lambda row: f"{number(row['first_update_seconds'])} s",
    }


TRAIN: Columns = {**_speed_columns("target tokens/s", "updates", "an update"), "loss": _check}
DECODE = _speed_columns("tokens/s", "batches", "a batch")


def _notes(rows: Iterable[Record]) -> list[str]:
    lines: dict[str, None] = {}
    for row in rows:
        if row["failed"] and row["failed"] != "same as auto":
            lines[f"- **{label(row['contender'])} {row['precision']} is left out**: {row['failed']}"] = None
        elif row["notes"]:
            lines[f"- {label(row['contender'])}: {'; '.join(row['notes'])}"] = None
    return [*lines, ""] if lines else []


def _trained(record: Record) -> str:
    text = record["corpus"]
    return (
        f"{record['batch_tokens']:,} padded positions a batch, {text['pieces']:,} tokens in the vocabulary, "
        f"{text['pairs']:,} pairs of {'the embedded corpus' if text['source'] == 'grammar' else text['source']}; "
        f"sizes {', '.join(f'{key} {value}' for key, value in record['size'].items())}."
    )


def _decoded(record: Record) -> str:
    return f"{record['batch']} sentences a batch, {record['length']} tokens a hypothesis, whatever the weights say."


def _speeds(results: Results, part: str) -> list[str]:
    heading, columns, about = {
        "train": ("## Training", TRAIN, _trained),
        "decode": ("## Decoding", DECODE, _decoded),
    }[part]
    lines = [heading, ""]
    for title, record, rows in speeds(results, part):
        table = markdown(columns, [row for row in rows if not row["failed"]])
        lines += [f"### {title}", "", about(record), "", *table, *_notes(record["rows"])]
    return lines


# ------------------------------------------------------------------------------------------------------ the other parts


def _machine(results: Results) -> list[str]:
    gflops = records(results, "machine")[0]["gflops"]
    columns: Columns = {
        "matrix product (m×k×n)": lambda shape: shape,
        "fp32 GFLOP/s": lambda shape: number(gflops["fp32"][shape]),
        "bf16 GFLOP/s": lambda shape: number(gflops.get("bf16", {}).get(shape)),
    }
    return ["## The machine", "", *markdown(columns, gflops["fp32"])]


def _startup(results: Results) -> list[str]:
    columns: Columns = {"": lambda each: f"`{each[0]}`", "seconds": lambda each: spread(each[1], " s")}
    return ["## Start", "", *markdown(columns, records(results, "startup")[0]["seconds"].items())]


def _seconds(row: Record, clock: str) -> str:
    return f"{'' if row['reached'] else 'more than '}{number(row[clock])}"


QUALITY: Columns = {
    "": _name,
    "precision": lambda row: row["precision"],
    "seconds, all": lambda row: _seconds(row, "wall_seconds"),
    "without validations": lambda row: _seconds(row, "work_seconds"),
    "target tokens": lambda row: f"{row['tokens']:,}",
    "best BLEU": lambda row: number(row["best_bleu"]),
    "rate": lambda row: f"{row['lr']:g}",
}


def _quality(results: Results) -> list[str]:
    lines = ["## Time to quality", ""]
    for record in records(results, "quality"):
        for row in record["rows"]:
            if row["failed"]:
                lines.append(f"- **{label(row['contender'])} is left out of {record['case']}**: {row['failed']}")
        table = markdown(QUALITY, [row for row in record["rows"] if not row["failed"]])
        lines += ["", f"### {record['case']}: until {record['bleu']:g} BLEU", "", record["text"], "", *table]
    return lines


PARALLEL: Columns = {
    "": lambda record: record["case"],
    "one run, all threads": lambda record: record.get("failed") or spread(record["alone"]),
    "runs of one thread each, summed": lambda record: spread(record.get("together")),
    "ratio": lambda record: "".join(spread(line["ratio"], "×") for line in record["ratios"]),
}


def _parallel(results: Results) -> list[str]:
    return ["## Several runs at once", "", *markdown(PARALLEL, records(results, "parallel"))]


GROWTH: Columns = {
    "pairs": lambda size: f"{size['pairs']:,}",
    "pipeline, µs a token": lambda size: number(size["pipeline_us"]),
    "share planning": lambda size: f"{size['planning_share']:.0%}",
    "update, µs a token": lambda size: number(size["update_us"]),
    "sum, µs a token": lambda size: number(size["sum_us"]),
    "own memory, planning": lambda size: f"{number(size['pipeline_mb'])} MiB",
    "in all": lambda size: f"{number(size['private_mb'])} MiB",
}
LENGTHS: Columns = {"tokens": lambda point: point[0], "seconds": lambda point: number(point[1])}


def _scaling(results: Results) -> list[str]:
    lines = ["## Scaling", ""]
    for record in records(results, "scaling"):
        if record["kind"] == "corpus":
            lines += markdown(GROWTH, record["sizes"])
            continue
        lines += [f"### Decoding, {record['case']}: seconds of a batch by output length", ""]
        lines += [*markdown(LENGTHS, record["seconds"]), f"Total time grows as length^{record['exponent']:.2f}.", ""]
    return lines


MEMORY: Columns = {
    "": _name,
    "precision": _precision,
    "target tokens/s": lambda row: spread(row["tokens_per_second"]),
    "a quarter": lambda row: f"{number(row['held'][0])} MiB",
    "half": lambda row: f"{number(row['held'][1])} MiB",
    "an epoch": lambda row: f"{number(row['held'][2])} MiB",
    "at the end": lambda row: f"{number(row['points'][-1][1])} MiB",
    "at most": lambda row: f"{number(row['points'][-1][2])} MiB",
}


def _memory(results: Results) -> list[str]:
    lines = ["## Memory as a training goes on", ""]
    for record in records(results, "memory"):
        held = [
            {**row, "held": [held_after(row["points"], share * record["epoch"]) for share in (0.25, 0.5, 1)]}
            for row in record["rows"]
            if row["points"]
        ]
        about = (
            f"Resident memory after a part of an epoch ({record['epoch']:,} target tokens); the end is after "
            f"{record['epochs']}. {record['threads']} thread."
        )
        lines += [f"### {record['case']}", "", _trained(record), about, "", *markdown(MEMORY, held)]
        lines += _notes(record["rows"])
    return lines


PROFILE: Columns = {
    "operation": lambda row: f"`{row[0]}`",
    "ms an update": lambda row: number(row[1]),
    "share": lambda row: f"{row[2]:.1%}",
    "calls an update": lambda row: row[3],
}


def _profile(results: Results) -> list[str]:
    lines = ["## Where the time of ours goes", ""]
    for record in records(results, "profile"):
        if record.get("failed"):
            lines += [f"- {record['case']}: {record['failed']}"]
            continue
        lines += [
            f"### {record['case']} ({record['precision']})",
            "",
            f"{record['updates']} updates of {number(record['ms_per_update'])} ms; loading the batches is "
            f"{record['loading_share']:.2%} of the time.",
            "",
            *markdown(PROFILE, record["operations"]),
        ]
    return lines


SECTIONS: dict[str, Callable[[Results], list[str]]] = {
    "machine": _machine,
    "train": lambda results: _speeds(results, "train"),
    "profile": _profile,
    "decode": lambda results: _speeds(results, "decode"),
    "startup": _startup,
    "parallel": _parallel,
    "scaling": _scaling,
    "memory": _memory,
    "quality": _quality,
}
