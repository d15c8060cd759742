"""The API: what it answers, what it refuses, and that batching changes nothing."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seq2seq.cli.main import main
from seq2seq.runs.run import Run

pytest.importorskip("starlette", reason="the extra `serve` is not installed")

LINES = ["the cat sees a dog", "a small dog runs home quickly", "the dog", "", "old house near our dog", "the cat runs"]


def test_the_models_and_the_limits_are_told(client: Any, runs: list[Run], pairs: list[tuple[str, str]]) -> None:
    told = client.get("/api/models").json()
    assert [model["name"] for model in told["models"]] == [run.folder.name for run in runs]
    assert [model["sees"] for model in told["models"]] == ["vector", "positions", "positions"]
    assert [len(model["maps"]) for model in told["models"]] == [0, 1, 4]
    assert told["models"][0]["beam"] == 3 and told["models"][0]["longest"] == 150
    assert set(told["models"][0]["examples"]) <= {src for src, _ in pairs} and told["models"][0]["examples"]
    assert told["limits"] == {"texts": 5, "characters": 300, "tokens": 200, "body": 5000, "beam": 16, "queue": 40}


@pytest.mark.parametrize("number", range(3))
def test_it_translates_as_the_command_does(number: int, runs: list[Run], translate: Any, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.write_text("".join(f"{line}\n" for line in LINES))
    assert main(["translate", str(runs[number].folder), "--in", str(source), "--out", str(out), "device=cpu"]) == 0
    told = translate(texts=LINES[:5], models=[runs[number].folder.name])["models"][0]["translations"]
    assert [each["text"] for each in told] == out.read_text().split("\n")[:5]
    assert told[3] == {"text": "", "score": 0, "log_probability": 0, "tokens": [], "source_tokens": []}


def test_concurrent_requests_are_batched_and_equal_single_ones(client: Any, translate: Any) -> None:
    asked = [{"text": line, "models": [name]} for line in LINES for name in ("lstm", "transformer")]
    alone = [translate(**each)["models"] for each in asked]
    before = client.get("/health").json()
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(lambda each: translate(**each)["models"], asked * 2))
    for found, expected in zip(together, alone * 2, strict=True):
        [one], [other] = found[0]["translations"], expected[0]["translations"]
        assert one.pop("score") == pytest.approx(other["score"], abs=1e-5)
        assert one.pop("log_probability") == pytest.approx(other["log_probability"], abs=1e-4)
        assert one == {key: other[key] for key in one}
    after = client.get("/health").json()
    assert after["answered"] - before["answered"] == 24
    assert after["batches"] - before["batches"] < 24 and after["waiting"] == 0


def test_alternatives_attention_and_probabilities(translate: Any) -> None:
    asked = {"text": LINES[0], "beam": 4, "alternatives": 3, "attention": True, "probabilities": True}
    lstm, bahdanau, transformer = (each["translations"][0] for each in translate(**asked)["models"])
    assert lstm["attention"] is None
    assert bahdanau["attention"]["maps"] == ["mean"]
    assert transformer["attention"]["maps"][:2] == ["mean", "layer 1, head 1"]
    for best in (lstm, bahdanau, transformer):
        assert len(best["alternatives"]) == 3 and best["alternatives"][0]["text"] == best["text"]
        scores = [each["score"] for each in best["alternatives"]]
        assert scores == sorted(scores, reverse=True)
        assert len(best["probabilities"]) == len(best["tokens"]) and best["tokens"][-1] == "</s>"
        assert all(0 <= each <= 1 for each in best["probabilities"])
        assert best["source_words"] == LINES[0].split() and best["units"] == ["words", "words"]
    for best in (bahdanau, transformer):
        maps = best["attention"]["weights"]
        assert len(maps) == len(best["attention"]["maps"])
        assert all(len(rows) == len(best["words"]) for rows in maps)
        assert all(len(row) == len(best["source_words"]) and sum(row) < 1.01 for rows in maps for row in rows)
    mean = [[sum(values) / 4 for values in zip(*rows, strict=True)] for rows in zip(*maps[1:], strict=True)]
    assert [each for row in mean for each in row] == pytest.approx([each for row in maps[0] for each in row], abs=2e-3)


def test_attention_is_told_batch_by_batch(translate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from seq2seq.decoding.translator import Translator
    from seq2seq.serve import served

    asked = {"texts": LINES[:5], "models": ["transformer"], "attention": True, "alternatives": 2}
    whole, sizes, own = translate(**asked)["models"], list[int](), Translator.translate

    def watched(self: Translator, lines: list[str], *rest: Any, **more: Any) -> Any:
        sizes.append(len(lines))
        return own(self, lines, *rest, **more)

    monkeypatch.setattr(Translator, "translate", watched)
    monkeypatch.setattr(served, "ATTENTION_TOKENS", 1)
    assert [each["text"] for each in translate(**asked)["models"][0]["translations"]] == [
        each["text"] for each in whole[0]["translations"]
    ]
    assert sizes == [1] * 5


def test_the_attention_of_a_request_is_bounded(client: Any, translate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"texts": LINES[:3], "models": ["transformer"], "attention": True}
    lengths = [len(each["source_tokens"]) for each in translate(**asked)["models"][0]["translations"]]
    weights = sum(length**2 for length in lengths)
    for most, maps in ((4 * weights, 5), (weights, 1)):
        monkeypatch.setattr(client.service, "limits", replace(client.service.limits, weights=most))
        told = [each["attention"] for each in translate(**asked)["models"][0]["translations"]]
        assert [len(each["maps"]) for each in told] == [len(each["weights"]) for each in told] == [maps] * 3
        assert all(each["maps"][0] == "mean" for each in told)
    monkeypatch.setattr(client.service, "limits", replace(client.service.limits, weights=weights - 1))
    [model] = translate(**asked)["models"]
    assert [each["attention"] for each in model["translations"]] == [None] * 3
    assert all(each["words"] and each["source_words"] for each in model["translations"])


def test_a_large_answer_leaves_the_event_loop_to_others(translate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from seq2seq.serve import application

    own, loops = application.encoded, list[bool]()

    def watched(*given: Any) -> bytes:
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            loops.append(True)
        loops.append(False)
        return own(*given)

    monkeypatch.setattr(application, "encoded", watched)
    found = translate(texts=['the "cat" – 猫', ""], attention=True, alternatives=1)
    assert loops == [False]
    plain = translate(texts=['the "cat" – 猫', ""], alternatives=1)
    for with_maps, without in zip(found["models"], plain["models"], strict=True):
        for one, other in zip(with_maps["translations"], without["translations"], strict=True):
            assert {key: one[key] for key in other} == other
    assert found.keys() == plain.keys()


def test_line_breaks_are_spaces_and_strange_text_is_answered(translate: Any) -> None:
    name = {"models": ["transformer"], "attention": True, "alternatives": 2, "probabilities": True}
    broken = translate(text="the cat\nsees\r\na dog", **name)["models"][0]["translations"]
    assert broken == translate(text="the cat sees a dog", **name)["models"][0]["translations"]
    for text in ("\0", "日本語の文です。", "👩‍🚀 e\u0301", "<script>", "\u2028", "   ", "שלום", "a" * 50):
        assert len(translate(text=text, **name)["models"][0]["translations"]) == 1


LARGE = json.dumps({"text": "a", "models": ["lstm"] * 900}).encode()
REFUSED: list[tuple[bytes, int, str]] = [
    (b"", 400, "not JSON"),
    (b"\xff", 400, "not JSON"),
    (b"[" * 4_000, 400, "not JSON"),
    (b"[]", 400, "must be an object"),
    (b'"text"', 400, "must be an object"),
    (b"{}", 400, 'one of "text"'),
    (b'{"text": "a", "texts": ["b"]}', 400, 'one of "text"'),
    (b'{"texts": []}', 400, "at least one"),
    (b'{"texts": [1]}', 400, "a list of at least one string"),
    (b'{"text": null}', 400, "a string"),
    (b'{"text": "\\ud800"}', 400, "surrogate"),
    (b'{"text": "a", "beams": 2}', 400, "unknown key beams; did you mean beam?"),
    (b'{"text": "a", "beam": 0}', 400, '"beam" is an integer from 1 to 16'),
    (b'{"text": "a", "beam": 1e9}', 400, '"beam" is an integer'),
    (b'{"text": "a", "beam": true}', 400, '"beam" is an integer'),
    (b'{"text": "a", "alternatives": 4}', 400, "is 4, but the beam of lstm is 3 wide"),
    (b'{"text": "a", "attention": 1}', 400, "true or false"),
    (b'{"text": "a", "models": []}', 400, "each once"),
    (b'{"text": "a", "models": ["lstm", "lstm"]}', 400, "each once"),
    (b'{"text": "a", "models": ["gru"]}', 400, "no model gru: there are lstm, bahdanau, transformer"),
    (b'{"text": "a", "models": [["lstm"]]}', 400, "each once"),
    (b'{"texts": ["a", "a", "a", "a", "a", "a"]}', 413, "at most 5"),
    (b'{"text": "' + b"a " * 151 + b'"}', 413, "at most 300"),
    (b'{"text": "' + b"\\u65e5" * 80 + b'"}', 413, "more than 150 tokens"),
    (b'{"texts": ["' + b'","'.join([b"q" * 50] * 5) + b'"]}', 413, "at most 200"),
    (LARGE, 413, "more than 5,000 bytes"),
]


@pytest.mark.parametrize(("body", "status", "says"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_wrong_is_said_in_a_line(client: Any, body: bytes, status: int, says: str) -> None:
    answer = client.post("/api/translate", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, says in answer.json()["error"]) == (status, True), answer.text
    assert "\n" not in answer.json()["error"]


def test_a_body_without_a_length_is_bounded_too(client: Any) -> None:
    chunks = (b"x" * 1000 for _ in range(10))
    answer = client.post("/api/translate", content=chunks, headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_only_json_is_read_so_that_no_form_of_another_site_reaches_it(client: Any) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = client.post("/api/translate", content=b'{"text": "a"}', headers={"content-type": kind})
        assert answer.status_code == 415


def test_other_hosts_are_refused(client: Any) -> None:
    assert client.get("/health", headers={"host": "127.0.0.1:8000"}).status_code == 200
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost", "", "[::1"):
        answer = client.get("/health", headers={"host": host})
        assert answer.status_code == 400
        assert "Host" in answer.json()["error"] and "\n" not in answer.json()["error"]


@pytest.mark.parametrize(
    ("host", "named"),
    [
        *(("[::1]", True), ("[::1]:8000", True), ("::1", False), ("[::1", False), ("[::1]8000", False)),
        *(("Translate.Example.ORG", True), ("translate.example.org:443", True), ("translate.example.org.", False)),
        *(("example.org", False), ("a.b.example.net", True), ("A.Example.Net:80", True), ("example.net", False)),
        *(("badexample.net", False), ("x@a.example.net", False), ("a.example.net/", False), ("a.example.net:x", False)),
        *(("a.example.net:80:80", False), ("[::1].example.net", False), (" a.example.net", False)),
        *(("a.example.net\n", False), ("é.example.net", False), ("*.example.net", False), (None, False)),
    ],
)
def test_a_host_is_one_of_the_names_in_any_case_with_any_port(host: str | None, named: bool) -> None:
    from seq2seq.serve.protection import NamedHosts

    async def app(*_: Any) -> None:
        return None

    guard = NamedHosts(app, ["[::1]", "translate.EXAMPLE.org", "*.example.net"])
    assert guard.names(host) is named


def test_every_answer_is_guarded(client: Any) -> None:
    paths = ("/", "/page.js", "/page.css", "/attention.js", "/theme.js", "/health", "/api/models", "/nowhere")
    answers = [client.get(path) for path in paths] + [client.get("/", headers={"host": "evil"})]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not {"set-cookie", "access-control-allow-origin", "server"} & set(answer.headers)
    assert [answer.status_code for answer in answers[-2:]] == [404, 400]
    preflight = client.options(
        "/api/translate", headers={"origin": "http://evil", "access-control-request-method": "POST"}
    )
    assert preflight.status_code == 405 and "access-control-allow-origin" not in preflight.headers
    assert "http" not in answers[0].text.replace("http-equiv", ""), "the page asks nobody else"


def test_no_file_can_be_asked_for(client: Any) -> None:
    for path in ("/../pyproject.toml", "/%2e%2e/pyproject.toml", "/page.html", "/page.css/", "//etc/passwd", "/api"):
        assert client.get(path, follow_redirects=False).status_code in (307, 404)


def test_a_fault_of_the_work_is_one_answer_and_the_service_goes_on(
    client: Any, translate: Any, monkeypatch: Any
) -> None:
    model, own = client.service.models[0], type(client.service.models[0]).answers

    def fail(self: Any, texts: Any, *rest: Any) -> Any:
        if "dog" in texts:
            raise MemoryError
        return own(self, texts, *rest)

    monkeypatch.setattr(type(model), "answers", fail)
    answer = client.post("/api/translate", json={"text": "dog", "models": ["lstm"]})
    assert answer.status_code == 500 and "memory is not enough" in answer.json()["error"]
    assert translate(text="cat", models=["lstm"])["models"]
    assert client.get("/health").status_code == 200


def test_names_are_architectures_or_else_what_differs() -> None:
    from seq2seq.serve.served import names_of

    def named(models: str, *paths: str) -> list[str]:
        return names_of(models.split(), [(Path(path).parent, Path(path).name) for path in paths])

    assert named("lstm gru", "a/best", "a/best") == ["lstm", "gru"]
    assert named("lstm lstm", "out/a/lstm/1/best", "out/b/lstm/1/best") == ["a/lstm/1", "b/lstm/1"]
    assert named("lstm lstm", "a/best", "a/last") == ["best", "last"]
    assert named("lstm lstm gru", "a/best", "a/last", "b/best") == ["a/best", "a/last", "b"]
    assert named("lstm lstm", "a/best", "a/best") == ["best", "best 2"]
    assert named("lstm lstm", "runs/a/best", "runs/a/export/onnx/best") == ["a", "a/export/onnx"]
