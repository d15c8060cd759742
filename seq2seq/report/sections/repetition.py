"""The last section: commands, versions, hardware and configs to repeat the comparison."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

import yaml

from seq2seq.config.validation import to_plain
from seq2seq.report.data import ReportData
from seq2seq.report.page.document import Section, Table


def repetition(data: ReportData) -> Section:
    """Commands, versions, hardware and configs."""
    fingerprint = data.baseline.runs[0].load_fingerprint()
    configs = []
    for group in data.groups:
        config = group.configs[0]
        command = shlex.join(["seq2seq", "evaluate", str(group.runs[0].folder)])
        plain = yaml.safe_dump(to_plain(config), sort_keys=False, allow_unicode=True)
        configs.append(f"# {group.model}, the config of its first seed ({command})\n{plain}")
    rows: list[list[Any]] = [
        *([name, version] for name, version in fingerprint["versions"].items()),
        ["processor", fingerprint["machine"]["processor"]],
        ["CPU threads of a run", fingerprint["machine"]["threads"]],
        ["code", fingerprint["code"][:16]],
        ["data", fingerprint["data"][:16]],
        ["subwords", fingerprint["subwords"][:16]],
        ["cores and memory where this page was made", hardware()],
        *(["command", command] for command in data.commands),
    ]
    text = ["Everything needed to repeat the comparison; the configs are the resolved ones saved with the runs."]
    tables = [Table("environment", "Commands, versions, hardware", ["what", "value"], rows)]
    return Section("repeat", "How to repeat it", text, [], tables, "\n".join(configs))


def hardware() -> str:
    """Number and name of the CPUs, and the memory, of the machine that makes the page."""
    cpu = next((line.partition(":")[2].strip() for line in _proc("cpuinfo") if line.startswith("model name")), "CPU")
    total = next((line.split()[1] for line in _proc("meminfo") if line.startswith("MemTotal")), "0")
    return f"{os.cpu_count()} × {cpu}, {int(total) / 2**20:.0f} GiB"


def _proc(name: str) -> list[str]:
    path = Path("/proc") / name
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
