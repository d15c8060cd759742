"""The server as a process and at a real socket: its end, slow clients, those that go, a full queue."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from seq2seq.cli.main import main
from seq2seq.errors import UserError
from seq2seq.runs.run import Run

pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
ENVIRONMENT.pop("PYTHONWARNINGS", None)


SLOW = """
import sys, time
from seq2seq.cli.main import main
from seq2seq.serve.served import ServedModel

own = ServedModel.answers
ServedModel.answers = lambda *given: (time.sleep(1), own(*given))[1]
sys.exit(main(sys.argv[1:]))
"""


def post(url: str, **asked: Any) -> dict[str, Any]:
    body = json.dumps(asked).encode()
    request = urllib.request.Request(f"{url}/api/translate", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return dict(json.load(answer))


def health(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/health", timeout=120) as answer:
        return dict(json.load(answer))


def until(true: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


class Held:
    """Lets no batch go on until it is released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, served: Any) -> None:
        self.released, self.batches = threading.Event(), list[list[str]]()
        kind = type(served[0])
        own = kind.answers

        def wait(model: Any, texts: Any, *rest: Any) -> Any:
            self.batches.append(list(texts))
            assert self.released.wait(30)
            return own(model, texts, *rest)

        monkeypatch.setattr(kind, "answers", wait)


@pytest.mark.parametrize("stop", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_ends_it_when_what_has_come_is_answered(stop: signal.Signals, arguments: list[str]) -> None:
    command = [sys.executable, "-c", SLOW, *arguments]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    try:
        assert server.stdout is not None
        greeting = server.stdout.readline()
        assert greeting.startswith("lstm, bahdanau, transformer: http://127.0.0.1:"), server.communicate()
        url = greeting.split()[3].rstrip("/")
        with ThreadPoolExecutor(3) as pool:
            asked = [pool.submit(post, url, text="the cat", models=["lstm"]) for _ in range(3)]
            until(lambda: health(url)["waiting"])
            server.send_signal(stop)
            assert all(each.result()["models"][0]["translations"] for each in asked)
        out, err = server.communicate(timeout=60)
        assert (server.returncode, out, err) == (0, "", "")
        with pytest.raises(urllib.error.URLError):
            health(url)
    finally:
        server.kill()
        server.communicate()


def test_a_port_that_is_taken_is_one_line(runs: list[Run], capsys: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", str(runs[0].folder), "--port", str(taken.getsockname()[1])]) == 2
    said = capsys.readouterr().err
    assert said.startswith("seq2seq: error: cannot serve at 127.0.0.1:") and said.count("\n") == 1


def test_of_two_servers_that_begin_at_once_the_later_one_says_that_the_port_is_taken(monkeypatch: Any) -> None:
    """Both may bind an address that nobody listens at yet; whoever listens first has it."""
    from seq2seq.serve.server import bound

    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]

        class Later(socket.socket):
            def bind(self, address: Any) -> None:
                super().bind(address)
                other.listen()

        monkeypatch.setattr(socket, "socket", Later)
        with pytest.raises(UserError, match=f"cannot serve at 127.0.0.1:{port} "):
            bound("127.0.0.1", port).close()


@pytest.mark.parametrize(("host", "own"), [("0.0.0.0", "127.0.0.1"), ("0", "127.0.0.1"), ("::", "[::1]")])
def test_the_address_that_is_printed_can_be_opened_where_it_listens_at_all_addresses(
    host: str, own: str, running: Any, capsys: Any
) -> None:
    try:
        socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with running(host=host) as server:
        url = f"http://{own}:{server.port}"
        until(lambda: f"lstm, bahdanau, transformer: {url}/ (Ctrl+C ends)" in capsys.readouterr().out, 10)
        assert health(url)["status"] == "ok"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "give a run folder"),
        (["RUN"] * 4, "4 runs: give at most 3"),
        (["RUN", "--port", "70000"], "--port 70000: give 0 to 65535"),
        (["RUN", "--port", "x"], "--port"),
        (["RUN", "--queue", "0"], "--queue 0: give 1 to"),
        (["RUN"] * 3 + ["--queue", "2"], "--queue 2: give at least 3, since the page asks all 3 models at once"),
        (["RUN", "--allow-host", "*"], "--allow-host *: give a name"),
        (["RUN", "--allow-host", "a.example:80"], "without a port"),
        (["RUN", "model.dropout=0.1"], "cannot be changed"),
        (["RUN", "--host", "256.1.1.1"], "cannot serve at 256.1.1.1:8000"),
        (["nowhere"], "no run folder"),
    ],
)
def test_mistakes_are_one_line(more: list[str], says: str, runs: list[Run], capsys: Any) -> None:
    assert main(["serve", *(str(runs[0].folder) if each == "RUN" else each for each in more)]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1


def test_without_the_extra_it_is_named(runs: list[Run], capsys: Any, monkeypatch: Any) -> None:
    from seq2seq.cli import serve

    monkeypatch.setattr(serve, "find_spec", lambda name: None if name == "uvicorn" else object())
    assert main(["serve", str(runs[0].folder)]) == 2
    said = "seq2seq: error: uvicorn is not installed: pip install 'seq2seq-trainer[serve]'\n"
    assert capsys.readouterr().err == said


def test_a_full_queue_is_429_with_a_time(running: Any, served: Any, monkeypatch: Any) -> None:
    held = Held(monkeypatch, served)
    with running(queue=4) as server, ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(post, server.url, text="the cat", models=["lstm"])]
        until(lambda: held.batches)
        asked += [pool.submit(post, server.url, text="a dog", models=["lstm"]) for _ in range(4)]
        until(lambda: health(server.url)["waiting"] == 4)
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(server.url, text="one more", models=["lstm"])
        assert refused.value.code == 429 and 1 <= int(refused.value.headers["retry-after"]) <= 60
        held.released.set()
        assert all(each.result()["models"] for each in asked)
        assert health(server.url)["most_waiting"] == 4
    assert [len(batch) for batch in held.batches] == [1, 4]


def test_who_goes_leaves_the_queue(running: Any, served: Any, monkeypatch: Any) -> None:
    held = Held(monkeypatch, served)
    with running() as server, ThreadPoolExecutor(2) as pool:
        first = pool.submit(post, server.url, text="the cat", models=["lstm"])
        until(lambda: held.batches)
        body = b'{"text": "gone", "models": ["lstm", "bahdanau"]}'
        with socket.create_connection(("127.0.0.1", server.port)) as gone:
            head = f"POST /api/translate HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}\r\n"
            gone.sendall(f"{head}content-type: application/json\r\n\r\n".encode() + body)
            until(lambda: health(server.url)["waiting"] == 2)
        stays = pool.submit(post, server.url, text="stays", models=["lstm"])
        until(lambda: health(server.url)["waiting"] == 1)
        held.released.set()
        assert first.result()["models"] and stays.result()["models"]
    assert held.batches == [["the cat"], ["stays"]]


def test_who_waits_too_long_is_told(running: Any, served: Any, monkeypatch: Any) -> None:
    held = Held(monkeypatch, served)
    with running(answering=0.2) as server:
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(server.url, text="the cat", models=["lstm"])
        assert refused.value.code == 503 and refused.value.headers["retry-after"]
        held.released.set()


def test_an_end_that_takes_too_long_is_told(running: Any, served: Any, monkeypatch: Any) -> None:
    held = Held(monkeypatch, served)
    with running(ending=1) as server, ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(post, server.url, text="the cat", models=["lstm"])]
        until(lambda: held.batches)
        asked.append(pool.submit(post, server.url, text="the cat", models=["lstm"]))
        until(lambda: health(server.url)["waiting"])
        server.server.should_exit = True
        for each in asked:
            with pytest.raises(urllib.error.HTTPError) as refused:
                each.result()
            assert refused.value.code == 503
        held.released.set()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /api/translate HTTP/1.1\r\nhost: 127.0.0.1\r\n",
        b"POST /api/translate HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        b'content-length: 100\r\n\r\n{"text": ',
    ],
    ids=["nothing", "half a head", "half a body"],
)
def test_who_sends_slowly_is_not_waited_for(sent: bytes, running: Any) -> None:
    with running(sending=0.4) as server, socket.create_connection(("127.0.0.1", server.port), timeout=20) as slow:
        slow.sendall(sent)
        answer = b""
        try:
            while got := slow.recv(4096):
                answer += got
        except ConnectionResetError:
            pass
        assert answer.startswith(b"HTTP/1.1 408") if sent.endswith(b": ") else answer == b""
        assert health(server.url)["status"] == "ok"


def test_who_never_reads_is_not_waited_for(running: Any) -> None:
    with running(reading=0.3) as server, socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", server.port))
        slow.sendall(b"GET /page.js HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n" * 400)  # some megabytes to read
        until(lambda: server.server.server_state.connections)
        until(lambda: not server.server.server_state.connections)
        assert health(server.url)["status"] == "ok"


def test_who_reads_slowly_gets_all_of_a_large_answer(running: Any, monkeypatch: Any) -> None:
    """For longer than ``reading`` seconds, and a second answer is not cut off by the first one's time."""
    large = 12_000_000

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % large)]})
            await send({"type": "http.response.body", "body": bytes(large)})

    monkeypatch.setattr("seq2seq.serve.server.application", lambda *_: answer)
    with running(reading=0.5, slowest=1000) as server, socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        slow.settimeout(20)
        slow.connect(("127.0.0.1", server.port))
        for pause in (0.0, 0.02):
            slow.sendall(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
            got = 0
            while got < large:
                part = slow.recv(1 << 17)
                assert part, f"cut off behind {got:,} bytes"
                got += len(part)
                time.sleep(pause)


def test_what_is_no_http_is_refused(running: Any) -> None:
    with running() as server, socket.create_connection(("127.0.0.1", server.port), timeout=20) as strange:
        strange.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert strange.recv(4096).startswith(b"HTTP/1.1 400")
