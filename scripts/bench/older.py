"""An older commit of this project as one more contender. Knows where its clone, its package and its own worker lie.

The commit's package is built into its clone, without dependencies: it runs with the libraries of this environment, so
that a ratio tells of our code alone. It is measured by the worker of its own tree, since the functions that a worker
calls change with the package.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts import commits
from scripts.bench import environments, worker
from scripts.bench.corpus import CACHE, Text
from scripts.bench.worker import Failed, Row

WORKER = Path("scripts", "bench", "workers", "ours.py")
FORMERLY = {"tokens": "pieces"}  # in names of the corpus's files, and of entries of SPEC.json


@dataclass(frozen=True)
class Older:
    """A commit that is cloned and built.

    Attributes:
        name: of the contender, "commit HASH".
        tree: the clone.
    """

    name: str
    tree: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where the commit's modules lie: the package as it is installed, and what is run beside it."""
        return self.tree / ".package", self.tree

    @property
    def command(self) -> list[str]:
        """The command that starts the worker, which was a script until 28 November 2026."""
        is_module = (self.tree / WORKER.with_name("__init__.py")).exists()
        found = ["-m", ".".join(WORKER.with_suffix("").parts)] if is_module else [str(self.tree / WORKER)]
        return [sys.executable, *found]

    def check(self, folder: Path) -> None:
        """See that ``import seq2seq`` finds the commit's package, as its worker, which runs in ``folder``, will.

        Raises:
            Failed: it is that of another tree; a bench would compare that with itself.
        """
        asking = [sys.executable, "-c", "import seq2seq; print(seq2seq.__file__)"]
        folder.mkdir(parents=True, exist_ok=True)
        found = worker.output_of(asking, 1, self.paths, folder).strip()
        if self.tree not in Path(found).parents:
            raise Failed(f"seq2seq is imported from {found}, not from {self.tree}")

    def row(self, text: Text, precision: str, spec: dict[str, Any], folder: Path, threads: int) -> Row:
        """A row that is measured by the commit's own worker; the commit has prepared the corpus before.

        Raises:
            Failed: the worker cannot be started, or another package would be measured.
        """
        self.check(folder)
        row = Row(self.name, precision, self.command, self.adapted(spec, text), folder, threads, paths=self.paths)
        prepared = self.tree / "data" / f"{text.folder.name}.prepared"
        if not prepared.exists():
            worker.start(row).stop()
            row.about = {}
            prepared.touch()
        return row

    def adapted(self, spec: dict[str, Any], text: Text) -> dict[str, Any]:
        """The SPEC as any commit reads it: former names too, the corpus prepared in the clone, our runs left out."""
        data = self.tree / "data" / "bench" / text.folder.name
        data.mkdir(parents=True, exist_ok=True)
        for path in sorted(text.folder.iterdir()):
            for name in {path.name, *(path.name.replace(new, old) for new, old in FORMERLY.items())}:
                if not (data / name).is_symlink():
                    (data / name).symlink_to(path)
        arguments = [argument for argument in spec["arguments"] if not argument.startswith("data.cache=")]
        changed = {"data": str(data), "arguments": [*arguments, f"data.cache={self.tree / 'data'}"]}
        return {**spec, **changed, "pieces": spec["vocabulary"], "run": None, "export": None}


def of_revision(revision: str) -> Older:
    """The commit that ``revision`` names; cloned and built below the bench's cache the first time.

    Raises:
        Failed: there is no such commit, it cannot be built, or it has no bench.
    """
    try:
        tree = commits.clone(revision, CACHE / "commits")
    except commits.NoCommit as error:
        raise Failed(str(error)) from error
    if not (tree / WORKER).exists():
        raise Failed(f"{revision} has no {WORKER}: take a commit that has the bench")
    package, part = tree / ".package", tree / ".package.part"
    if not package.exists():
        shutil.rmtree(part, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        environments.run([*pip, "--no-deps", "--no-build-isolation", "--target", str(part), str(tree)])
        part.replace(package)
    return Older(f"commit {tree.name[:7]}", tree)
