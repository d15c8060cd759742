"""Tokens a second, in training and in decoding, of everybody side by side. Knows cases and contenders.

Returns plain data as it goes into bench.json: for each case its rows, and the ratios that the issue asks for.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import corpus
import environments
import plan as plans
import rounds
from rounds import Row

WORKERS = Path(__file__).parent / "workers"


@dataclass
class Bench:
    """What every part needs: the plan, the machine, and who takes part.

    ``only`` are the contenders asked for (empty: all); ``missing`` says of each that is left out why, and of bf16.
    """

    plan: plans.Plan
    device: str
    threads: int
    scratch: Path
    only: tuple[str, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)  # of the parts so far
    quiet: float = 0.0  # seconds a slice may wait for the machine to itself

    def command(self, contender: str) -> list[str] | None:
        """How to start its worker; None where it takes no part, and ``missing`` says why."""
        if self.only and contender not in self.only:
            self.missing.setdefault(contender, "not asked for (--contenders)")
            return None
        if contender in self.missing:
            return None
        script = WORKERS / plans.SCRIPTS[contender]
        try:
            if not script.exists():
                raise environments.NotInstalled(f"no {script.name}")
            python = environments.interpreter(contender)
        except environments.NotInstalled as why:
            self.missing[contender] = f"not installed: {why}"
            print(f"  {contender} is left out: {self.missing[contender]}", flush=True)
            return None
        return [str(python), str(script)]

    @property
    def precisions(self) -> tuple[str, ...]:
        """What the device has instructions for, the fastest last; what it emulates takes hundreds of times as long."""
        import torch

        from seq2seq.system.devices import choose_precision

        fast = choose_precision("auto", torch.device(self.device)) == torch.bfloat16
        return ("fp32", "bf16") if fast else ("fp32",)

    def spec(self, case: plans.Case, text: corpus.Text, task: str, precision: str) -> dict[str, Any]:
        """SPEC.json of one worker."""
        common = {"task": task, "precision": precision, "device": self.device, "threads": self.threads}
        about = {"data": str(text.folder), "arguments": text.arguments, "pieces": text.meta["pieces"]}
        return {**case.spec(), **common, **about, "run": None, "export": None, "decode": None}

    def rows(
        self, case: plans.Case, text: corpus.Text, task: str, contenders: Sequence[str], **more: Any
    ) -> Iterator[Row]:
        """A row for each contender and precision that takes part; ``more`` goes into their specs."""
        for contender in contenders:
            command = self.command(contender)
            for precision in self.plan.precisions_of(contender, task, case.name) if command else ():
                assert command is not None
                precision = self.precisions[-1] if precision == "native" else precision
                if precision == "bf16" and "bf16" not in self.precisions:
                    self.missing["bf16"] = "this device only emulates it"
                    continue
                spec = {**self.spec(case, text, task, precision), **more}
                beam = f"-beam{more['decode']['beam']}" if "decode" in more else ""
                folder = self.scratch / "workers" / f"{task}-{case.name}{beam}-{contender}-{precision}"
                yield Row(contender, precision, command, spec, folder, self.threads)


def say(line: str) -> None:
    """A line of progress."""
    print(f"  {line}", flush=True)


# ---------------------------------------------------------------------------------------------------------- train


def train(bench: Bench, names: tuple[str, ...] = ("",)) -> Iterator[dict[str, Any]]:
    """Each training case whose name begins with one of ``names``, as it is done."""
    for case in plans.train_cases(bench.device):
        if not case.name.startswith(names):
            continue
        text = corpus.of_name(case.corpus)
        print(f"train {case.name}", flush=True)
        rows = list(bench.rows(case, text, "train", case.contenders))
        turns, seconds = bench.plan.rounds, bench.plan.seconds
        rounds.measure(rows, turns, seconds, bench.plan.starts_at_once, quiet=bench.quiet, say=say)
        measured = [rounds.plain(row) for row in rows]
        about = {"batch_tokens": case.batch_tokens, "size": case.size, "corpus": text.meta}
        about |= {"case": case.name, "model": case.model}
        ratios = [*train_ratios(case, measured), *shares_of_peak(bench, case, measured)]
        yield {**about, "rows": measured, "ratios": ratios}


def median(row: dict[str, Any]) -> float:
    """A row's median rate; 0 where it is not to be compared with.

    That is where it has none, failed after some slices, or minimises something else than the others.
    """
    counts = row["tokens_per_second"] and not row["failed"] and (row.get("check") or {}).get("same") is not False
    return row["tokens_per_second"]["median"] if counts else 0.0


def fastest(rows: Sequence[dict[str, Any]], contenders: Sequence[str], precision: str | None = None) -> Any:
    """The fastest row of the contenders, in any precision or in one; None where nobody was measured."""
    fit = [row for row in rows if row["contender"] in contenders and precision in (None, row["precision"])]
    best = max(fit, key=median, default=None)
    return best if best and median(best) else None


def versus(what: str, ours: Any, theirs: Any, target: float | None) -> dict[str, Any]:
    """One line of the table of ratios; ``ours`` or ``theirs`` may be None."""
    line: dict[str, Any] = {"what": what, "target": target, "ratio": None, "against": None}
    if not ours or not theirs:
        return line
    ratio = rounds.ratio(ours["rates"], theirs["rates"])
    who = f"{theirs['contender']} {theirs['precision']}"
    reached = None if target is None or ratio is None else ratio["median"] >= target
    by_cpu = rounds.ratio(ours.get("cpu_rates", []), theirs.get("cpu_rates", []))
    return {
        **line,
        "ratio": ratio,
        "by_cpu": by_cpu,
        "against": who,
        "ours": f"ours {ours['precision']}",
        "reached": reached,
    }


def our_default(rows: Sequence[dict[str, Any]]) -> Any:
    """Our row as a user gets it without saying anything."""
    return next((row for row in rows if row["contender"] == "ours" and row["asked"] == "auto" and median(row)), None)


def train_ratios(case: plans.Case, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ours against the best peer, the best in float32, and the tutorial."""
    ours, everybody = our_default(rows), [name for name in plans.CONTENDERS if name != "ours"]
    ours_fp32 = fastest(rows, ["ours"], "fp32")
    name = f"train {case.name}"
    lines = [
        versus(f"{name}: best peer, each at its best", ours, fastest(rows, everybody), case.target),
        versus(f"{name}: best peer in float32", ours, fastest(rows, everybody, "fp32"), case.target_fp32),
        versus(f"{name}: both in float32", ours_fp32, fastest(rows, everybody, "fp32"), None),
        versus(f"{name}: the tutorial loop", ours, fastest(rows, ["tutorial"]), case.target_tutorial),
    ]
    return [*lines, versus(f"{name}: the best framework", ours, fastest(rows, plans.FRAMEWORKS), None)]


def shares_of_peak(bench: Bench, case: plans.Case, rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """How much of the machine's matrix-product peak our rows reach, where the peak has been measured."""
    peaks = bench.results["machine"][0]["peak"] if bench.results.get("machine") else {}
    for row in rows:
        peak, rate = peaks.get(row["precision"]), row["tokens_per_second"]
        if not (row["contender"] == "ours" and row["flops_per_token"] and rate and peak):
            continue
        share = {name: 1e-9 * row["flops_per_token"] * value / peak for name, value in rate.items()}
        target = case.target_share if row is our_default(rows) else None
        yield {
            "what": f"train {case.name}: share of the peak, {row['flops_per_token'] / 1e6:.1f} MFLOP a token",
            "against": f"{peak:,.0f} GFLOP/s {row['precision']}",
            "ratio": share,
            "target": target,
            "reached": None if target is None else share["median"] >= target,
        }


# --------------------------------------------------------------------------------------------------------- decode


def decode_case(case: plans.Case) -> plans.Case:
    """The train case as it is decoded."""
    extra = ("ctranslate2",) if case.model == "transformer" else ()
    return plans.Case(case.name, case.model, case.size, contenders=(*case.contenders, *extra))


def decode(bench: Bench) -> Iterator[dict[str, Any]]:
    """Each model, greedy and beam 5, as it is done."""
    text = corpus.text()
    for case in map(decode_case, (plans.TRAIN_CASES[0], *plans.TRAIN_CASES[2:])):
        more: dict[str, Any] = {}
        if case.model == "transformer" and "ctranslate2" in (bench.only or plans.CONTENDERS):
            more["run"], more["export"] = same_weights(bench, case, text)
        for beam in (1, 5):
            print(f"decode {case.name} beam {beam}", flush=True)
            asked = {"beam": beam, "batch": plans.BATCH, "length": bench.plan.decode_length}
            contenders = [c for c in case.contenders if c != "ctranslate2" or more.get("export")]
            rows = list(bench.rows(case, text, "decode", contenders, decode=asked, **more))
            turns, seconds, together = bench.plan.rounds, bench.plan.decode_seconds, bench.plan.starts_at_once
            how = {"checks": False, "quiet": bench.quiet, "longest": bench.plan.longest, "say": say}
            rounds.measure(rows, turns, seconds, together, **how)
            measured = [rounds.plain(row) for row in rows]
            ratios = decode_ratios(case.name, beam, measured)
            yield {"case": case.name, "model": case.model, "beam": beam, "rows": measured, "ratios": ratios, **asked}


def decode_ratios(name: str, beam: int, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ours against the best PyTorch peer and, where it decodes this model, against CTranslate2 in the same precision.

    CTranslate2 decodes what our export wrote: against the peers it is what a user gets through that.
    """
    what = f"decode {name} {'greedy' if beam == 1 else f'beam {beam}'}"
    peers = ["tutorial", *plans.FRAMEWORKS]
    lines = [versus(f"{what}: best PyTorch peer", our_default(rows), fastest(rows, peers), plans.TARGETS["decode"])]
    for precision in ("fp32", "bf16"):
        theirs = fastest(rows, ["ctranslate2"], precision)
        if theirs:
            ours, name = fastest(rows, ["ours"], precision), f"{what}: CTranslate2, same weights, {precision}"
            lines.append(versus(name, ours, theirs, plans.TARGETS["ctranslate2"]))
    exported = fastest(rows, ["ctranslate2"])
    if exported:
        lines.append(versus(f"{what}: our export, best PyTorch peer", exported, fastest(rows, peers), None))
    return lines


def same_weights(bench: Bench, case: plans.Case, text: corpus.Text) -> tuple[str | None, str | None]:
    """A run folder of ours with the seed's weights, and its export to CTranslate2; None where one cannot be made."""
    run, export = bench.scratch / "export" / "run", bench.scratch / "export" / "ctranslate2"
    shutil.rmtree(run.parent, ignore_errors=True)
    command = bench.command("ours")
    if command is None:
        return None, None
    spec = {**bench.spec(case, text, "save", "fp32"), "run": str(run)}
    worker = rounds.start(row := Row("ours", "fp32", command, spec, bench.scratch / "workers" / "save", bench.threads))
    if worker is None:
        bench.missing["ctranslate2"] = f"no run to export: {row.failed}"
        return None, None
    worker.stop()
    exporting = [sys.executable, "-m", "seq2seq", "export", str(run), "--to", "ctranslate2", "--out", str(export)]
    done = subprocess.run(exporting, capture_output=True, text=True, check=False)
    if done.returncode or not export.is_dir():
        words = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()] or ["no word"]
        bench.missing["ctranslate2"] = f"seq2seq export failed: {words[-1].strip()}"
        say(f"ctranslate2 is left out: {bench.missing['ctranslate2']}")
        return str(run), None
    return str(run), str(export)
