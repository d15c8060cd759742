"""The curves of a run in Trackio, a tracker whose files lie on this machine. Knows points by tag; no model.

Nothing is sent anywhere: the files lie in ``trackio/`` below the folder of all runs, and ``trackio show`` reads them. A
tracker must not end a training, so whatever goes wrong here is said once, and the run goes on without it.
"""

from __future__ import annotations

import importlib.util
import io
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from seq2seq.config.schema import Config
from seq2seq.config.validation import sections
from seq2seq.errors import UserError
from seq2seq.runs.run import Run

PROJECT = "seq2seq"
ELSEWHERE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_BUCKET_ID", "TRACKIO_DATASET_ID")
"""Variables by which Trackio would send points over the network."""


def check_installed(config: Config) -> None:
    """Raise ``UserError`` if the config wants Trackio and it is not there."""
    if "trackio" in config.trainer.track and importlib.util.find_spec("trackio") is None:
        raise UserError("trainer.track has trackio, which is not installed: pip install 'seq2seq-trainer[trackio]'")


class TrackioLog:
    """A run of Trackio with the points so far; one of the same name, from before, is replaced."""

    def __init__(self, run: Run, config: Config, points: Iterable[Mapping[str, float | None]]) -> None:
        """``points`` have their ``step``, and values by tag."""
        self.tracked: Any = None
        folder = (Path(config.outputs) / "trackio").resolve()
        name = os.path.relpath(run.folder, config.outputs)
        for variable in ELSEWHERE:
            os.environ.pop(variable, None)
        os.environ.setdefault("TRACKIO_DIR", str(folder))
        try:
            with redirect_stdout(io.StringIO()):
                import trackio

                for old in trackio.Api().runs(PROJECT) if folder.exists() else ():
                    if old.name == name:
                        old.delete()
                options = {key: value for key, _, value in sections(config)}
                quiet = {"auto_log_gpu": False, "auto_log_cpu": False, "embed": False}
                self.tracked = trackio.init(PROJECT, name, config=options, resume="never", **quiet)
            for point in points:
                values = {tag: value for tag, value in point.items() if tag != "step" and value is not None}
                self.scalars(int(point["step"] or 0), values)
        except Exception as error:
            self._give_up(error)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One point of each curve."""
        self._do(lambda: self.tracked.log(dict(values), step=step))

    def close(self) -> None:
        """Write what is waiting."""
        self._do(lambda: sys.modules["trackio"].finish())
        self.tracked = None

    def _do(self, action: Any) -> None:
        if self.tracked is None:
            return
        try:
            with redirect_stdout(io.StringIO()):
                action()
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self.tracked = None
        print(f"warning: Trackio failed, the run goes on without it ({type(error).__name__}: {error})", file=sys.stderr)
