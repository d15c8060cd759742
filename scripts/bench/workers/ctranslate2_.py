"""CTranslate2 4.8 as a contender: decoding only, of the model that our export wrote.

Knows its public Translator. One replica with all of the SPEC's threads inside it, batches as large as everyone's.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from gate import Gate

SENTENCES = 1_000  # of the test set, as all contenders decode
COMPUTE_TYPES = {"fp32": "float32", "bf16": "bfloat16", "int8": "int8"}


def compute_type(spec: dict[str, Any], supported: set[str]) -> str:
    """CTranslate2's name of the SPEC's precision.

    Raises:
        ValueError: where this machine's CTranslate2 does not compute in it.
    """
    wanted = COMPUTE_TYPES.get(spec["precision"], spec["precision"])
    if wanted not in supported:
        raise ValueError(f"no {wanted} on this {spec['device']}, only {', '.join(sorted(supported))}")
    return wanted


def sources_of(data: Path) -> list[list[str]]:
    """Pieces of the first test sentences, the longest first."""
    with (data / "test.pieces.src").open(encoding="utf-8", newline="\n") as lines:
        rows = [line.rstrip("\n").split(" ") for line in itertools.islice(lines, SENTENCES)]
    return sorted(rows, key=len, reverse=True)


def parameters_of(export: Path) -> int:
    """Numbers in an export, which is written in float32: its size tells, names and shapes apart (a few kB)."""
    return (export / "model.bin").stat().st_size // 4


def main() -> None:
    gate = Gate()
    spec = gate.spec
    if spec["task"] != "decode":
        gate.fail("CTranslate2 does not train")
    if not spec["export"]:
        gate.fail(f"no export of a {spec['model']} to decode with")
    import ctranslate2

    options = spec["decode"]
    try:
        kind = compute_type(spec, ctranslate2.get_supported_compute_types(spec["device"]))
    except ValueError as error:
        gate.fail(f"CTranslate2 has {error}")
    translator = ctranslate2.Translator(
        spec["export"],
        device=spec["device"],
        compute_type=kind,
        inter_threads=1,
        intra_threads=spec["threads"],
    )
    rows, size, length = sources_of(Path(spec["data"])), options["batch"], options["length"]
    batches = [rows[first : first + size] for first in range(0, max(len(rows) - size, 0) + 1, size)]
    exactly = {"min_decoding_length": length, "max_decoding_length": length, "return_end_token": True}
    gate.ready(
        version=ctranslate2.__version__,
        parameters=parameters_of(Path(spec["export"])),
        notes=[f"compute type {translator.compute_type}, one replica"],
    )
    for batch in gate.batches(itertools.cycle(batches), lambda batch: len(batch) * length):
        found = translator.translate_batch(batch, beam_size=options["beam"], max_batch_size=size, **exactly)
        if any(len(result.hypotheses[0]) != length for result in found):
            raise RuntimeError(f"a hypothesis has not the {length} tokens that were asked for")


if __name__ == "__main__":
    main()
