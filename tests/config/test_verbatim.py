"""Values that are paths and names are taken as they stand, by every door that takes ``key=value``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from seq2seq.config.compose import compose
from seq2seq.config.overrides import override
from seq2seq.config.verbatim import parse
from seq2seq.errors import UserError
from seq2seq.study.options import study_of
from seq2seq.study.plan import Study

STRANGE = [
    *("1e5", "true", "007", "ü,b.en", "a=b.en", "#c.en", "it's.en", 'q".en', "[x.en", "{x}.en", "a;b~!", "~/x.en"),
    *("$HOME", "a b", " a", "(a).en", "a\\b", "a\\", "@x:y%z&|<>?", "*.en", "null.en", "None", "a\nb", "+x"),
]
TEXT = ["experiment=text/lstm"]


FEW = ("1e5", "true", "ü,b.en", "a=b.en", "#c.en", "it's.en", "[x.en", "{x}.en", "$HOME", "a b", "a\\", "a\nb")


@pytest.mark.parametrize(
    "value", [pytest.param(value, marks=[pytest.mark.slow] * (value not in FEW)) for value in STRANGE]
)
def test_a_path_or_a_name_is_taken_as_it_stands(value: str) -> None:
    keys = ["data.train.src", "data.valid.file", "data.cache", "data.name", "data.hub.name", "outputs", "name"]
    keys += ["data.tests.news.src", "model.name"]
    config = compose([*TEXT, *(f"{key}={value}" for key in keys)])
    data, tests = config.data, config.data.tests
    found = [data.train.src, data.valid.file, data.cache, data.name, data.hub.name, config.outputs, config.name]
    assert [*found, tests["news"].src, config.model.name] == [value] * len(keys)
    changed = override(config, [f"data.test.src={value}", f"data.cache={value}", f"data.tests.more.file={value}"])
    assert [changed.data.test.src, changed.data.cache, changed.data.tests["more"].file] == [value] * 3


HANDED_ON = ("1e5", "ü,b.en", "#c.en", "it's.en", "a b", "a\nb")


@pytest.mark.parametrize(
    "value",
    [pytest.param(value, marks=[pytest.mark.slow] * (value not in HANDED_ON)) for value in STRANGE if "{" not in value],
)
def test_a_study_hands_them_on(value: str) -> None:
    name = value.replace("/", "-")  # that of a folder
    small = ["study=text", "models=[lstm]", "seeds=[1]"]
    options, runs = study_of([*small, f"name={name}", f"outputs={value}", f"data.train.src={value}"])
    assert (options.name, options.outputs, runs) == (name, value, [f"data.train.src={value}"])
    study = Study(options, runs)
    [planned] = study.runs(study.draft)
    assert planned.config.data.train.src == value
    assert planned.config.outputs == value
    assert (planned.config.name or "").startswith(f"studies/{name}/lstm/")


def test_null_empties_an_option_and_is_a_name_where_none_can_be_empty() -> None:
    config = compose([*TEXT, "data.train.src=a", "name=null", "data.name=null"])
    assert (config.name, config.data.name) == (None, "null")
    assert override(config, ["data.test.src=null"]).data.test.src is None
    assert compose([*TEXT, "experiment=null", "model=lstm"][1:]).data.source == "grammar"


@pytest.mark.parametrize("quote", ["'", '"'])
def test_quotes_around_the_whole_value_go(quote: str) -> None:
    other = "'" if quote == '"' else '"'
    assert compose([*TEXT, f"data.train.src={quote}a,b{quote}"]).data.train.src == "a,b"
    assert compose([*TEXT, f"data.train.src={quote}null{quote}"]).data.train.src == "null"
    assert compose([*TEXT, f"name={other}{quote}a{quote}{other}"]).name == f"{quote}a{quote}"
    assert compose([*TEXT, f"name={quote}a{quote}b{quote}"]).name == f"{quote}a{quote}b{quote}"


@pytest.mark.parametrize(
    ("value", "elements"),
    [
        ("[a.en,b.en]", ["a.en", "b.en"]),
        ("[ a b.en , 1e5,true]", ["a b.en", "1e5", "true"]),
        ("['a,b.en',\"c]\"]", ["a,b.en", "c]"]),
        ("[it's.en,b=c#.en]", ["it's.en", "b=c#.en"]),
        ("['[a]']", ["[a]"]),
        ("'[a]'", "[a]"),
    ],
)
def test_lists_of_paths(value: str, elements: Any) -> None:
    config = compose([*TEXT, f"data.train.src={value}", f"data.tests.x.tgt={value}"])
    assert config.data.train.src == config.data.tests["x"].tgt == elements
    assert override(config, [f"data.test.src={value}"]).data.test.src == elements


def test_what_hydra_must_read_is_shown_quoted() -> None:
    with pytest.raises(UserError, match="quote it") as error:
        study_of(["study=smoke", "overrides=[data.name=a,data.train.src=[b]"])
    shown = shlex.split(str(error.value).rpartition("quote it: ")[2])
    assert parse(shown[0]).value() == "[data.name=a,data.train.src=[b]"


@pytest.mark.parametrize(("key", "value"), [("name", "1e5"), ("cache", "true"), ("cache", "007"), ("name", "1_000")])
def test_yaml_that_changes_a_name_is_answered_with_the_quoted_form(tmp_path: Path, key: str, value: str) -> None:
    path = tmp_path / "my own, [file]=x.yaml"
    text = "defaults:\n  - override /data: text\ndata:\n  {}: {}\n  train: {{src: [2024, 'a,b'], tgt: 5.5}}\n"
    path.write_text(text.format(key, value))
    with pytest.raises(UserError, match=f'data.{key}: {value} is read as .*: quote it: data.{key}: "{value}"'):
        compose([f"experiment={path}"])
    path.write_text(text.format(key, f'"{value}"').replace("2024", "'2024'").replace("5.5", "'5.5'"))
    data = compose([f"experiment={path}"]).data
    assert {"name": data.name, "cache": data.cache}[key] == value
    assert (data.train.src, data.train.tgt) == (["2024", "a,b"], "5.5")


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("data.tests.news.srcc=a", "unknown key data.tests.news.srcc; did you mean data.test.src"),
        ("data.tests.news=a", "unknown key data.tests.news"),
        ("data.tests.a-b.src=a", "data.tests.a-b: no name for a test set"),
        ("data.tests.valid.src=a", "data.tests.valid: no name for a test set"),
        ("data.train.src=[]", r"data.train.src=\[\] names no file"),
        ("experiment=1e5", "unknown experiment 1e5"),
        ("data.split=news", "data.split=news is not possible: choose one of valid, test"),
    ],
)
def test_what_is_not_possible_is_said(argument: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        compose([*([] if argument.startswith("experiment") else TEXT), argument])
