"""A virtual environment for each peer, made when it is missing. Knows pip; nothing of the packages themselves.

An environment is complete when its stamp holds the fingerprint of its requirement files, of the constraints and of the
interpreter's version. For a peer that cannot be installed, the reason is the last line of pip's errors.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from scripts.bench.corpus import CACHE
from scripts.bench.worker import ROOT, Failed

PEERS = Path(__file__).parent / "peers"
OWN = ("ours", "tutorial")  # run in our own environment
PATIENCE = 3_600  # seconds an installation may take


class NotInstalled(Failed):
    """A peer's environment could not be made; the reason is one line."""


def requirement_files(name: str) -> list[Path]:
    """The peer's requirements: first those with their dependencies, then those installed without."""
    return [path for path in (PEERS / f"{name}.txt", PEERS / f"{name}.no-deps.txt") if path.exists()]


def fingerprint(files: list[Path]) -> str:
    """A hash of everything that an environment depends on."""
    text = "".join(f"{path.name}\n{path.read_text(encoding='utf-8')}" for path in [*files, ROOT / "constraints.txt"])
    return hashlib.sha256(f"{sys.version_info[:2]}{text}".encode()).hexdigest()


def interpreter(name: str, root: Path = CACHE / "environments") -> Path:
    """The contender's Python interpreter; its environment is made anew where it is missing or its fingerprint differs.

    Raises:
        NotInstalled: with the last line of the failed command.
    """
    if name in OWN:
        return Path(sys.executable)
    files = requirement_files(name)
    if not files:
        raise NotInstalled(f"no {PEERS / name}.txt")
    folder, wanted = root / name, fingerprint(files)
    stamp, python = folder / "installed", folder / "bin" / "python"
    if python.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    print(f"installing {name} into {folder} (minutes, the first time)", flush=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    run([sys.executable, "-m", "venv", "--clear", str(folder)])
    for path in files:
        alone = ["--no-deps"] if path.name.endswith(".no-deps.txt") else ["-c", str(ROOT / "constraints.txt")]
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *alone, "-r", str(path)]
        run(pip)
    stamp.write_text(wanted, encoding="utf-8")
    return python


def run(command: list[str]) -> None:
    """Run a command of an installation.

    Raises:
        NotInstalled: with the last line of its errors.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{type(error).__name__}: {error}") from error
    if done.returncode:
        words = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        errors = [line for line in words if line.lower().startswith("error")]
        raise NotInstalled((errors or words or [f"exit code {done.returncode}"])[-1])
