"""The command line: ``python scripts/bench [quick|full] [--only PART,…] [--contenders NAME,…] [--device cpu|cuda]``.

What is known is written after each piece of a part, so that a stop leaves what is there. With ``--keep`` a piece that
the same variant measured before is replaced, and the others stay. A part that fails is named, and the next one follows.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import corpus  # noqa: E402
import machine  # noqa: E402
import parallel  # noqa: E402
import plan as plans  # noqa: E402
import profiling  # noqa: E402
import quality  # noqa: E402
import report  # noqa: E402
import rounds  # noqa: E402
import scaling  # noqa: E402
import speed  # noqa: E402
import startup  # noqa: E402
import terminal  # noqa: E402

MEASURES: dict[str, Callable[..., Any]] = {
    "machine": machine.measure,
    "train": speed.train,
    "profile": profiling.measure,
    "decode": speed.decode,
    "startup": startup.measure,
    "parallel": parallel.measure,
    "scaling": scaling.measure,
    "quality": quality.measure,
}
BY_CASE = ("train", "quality")  # parts of which --cases chooses


def names(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    """A type of argument: names of ``known``, separated by commas."""

    def parse(text: str) -> tuple[str, ...]:
        chosen = tuple(part for part in text.split(",") if part)
        for name in chosen:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name}: there are {', '.join(known)}")
        return chosen

    return parse


def arguments(line: list[str] | None = None) -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser("python scripts/bench", description="Ours beside everything people train with.")
    parser.add_argument("variant", nargs="?", default="full", choices=tuple(plans.PLANS))
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--only", type=names(plans.PARTS), default=(), metavar="PART,…", help=", ".join(plans.PARTS))
    parser.add_argument("--contenders", type=names(plans.CONTENDERS), default=(), metavar="NAME,…")
    parser.add_argument("--cases", default="", metavar="NAME,…", help="training cases whose name begins so")
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--rounds", type=int, help="slices of each contender (default: 3 quick, 5 full)")
    parser.add_argument("--seconds", type=float, help="length of a slice of training and of decoding")
    parser.add_argument(
        "--quiet", type=float, default=0.0, help="seconds a slice may wait for others to leave it alone"
    )
    parser.add_argument("--keep", action="store_true", help="keep what is in bench.json already")
    parser.add_argument("--out", type=Path, default=ROOT / "outputs" / "bench")
    return parser.parse_args(line)


def chosen_plan(options: argparse.Namespace) -> plans.Plan:
    """The variant's plan with what the command line changes."""
    from dataclasses import replace

    plan = plans.PLANS[options.variant]
    if options.rounds:
        plan = replace(plan, rounds=options.rounds)
    if options.seconds:
        plan = replace(plan, seconds=options.seconds, decode_seconds=options.seconds)
    if options.device == "cuda":  # runs at once share its one device, whatever the threads
        plan = replace(plan, left_out=(*plan.left_out, "parallel"))
    return plan


def main() -> int:
    """Measure, write after each part, print the table."""
    options = arguments()
    plan = chosen_plan(options)
    variant = options.variant if options.device == "cpu" else f"{options.variant}-{options.device}"
    out = options.out.resolve() / variant
    out.mkdir(parents=True, exist_ok=True)
    results = report.load(out) if options.keep else {}
    before = results.get("about", {})
    scratch = corpus.CACHE / "scratch" / variant  # not in outputs/: TensorBoard would list its runs as the user's
    bench = speed.Bench(plan, options.device, options.threads, scratch, options.contenders, results=results)
    bench.quiet = options.quiet
    results["about"] = {**machine.about(options.device, options.threads), "variant": options.variant}
    results["about"]["command"] = " ".join(["python scripts/bench", *sys.argv[1:]])
    for key in ("processor", "features", "threads", "device"):
        if before.get(key, results["about"][key]) != results["about"][key]:
            print(f"--keep: {out} was measured with other {key}: leave it out, or name an --out", file=sys.stderr)
            return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: workers are stopped, results stay
    parts = options.only or tuple(part for part in plans.PARTS if part not in plan.left_out)
    began = time.time()
    try:
        for part in parts:
            print(f"== {part} ({time.time() - began:.0f} s)", flush=True)
            run_part(part, bench, results, out, options.cases)
    except KeyboardInterrupt:
        print(f"stopped; what was measured is in {out}", file=sys.stderr)
        return 130
    finally:
        results["about"]["minutes"] = round((time.time() - began) / 60, 1)
        report.write(results, out)
    print(terminal.table(results))
    print(f"\n{out}/bench.md, bench.json, bench.svg")
    return 1 if results.get("failed") else 0


def run_part(part: str, bench: speed.Bench, results: dict[str, Any], out: Path, cases: str) -> None:
    """Measure one part; a part that comes piece by piece is written down piece by piece."""
    came = MEASURES[part](bench, tuple(cases.split(","))) if part in BY_CASE else MEASURES[part](bench)
    measured = {key: results["about"][key] for key in ("date", "command", "commit")}
    pieces, failed = results.setdefault(part, []), results.setdefault("failed", {})
    failed.pop(part, None)
    try:
        for piece in came:
            report.place(pieces, {**piece, "measured": measured, "missing": dict(bench.missing)})
            report.write(results, out)
    except rounds.Failed as why:
        failed[part] = str(why)
        print(f"  {part} is left out: {why}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
