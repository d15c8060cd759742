"""CTranslate2 4.8 as a contender: decoding only, of the model that our export wrote. Knows its public Translator.

One replica with all of the SPEC's threads, batches as large as everyone's.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scripts.bench.workers.contender import Contender, Tokens
from scripts.bench.workers.protocol import Channel

COMPUTE_TYPES = {"fp32": "float32", "bf16": "bfloat16", "int8": "int8"}


def compute_type(spec: dict[str, Any], supported: set[str]) -> str:
    """CTranslate2's name of the SPEC's precision.

    Raises:
        ValueError: this machine's CTranslate2 does not compute in it.
    """
    wanted = COMPUTE_TYPES.get(spec["precision"], spec["precision"])
    if wanted not in supported:
        raise ValueError(f"no {wanted} on this {spec['device']}, only {', '.join(sorted(supported))}")
    return wanted


class CTranslate2(Contender):
    """The Translator on our export."""

    def unable(self) -> str | None:
        if self.spec["task"] != "decode":
            return "CTranslate2 does not train"
        return None if self.spec["export"] else f"no export of a {self.spec['model']} to decode with"

    def build(self) -> None:
        import ctranslate2

        device, self.version = self.spec["device"], ctranslate2.__version__
        try:
            kind = compute_type(self.spec, ctranslate2.get_supported_compute_types(device))
        except ValueError as error:
            self.channel.fail(f"CTranslate2 has {error}")
        threads = {"inter_threads": 1, "intra_threads": self.spec["threads"]}
        self.translator = ctranslate2.Translator(self.spec["export"], device=device, compute_type=kind, **threads)
        self.notes = [f"compute type {self.translator.compute_type}, one replica"]

    def parameters(self) -> int:
        """An export holds float32: its size tells their number, but for names and shapes (a few kB)."""
        return (Path(self.spec["export"]) / "model.bin").stat().st_size // 4

    def prepare_decoding(self, beam: int, batch: int, length: int) -> None:
        exactly = {"min_decoding_length": length, "max_decoding_length": length, "return_end_token": True}
        self.options = {"beam_size": beam, "max_batch_size": batch, **exactly}

    def search(self, batch: list[Tokens]) -> Iterable[int]:
        return [len(found.hypotheses[0]) for found in self.translator.translate_batch(batch, **self.options)]


if __name__ == "__main__":
    CTranslate2(Channel()).run()
