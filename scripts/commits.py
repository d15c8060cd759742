"""Commits of this project as clones of their own, for the scripts that compare one commit with another. Knows git."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class NoCommit(Exception):
    """A revision that cannot be cloned; the reason is one line."""


def commit_of(revision: str) -> str:
    """The hash of the commit that ``revision`` names in this repository.

    Raises:
        NoCommit: there is no such commit here, or no repository.
    """
    try:
        return git(ROOT, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except NoCommit as error:
        why = f": {error}" if str(error) else ""
        raise NoCommit(f"{revision} is no commit of {ROOT}{why} (git fetch, or another name)") from error


def clone(revision: str, folder: Path) -> Path:
    """A clone of this repository at the commit, ``folder``/HASH; made where it is missing, whole or not at all.

    Raises:
        NoCommit: there is no such commit, or git failed.
    """
    commit = commit_of(revision)
    tree = folder / commit[:12]
    if not tree.exists():
        part = folder / f".{tree.name}.part"
        shutil.rmtree(part, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        git(folder, "clone", "--quiet", "--no-checkout", str(ROOT), str(part))
        git(part, "checkout", "--quiet", "--detach", commit)
        part.replace(tree)
    return tree


def git(folder: Path, *arguments: str) -> str:
    """The standard output of a git command that runs in ``folder``.

    Raises:
        NoCommit: git is missing or failed; the reason is its last line.
    """
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NoCommit(f"git: {error}") from error
    if done.returncode:
        raise NoCommit((done.stderr.strip().splitlines() or [""])[-1])
    return done.stdout.strip()
