"""Writing is all or nothing, and what goes wrong is one line."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from seq2seq.errors import UserError
from seq2seq.system.files import (
    UNFINISHED,
    new_file,
    new_folder,
    os_errors_as_user_errors,
    read_json,
    remove_unfinished,
    write_atomically,
    write_json,
)


def failing(number: int) -> Callable[..., Any]:
    def fail(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_content_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "file"
    write_atomically(path, "first")
    write_atomically(path, b"second")
    assert path.read_text() == "second"
    assert list(path.parent.iterdir()) == [path]


def test_text_is_utf8_and_line_ends_stay(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", "ä\r\n\u2028\n")
    assert (tmp_path / "file").read_bytes() == "ä\r\n\u2028\n".encode()


@pytest.mark.parametrize("where", ["os.fsync", "pathlib.Path.replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_leaves_the_old_file_alone(where: str, number: int, tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")
    with monkeypatch.context() as patched:
        patched.setattr(where, failing(number))
        with pytest.raises(UserError, match="the disk is full") as caught:
            write_atomically(path, "new")
    assert str(path) in str(caught.value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path], "no temporary file is left"


def test_an_interruption_leaves_no_temporary_file(tmp_path: Path, monkeypatch: Any) -> None:
    def interrupt(file: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file", "new")
    assert list(tmp_path.iterdir()) == []


def test_a_place_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_atomically(tmp_path / "file" / "below", "new")


def test_a_folder_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        write_atomically(tmp_path / "folder", "new")
    assert (tmp_path / "folder").is_dir()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_name_that_is_too_long_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written") as caught:
        write_atomically(tmp_path / ("x" * 300), "new")
    assert "\n" not in str(caught.value)


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(pipe, "through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_its_target_is_written(there: bool, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    if there:
        (tmp_path / "elsewhere/file").write_text("old")
    (tmp_path / "link").symlink_to("elsewhere/file")
    write_atomically(tmp_path / "link", "new", follow=True)
    assert (tmp_path / "link").readlink() == Path("elsewhere/file")
    assert (tmp_path / "elsewhere/file").read_text() == "new"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["elsewhere", "file", "link"]


def test_what_standard_output_leads_to_is_written_on_and_not_replaced(tmp_path: Path) -> None:
    """``( echo first; seq2seq translate … --out /dev/stdout; echo last ) > file`` has all three."""
    write = "from seq2seq.system.files import write_atomically as w; from pathlib import Path"
    write += "; w(Path('/dev/stdout'), 'mine\\n', follow=True)"
    line = f'( echo first; "{sys.executable}" -c "{write}"; echo last ) >> file'
    subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True)
    assert (tmp_path / "file").read_text() == "first\nmine\nlast\n"


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="there is no /dev/shm")
def test_a_file_in_shared_memory_is_replaced_as_elsewhere() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        for content in ("old", "new"):
            write_atomically(Path(folder) / "file", content)
        assert (Path(folder) / "file").read_text() == "new"


def test_a_link_in_a_strangers_folder_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "link").symlink_to("mine")
    write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "mine").read_text() == "mine" and not (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o755])
def test_a_file_that_is_replaced_keeps_its_mode(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(mode)
    write_atomically(path, "new", follow=True)
    assert path.stat().st_mode & 0o777 == mode
    assert path.read_text() == "new"


def test_other_errors_than_the_systems_are_not_touched(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), os_errors_as_user_errors(tmp_path):
        _ = 1 / 0


def test_plain_data_comes_back(tmp_path: Path) -> None:
    value = {"ä": [1, 2.5, None, True], "b": {"c": "\u2028"}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json", "thing") == value


@pytest.mark.parametrize("content", [None, "", '{"a": 1', "\xff"])
def test_damaged_data_says_what_it_should_be(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match="run summary") as caught:
        read_json(path, "run summary")
    assert "\n" not in str(caught.value)


def test_a_folder_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    with new_folder(tmp_path / "a/b") as place:
        (place / "file").write_text("whole")
        assert place.parent == tmp_path / "a", "beside its place, so that it can be renamed"
        assert not (tmp_path / "a/b").exists()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "a/b/file").read_text() == "whole"


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), ValueError("bug"), OSError(errno.ENOSPC, "No space left")])
@pytest.mark.parametrize("shared", [False, True])
def test_a_fault_leaves_neither_the_folder_nor_its_parents(fault: BaseException, shared: bool, tmp_path: Path) -> None:
    expected = UserError if isinstance(fault, OSError) else type(fault)
    with pytest.raises(expected), new_folder(tmp_path / "a/b", shared) as place:
        (place / "half").write_text("")
        raise fault
    assert list(tmp_path.iterdir()) == []


def test_another_process_may_be_faster(tmp_path: Path) -> None:
    for shared in (True, False):
        path = tmp_path / str(shared) / "folder"
        refused = nullcontext() if shared else pytest.raises(UserError, match="exists")
        with refused, new_folder(path, shared) as place:
            (place / "file").write_text("ours")
            path.mkdir()
            (path / "file").write_text("theirs")
        assert [name.name for name in path.parent.iterdir()] == ["folder"]
        assert (path / "file").read_text() == "theirs"


def test_a_folder_that_cannot_be_made_is_one_line_with_advice(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    refused = pytest.raises(UserError, match=r"file/below: cannot be written \(.*\): set data.cache$")
    with refused, new_folder(tmp_path / "file/below/folder", advice="set data.cache"):
        raise AssertionError("it began")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_new_file_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    with new_file(tmp_path / "a/b") as place:
        place.write_text("whole")
        place.with_name("more").write_text("")
        assert not (tmp_path / "a/b").exists()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"] and (tmp_path / "a/b").read_text() == "whole"
    with pytest.raises(ValueError), new_file(tmp_path / "c/d") as place:
        place.write_text("half")
        raise ValueError
    with pytest.raises(UserError, match="exists"), new_file(tmp_path / "a/b") as place:
        place.write_text("ours")
    with pytest.raises(UserError, match="cannot be written"), new_file(tmp_path / "a/b/c"):
        raise AssertionError("it began")
    assert [path.name for path in tmp_path.iterdir()] == ["a"] and (tmp_path / "a/b").read_text() == "whole"


PROGRAM = """
import os, sys
from pathlib import Path
from seq2seq.system import files
real = os.fsync
def killed(descriptor): os.kill(os.getpid(), 9)
os.fsync = killed
if sys.argv[2] == "file":
    files.write_atomically(Path(sys.argv[1]) / "weights", "x" * 1000)
else:
    with files.new_folder(Path(sys.argv[1]) / "corpus") as folder:
        (folder / "ids").write_text("x" * 1000)
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_process_left_is_removed_by_the_next_one(kind: str, tmp_path: Path) -> None:
    (tmp_path / ".notes.tmp").write_text("the user's")
    killed = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path), kind], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob(f"*{UNFINISHED}"))) == 1
    write_atomically(tmp_path / "other", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".notes.tmp", "other"]


def test_what_is_being_written_is_not_removed(tmp_path: Path) -> None:
    with new_folder(tmp_path / "corpus") as folder:
        (folder / "ids").write_text("x")
        write_atomically(tmp_path / "other", "new")
        with new_folder(tmp_path / "second"):
            pass
    assert (tmp_path / "corpus/ids").read_text() == "x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "other", "second"]


@pytest.mark.parametrize("taken", ["held", "removed"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_another_process_takes_for_abandoned_before_it_is_locked_is_begun_anew(
    kind: str, taken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, calls = fcntl.flock, list[int]()

    def late(descriptor: int, how: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            remove_unfinished(tmp_path)
            if taken == "held":
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    if kind == "file":
        write_atomically(tmp_path / "own", "whole")
        assert (tmp_path / "own").read_text() == "whole"
    else:
        with new_folder(tmp_path / "own") as folder:
            (folder / "ids").write_text("whole")
        assert (tmp_path / "own/ids").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["own"]


def test_json_holds_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "scores.json", {"nll": float("nan"), "ppl": [float("inf"), 1.5], "text": "NaN"})
    assert json.loads((tmp_path / "scores.json").read_text()) == {"nll": None, "ppl": [None, 1.5], "text": "NaN"}


def test_too_many_open_files_is_not_a_matter_of_the_place(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="too many files are open: allow more"), os_errors_as_user_errors(tmp_path):
        raise OSError(errno.EMFILE, "Too many open files")


def test_a_long_name_of_wide_characters_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("ä" * 120)  # 240 bytes, of the 255 that a file system takes
    write_atomically(path, "text")
    assert path.read_text() == "text"
