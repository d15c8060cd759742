"""The report of a fixed bench: ratios first, everybody who was left out named, and 80 columns in the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scripts.bench.figures import spread
from scripts.bench.report import terminal
from scripts.bench.report.markdown import report
from scripts.bench.report.results import disturbed, load
from scripts.bench.report.tables import number
from scripts.bench.report.write import write


def row(contender: str, precision: str, rates: list[float], **more: Any) -> dict[str, Any]:
    return {
        "contender": contender,
        "precision": precision,
        "asked": precision,
        "failed": None,
        "version": "1.2.3",
        "parameters": 5_812_345,
        "notes": [],
        "first_update_seconds": 9.87,
        "tokens_per_second": spread(rates),
        "rates": rates,
        "updates": 24,
        "tokens_per_update": 1512.3,
        "rss_mb": 1088.9,
        "cuda_mb": None,
        "check": {"own": 2.0, "recomputed": 2.0, "same": True},
        "flops_per_token": None,
        **more,
    }


def results() -> dict[str, Any]:
    rows = [
        row("ours", "bf16", [3000.0, 3100.0, 2900.0], asked="auto", flops_per_token=40e6),
        row("tutorial", "fp32", [1500.0, 1400.0, 1600.0], notes=["fused AdamW"]),
        row("eole", "bf16", [1000.0], check={"own": 2.0, "recomputed": 2.5, "same": False}),
        row("joeynmt", "fp32", [], failed="no such attention"),
    ]
    ratio = {"median": 2.0, "min": 1.8125, "max": 2.21}
    lines = [
        {"what": "train lstm: best peer", "against": "tutorial fp32", "ratio": ratio, "target": 3.0, "reached": False},
        {
            "what": "train lstm: the tutorial",
            "against": "tutorial fp32",
            "ratio": ratio,
            "target": 2.0,
            "reached": True,
        },
        {"what": "train lstm: best peer in float32", "against": None, "ratio": None, "target": 3.0, "reached": None},
    ]
    text = {"pieces": 8000, "pairs": 28993, "source": "/data/multi30k/train.en"}
    missing = {"marian": "not installed: ERROR: no matching distribution"}
    case = {"case": "lstm", "model": "lstm", "batch_tokens": 2000, "size": {"embedding": 256}, "corpus": text}
    start = {"what": "start: seq2seq --help", "against": 'python -c "import torch"', "lower": True, "target": 0.3}
    start |= {"ratio": {"median": 0.21, "min": 0.2, "max": 0.22}, "reached": True}
    return {
        "about": {
            "date": "2030-01-02",
            "variant": "quick",
            "minutes": 14.2,
            "processor": "Abacus 3000",
            "device": "cpu",
            "cores": 2,
            "memory_gib": 23.5,
            "threads": 2,
            "system": "Linux",
            "versions": {"torch": "2.13.0"},
            "command": "python -m scripts.bench quick",
        },
        "machine": [{"gflops": {"fp32": {"8x8x8": 50.0}, "bf16": {"8x8x8": 200.0}}, "peak": {"fp32": 50, "bf16": 200}}],
        "train": [{**case, "rows": rows, "ratios": lines, "missing": missing}],
        "startup": [{"seconds": {"import torch": spread([4.0])}, "ratios": [start]}],
    }


def test_markdown_reads_on_its_own() -> None:
    text = report(results())
    assert text.index("## Ratios") < text.index("## Training") < text.index("## Start")
    assert "| train lstm: best peer | PyTorch tutorial fp32 | 2.00× [1.81–2.21] | ≥ 3× | not reached |" in text
    assert "| train lstm: the tutorial | PyTorch tutorial fp32 | 2.00× [1.81–2.21] | ≥ 2× | reached |" in text
    assert "| train lstm: best peer in float32 | – | – | ≥ 3× | not measured |" in text
    assert "≤ 0.3× | reached |" in text
    assert "| seq2seq (ours) 1.2.3 | bf16 (default) | 3,000 [2,900–3,100] | 24 | 1,512 | 5.81M |" in text
    assert "28,993 pairs of /data/multi30k/train.en" in text
    assert "**differs**: 2.0000, by hand 2.5000" in text
    assert "JoeyNMT fp32 is left out**: no such attention" in text
    assert "transformers Marian (train): not installed: ERROR: no matching distribution" in text
    for said in ("Abacus 3000", "2 threads", "2030-01-02", "torch 2.13.0", "24 GiB", "fused AdamW"):
        assert said in text


def test_a_machine_that_others_use_is_said_first() -> None:
    assert disturbed(results()) is None
    busy = results()
    busy["train"][0]["rows"][1]["taken"] = spread([0.02, 0.4, 0.5])
    assert "NOT TO BE TRUSTED" in report(busy).splitlines()[2]
    assert "took up to 50%" in terminal.table(busy)


def test_the_terminal_has_eighty_columns() -> None:
    lines = terminal.table(results()).splitlines()
    assert max(map(len, lines)) <= 80
    assert any("2.00×" in line and line.endswith("-") for line in lines)
    assert any("0.21×" in line and "≤ 0.3×" in line and line.endswith("+") for line in lines)
    assert any("1.81–2.21" in line for line in lines)
    assert any("Marian" in line for line in lines)
    busy = results()
    busy["train"][0]["rows"][1]["taken"] = spread([0.02, 0.4, 0.5])
    assert max(map(len, terminal.table(busy).splitlines())) <= 80


def test_everything_is_written_and_read_back(tmp_path: Path) -> None:
    write(results(), tmp_path)
    assert load(tmp_path) == json.loads(json.dumps(results()))
    assert (tmp_path / "bench.md").read_text().startswith("# Bench")
    assert "<svg" in (tmp_path / "bench.svg").read_text()
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in tmp_path.iterdir()} == {"bench.json", "bench.md", "bench.svg", "bench.png"}


def test_nothing_measured_is_still_a_report(tmp_path: Path) -> None:
    assert load(tmp_path) == {}
    write({}, tmp_path)
    assert (tmp_path / "bench.md").read_text() == "# Bench\n"
    assert not (tmp_path / "bench.svg").exists()


def test_figures_have_the_digits_that_count() -> None:
    assert [number(x) for x in (None, 0, 0.2134, 1.0, 12.345, 123.45, 12345.6)] == [
        "–",
        "0",
        "0.21",
        "1.00",
        "12.3",
        "123",
        "12,346",
    ]
