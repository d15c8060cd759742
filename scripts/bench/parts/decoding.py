"""The part ``decode``: tokens a second in greedy and beam search, of everybody side by side."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from scripts.bench import corpus, plan, rounds, worker
from scripts.bench.context import Bench
from scripts.bench.figures import Record, earlier, fastest, our_default, record_of, versus


def measure(bench: Bench) -> Iterator[Record]:
    """A record of each model in greedy search and in beam search with 5 hypotheses."""
    text = corpus.text()
    for trained in plan.DECODE_CASES:
        case = decode_case(trained)
        exported: dict[str, Any] = {}
        if "ctranslate2" in case.contenders and "ctranslate2" in (bench.only or plan.CONTENDERS):
            exported["run"], exported["export"] = same_weights(bench, case, text)
        for beam in (1, 5):
            print(f"decode {case.name} beam {beam}", flush=True)
            asked = {"beam": beam, "batch": plan.BATCH, "length": bench.plan.decode_length}
            contenders = [c for c in case.contenders if c != "ctranslate2" or exported.get("export")]
            rows = list(bench.rows(case, text, "decode", contenders, decode=asked, **exported))
            how = bench.plan
            turns, seconds, together = how.rounds, how.decode_seconds, how.starts_at_once
            rounds.measure(rows, turns, seconds, together, checks=False, quiet=bench.quiet, longest=how.longest)
            measured = [record_of(row) for row in rows]
            what = f"decode {case.name} {'greedy' if beam == 1 else f'beam {beam}'}"
            lines = [*ratios(what, measured), *earlier(what, measured, bench.own[1:])]
            yield {"case": case.name, "model": case.model, "rows": measured, "ratios": lines, **asked}


def decode_case(case: plan.Case) -> plan.Case:
    """The training case as it is decoded: without its training options; a Transformer by CTranslate2 too."""
    extra = ("ctranslate2",) if case.model == "transformer" else ()
    return plan.Case(case.name, case.model, case.size, contenders=(*case.contenders, *extra))


def ratios(what: str, rows: Sequence[Record]) -> list[Record]:
    """Ours against the fastest PyTorch peer and, where CTranslate2 decodes the model, against it in each precision.

    CTranslate2 decodes our export, so its speed against the peers is what our users get through the export.
    """
    peer, exported = fastest(rows, ["tutorial", *plan.FRAMEWORKS]), fastest(rows, ["ctranslate2"])
    lines = [versus(f"{what}: best PyTorch peer", our_default(rows), peer, plan.TARGETS["decode"])]
    for precision in ("fp32", "bf16"):
        theirs = fastest(rows, ["ctranslate2"], precision)
        if theirs:
            same = f"{what}: CTranslate2, same weights, {precision}"
            lines.append(versus(same, fastest(rows, ["ours"], precision), theirs, plan.TARGETS["ctranslate2"]))
    if exported:
        lines.append(versus(f"{what}: our export, best PyTorch peer", exported, peer))
    return lines


def same_weights(bench: Bench, case: plan.Case, text: corpus.Text) -> tuple[str | None, str | None]:
    """A run folder of ours with freshly initialised weights, and its export to CTranslate2; None for what failed."""
    run, export = bench.scratch / "export" / "run", bench.scratch / "export" / "ctranslate2"
    shutil.rmtree(run.parent, ignore_errors=True)
    try:
        worker.start(bench.row(case, text, "save", precision="fp32", run=str(run))).stop()
    except worker.Failed as failed:
        bench.missing["ctranslate2"] = f"no run to export: {failed}"
        return None, None
    exporting = [sys.executable, "-m", "seq2seq", "export", str(run), "--to", "ctranslate2", "--out", str(export)]
    try:
        worker.output_of(exporting, bench.threads)
    except worker.Failed as failed:
        bench.missing["ctranslate2"] = f"seq2seq export failed: {failed}"
        rounds.say(f"ctranslate2 is left out: {bench.missing['ctranslate2']}")
        return str(run), None
    return str(run), str(export)
