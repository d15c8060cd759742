"""The log of a training, in ``metrics.jsonl`` and in trackers (TensorBoard, Trackio). Knows scores and translations.

The tags are the same for every model, so that curves of several runs lie over each other.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import hparams
from torch.utils.tensorboard.writer import SummaryWriter

from seq2seq.config.schema import Config
from seq2seq.decoding.translator import Translation
from seq2seq.evaluation.metrics import USUAL
from seq2seq.runs.curves import read_points
from seq2seq.runs.run import EVENTS, Run
from seq2seq.system.files import os_errors_as_user_errors, to_json, write_atomically
from seq2seq.training.fonts import families
from seq2seq.training.trackio_log import TrackioLog

LAYOUT = {
    "comparison": {
        "loss": ["Multiline", ["train/nll", "valid/nll"]],
        **{metric.label: ["Multiline", [f"valid/{metric.key}"]] for metric in USUAL},
        "speed": ["Multiline", ["train/tokens_per_s"]],
    }
}


TENSORBOARD = "tensorboard"
PICTURE = "weights of attention"  # TensorBoard sorts cards by their tags: after train/ and valid/
TEST, WHOLE = "test/", "whole "  # the tags of a test; TensorBoard's begin with ``whole test/``
DRAWN_TOKENS = 20  # of a sentence in a picture: what can be read on a card of TensorBoard
FOREMOST = ("model", "parameters", "seed", "decoder_layers", "decoder_width")  # columns of HParams: it shows five
MARKUP = {ord(sign): f"&#{ord(sign)};" for sign in "&<>|*_`~\\[](){}#+-.!:\"'"}


class RunLog:
    """The curves of one run, as JSON lines and in trackers; on resuming, points after ``step`` are removed."""

    def __init__(self, run: Run, step: int, config: Config | None = None) -> None:
        """Open the files; ``config.trainer.track`` names the trackers (default: TensorBoard)."""
        self.run = run
        track = config.trainer.track if config else [TENSORBOARD]
        self.writer: SummaryWriter | None = None
        self.trackio: TrackioLog | None = None
        with os_errors_as_user_errors(run.tensorboard):
            if step == 0:  # an earlier attempt was killed before its first checkpoint
                run.remove_events()
            _forget_events(run.tensorboard, step)
            lines = _lines_until(run, step)
            write_atomically(run.metrics_file, "".join(lines))
            self.file = run.metrics_file.open("a", encoding="utf-8")
            if TENSORBOARD in track:
                self.writer = SummaryWriter(str(run.tensorboard), purge_step=step + 1 if step else None)
        if config and "trackio" in track:
            self.trackio = TrackioLog(run, config, ({_shown(t): v for t, v in json.loads(x).items()} for x in lines))
        if step == 0 and self.writer:
            self.writer.add_custom_scalars(LAYOUT)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """One point of each curve."""
        with os_errors_as_user_errors(self.run.metrics_file):
            if self.writer:
                for tag, value in values.items():
                    self.writer.add_scalar(_shown(tag), value, step)
            self.file.write(to_json({"step": step, **values}) + "\n")
            self.file.flush()
        if self.trackio:
            self.trackio.scalars(step, {_shown(tag): value for tag, value in values.items()})

    def samples(self, step: int, src: Sequence[str], references: Sequence[str], found: Sequence[Translation]) -> None:
        """A table of sources, translations and references, in Markdown."""
        if not self.writer:
            return
        lines = ["| source | translation | reference |", "| --- | --- | --- |"]
        for source, reference, translation in zip(src, references, found, strict=True):
            lines.append(f"| {' | '.join(map(_cell, (source, translation.text, reference)))} |")
        with os_errors_as_user_errors(self.run.tensorboard):
            self.writer.add_text("samples", "\n".join(lines), step)

    def attention(self, step: int, found: Sequence[Translation]) -> None:
        """A picture of the attention on the longest source that fits into one, else the shortest, if there is any."""
        if not self.writer:
            return
        fitting = [each for each in found if len(each.src_tokens) <= DRAWN_TOKENS]
        by_length = sorted(fitting or found, key=lambda each: len(each.src_tokens))
        translation = by_length[-1 if fitting else 0]
        if translation.attention is not None:
            picture = attention_picture(translation)
            with os_errors_as_user_errors(self.run.tensorboard):
                self.writer.add_image(PICTURE, picture, step, dataformats="HWC")

    def hyperparameters(self, chosen: dict[str, Any], results: dict[str, float]) -> None:
        """The run's row of the HParams page, in the run's own event file."""
        if not self.writer:
            return
        with os_errors_as_user_errors(self.run.tensorboard):
            experiment, *session = hparams(chosen, {_shown(tag): value for tag, value in results.items()})
            _put_first(experiment.value[0].metadata.plugin_data)
            for summary in (experiment, *session):
                self.writer.file_writer.add_summary(summary)

    def close(self) -> None:
        """Flush and close the files; there is nothing to flush into a folder that was removed."""
        if self.trackio:
            self.trackio.close()
        if not self.run.folder.is_dir():
            return
        with os_errors_as_user_errors(self.run.tensorboard):
            if self.writer:
                self.writer.close()
            self.file.close()


def _put_first(experiment: Any) -> None:
    """Mark the foremost columns as those that differ between runs, which TensorBoard shows before all others."""
    content = HParamsPluginData.FromString(experiment.content)
    for column in content.experiment.hparam_infos:
        column.differs = column.name in FOREMOST
    experiment.content = content.SerializeToString()


def _lines_until(run: Run, step: int) -> list[str]:
    """The whole lines of the metrics so far that belong to updates up to ``step``."""
    if not run.metrics_file.exists():
        return []
    points = read_points(run.metrics_file)
    return [line for line, point in points if (point["step"] or 0) <= step and not any(map(_of_a_test, point))]


def _of_a_test(tag: str) -> bool:
    """Whether a curve is written when training has ended: a run that goes on has it from a test that was cut short."""
    return tag.startswith((TEST, f"{WHOLE}{TEST}", "_hparams_"))


def _shown(tag: str) -> str:
    """The tag in TensorBoard, which sorts its cards: a test is one point, and comes after the curves."""
    return f"{WHOLE}{tag}" if tag.startswith(TEST) else tag


def _forget_events(folder: Path, step: int) -> None:
    """Rewrite the event files without events after ``step``: TensorBoard's ``purge_step`` leaves texts and images."""
    for path in folder.glob(EVENTS):
        kept = io.BytesIO()
        writer = RecordWriter(kept)
        for record in RawEventFileLoader(str(path)).Load():
            event = Event.FromString(record)
            if event.step <= step and not any(_of_a_test(value.tag) for value in event.summary.value):
                writer.write(record)
        write_atomically(path, kept.getvalue())


def attention_picture(translation: Translation) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The mean of all heads as a heat map (height, width, 3), tokens along the axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    assert translation.attention is not None
    weights = translation.attention.mean(1)[:DRAWN_TOKENS, :DRAWN_TOKENS]  # (T, S)
    rows, columns = weights.shape
    figure = Figure(figsize=(1.2 + 0.2 * columns, 1.2 + 0.2 * rows), dpi=80, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(weights.numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    src, tgt = _labels(translation.src_tokens), _labels(translation.tgt_tokens)
    fonts = families([*src, *tgt])
    axes.set_xticks(range(columns), src, rotation=90, fontsize=8, fontfamily=fonts)
    axes.set_yticks(range(rows), tgt, fontsize=8, fontfamily=fonts)
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # ``families`` says it, once
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def _labels(tokens: Sequence[str]) -> list[str]:
    """The tokens that are drawn; the last of a longer sentence says that it goes on."""
    drawn = [token.replace("▁", " ").replace("$", r"\$") or " " for token in tokens[:DRAWN_TOKENS]]
    return [*drawn[:-1], f"{drawn[-1]} …"] if len(tokens) > DRAWN_TOKENS else drawn


def _cell(text: str) -> str:
    """Text as it stands, in a Markdown table: what could be markup becomes character references."""
    return text.translate(MARKUP) or " "
