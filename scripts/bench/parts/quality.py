"""The part ``quality``: seconds of training from a cold start until validation BLEU reaches a mark.

Each contender runs alone, from a new process: it trains in slices, and between two slices it translates the validation
split greedily with its own decoder. Counted are the seconds from the start of the process to the end of the validation
that reaches the mark, and the same without the validations. BLEU is computed here, with sacreBLEU, for all alike.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.bench import corpus, plan
from scripts.bench.context import Bench
from scripts.bench.figures import Record, compared, median, records, spread
from scripts.bench.worker import SLICE_PATIENCE, Failed, Row, Worker, start

VALID = 200  # sentences of the validation split
FIRST_SLICE, LONGEST_SLICE = 1.0, 10.0  # seconds
RATES = (1.0, 0.5, 0.25)  # shares of the common learning rate that a peer may try
CLOCKS = {"wall_seconds": "all seconds", "work_seconds": "without validations"}
HOPELESS = 10.0  # BLEU; a contender below it after half of the tokens is stopped


def measure(bench: Bench) -> Iterator[Record]:
    """A record of each case that was asked for: ours, then the fastest peers, one after the other."""
    text, rules = corpus.embedded(), plan.QUALITY
    about = (
        f"{text.meta['pairs']:,} pairs of the embedded corpus, {text.vocabulary:,} tokens in the vocabulary; the first "
        f"{VALID} validation sentences, greedily, every {rules.valid_every_tokens:,} target tokens; at most "
        f"{rules.cap_seconds:g} s and {rules.max_tokens:,} target tokens (to which all anneal by a cosine, where they "
        "can)."
    )
    for case in plan.QUALITY_CASES:
        if not case.name.startswith(bench.cases):
            continue
        print(f"quality {case.name}", flush=True)
        rows = []
        for contender in [*(name for name in case.contenders if name in chosen(bench, case)), *bench.own[1:]]:
            with contextlib.suppress(Failed):  # it is left out, and bench.missing says why
                rows.append(best_rate(bench, case, text, contender))
        lines = [*ratios(case, rows, bench.own), *earlier(case, rows, bench.own[1:])]
        yield {"case": case.name, "model": case.model, "bleu": rules.bleu, "text": about, "rows": rows, "ratios": lines}


def ranking(bench: Bench, case: plan.Case) -> list[Record]:
    """Rows of the part ``train`` for the case's model at its smallest size, the fastest first."""
    trained = [record for record in records(bench.results, "train") if record["model"] == case.model]
    rows = min(trained, key=lambda record: int(record["size"]["embedding"]))["rows"] if trained else []
    return sorted((row for row in rows if median(row)), key=median, reverse=True)


def chosen(bench: Bench, case: plan.Case) -> Sequence[str]:
    """Ours and the peers that train this model fastest; the tutorial's loop and eole where that is not known."""
    if bench.only:
        return bench.only
    peers = dict.fromkeys(row["contender"] for row in ranking(bench, case) if row["contender"] in plan.CONTENDERS[1:])
    return ("ours", *(list(peers)[: plan.QUALITY.peers] or ("tutorial", "eole")))


def best_precision(bench: Bench, case: plan.Case, contender: str) -> str:
    """The precision in which a peer trains fastest, where that is known; else float32, the best for small widths."""
    if contender in bench.own:
        return "auto"
    return next((str(row["precision"]) for row in ranking(bench, case) if row["contender"] == contender), "fp32")


def best_rate(bench: Bench, case: plan.Case, text: corpus.Text, contender: str) -> Record:
    """The best trial of a contender; a peer that does not reach the mark at the common rate may try lower ones.

    Raises:
        Failed: the contender is left out.
    """
    trials: list[Record] = []
    for share in RATES if contender not in bench.own else RATES[:1]:
        schedule = {"lr": case.lr * share, "schedule": "cosine", "max_tokens": plan.QUALITY.max_tokens}
        precision = best_precision(bench, case, contender)
        row = bench.row(case, text, "train", contender, precision, **schedule, ema=plan.QUALITY.ema)
        row.folder = row.folder.with_name(f"quality-{case.name}-{contender}-{share:g}")
        trials.append({**until(row, text.folder), "lr": schedule["lr"]})
        print(f"  {contender} lr {schedule['lr']:g}: {summary(trials[-1])}", flush=True)
        if trials[-1]["failed"] or trials[-1]["reached"]:
            break
    return max(trials, key=lambda trial: (bool(trial["reached"]), float(trial["best_bleu"])))


def summary(row: Record) -> str:
    """One line of progress."""
    if row["failed"]:
        return str(row["failed"])
    mark = "reached" if row["reached"] else "not reached"
    return f"{mark} after {row['wall_seconds']:.0f} s, {row['tokens']:,} tokens, best {row['best_bleu']:.1f} BLEU"


def until(row: Row, data: Path) -> Record:
    """Train and validate until the mark, the last token or the last second."""
    sources = [line.split(" ") for line in lines_of(data / "valid.tokens.src")[:VALID]]
    references = lines_of(data / "valid.tgt")[:VALID]
    began, validating, tokens = time.time(), 0.0, 0
    curve: list[list[float]] = []
    result: Record = {"contender": row.contender, "failed": None, "reached": False, "version": None}
    try:
        with start(row) as worker:
            result["version"], result["precision"] = row.about["version"], row.about.get("precision", row.precision)
            while not result["reached"] and not over(tokens, time.time() - began, curve):
                tokens = train_on(worker, tokens, began)
                before = time.time()
                said = worker.ask({"translate": sources}, SLICE_PATIENCE)
                translations = said.get("translate", said.get("translations"))  # its name before 28 November 2026
                if translations is None:
                    raise Failed(said["error"])
                validating += time.time() - before
                bleu = score(translations, references)
                curve.append([tokens, time.time() - began, bleu])
                result["reached"] = bleu >= plan.QUALITY.bleu
    except Failed as failed:
        result["failed"] = str(failed)
    wall = curve[-1][1] if curve else time.time() - began
    best = max((bleu for *_, bleu in curve), default=0.0)
    figures = {"wall_seconds": wall, "work_seconds": wall - validating, "tokens": tokens, "best_bleu": best}
    return {**result, **figures, "curve": curve}


def train_on(worker: Worker, tokens: int, began: float) -> int:
    """Train to the next validation, in slices that aim at it, or until the time is over; the tokens so far."""
    rules = plan.QUALITY
    mark = min((tokens // rules.valid_every_tokens + 1) * rules.valid_every_tokens, rules.max_tokens)
    seconds = FIRST_SLICE
    while tokens < mark and time.time() - began < rules.cap_seconds:
        answer = worker.ask({"seconds": seconds}, seconds + SLICE_PATIENCE)
        if not answer["tokens"]:  # the toolkit has ended its training
            return rules.max_tokens
        tokens += int(answer["tokens"])
        seconds = min(max((mark - tokens) * answer["seconds"] / answer["tokens"], 0.1), LONGEST_SLICE)
    return tokens


def over(tokens: int, seconds: float, curve: Sequence[Sequence[float]]) -> bool:
    """Whether training ends here: tokens or time are used up, or the contender has not begun to learn."""
    rules = plan.QUALITY
    learns = max((bleu for *_, bleu in curve), default=0.0) >= HOPELESS
    return tokens >= rules.max_tokens or seconds >= rules.cap_seconds or (tokens >= rules.max_tokens / 2 and not learns)


def lines_of(path: Path) -> list[str]:
    """Lines, split at the line feed alone."""
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def score(translations: Sequence[Sequence[str]], references: Sequence[str]) -> float:
    """BLEU of translations, joined from their tokens, against the references as they are in the corpus."""
    import sacrebleu

    text = ["".join(tokens).replace("▁", " ").strip() for tokens in translations]
    return float(sacrebleu.corpus_bleu(text, [list(references)]).score)


def ratios(case: plan.Case, rows: Sequence[Record], own: Sequence[str] = ("ours",)) -> list[Record]:
    """The best peer's seconds over ours, by each clock; ``own`` are ours and its older commits."""
    peers = [row for row in rows if row["contender"] not in own]
    targets = {"wall_seconds": plan.TARGETS["quality"]}
    return [sooner(case, rows, peers, clock, "", targets.get(clock)) for clock in CLOCKS]


def earlier(case: plan.Case, rows: Sequence[Record], commits: Sequence[str]) -> list[Record]:
    """An older commit's seconds over ours, by each clock."""
    older = [row for row in rows if row["contender"] in commits]
    return [sooner(case, rows, older, clock, ": an older commit") for clock in CLOCKS] if commits else []


def sooner(
    case: plan.Case,
    rows: Sequence[Record],
    others: Sequence[Record],
    clock: str,
    whom: str,
    target: float | None = None,
) -> Record:
    """The line of the best of ``others`` by a clock. Who was cut short counts its seconds so far.

    Where ours does not reach the mark it has not reached the target, whatever the others do.
    """
    ours = next((row for row in rows if row["contender"] == "ours" and not row["failed"]), None)
    able = [row for row in others if not row["failed"]]
    best = min(able, key=lambda row: (not row["reached"], row[clock]), default=None)
    what = f"{case.name} to {plan.QUALITY.bleu:g} BLEU, {CLOCKS[clock]}{whom}"
    if ours and not ours["reached"]:
        return compared(what, "ours does not get there", None, target) | {"reached": False}
    if not ours or not best:
        return compared(what, None, None, target)
    at_least = "" if best["reached"] else " (at least: it was cut short)"
    against = f"{best['contender']} {best['precision']}{at_least}"
    return compared(what, against, spread([best[clock] / ours[clock]]), target)
