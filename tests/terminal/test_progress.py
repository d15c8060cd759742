"""The progress display, in a terminal and elsewhere."""

from __future__ import annotations

import io
import re
import time
from typing import Any

from seq2seq.terminal.progress import Display, progress


def test_without_a_terminal_the_display_says_plain_lines(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("seq2seq.terminal.progress.PLAIN_SECONDS", 0.0)
    with Display() as display:
        display.update(0.5, "loss 1.0")
        display.say("step [1] done")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "50.0%  loss 1.0\nstep [1] done\n"


def test_of_a_pipe_no_share_is_said(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("seq2seq.terminal.progress.PLAIN_SECONDS", 0.0)
    with progress("translating", None) as done:
        done(2000)
    assert capsys.readouterr().err == "2000/?\n"
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Display() as display:
        display.console.file = screen = io.StringIO()
        display.update(None, "2000/?")
        display.progress.refresh()
    assert "2000/?" in screen.getvalue() and "%" not in screen.getvalue().splitlines()[-1]


def test_plain_lines_say_the_time_that_is_left_and_come_less_often_the_longer_it_takes(
    capsys: Any, monkeypatch: Any
) -> None:
    clock = [0.0]
    monkeypatch.setattr("seq2seq.terminal.progress.time.monotonic", lambda: clock[0])
    with Display() as display:
        for clock[0], share in ((100.0, 0.5), (110.0, 0.51), (200.0, 0.6), (10_000.0, 0.7), (10_090.0, 0.8)):
            display.update(share, "loss 1.0")
    assert capsys.readouterr().err.splitlines() == [
        "50.0%  loss 1.0",  # where a training goes on, the time until there is not known
        "60.0%  6 min 40 s left  loss 1.0",
        "70.0%  4 h 7 min left  loss 1.0",
    ]


def test_the_time_left_that_is_told_is_the_one_that_is_said(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("seq2seq.terminal.progress.PLAIN_SECONDS", 0.0)
    with Display() as display:
        display.update(0.1, "a 10%", left=7200.0)
    assert capsys.readouterr().err == "10.0%  2 h 0 min left  a 10%\n"
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Display() as display:
        display.console.file = screen = io.StringIO()
        display.update(0.1, "a 10%", left=7200.0)
        display.progress.refresh()
    assert "2 h 0 min left" in screen.getvalue()


def test_the_bar_says_that_its_time_is_what_is_left(monkeypatch: Any) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Display() as display:
        display.console.file = screen = io.StringIO()
        for share in (0.1, 0.2, 0.3):
            time.sleep(0.01)
            display.update(share, "")
        display.progress.refresh()
    assert re.search(r"\d\d:\d\d left", screen.getvalue())
