"""The command line: ``python -m scripts.bench [quick|full] [--only PART,…] [--contenders NAME,…] [--device cpu|cuda]``.

Results are written after each record of a part, so that nothing is lost by a stop. With ``--keep`` a record replaces
the earlier one of the same case, and the others stay. A part that fails is named in the report, and the next one runs.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from scripts.bench import corpus, machine, older, plan
from scripts.bench.context import Bench
from scripts.bench.figures import Record
from scripts.bench.parts import decoding, memory, parallel, peak, profiling, quality, scaling, startup, training
from scripts.bench.report import terminal
from scripts.bench.report.results import load, place
from scripts.bench.report.write import write
from scripts.bench.worker import ROOT, Failed

MEASURES: dict[str, Callable[[Bench], Iterable[Record]]] = {
    "machine": peak.measure,
    "train": training.measure,
    "profile": profiling.measure,
    "decode": decoding.measure,
    "startup": startup.measure,
    "parallel": parallel.measure,
    "scaling": scaling.measure,
    "memory": memory.measure,
    "quality": quality.measure,
}
PROGRAM = "python -m scripts.bench"
AGAINST = ("train", "decode", "memory", "quality")


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
    """The parsed command line."""
    parser = argparse.ArgumentParser(PROGRAM, description="Ours beside everything people train with.")
    parser.add_argument("variant", nargs="?", default="full", choices=tuple(plan.PLANS))
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--only", type=names(plan.PARTS), default=(), metavar="PART,…", help=", ".join(plan.PARTS))
    parser.add_argument("--contenders", type=names(plan.CONTENDERS), default=(), metavar="NAME,…")
    against = "an older commit of this project takes part in " + ", ".join(AGAINST)
    parser.add_argument("--against", metavar="COMMIT", help=against)
    parser.add_argument("--cases", default="", metavar="NAME,…", help="cases of train and quality whose name begins so")
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--rounds", type=int, help="slices of each contender (default: 3 quick, 5 full)")
    parser.add_argument("--seconds", type=float, help="length of a slice of training and of decoding")
    parser.add_argument(
        "--quiet", type=float, default=0.0, help="seconds a slice may wait until no other program uses the machine"
    )
    parser.add_argument("--keep", action="store_true", help="keep the records of bench.json that are not measured anew")
    parser.add_argument("--out", type=Path, default=ROOT / "outputs" / "bench")
    return parser.parse_args(line)


def chosen_plan(options: argparse.Namespace) -> plan.Plan:
    """The variant's plan with the changes that the command line asks for."""
    chosen = plan.PLANS[options.variant]
    if options.rounds:
        chosen = replace(chosen, rounds=options.rounds)
    if options.seconds:
        chosen = replace(chosen, seconds=options.seconds, decode_seconds=options.seconds)
    if options.device == "cuda":  # runs at once would share its one device, whatever the threads
        chosen = replace(chosen, left_out=(*chosen.left_out, "parallel"))
    return chosen


def main() -> int:
    """Measure, write after each record, print the table of ratios."""
    options = arguments()
    chosen = chosen_plan(options)
    try:
        against = older.of_revision(options.against) if options.against else None
    except Failed as error:
        print(f"--against: {error}", file=sys.stderr)
        return 2
    variant = options.variant if options.device == "cpu" else f"{options.variant}-{options.device}"
    out = options.out.resolve() / variant
    out.mkdir(parents=True, exist_ok=True)
    results = load(out) if options.keep else {}
    about = {**machine.about(options.device, options.threads), "variant": options.variant}
    about["command"] = " ".join([PROGRAM, *sys.argv[1:]])
    for key in ("processor", "features", "threads", "device"):
        if results.get("about", {}).get(key, about[key]) != about[key]:
            print(f"--keep: {out} was measured with other {key}: leave it out, or name an --out", file=sys.stderr)
            return 2
    results["about"] = about
    scratch = corpus.CACHE / "scratch" / variant  # not in outputs/: TensorBoard would list its runs as the user's
    bench = Bench(chosen, options.device, options.threads, scratch, options.contenders, results=results)
    bench.cases, bench.quiet, bench.against = tuple(options.cases.split(",")), options.quiet, against
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: workers are stopped, results stay
    parts = options.only or tuple(part for part in plan.PARTS if part not in chosen.left_out)
    began = time.time()
    try:
        for part in parts:
            print(f"== {part} ({time.time() - began:.0f} s)", flush=True)
            run_part(part, bench, out)
    except KeyboardInterrupt:
        print(f"stopped; the results so far are in {out}", file=sys.stderr)
        return 130
    finally:
        about["minutes"] = round((time.time() - began) / 60, 1)
        write(results, out)
    print(terminal.table(results))
    print(f"\n{out}/bench.md, bench.json, bench.svg")
    return 1 if results.get("failed") else 0


def run_part(part: str, bench: Bench, out: Path) -> None:
    """Measure one part, and write the results after each of its records."""
    results = bench.results
    measured = {key: results["about"][key] for key in ("date", "command", "commit")}
    found, failed = results.setdefault(part, []), results.setdefault("failed", {})
    failed.pop(part, None)
    try:
        for record in MEASURES[part](bench):
            place(found, {**record, "measured": measured, "missing": dict(bench.missing)})
            write(results, out)
    except Failed as why:
        failed[part] = str(why)
        print(f"  {part} is left out: {why}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
