"""The part ``train``: target tokens a second in training, of everybody side by side. Knows cases and contenders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scripts.bench import corpus, plan, rounds
from scripts.bench.context import Bench
from scripts.bench.figures import Record, compared, earlier, fastest, our_default, record_of, records, versus


def measure(bench: Bench) -> Iterator[Record]:
    """A record of each training case that was asked for."""
    for case in plan.train_cases(bench.device):
        if not case.name.startswith(bench.cases):
            continue
        text = corpus.of_name(case.corpus)
        print(f"train {case.name}", flush=True)
        rows = list(bench.rows(case, text, "train", case.contenders))
        how = bench.plan
        rounds.measure(rows, how.rounds, how.seconds, how.starts_at_once, quiet=bench.quiet)
        measured = [record_of(row) for row in rows]
        about = {"batch_tokens": case.batch_tokens, "size": case.size, "corpus": text.meta}
        about |= {"case": case.name, "model": case.model}
        lines = [*ratios(case, measured), *earlier(f"train {case.name}", measured, bench.own[1:])]
        yield {**about, "rows": measured, "ratios": [*lines, *shares_of_peak(bench, case, measured)]}


def ratios(case: plan.Case, rows: Sequence[Record]) -> list[Record]:
    """Ours against the fastest peer, the fastest in float32, the tutorial's loop, and the fastest framework."""
    ours, everybody = our_default(rows), [name for name in plan.CONTENDERS if name != "ours"]
    peer_fp32, name = fastest(rows, everybody, "fp32"), f"train {case.name}"
    return [
        versus(f"{name}: best peer, each at its best", ours, fastest(rows, everybody), case.target),
        versus(f"{name}: best peer in float32", ours, peer_fp32, case.target_fp32),
        versus(f"{name}: both in float32", fastest(rows, ["ours"], "fp32"), peer_fp32),
        versus(f"{name}: the tutorial loop", ours, fastest(rows, ["tutorial"]), case.target_tutorial),
        versus(f"{name}: the best framework", ours, fastest(rows, plan.FRAMEWORKS)),
    ]


def shares_of_peak(bench: Bench, case: plan.Case, rows: Sequence[Record]) -> Iterator[Record]:
    """The share of the machine's peak in matrix products that our rows reach, where the peak has been measured."""
    peaks = records(bench.results, "machine")[0]["peak"] if records(bench.results, "machine") else {}
    for row in rows:
        peak, rate, flops = peaks.get(row["precision"]), row["tokens_per_second"], row["flops_per_token"]
        if row["contender"] == "ours" and flops and rate and peak:
            share = {name: 1e-9 * flops * value / peak for name, value in rate.items()}
            what = f"train {case.name}: share of the peak, {flops / 1e6:.1f} MFLOP a token"
            target = case.target_share if row is our_default(rows) else None
            yield compared(what, f"{peak:,.0f} GFLOP/s {row['precision']}", share, target)
