"""The table of ratios for a terminal of 80 columns. Knows plain data as the parts give it."""

from __future__ import annotations

import textwrap

from report import Results, disturbed, left_out, number, ratios, spread, target


def table(results: Results) -> str:
    """The ratios within 80 columns."""
    warning = disturbed(results)
    cpu = "  by CPU" if warning else ""
    lines = [f"{'ours against':<42}{'ratio':>7}{'':<12}{cpu}{'target':>8}", "-" * (71 + len(cpu))]
    for line in ratios(results):
        ratio = line["ratio"]
        against = f"{line['what']} ({line['against']})" if line["against"] else line["what"]
        sign = {True: "+", False: "-"}.get(line.get("reached"), " ") if line.get("target") is not None else " "
        value, _, around = spread(ratio, "×").partition(" ")
        value = f"{value:>7} {around:<11}"
        if warning:
            value += (f"{number(line['by_cpu']['median'])}×" if line.get("by_cpu") else "").rjust(8)
        first, *rest = wrapped(against, 41)
        lines += [f"{first:<42}{value}{target(line):>8} {sign}".rstrip(), *rest]
    for line in left_out(results):
        lines += wrapped(f"left out: {line}", 78)
    if warning:
        lines += wrapped(warning, 78)
    about = results.get("about", {})
    if about:
        lines += wrapped(f"{about.get('processor')}, {about.get('threads')} threads, {about.get('date')}", 78)
    return "\n".join(lines)


def wrapped(text: str, width: int) -> list[str]:
    """Lines no longer than ``width``, those after the first indented."""
    return textwrap.wrap(text, width, subsequent_indent="  ") or [""]
