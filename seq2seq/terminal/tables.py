"""What is printed for people to read, within 80 columns. Knows figures and texts; computes nothing."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from seq2seq.config.schema import Config
from seq2seq.data.encoded import Corpus
from seq2seq.decoding.translator import Translation
from seq2seq.evaluation.metrics import TER, USUAL
from seq2seq.runs.records import Scores, Summary
from seq2seq.runs.run import Run

SHADES = " ░▒▓█"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def _line(*parts: str) -> None:
    Console(highlight=False, soft_wrap=True, markup=False).print(*parts)


def print_corpus(config: Config, corpus: Corpus) -> None:
    """Pairs and tokens of each split, what was dropped and why, and a warning where test pairs occur in train."""
    table = _table(f"{config.data.name}: {config.data.src} → {config.data.tgt}", "split", "pairs", "target tokens")
    for split in ("train", "valid", "test"):
        counts = corpus.counts[split]
        table.add_row(split, f"{counts['kept']:,}", f"{counts['target_tokens']:,}")
    Console().print(table)
    train = corpus.counts["train"]
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in train["dropped"].items() if count) or "none"
    _line(f"training pairs read {train['read']:,}, dropped: {dropped}; pieces {corpus.subwords.sizes[1]:,}")
    if train["overlap"]:
        _line(
            f"warning: {train['test_in_train']:,} test pairs and {train['valid_in_train']:,} validation pairs occur "
            f"in train ({train['overlap']:,} training pairs): their scores flatter the model"
        )


def print_parameters(name: str, counts: dict[str, int]) -> None:
    """The table of parameters by part."""
    table = _table(f"parameters of {name}", "part", "parameters")
    for part, count in counts.items():
        if part == "total":
            table.add_section()
        table.add_row(part, f"{count:,}")
    Console().print(table)


def print_result(run: Run, summary: Summary) -> None:
    """What a finished run came to, three translations, and what to type next."""
    test = summary["test"]
    table = _table(f"test of {run.folder}", "figure", "value")
    table.add_row("weights", summary["checkpoint"])
    table.add_row("loss (nats a token)", f"{test['nll']:.3f}")
    table.add_row("perplexity", f"{test['ppl']:.2f}")
    table.add_row("BLEU", f"{test['bleu']:.2f}")
    _add_lengths(table, test)
    table.add_row("chrF", f"{test['chrf']:.2f}")
    table.add_row("training time", duration(summary["seconds"]))
    table.add_row("target tokens", f"{summary['tokens']:,}")
    table.add_row("tokens/s in training", f"{summary['tokens_per_second']:,.0f}")
    Console().print(table)
    for metric in USUAL:
        _line(f"{metric.label} signature  {metric.signature_of(test)}")
    for sample in summary["samples"]:
        _line(f"\nsource       {sample['src']}")
        _line(f"translation  {sample['translation']}")
        _line(f"reference    {sample['reference']}")
    folder = run.folder
    _line(f"\nnext:  seq2seq translate {folder}")
    _line(f"       seq2seq evaluate {folder} decode.beam=1")
    _line("       make tensorboard")


def print_evaluation(scores: Scores, folder: Path, as_json: bool) -> None:
    """Scores as a table, or as JSON for machines."""
    if as_json:
        print(json.dumps(scores, indent=2, ensure_ascii=False))
        return
    table = _table(f"{scores['sentences']:,} sentences", "figure", "value")
    metrics = [metric for metric in (*USUAL, TER) if metric.key in scores]
    for metric in metrics:
        table.add_row(metric.label, f"{metric.of(scores):.2f}")
    _add_lengths(table, scores)
    table.add_row("loss (nats a token)", f"{scores['nll']:.3f}")
    table.add_row("perplexity", f"{scores['ppl']:.2f}")
    table.add_row("bits a character", f"{scores['bits_per_character']:.3f}")
    table.add_row("token accuracy", f"{scores['token_accuracy']:.2%}")
    table.add_row("length ratio", f"{scores['length_ratio']:.3f}")
    table.add_row("time", duration(scores["seconds"]))
    table.add_row("sentences/s", f"{scores['sentences_per_second']:.1f}")
    Console().print(table)
    for metric in metrics:
        _line(f"{metric.label} signature  {metric.signature_of(scores)}")
    _line(f"scores and hypotheses in {folder}")


def _add_lengths(table: Table, scores: Scores) -> None:
    for row in scores.get("by_length", []):
        words = f"{row['from_words']}–{row['to_words']} words"
        table.add_row(f"  BLEU, {row['third']} third ({words})", f"{row['bleu']:.2f}")


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest:.0f} s" if minutes else f"{rest:.1f} s"


def alignment(translation: Translation, width: int = 80) -> str:
    """What a sentence's pieces looked at: a shaded grid, or the three places looked at most where that is too wide."""
    if translation.attention is None:
        return "(no attention: this model sees the source through one fixed vector)\n"
    weights = translation.attention.mean(1).tolist()  # (T, S), the mean of all heads
    src = [piece.replace("▁", "") or "▁" for piece in translation.src_tokens]
    tgt = [piece.replace("▁", "") or "▁" for piece in translation.tgt_tokens]
    margin = max(map(len, tgt))
    if margin + 2 * len(src) + 1 > width:
        return "".join(_looked_at(piece, row, src, margin) for piece, row in zip(tgt, weights, strict=True))
    height = max(map(len, src))
    upright = [label.rjust(height) for label in src]  # the labels stand upright, one letter a line
    head = "".join(" " * margin + " " + " ".join(label[n] for label in upright) + "\n" for n in range(height))
    rows = (
        f"{piece:>{margin}} " + " ".join(SHADES[min(int(value * 5), 4)] for value in row) + "\n"
        for piece, row in zip(tgt, weights, strict=True)
    )
    return head + "".join(rows)


def _looked_at(piece: str, row: list[float], src: list[str], margin: int) -> str:
    most = sorted(range(len(row)), key=lambda n: -row[n])[:3]
    return f"{piece:>{margin}}  " + "  ".join(f"{src[n]} {row[n]:.2f}" for n in most) + "\n"
