"""The table of ratios for a terminal of 80 columns."""

from __future__ import annotations

import textwrap

from scripts.bench.figures import Results
from scripts.bench.report.results import disturbed, left_out
from scripts.bench.report.tables import number, ratios, spread, target, verdict

SIGNS = {"reached": "+", "not reached": "-"}


def table(results: Results) -> str:
    """The ratios, the contenders that are left out, and the machine."""
    warning = disturbed(results)
    cpu = "  by CPU" if warning else ""
    text = [f"{'ours against':<42}{'ratio':>7}{'':<12}{cpu}{'target':>8}", "-" * (71 + len(cpu))]
    for line in ratios(results)[1]:
        against = f"{line['what']} ({line['against']})" if line["against"] else line["what"]
        value, _, around = spread(line["ratio"], "×").partition(" ")
        by_cpu = f"{number(line['by_cpu']['median'])}×" if line.get("by_cpu") else ""
        first, *rest = wrapped(against, 41)
        figures = f"{value:>7} {around:<11}{by_cpu if warning else '':>{len(cpu)}}{target(line):>8}"
        text += [f"{first:<42}{figures} {SIGNS.get(verdict(line), '')}".rstrip(), *rest]
    about = results.get("about")
    machine = [f"{about.get('processor')}, {about.get('threads')} threads, {about.get('date')}"] if about else []
    below = [*(f"left out: {line}" for line in left_out(results)), *([warning] if warning else []), *machine]
    return "\n".join([*text, *(part for line in below for part in wrapped(line, 78))])


def wrapped(text: str, width: int) -> list[str]:
    """Lines no longer than ``width``, those after the first indented."""
    return textwrap.wrap(text, width, subsequent_indent="  ") or [""]
