"""BLEU by source length, which is where a fixed-size context vector loses quality. Knows texts alone."""

from __future__ import annotations

from collections.abc import Sequence

from seq2seq.evaluation.metrics import BLEU
from seq2seq.runs.records import Scores, Third

THIRDS = ("shortest", "middle", "longest")


def by_thirds(src: Sequence[str], hypotheses: Sequence[str], references: Sequence[str], language: str) -> list[Third]:
    """BLEU of the shortest, the middle and the longest third of the sentences, by words of the source.

    The list is empty if there are fewer than three sentences.
    """
    if len(src) < len(THIRDS):
        return []
    words = [len(line.split()) for line in src]
    order = sorted(range(len(src)), key=lambda n: words[n])
    rows: list[Third] = []
    for part, name in enumerate(THIRDS):
        chosen = order[len(order) * part // 3 : len(order) * (part + 1) // 3]
        bleu = BLEU.corpus_score([hypotheses[n] for n in chosen], [references[n] for n in chosen], language)
        least, most = words[chosen[0]], words[chosen[-1]]
        rows.append({"third": name, "from_words": least, "to_words": most, "sentences": len(chosen), "bleu": bleu})
    return rows


def figures_by_length(scores: Scores) -> dict[str, str]:
    """The rows of a table: BLEU of each third of the sentences, where ``scores`` has them."""
    return {
        f"  BLEU, {row['third']} third ({row['from_words']}–{row['to_words']} words)": f"{row['bleu']:.2f}"
        for row in scores.get("by_length", [])
    }
