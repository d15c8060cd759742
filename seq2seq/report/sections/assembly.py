"""The sections put together: runs in, a page out. Knows which sections there are and their order."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from seq2seq.analysis.measurements import MEASUREMENTS, measurement_file
from seq2seq.config.validation import to_plain
from seq2seq.data.sources import open_source
from seq2seq.errors import UserError
from seq2seq.report.page.parts import Page, Section, Table
from seq2seq.report.sections.attention import attention, explorer
from seq2seq.report.sections.behaviour import extrapolation, failing, search
from seq2seq.report.sections.causes import causes
from seq2seq.report.sections.fairness import fairness
from seq2seq.report.sections.learning import cost, undertraining
from seq2seq.report.sections.material import Group, Material, grouped, test_split
from seq2seq.report.sections.quality import Quality
from seq2seq.runs.loading import unzip
from seq2seq.runs.run import Run
from seq2seq.study.plan import Study
from seq2seq.system.files import read_json


def page_of(material: Material) -> Page:
    """Every section that there is something to say in."""
    quality, shown = Quality(material), explorer(material)
    missing = [
        f"{run.folder} lacks measurements: {', '.join(lacking)}"
        for group in material.groups
        for run in group.runs
        if (lacking := [name for name in MEASUREMENTS if not measurement_file(run, name).exists()])
    ]
    sections = [
        quality.lengths(),
        quality.overall(),
        fairness(material),
        undertraining(material),
        causes(material),
        attention(material),
        extrapolation(material),
        search(material),
        failing(material),
        cost(material),
        repeat(material),
    ]
    return Page(
        title=material.title,
        answer=quality.answer(),
        figure=quality.figure(),
        sections=[section for section in sections if section.text or section.figures or section.tables],
        explorer=None if shown is None else replace(shown, after="attention"),
        warnings=[*material.warnings, *missing],
        colours=tuple(group.model for group in material.groups),
    )


def material_of_runs(runs: Sequence[Run], title: str, edges: list[int], **more: Any) -> Material:
    """Read the runs that a page is made from.

    Raises:
        UserError: a run is not finished, twice there, or its corpus is gone.
    """
    groups = grouped(runs)
    src, references = test_split(groups[0])
    warnings = more.setdefault("warnings", [])
    try:
        valid = unzip(open_source(groups[0].configs[0].data).pairs("valid"))
    except UserError as error:  # the runs were trained elsewhere
        valid = [], []
        warnings.append(f"the validation split is not here, so how BLEU grew is not shown: {error}")
    return Material(title, groups, src, references, valid, edges, **more)


def material_of_study(
    study: Study, rates: dict[str, float | None], runs: Sequence[Run], warnings: list[str]
) -> Material:
    """The same of a study's finished runs, with its trials and its finished variants."""
    variants = [
        (variant, Group(variant.name, [planned.run]))
        for variant, planned in study.variants(rates)
        if planned.run.finished
    ]
    command = ["seq2seq", "compare", *study.given]
    return material_of_runs(
        runs, f"Study {study.options.name}", study.options.buckets, trials=study.tried(), rates=rates,
        variants=variants, warnings=warnings, commands=[shlex.join(command)], gold=study.options.gold,
    )  # fmt: skip


def repeat(material: Material) -> Section:
    """What it takes to do it all again: commands, versions, hardware, configs."""
    prints = [read_json(group.runs[0].fingerprint_file, "fingerprint") for group in material.groups]
    configs = []
    for group in material.groups:
        config = group.configs[0]
        command = shlex.join(["seq2seq", "evaluate", str(group.runs[0].folder)])
        plain = yaml.safe_dump(to_plain(config), sort_keys=False, allow_unicode=True)
        configs.append(f"# {group.model}, the config of its first seed ({command})\n{plain}")
    versions = [[name, value] for name, value in prints[0].get("versions", {}).items()]
    machine = prints[0].get("machine", {})
    rows = [
        *versions,
        ["processor", machine.get("processor", "")],
        ["CPU threads of a run", machine.get("threads", "")],
    ]
    rows += [["cores and memory", hardware()], ["code", prints[0].get("code", "")[:16]]]
    rows += [["data", prints[0].get("data", "")[:16]], ["subwords", prints[0].get("subwords", "")[:16]]]
    rows += [["command", command] for command in material.commands]
    text = [
        "Everything that is needed to do it again; the configs are the resolved ones that the runs were saved with."
    ]
    tables = [Table("environment", "Commands, versions, hardware", ["what", "value"], rows)]
    return Section("repeat", "How to repeat it", text, [], tables, "\n".join(configs))


def hardware() -> str:
    """The machine that makes the page, in words."""
    cpu = next((line.partition(":")[2].strip() for line in _proc("cpuinfo") if line.startswith("model name")), "CPU")
    total = next((line.split()[1] for line in _proc("meminfo") if line.startswith("MemTotal")), "0")
    return f"{os.cpu_count()} × {cpu}, {int(total) / 2**20:.0f} GiB"


def _proc(name: str) -> list[str]:
    path = Path("/proc") / name
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
