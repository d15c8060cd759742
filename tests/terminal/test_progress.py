"""The progress display where stderr is no terminal."""

from __future__ import annotations

from typing import Any

from seq2seq.terminal.progress import Display


def test_without_a_terminal_the_display_says_plain_lines(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("seq2seq.terminal.progress.PLAIN_SECONDS", 0.0)
    with Display() as display:
        display.update(0.5, "loss 1.0")
        display.say("step [1] done")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "50.0%  loss 1.0\nstep [1] done\n"
