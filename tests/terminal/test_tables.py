"""Tables and attention grids: 80 columns, and nothing in a name is markup."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from seq2seq.terminal.attention import attention_grid
from seq2seq.terminal.tables import duration, print_table, print_texts, say


def test_a_table_folds_long_names_and_takes_them_literally(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("a [bold]title", ("name", "value"), [("[red]x[/nonsense] :smile:", "1"), None, ("y" * 200, "2")])
    say("[bold]" + "z" * 100)
    out = capsys.readouterr().out
    *table, line = out.splitlines()
    assert max(map(len, table)) <= 80 and out.count("y") == 200
    assert "[red]x[/nonsense] :smile:" in out and "a [bold]title" in out
    assert line == "[bold]" + "z" * 100


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((4.5, "4.5 s"), (123, "2 min 3 s"), (3900, "1 h 5 min")),
        *((59.97, "1 min 0 s"), (119.7, "2 min 0 s"), (3599.8, "1 h 0 min")),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_attention_is_a_grid_or_where_that_is_too_wide_the_largest_weights() -> None:
    weights, src, tgt = [[1.0, 0.0], [0.3, 0.7]], ["▁ab", "c"], ["▁x", "</s>"]
    assert attention_grid(weights, src, tgt) == "     a  \n     b c\n   x █  \n</s> ░ ▓\n"
    assert attention_grid(weights, src, tgt, width=8) == "   x  ab 1.00  c 0.00\n</s>  c 0.70  ab 0.30\n"


def test_attention_stands_in_columns_in_every_script() -> None:
    """A mark stays with its letter, and a character that takes two cells of the terminal has a column as wide."""
    grid = attention_grid([[0.0, 0.5, 1.0], [1.0, 0.0, 0.3]], ["▁नि", "日本", "</s>"], ["กี่", "日"], width=80)
    assert grid.splitlines() == [
        *("        <", "        /", "     日 s", "   नि 本 >"),
        *(" กี่   ▒▒ █", "日 █    ░"),
    ]
    assert {cell_len(line) for line in grid.splitlines()} == {9}
    assert attention_grid([[0.2, 0.8]], ["日", "本"], ["é"], width=7) == "é  本 0.80  日 0.20\n"


def test_long_texts_break_between_words_beside_their_labels(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = "[red] the old dog sleeps in the garden because " * 6
    print_texts({"source": text, "translation": "kurz"})
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(" ".join(line[13:].split()) for line in lines[1:-1]) == text.strip()
    assert lines[1].startswith("source       [red] the old")
    assert lines[-1].split() == ["translation", "kurz"]
