"""What every part of the benchmark is given: the plan, the machine, the contenders. Measures nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.bench import environments
from scripts.bench.corpus import Text
from scripts.bench.older import Older
from scripts.bench.plan import Case, Plan
from scripts.bench.rounds import say
from scripts.bench.worker import Failed, Row


@dataclass
class Bench:
    """One run of the benchmark.

    Attributes:
        only: contenders asked for on the command line; empty: all.
        cases: beginnings of the names of the cases that ``train`` and ``quality`` run.
        against: an older commit of this project that takes part where ours does.
        quiet: seconds that a slice may wait until no other program uses the machine.
        missing: why a contender, or bf16, is left out.
        results: the records of each part so far.
    """

    plan: Plan
    device: str
    threads: int
    scratch: Path
    only: tuple[str, ...] = ()
    cases: tuple[str, ...] = ("",)
    against: Older | None = None
    quiet: float = 0.0
    missing: dict[str, str] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)

    def command(self, contender: str) -> list[str]:
        """The command that starts a contender's worker.

        Raises:
            Failed: the contender is left out; ``missing`` holds the reason too.
        """
        if self.only and contender not in self.only:
            self.missing.setdefault(contender, "not asked for (--contenders)")
        if contender in self.missing:
            raise Failed(self.missing[contender])
        try:
            python = environments.interpreter(contender)
        except environments.NotInstalled as error:
            self.missing[contender] = f"not installed: {error}"
            say(f"{contender} is left out: {self.missing[contender]}")
            raise
        return [str(python), "-m", f"scripts.bench.workers.{contender}"]

    @property
    def own(self) -> tuple[str, ...]:
        """The contenders that are this project: the working tree and, where one was named, an older commit."""
        return ("ours", *([self.against.name] if self.against else []))

    @property
    def precisions(self) -> tuple[str, ...]:
        """Precisions that the device has instructions for, the fastest last; emulation is hundreds of times slower."""
        import torch

        from seq2seq.system.devices import choose_precision

        fast = choose_precision("auto", torch.device(self.device)) == torch.bfloat16
        return ("fp32", "bf16") if fast else ("fp32",)

    def row(
        self, case: Case, text: Text, task: str, contender: str = "ours", precision: str = "auto", **more: Any
    ) -> Row:
        """A row that is not measured yet; ``more`` goes into its SPEC.json.

        Raises:
            Failed: the contender is left out.
        """
        spec = {
            **case.spec(),
            "task": task,
            "precision": precision,
            "device": self.device,
            "threads": self.threads,
            "data": str(text.folder),
            "arguments": text.arguments,
            "vocabulary": text.vocabulary,
            **dict.fromkeys(("run", "export", "decode")),
            **more,
        }
        beam = f"-beam{spec['decode']['beam']}" if spec["decode"] else ""
        folder = self.scratch / "workers" / f"{task}-{case.name}{beam}-{contender}-{precision}"
        if not self.against or contender != self.against.name or contender in self.missing:
            return Row(contender, precision, self.command(contender), spec, folder, self.threads)
        try:
            return self.against.row(text, precision, spec, folder, self.threads)
        except Failed as error:
            self.missing[contender] = str(error)
            say(f"{contender} is left out: {error}")
            raise

    def rows(self, case: Case, text: Text, task: str, contenders: Sequence[str], **more: Any) -> Iterator[Row]:
        """A row for each contender and precision that takes part, an older commit of ours in the precisions of ours."""
        for contender in (*contenders, *self.own[1:]):
            like = "ours" if contender in self.own else contender
            for asked in self.plan.precisions_of(like, task, case.name):
                precision = self.precisions[-1] if asked == "native" else asked
                try:
                    row = self.row(case, text, task, contender, precision, **more)
                except Failed:
                    break
                if precision == "bf16" and "bf16" not in self.precisions:
                    self.missing["bf16"] = "this device only emulates it"
                    continue
                yield row
