"""The explorer as compact plain data: attention weights as bytes. ``explorer.js`` unpacks it in the browser."""

from __future__ import annotations

import base64
import math
import zlib
from typing import Any

import numpy as np

from seq2seq.report.page.document import Explorer
from seq2seq.runs.records import ExploredSentence

ENCODING = (
    "attention: base64 of zlib of bytes, weight × 255; for each model, for each of its maps (none where the output "
    "says attends=false), elements of the translation × elements of the source; units: what they are"
)


def pack_explorer(explorer: Explorer) -> dict[str, Any]:
    """Convert to plain data; each sentence's attention becomes one string.

    Raises:
        ValueError: a matrix is not target words × source words, or the models do not match the outputs.
    """
    return {
        "encoding": ENCODING,
        "models": explorer.models,
        "maps": explorer.maps,
        "units": explorer.units,
        "sentences": [
            {**_pack_sentence(sentence, explorer), "length": length}
            for sentence, length in zip(explorer.sentences, explorer.lengths, strict=True)
        ],
    }


def _pack_sentence(outputs: tuple[ExploredSentence, ...], explorer: Explorer) -> dict[str, Any]:
    packed, src = bytearray(), outputs[0]["src"]
    for output, names in zip(outputs, explorer.maps, strict=True):
        if output["attention"]:
            shape = (len(names), len(output["words"]), len(src))
            weights = np.asarray(output["attention"], dtype=np.float64)
            if weights.size != math.prod(shape) or (weights.size and weights.shape != shape):
                raise ValueError(f"attention is {weights.shape}, not maps × target words × source words {shape}")
            packed += np.rint(np.clip(weights, 0, 1) * 255).astype(np.uint8).tobytes()
    told = [{**{key: o[key] for key in ("words", "nll", "chrf")}, "attends": bool(o["attention"])} for o in outputs]
    attention = base64.b64encode(zlib.compress(bytes(packed))).decode() if packed else ""
    return {"src": src, "reference": outputs[0]["reference"], "outputs": told, "attention": attention}
