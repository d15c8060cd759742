"""The page of a report: all sections in their order, the explorer, the warnings."""

from __future__ import annotations

from dataclasses import replace

from seq2seq.analysis.measurements import MEASUREMENTS
from seq2seq.report.data import ReportData
from seq2seq.report.page.document import Page
from seq2seq.report.sections.attention import attention, explorer
from seq2seq.report.sections.behaviour import extrapolation, failing, search
from seq2seq.report.sections.beside import beside, left_out
from seq2seq.report.sections.causes import causes
from seq2seq.report.sections.data_size import data_size
from seq2seq.report.sections.dose import dose
from seq2seq.report.sections.fairness import fairness
from seq2seq.report.sections.frequency import frequency
from seq2seq.report.sections.information import information
from seq2seq.report.sections.learning import cost, undertraining
from seq2seq.report.sections.nearness import nearness
from seq2seq.report.sections.quality import Quality
from seq2seq.report.sections.repetition import repetition
from seq2seq.report.sections.trained import covered, trained


def page_of(data: ReportData) -> Page:
    """Make every section; sections without content and figures without rows are left out."""
    quality = Quality(data)
    missing = [
        f"{run.folder} lacks measurements: {', '.join(lacking)}"
        for group in data.groups
        for run in group.runs
        if (lacking := [name for name, each in MEASUREMENTS.items() if not each.file(run).exists()])
    ]
    sections = [trained(data), quality.lengths(), beside(data, quality), dose(data), quality.growths.section()]
    sections += [information(data, quality), nearness(data, quality), quality.overall()]
    of_data = (
        data_size,
        fairness,
        undertraining,
        causes,
        attention,
        frequency,
        extrapolation,
        search,
        failing,
        cost,
        repetition,
    )
    sections += [section(data) for section in of_data]
    sections = [replace(each, figures=[figure for figure in each.figures if figure.rows]) for each in sections]
    return Page(
        title=data.title,
        answer=[*covered(data), *quality.answer()],
        figure=quality.curves[0],
        sections=[section for section in sections if section.text or section.figures or section.tables],
        explorer=explorer(data),
        warnings=[*data.warnings, *left_out(data), *missing],
        colours=tuple(group.model for group in data.groups),
    )
