"""Repositories, against a hub on this machine. HF_ENDPOINT is read at import: each client is a process of its own."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from seq2seq.config.schema import DataConfig, HubConfig, SplitConfig
from seq2seq.data import revisions
from tests import hub_server
from tests.processes import run_command

NASTY = '\u2028 \x85 \x0b a\rb \t " e\u0301 😀 NA'

# Opens each config of the JSON on stdin, and answers with what a trainer would see of it.
CLIENT = """
import json, sys
from seq2seq.config.schema import DataConfig, GrammarConfig, HubConfig, SplitConfig
from seq2seq.data.sources import open_source
from seq2seq.errors import UserError

answers = {}
for name, told in json.load(sys.stdin).items():
    hub = HubConfig(**told.pop("hub"))
    splits = {split: SplitConfig(**told.pop(split)) for split in ("train", "valid", "test")}
    tests = {test: SplitConfig(**each) for test, each in told["tests"].items()}
    kept = {key: told[key] for key in ("source", "src", "tgt", "src_column", "tgt_column", "holdout", "take", "cache")}
    try:
        data = DataConfig(hub=hub, tests=tests, **splits, **kept)
        source = open_source(data)
        answers[name] = {split: list(source.pairs(split)) for split in ("train", "valid", "test")}
        for test in tests:
            answers[name][f"tests.{test}"] = list(open_source(data, test).pairs(test))
        answers[name]["fingerprint"] = source.fingerprint()
        answers[name]["where"] = source.describe("train")
    except UserError as error:
        answers[name] = {"error": str(error)}
    answers[name]["imported"] = "datasets" in sys.modules
print(json.dumps(answers))
"""


def ask(endpoint: str, folder: Path, cases: dict[str, DataConfig]) -> tuple[dict[str, Any], str]:
    """What a fresh process makes of the configs, by name, and all that it wrote to stderr."""
    told = json.dumps({name: asdict(data) for name, data in cases.items()})
    program = folder / "client.py"
    program.write_text(CLIENT)
    environment = hub_server.client_environment(endpoint, folder)
    done = run_command(module=str(program), stdin=told.encode(), env=environment, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def jsonl(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def flat(name: str, count: int) -> bytes:
    return jsonl(*({"en": f"{name} {number} {NASTY}", "de": f"{name} {number} auf Deutsch"} for number in range(count)))


def flat_pairs(name: str, count: int) -> list[list[str]]:
    return [[f"{name} {number} {NASTY}", f"{name} {number} auf Deutsch"] for number in range(count)]


def parquet(name: str, count: int) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"translation": {"de": f"{name} {number} de", "en": f"{name} {number} {NASTY}"}} for number in range(count)]
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), stream)
    return stream.getvalue()


CARD = """---
configs:
- config_name: de-en
  data_files:
  - {split: train, path: de-en/train.parquet}
  - {split: validation, path: de-en/valid.parquet}
- config_name: en-fr
  data_files:
  - {split: train, path: en-fr/train.parquet}
---
Two configurations.
"""


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any], str, str]:
    """Answers while the hub is there, answers after it is gone, and the two processes' stderr."""
    folder = tmp_path_factory.mktemp("client")
    base = DataConfig(source="hub", holdout=2, cache="cache", hub=HubConfig(repo="team/flat"))
    nested = replace(base, hub=HubConfig(repo="team/nested", name="de-en"))
    online = {
        "flat": base,
        "further": replace(base, tests={"again": SplitConfig(split="validation"), "more": SplitConfig(split="test")}),
        "further of none": replace(base, tests={"more": SplitConfig(split="exam")}),
        "further unnamed": replace(base, tests={"more": SplitConfig()}),
        "swapped": replace(base, src="de", tgt="en"),
        "nested": nested,
        "named columns": replace(nested, src="xx", tgt="yy", src_column="translation.de", tgt_column="translation.en"),
        "folder": replace(base, hub=HubConfig(repo="team/folders", data_dir="second")),
        "missing repository": replace(base, hub=HubConfig(repo="team/flatt")),
        "bad name": replace(base, hub=HubConfig(repo="a/b/c")),
        "no name": replace(base, hub=HubConfig()),
        "missing revision": replace(base, hub=HubConfig(repo="team/flat", revision="v9")),
        "wrong config": replace(base, hub=HubConfig(repo="team/nested", name="de-fr")),
        "unasked config": replace(base, hub=HubConfig(repo="team/nested")),
        "config of none": replace(base, hub=HubConfig(repo="team/flat", name="de-en")),
        "missing split": replace(base, test=SplitConfig(split="exam")),
        "missing column": replace(base, tgt="fr"),
        "numbers": replace(base, hub=HubConfig(repo="team/numbers")),
        "gap": replace(base, hub=HubConfig(repo="team/gap")),
        "script": replace(base, hub=HubConfig(repo="team/script")),
        "no data": replace(base, hub=HubConfig(repo="team/nothing")),
    }
    offline = {
        "not cached": replace(base, hub=HubConfig(repo="team/unseen")),
        "other revision": replace(base, hub=HubConfig(repo="team/flat", revision="v1")),
        "flat": base,
        "nested": nested,
    }
    with hub_server.Hub() as hub:
        splits = {"train": 9, "validation": 3, "test": 4}
        hub.publish("team/flat", {f"{name}.jsonl": flat(name, count) for name, count in splits.items()})
        hub.publish(
            "team/nested",
            {
                "README.md": CARD.encode(),
                "de-en/train.parquet": parquet("train", 2_500),
                "de-en/valid.parquet": parquet("valid", 3),
                "en-fr/train.parquet": parquet("french", 3),
            },
        )
        hub.publish("team/folders", {"first/train.jsonl": flat("first", 20), "second/train.jsonl": flat("second", 20)})
        hub.publish("team/numbers", {"train.jsonl": jsonl({"en": "a", "de": 1}, {"en": "b", "de": "zwei"})})
        hub.publish("team/gap", {"train.jsonl": jsonl(*[{"en": "a", "de": "b"}] * 20, {"en": "a"})})
        hub.publish("team/script", {"script.py": b"print('run me')\n", "README.md": b"A script.\n"})
        hub.publish("team/nothing", {"README.md": b"Nothing.\n"})
        answers, noise = ask(hub.address, folder, online)
        address = hub.address
    later, later_noise = ask(address, folder, offline)
    return answers, later, noise, later_noise


def test_flat_columns_and_the_repositorys_own_splits(asked: Any) -> None:
    answer = asked[0]["flat"]
    assert answer["train"] == flat_pairs("train", 9)
    assert answer["valid"] == flat_pairs("validation", 3)
    assert answer["test"] == flat_pairs("test", 4)
    assert answer["where"] == "hub team/flat train"


def test_translation_column_of_a_configuration_and_a_held_out_test(asked: Any) -> None:
    answer = asked[0]["nested"]
    everything = [[f"train {number} {NASTY}", f"train {number} de"] for number in range(2_500)]
    held = [pair for pair in everything if pair not in answer["train"]]
    assert len(held) == 2
    assert answer["test"] == held
    assert answer["train"] == [pair for pair in everything if pair not in held]
    assert answer["valid"] == [[f"valid {number} {NASTY}", f"valid {number} de"] for number in range(3)]
    assert answer["where"] == "hub team/nested[de-en] train"


def test_sides_follow_the_language_codes_or_the_named_columns(asked: Any) -> None:
    assert asked[0]["swapped"]["train"] == [pair[::-1] for pair in flat_pairs("train", 9)]
    assert asked[0]["named columns"]["train"] == [pair[::-1] for pair in asked[0]["nested"]["train"]]


def test_folder_inside_a_repository(asked: Any) -> None:
    answer = asked[0]["folder"]
    assert sorted(answer["train"] + answer["valid"] + answer["test"]) == sorted(flat_pairs("second", 20))


def test_further_test_sets_are_splits_of_the_repository(asked: Any) -> None:
    """They change neither the corpus nor its fingerprint."""
    answer = asked[0]["further"]
    assert answer["tests.again"] == flat_pairs("validation", 3)
    assert answer["tests.more"] == flat_pairs("test", 4)
    assert {key: value for key, value in answer.items() if not key.startswith("tests.")} == asked[0]["flat"]


def test_fingerprint_knows_what_is_read(asked: Any) -> None:
    prints = {asked[0][name]["fingerprint"] for name in ("flat", "swapped", "nested", "named columns", "folder")}
    assert len(prints) == 5


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("missing repository", "hub team/flatt: no such dataset repository"),
        ("bad name", "data.hub.repo=a/b/c is no repository name: it must be owner/name"),
        ("no name", "data.hub.repo is not set"),
        ("missing revision", "hub team/flat has no revision v9: check data.hub.revision"),
        ("wrong config", "hub team/nested[de-fr]: no such configuration; it has de-en, en-fr: set data.hub.name"),
        ("unasked config", "hub team/nested has several configurations, de-en, en-fr: set data.hub.name"),
        ("config of none", "hub team/flat[de-en]: no such configuration; it has default: set data.hub.name"),
        ("missing split", "hub team/flat has no split exam; it has train, validation, test: set data.test.split"),
        (
            "further of none",
            "hub team/flat has no split exam; it has train, validation, test: set data.tests.more.split",
        ),
        ("further unnamed", "data.tests.more.split is not set"),
        ("missing column", "hub team/flat train has no column fr; it has en, de: set data.tgt_column"),
        ("numbers", "hub team/numbers train: column de holds mixed types, not text"),
        ("gap", "hub team/gap train: row 21 has no text in column de: fill it in or remove the row"),
        ("script", "hub team/script is a script, which datasets no longer runs: try data.hub.revision="),
        ("no data", "hub team/nothing cannot be read: "),
    ],
)
def test_what_is_wrong_is_said_in_one_line(asked: Any, case: str, message: str) -> None:
    said = asked[0][case]["error"]
    assert said.startswith(message)
    assert "\n" not in said


def test_the_library_says_nothing_of_its_own(asked: Any) -> None:
    assert asked[2] == ""


def test_without_a_network_the_answer_is_one_line_and_needs_no_heavy_import(asked: Any) -> None:
    answer = asked[1]["not cached"]
    assert answer["error"].startswith("hub team/unseen: the hub is out of reach (")
    assert answer["error"].endswith("and cache holds no copy: check the network or take another data.source")
    assert not answer["imported"]


def test_a_cached_copy_of_another_revision_does_not_stand_in(asked: Any) -> None:
    assert "the hub is out of reach" in asked[1]["other revision"]["error"]


@pytest.mark.parametrize("case", ["flat", "nested"])
def test_cached_copy_after_the_hub_is_gone(asked: Any, case: str) -> None:
    online, offline = dict(asked[0][case]), dict(asked[1][case])
    assert offline["imported"]
    assert offline == online


def test_use_of_a_cached_copy_is_announced(asked: Any) -> None:
    lines = asked[3].splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("hub team/flat: the hub is out of reach, taking the copy of commit ")
    assert lines[1].startswith("hub team/nested[de-en]: the hub is out of reach, taking the copy of commit ")


def test_a_pinned_commit_is_read_whatever_the_hub_has_since(tmp_path: Path) -> None:
    """Anew from the hub, and from the copy that was made before it was pinned, with the hub and without."""
    live = DataConfig(source="hub", holdout=1, cache="cache", hub=HubConfig(repo="team/live"))
    with hub_server.Hub() as hub:
        hub.publish("team/live", {"train.jsonl": flat("old", 10)})
        commit = hub.commit("team/live")
        pinned = replace(live, hub=HubConfig(repo="team/live", revision=f"main@{commit}"))
        before, _ = ask(hub.address, tmp_path, {"live": live})
        hub.publish("team/live", {"train.jsonl": flat("new", 10)})
        after, _ = ask(hub.address, tmp_path, {"pinned": pinned, "anew": replace(pinned, cache="another")})
    offline, noise = ask(hub.address, tmp_path, {"pinned": pinned})
    wanted = before["live"]
    assert all(pair[0].startswith("old") for pair in wanted["train"])
    assert after == {"pinned": wanted, "anew": wanted}
    assert (offline, noise) == ({"pinned": wanted}, "")


def test_revisions_that_are_pinned() -> None:
    commit, other = "0123456789" * 4, "9876543210" * 4
    for given in (None, "main", "refs/convert/parquet"):
        kept = revisions.pinned(given, commit)
        assert revisions.asked_for(kept) == commit
        assert revisions.pinned(kept, other) == kept
        named = (None, "main", "refs/convert/parquet", commit, other)
        assert [each for each in named if revisions.stands_for(each, kept)] == [given, commit]
    assert revisions.asked_for("v1.0") == "v1.0"
    assert not revisions.stands_for(None, None)


def test_new_commit_replaces_the_cached_copy(tmp_path: Path) -> None:
    data = DataConfig(source="hub", holdout=1, cache="cache", hub=HubConfig(repo="team/live"))
    with hub_server.Hub() as hub:
        hub.publish("team/live", {"train.jsonl": flat("old", 10)})
        before, _ = ask(hub.address, tmp_path, {"live": data})
        hub.publish("team/live", {"train.jsonl": flat("new", 10)})
        after, _ = ask(hub.address, tmp_path, {"live": data})
    assert all(pair[0].startswith("old") for pair in before["live"]["train"])
    assert all(pair[0].startswith("new") for pair in after["live"]["train"])
    assert before["live"]["fingerprint"] != after["live"]["fingerprint"]
