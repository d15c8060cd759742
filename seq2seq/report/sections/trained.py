"""The section on the lengths that training covers, beside those of validation and test."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from seq2seq.report.data import ReportData
from seq2seq.report.page.document import Section, Table
from seq2seq.terminal.numbers import number

TITLE = "What was trained on which lengths"
RARE = 1.0  # per cent of the training pairs below which a length counts as hardly trained on
Lengths = NDArray[np.int64]


def covered(data: ReportData) -> list[str]:
    """A sentence for the answer: the lengths of the sources in training and in the test, and what is joined."""
    lengths = _training(data)
    if not len(lengths) or data.trained is None:
        return []
    low, high = np.quantile(lengths, [0.25, 0.75], method="inverted_cdf")
    half = f"half of them {low} to {high}"
    options = data.config.data
    how = ", neighbouring sentences joined" if options.joins_training else ""
    test = f"the test has {data.lengths.min()} to {data.lengths.max()}"
    if options.join is not None:
        test += ", joined likewise" if options.joins_training else ", neighbouring sentences joined"
    span = f"{lengths.min()} to {lengths.max()} {data.unit.name} ({half}){how}"
    trained_on = f"The {_sources(data)} have" if data.trained["cut"] else "Trained on sources of"
    return [f"{trained_on} {span}; {test}.{_beyond(data, lengths)}"]


def are_covered(data: ReportData) -> bool:
    """Whether training is known to have sources as long as the longest of the test, and more than a few of them."""
    lengths = _training(data)
    share = _share_of_longest(data, lengths) if len(lengths) else None
    return share is not None and share >= RARE and bool(lengths.max() >= data.lengths.max())


def _share_of_longest(data: ReportData, lengths: Lengths) -> float | None:
    """Per cent of the training sources that are as long as those of the last bucket that is large enough."""
    sound = [bucket for bucket in data.buckets if not bucket.small]
    return 100 * float((lengths >= sound[-1].first).mean()) if sound else None


def _beyond(data: ReportData, lengths: Lengths) -> str:
    """A sentence where the test has sentences of lengths that training hardly covers; else nothing."""
    share = _share_of_longest(data, lengths)
    if share is None or share >= RARE:
        return ""
    last = [bucket for bucket in data.buckets if not bucket.small][-1]
    few = "None" if not share else f"{number(share, 2)} %"
    longest = f"{last.first} {data.unit.name} or more, as the longest of the test have"
    return f" {few} of the {_sources(data)} have {longest}."


def _sources(data: ReportData) -> str:
    """The sources whose lengths are known, in words."""
    assert data.trained is not None
    read, cut = data.trained["read"], data.trained["cut"]
    return f"sources of the first {read:,} training pairs" if cut else "training sources"


def trained(data: ReportData) -> Section:
    """The distribution of source lengths in training, validation and test."""
    lengths = _training(data)
    if not len(lengths) or data.trained is None:
        return Section("trained", TITLE)
    splits = {"training": lengths, "validation": _counted(data, data.valid[0]), "test": data.lengths}
    splits = {name: found for name, found in splits.items() if len(found)}
    columns = [data.source_length, *(f"{name}{end}" for name in splits for end in ("", ", %"))]
    tables = [Table("trained", "Sources by length", columns, _rows(data.edges, splits))]
    return Section("trained", TITLE, _told(data, lengths), [], tables)


def _told(data: ReportData, lengths: Lengths) -> list[str]:
    assert data.trained is not None
    options, read = data.config.data, f"{data.trained['read']:,}"
    of = f"the first {read} training pairs" if data.trained["cut"] else f"all {read} training pairs"
    if not options.joins_training:
        text = [f"Of {of}, each once."]
    else:
        text = [
            f"Of {of}, as one epoch joins them: to {len(lengths):,} pairs of at most {options.join} {data.unit.name}, "
            "of a length that is drawn; each pair is in one of them, in another in another epoch."
        ]
    if options.join is not None:
        text.append(
            f"Neighbours in validation and test are joined in one fixed way, to at most {options.join} "
            f"{data.unit.name}; references as their sources. A further test set (data.tests) is scored as it is."
        )
    return text


def _rows(edges: Sequence[int], splits: dict[str, Lengths]) -> list[list[str | int | float]]:
    bounds = [0, *sorted(set(edges)), max(int(found.max()) for found in splits.values())]
    rows = []
    for above, last in pairwise(bounds):
        if last <= above:
            continue
        counts = [int(((found > above) & (found <= last)).sum()) for found in splits.values()]
        shares = [100 * count / len(found) for count, found in zip(counts, splits.values(), strict=True)]
        rows.append([f"{above + 1}–{last}", *(each for pair in zip(counts, shares, strict=True) for each in pair)])
    return rows


def _training(data: ReportData) -> Lengths:
    """The length of each training source; empty where they are not at hand."""
    counts = data.trained["counts"] if data.trained else []
    return np.repeat(*np.array(counts, np.int64).reshape(-1, 2).T)


def _counted(data: ReportData, lines: Sequence[str]) -> Lengths:
    return np.array(data.unit.counts(lines), np.int64)
