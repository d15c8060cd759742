"""Time to quality: what a user waits for from a cold start until validation BLEU passes a mark. Knows the protocol.

Each contender works alone and from a new process: it trains in slices, and between two slices it translates the
validation split greedily with its own decoder. What counts is the wall from the start of the process to the end of the
validation that passes, and the same without the validations. Text is scored here, with sacreBLEU, for all alike.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import corpus
import plan as plans
import rounds
import speed
from rounds import Row

if TYPE_CHECKING:
    from speed import Bench

VALID = 200  # sentences of the validation split
FIRST_SLICE, LONGEST_SLICE = 1.0, 10.0  # seconds
RATES = (1.0, 0.5, 0.25)  # shares of the common learning rate that a contender may try
HOPELESS = 10.0  # a contender below this BLEU at half of the tokens has not begun to learn: it is cut short


def measure(bench: Bench, cases: tuple[str, ...] = ("",)) -> Iterator[dict[str, Any]]:
    """Each case whose name begins as asked, as it is done: ours, then the best peers one after the other."""
    text = corpus.embedded()
    text_about = (
        f"{text.meta['pairs']:,} pairs of the embedded corpus, {text.meta['pieces']:,} pieces; the first {VALID} "
        f"validation sentences, greedily, every {plans.QUALITY['valid_every_tokens']:,} target tokens; at most "
        f"{plans.QUALITY['cap_seconds']:g} s and {plans.QUALITY['max_tokens']:,} target tokens (to which all anneal "
        "by a cosine, where they can)."
    )
    for case in (case for case in plans.QUALITY_CASES if case.name.startswith(cases)):
        print(f"quality {case.name}", flush=True)
        rows = []
        for contender in [name for name in case.contenders if name in chosen(bench, case)]:
            row = best_rate(bench, case, text, contender)
            if row:
                rows.append(row)
        about = {"case": case.name, "model": case.model, "bleu": plans.QUALITY["bleu"], "text": text_about}
        yield {**about, "rows": rows, "ratios": ratios(case, rows)}


def ranking(bench: Bench, case: plans.Case) -> list[dict[str, Any]]:
    """Rows of the part ``train`` for the case's model at its smallest size, the fastest first."""
    pieces = [piece for piece in bench.results.get("train") or [] if piece["model"] == case.model]
    rows = min(pieces, key=lambda piece: piece["size"]["embedding"])["rows"] if pieces else []
    return sorted((row for row in rows if speed.median(row)), key=speed.median, reverse=True)


def chosen(bench: Bench, case: plans.Case) -> Sequence[str]:
    """Ours and the two peers that train this model fastest; the tutorial loop and eole where that is not known."""
    if bench.only:
        return bench.only
    peers = dict.fromkeys(row["contender"] for row in ranking(bench, case) if row["contender"] != "ours")
    return ("ours", *(list(peers)[: int(plans.QUALITY["peers"])] or ("tutorial", "eole")))


def best_precision(bench: Bench, case: plans.Case, contender: str) -> str:
    """The one it trains fastest in, as far as that is known; float32 suits peers of small widths best."""
    if contender == "ours":
        return "auto"
    return next((row["precision"] for row in ranking(bench, case) if row["contender"] == contender), "fp32")


def best_rate(bench: Bench, case: plans.Case, text: corpus.Text, contender: str) -> dict[str, Any] | None:
    """A peer that does not pass the mark at the common rate gets its best of a few."""
    command = bench.command(contender)
    if command is None:
        return None
    precision = best_precision(bench, case, contender)
    best: dict[str, Any] | None = None
    for share in RATES if contender != "ours" else RATES[:1]:
        spec = bench.spec(case, text, "train", precision)
        spec |= {"lr": case.lr * share, "schedule": "cosine", "max_tokens": int(plans.QUALITY["max_tokens"])}
        spec["ema"] = plans.QUALITY["ema"]
        folder = bench.scratch / "workers" / f"quality-{case.name}-{contender}-{share:g}"
        found = until(Row(contender, precision, command, spec, folder, bench.threads), text.folder)
        found["lr"] = spec["lr"]
        print(f"  {contender} lr {spec['lr']:g}: {summary(found)}", flush=True)
        if best is None or better(found, best):
            best = found
        if found["failed"] or found["reached"]:
            break
    return best


def better(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Reached before not reached, then the higher BLEU."""
    return (one["reached"], one["best_bleu"]) > (other["reached"], other["best_bleu"])


def summary(row: dict[str, Any]) -> str:
    """One line of progress."""
    if row["failed"]:
        return str(row["failed"])
    mark = "reached" if row["reached"] else "not reached"
    return f"{mark} after {row['wall_seconds']:.0f} s, {row['tokens']:,} tokens, best {row['best_bleu']:.1f} BLEU"


def until(row: Row, data: Path) -> dict[str, Any]:
    """Train and validate until the mark, the last token or the cap."""
    sources = [line.split(" ") for line in lines_of(data / "valid.pieces.src")[:VALID]]
    references = lines_of(data / "valid.tgt")[:VALID]
    began, validating, tokens = time.time(), 0.0, 0
    curve: list[list[float]] = []
    result: dict[str, Any] = {"contender": row.contender, "failed": None, "reached": False, "version": None}
    worker = rounds.start(row)
    try:
        if worker is None:
            raise rounds.Failed(row.failed or "did not start")
        result["version"], result["precision"] = row.about["version"], row.about.get("precision", row.precision)
        while not result["reached"] and not over(tokens, time.time() - began, curve):
            tokens = train_on(worker, tokens, began)
            before = time.time()
            said = worker.ask({"translate": sources}, rounds.SLICE_PATIENCE)
            if said.get("translations") is None:
                raise rounds.Failed(said.get("error", "no translations"))
            validating += time.time() - before
            bleu = score(said["translations"], references)
            curve.append([tokens, time.time() - began, bleu])
            result["reached"] = bleu >= plans.QUALITY["bleu"]
    except rounds.Failed as failed:
        result["failed"] = str(failed)
    finally:
        if worker is not None:
            worker.stop()
    wall = curve[-1][1] if curve else time.time() - began
    best = max((bleu for *_, bleu in curve), default=0.0)
    return {
        **result,
        "wall_seconds": wall,
        "work_seconds": wall - validating,
        "tokens": tokens,
        "best_bleu": best,
        "curve": curve,
    }


def train_on(worker: rounds.Worker, tokens: int, began: float) -> int:
    """Train to the next validation, in slices that aim at it, or until the time is over; the tokens so far."""
    every = int(plans.QUALITY["valid_every_tokens"])
    mark = min((tokens // every + 1) * every, int(plans.QUALITY["max_tokens"]))
    seconds = FIRST_SLICE
    while tokens < mark and time.time() - began < plans.QUALITY["cap_seconds"]:
        answer = worker.ask({"seconds": seconds}, seconds + rounds.SLICE_PATIENCE)
        if not answer["tokens"]:  # it has ended
            return int(plans.QUALITY["max_tokens"])
        tokens += answer["tokens"]
        rate = answer["tokens"] / answer["seconds"]
        seconds = min(max((mark - tokens) / rate, 0.1), LONGEST_SLICE)
    return tokens


def over(tokens: int, seconds: float, curve: Sequence[Sequence[float]]) -> bool:
    """Whether there is nothing more to wait for."""
    most = plans.QUALITY["max_tokens"]
    learns = max((bleu for *_, bleu in curve), default=0.0) >= HOPELESS
    return tokens >= most or seconds >= plans.QUALITY["cap_seconds"] or (tokens >= most / 2 and not learns)


def lines_of(path: Path) -> list[str]:
    """Lines, split at the line feed alone."""
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def score(translations: Sequence[Sequence[str]], references: Sequence[str]) -> float:
    """BLEU of pieces, put together, against the untouched references."""
    import sacrebleu

    text = ["".join(pieces).replace("▁", " ").strip() for pieces in translations]
    return float(sacrebleu.corpus_bleu(text, [list(references)]).score)


def ratios(case: plans.Case, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The best peer's seconds over ours, each time the best by that clock. Who was cut short counts with what it used.

    Where ours does not pass the mark it has not reached the target, whatever the peers do.
    """
    ours = next((row for row in rows if row["contender"] == "ours" and not row["failed"]), None)
    peers = [row for row in rows if row["contender"] != "ours" and not row["failed"]]
    lines = []
    for key, what in (("wall_seconds", "all seconds"), ("work_seconds", "without validations")):
        best = min(peers, key=lambda row: (not row["reached"], row[key]), default=None)
        line: dict[str, Any] = {"what": f"{case.name} to {plans.QUALITY['bleu']:g} BLEU, {what}"}
        line |= {"target": plans.TARGETS["quality"] if key == "wall_seconds" else None, "ratio": None, "against": None}
        if ours and not ours["reached"]:
            line |= {"against": "ours does not get there", "reached": False}
        elif ours and best:
            value = best[key] / ours[key]
            at_least = "" if best["reached"] else " (at least: it was cut short)"
            line |= {"ratio": dict.fromkeys(("median", "min", "max"), value)}
            line |= {"against": f"{best['contender']} {best['precision']}{at_least}"}
            line["reached"] = value >= plans.TARGETS["quality"]
        lines.append(line)
    return lines
