"""How this program is called, for the commands that it prints. Loads nothing heavy."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def program() -> str:
    """``seq2seq``; where that is not on the PATH, as after ``make train``, the path of its script."""
    script = Path(sys.executable).with_name("seq2seq")
    if shutil.which("seq2seq") or not script.exists():
        return "seq2seq"
    return min(str(script), os.path.relpath(script), key=len)
