"""What was measured, for people: Markdown, a plot, and the JSON that both are made of; ``terminal`` prints the ratios.

Ratios come first. Knows plain data as the parts give it; measures nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from plan import LABELS, PARTS
from rounds import DISTURBED

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

Results = dict[str, Any]


def load(out: Path) -> Results:
    """What an earlier bench has left; nothing where there is none."""
    path = out / "bench.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write(results: Results, out: Path) -> None:
    """bench.json and bench.md, and the plot where there is something to draw; each whole or not at all."""
    from plot import draw

    from seq2seq.system.files import write_atomically, write_json

    write_json(out / "bench.json", results)
    write_atomically(out / "bench.md", markdown(results))
    draw(results, out)


# ----------------------------------------------------------------------------------------------------- small pieces


def pieces(results: Results, part: str) -> list[dict[str, Any]]:
    """What a part has given so far."""
    return results.get(part) or []


def place(found: list[dict[str, Any]], piece: dict[str, Any]) -> None:
    """Put a piece where an earlier one of the same case is, or at the end."""

    def identity(one: dict[str, Any]) -> list[Any]:
        return [one.get(key) for key in ("kind", "case", "beam")]

    same = [n for n, one in enumerate(found) if identity(one) == identity(piece)]
    if same:
        found[same[0]] = piece
    else:
        found.append(piece)


def left_out(results: Results) -> list[str]:
    """Who and what is left out, where, and why: a line each."""
    parts: dict[tuple[str, str], list[str]] = {}
    for part in PARTS:
        beside_others = [piece for piece in pieces(results, part) if "rows" in piece]
        for left in dict.fromkeys(left for piece in beside_others for left in piece.get("missing", {}).items()):
            parts.setdefault(left, []).append(part)
    lines = [f"{LABELS.get(name, name)} ({', '.join(where)}): {why}" for (name, why), where in parts.items()]
    return [*lines, *(f"{part}: {why}" for part, why in results.get("failed", {}).items())]


def ratios(results: Results) -> list[dict[str, Any]]:
    """Every line of the table of ratios, in the order of the parts that a reader expects."""
    order = ("train", "decode", "quality", "parallel", "startup", "scaling", "machine")
    return [line for part in order for piece in pieces(results, part) for line in piece.get("ratios", [])]


def number(value: float | None, digits: int = 3) -> str:
    """A figure with so many digits that count."""
    if value is None:
        return "–"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(digits - len(str(int(abs(value)))), 0)}f}"


def spread(value: dict[str, float] | None, suffix: str = "") -> str:
    """Median [smallest–largest]; of a single figure that alone."""
    if not value:
        return "–"
    if value["min"] == value["max"]:  # measured once
        return f"{number(value['median'])}{suffix}"
    return f"{number(value['median'])}{suffix} [{number(value['min'])}–{number(value['max'])}]"


def verdict(line: dict[str, Any]) -> str:
    """Whether the target is reached."""
    if line.get("target") is None:
        return ""
    if line.get("reached") is None:
        return "not measured"
    return "reached" if line["reached"] else "not reached"


def target(line: dict[str, Any]) -> str:
    """The target as it is written: at least, or at most."""
    if line.get("target") is None:
        return ""
    return f"{'≤ ' if line.get('lower') else '≥ '}{line['target']:g}×"


def who(name: str | None) -> str:
    """A contender, and its precision where it has one, as people know it."""
    contender, _, precision = (name or "–").partition(" ")
    return f"{LABELS[contender]} {precision}".strip() if contender in LABELS else (name or "–")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A Markdown table, figures to the right."""
    align = ["---"] + ["---:"] * (len(head) - 1)
    return [f"| {' | '.join(map(str, row))} |" for row in (head, align, *rows)] + [""]


# --------------------------------------------------------------------------------------------------------- Markdown


def markdown(results: Results) -> str:
    """The whole report."""
    warning = disturbed(results)
    lines = ["# Bench", "", *([f"**{warning}**", ""] if warning else []), *_head(results), *_ratios(results)]
    for part in PARTS:
        if pieces(results, part):
            lines += SECTIONS[part](results)
    lines += _left_out(results)
    return "\n".join(lines).rstrip() + "\n"


def _kept(results: Results) -> list[str]:
    """What an earlier run measured, and when and how."""
    cases: dict[str, list[str]] = {}
    for part in PARTS:
        for piece in pieces(results, part):
            one = piece.get("measured", {})
            if one and one["date"] != results["about"]["date"]:
                how = f"{one['date']}, commit {one['commit'] or 'unknown'}, `{one['command']}`"
                cases.setdefault(f"- {part}: {how}", []).append(piece.get("case", ""))
    return [line + (f" ({', '.join(dict.fromkeys(names))})" if any(names) else "") for line, names in cases.items()]


def _head(results: Results) -> list[str]:
    about, kept = results.get("about", {}), _kept(results)
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
        "rounds of ours divided by theirs, both of one round. A token is a target token that is not padding, the end "
        "mark counted, for everybody alike. *Ours* is our default unless a precision is named.",
        "",
        *(["Kept from earlier runs (`--keep`):", "", *kept, ""] if kept else []),
    ]


def disturbed(results: Results) -> str | None:
    """A warning where other processes took more than a little of the machine; None where they did not."""
    rows = [row for part in ("train", "decode") for piece in pieces(results, part) for row in piece["rows"]]
    shares = [row["taken"]["max"] for row in [*rows, *pieces(results, "parallel")] if row.get("taken")]
    worst = max(shares, default=0.0)
    if worst < DISTURBED:
        return None
    return (
        f"Other processes took up to {worst:.0%} of the machine while this was measured: the figures are NOT TO BE "
        "TRUSTED, those with several threads least."
    )


def _ratios(results: Results) -> list[str]:
    rows = []
    for line in ratios(results):
        row = [line["what"], who(line["against"]), spread(line["ratio"], "×"), target(line), verdict(line)]
        rows.append([*row, spread(line.get("by_cpu"), "×")] if disturbed(results) else row)
    head = ["ours", "against", "ratio", "target", "", *(["by processor seconds"] if disturbed(results) else [])]
    return ["## Ratios", "", *table(head, rows)] if rows else []


def _speed_rows(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    lines = []
    kind = "cuda_mb" if any(row["cuda_mb"] for row in rows) else "rss_mb"
    for row in sorted(rows, key=lambda r: -(r["tokens_per_second"] or {"median": 0})["median"]):
        if row["failed"]:
            continue
        default = " (default)" if row["contender"] == "ours" and row["asked"] == "auto" else ""
        lines.append(
            [
                f"{LABELS[row['contender']]} {row['version']}",
                f"{row['precision']}{default}",
                spread(row["tokens_per_second"]),
                f"{row['updates']}",
                number(row["tokens_per_update"]),
                f"{row['parameters'] / 1e6:.2f}M",
                f"{number(row[kind])} MiB",
                f"{number(row['first_update_seconds'])} s",
                _check(row["check"]),
            ]
        )
    return lines


def _check(check: dict[str, Any] | None) -> str:
    if check is None:
        return ""
    if check.get("same") is None:
        return f"not checked: {check.get('error')}"
    return "same" if check["same"] else f"**differs**: {check['own']:.4f}, by hand {check['recomputed']:.4f}"


def _notes(rows: Sequence[dict[str, Any]]) -> list[str]:
    lines: dict[str, None] = {}
    for row in rows:
        if row["failed"] and row["failed"] != "same as auto":
            lines[f"- **{LABELS[row['contender']]} {row['precision']} is left out**: {row['failed']}"] = None
        elif row["notes"]:
            lines[f"- {LABELS[row['contender']]}: {'; '.join(row['notes'])}"] = None
    return [*lines, ""] if lines else []


def _train(results: Results) -> list[str]:
    lines = ["## Training", ""]
    head = ["", "precision", "target tokens/s", "updates", "tokens an update"]
    head += ["parameters", "peak memory", "first update", "loss"]
    for piece in pieces(results, "train"):
        text = piece["corpus"]
        lines += [
            f"### {piece['case']}",
            "",
            f"{piece['batch_tokens']:,} padded positions a batch, {text['pieces']:,} pieces, {text['pairs']:,} pairs "
            f"of {'the embedded corpus' if text['source'] == 'grammar' else text['source']}; "
            f"sizes {', '.join(f'{key} {value}' for key, value in piece['size'].items())}.",
            "",
            *table(head, _speed_rows(piece["rows"])),
            *_notes(piece["rows"]),
        ]
    return lines


def _decode(results: Results) -> list[str]:
    lines = ["## Decoding", ""]
    head = ["", "precision", "tokens/s", "batches", "tokens a batch", "parameters", "peak memory", "first batch", ""]
    for piece in pieces(results, "decode"):
        how = "greedy" if piece["beam"] == 1 else f"beam {piece['beam']}"
        lines += [
            f"### {piece['case']}, {how}",
            "",
            f"{piece['batch']} sentences a batch, {piece['length']} tokens a hypothesis, whatever the weights say.",
            "",
            *table(head, _speed_rows(piece["rows"])),
            *_notes(piece["rows"]),
        ]
    return lines


def _machine(results: Results) -> list[str]:
    piece = pieces(results, "machine")[0]
    shapes = list(piece["gflops"]["fp32"])
    rows = [[shape, *(number(piece["gflops"][name][shape]) for name in piece["gflops"])] for shape in shapes]
    head = ["matrix product (m×k×n)", *(f"{name} GFLOP/s" for name in piece["gflops"])]
    return ["## The machine", "", *table(head, rows)]


def _startup(results: Results) -> list[str]:
    rows = [[f"`{name}`", spread(each, " s")] for name, each in pieces(results, "startup")[0]["seconds"].items()]
    return ["## Start", "", *table(["", "seconds"], rows)]


def _quality(results: Results) -> list[str]:
    lines = ["## Time to quality", ""]
    head = ["", "precision", "seconds, all", "without validations", "target tokens", "best BLEU", "rate"]
    for piece in pieces(results, "quality"):
        rows = []
        for row in piece["rows"]:
            if row["failed"]:
                lines.append(f"- **{LABELS[row['contender']]} is left out of {piece['case']}**: {row['failed']}")
                continue
            seconds = "" if row["reached"] else "more than "
            rows.append(
                [
                    f"{LABELS[row['contender']]} {row['version']}",
                    row["precision"],
                    f"{seconds}{number(row['wall_seconds'])}",
                    f"{seconds}{number(row['work_seconds'])}",
                    f"{row['tokens']:,}",
                    number(row["best_bleu"]),
                    f"{row['lr']:g}",
                ]
            )
        lines += ["", f"### {piece['case']}: until {piece['bleu']:g} BLEU", "", piece["text"], "", *table(head, rows)]
    return lines


def _parallel(results: Results) -> list[str]:
    rows = []
    for piece in pieces(results, "parallel"):
        if piece.get("failed"):
            rows.append([piece["case"], piece["failed"], "", ""])
            continue
        rows.append(
            [piece["case"], spread(piece["alone"]), spread(piece["together"]), spread(piece["ratios"][0]["ratio"], "×")]
        )
    head = ["", "one run, all threads", "runs of one thread each, summed", "ratio"]
    return ["## Several runs at once", "", *table(head, rows)]


def _scaling(results: Results) -> list[str]:
    lines = ["## Scaling", ""]
    for piece in pieces(results, "scaling"):
        if piece["kind"] == "corpus":
            head = [
                "pairs",
                "pipeline, µs a token",
                "share planning",
                "update, µs a token",
                "sum, µs a token",
                "own memory, planning",
                "in all",
            ]
            rows = [
                [
                    f"{one['pairs']:,}",
                    number(one["pipeline_us"]),
                    f"{one['planning_share']:.0%}",
                    number(one["update_us"]),
                    number(one["sum_us"]),
                    f"{number(one['pipeline_mb'])} MiB",
                    f"{number(one['private_mb'])} MiB",
                ]
                for one in piece["sizes"]
            ]
        else:
            lines += [f"### Decoding, {piece['case']}: seconds of a batch by output length", ""]
            head = ["tokens", "seconds"]
            rows = [[length, number(seconds)] for length, seconds in piece["seconds"]]
        lines += table(head, rows)
        if piece["kind"] == "length":
            lines += [f"Total time grows as length^{piece['exponent']:.2f}.", ""]
    return lines


def _profile(results: Results) -> list[str]:
    lines = ["## Where the time of ours goes", ""]
    for piece in pieces(results, "profile"):
        if piece.get("failed"):
            lines += [f"- {piece['case']}: {piece['failed']}"]
            continue
        rows = [[f"`{name}`", number(ms), f"{share:.1%}", calls] for name, ms, share, calls in piece["operations"]]
        lines += [
            f"### {piece['case']} ({piece['precision']})",
            "",
            f"{piece['updates']} updates of {number(piece['ms_per_update'])} ms; loading the batches is "
            f"{piece['loading_share']:.2%} of the time.",
            "",
            *table(["operation", "ms an update", "share", "calls an update"], rows),
        ]
    return lines


def _left_out(results: Results) -> list[str]:
    lines = left_out(results)
    return ["## Left out", "", *(f"- {line}" for line in lines), ""] if lines else []


SECTIONS = {
    "machine": _machine,
    "train": _train,
    "profile": _profile,
    "decode": _decode,
    "startup": _startup,
    "parallel": _parallel,
    "scaling": _scaling,
    "quality": _quality,
}
