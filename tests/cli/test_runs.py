"""``seq2seq runs``: finished, unfinished and damaged folders in one table; what differs; sorted, filtered, as data."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seq2seq.cli.main import main
from seq2seq.runs.run import Run
from tests.fake_runs import FakeRun


@pytest.fixture
def folder(fake_run: FakeRun, tmp_path: Path) -> Path:
    """Three finished runs of two models, one unfinished, two damaged, and folders that are no runs."""
    fake_run("embedded/lstm/seed1", valid=((10, 5.0), (20, 4.0)), parameters=1_460_000)
    fake_run("embedded/lstm/seed2", "lstm", 2)
    fake_run("embedded/transformer/seed1", "transformer", 1, (), "trainer.optimizer.lr=0.002")
    fake_run("embedded/lstm/seed3", "lstm", 3).summary_file.unlink()
    (fake_run("broken/summary").summary_file).write_text('{"checkpoint": "best"')
    (fake_run("broken/config").config_file).write_text("{}\n")
    inner = Run(tmp_path / "embedded/lstm/seed1/export/onnx")  # it belongs to the run
    inner.save_config(Run(tmp_path / "embedded/lstm/seed1").load_config())
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps/config.yaml").write_text("name: somebody's own\n")
    summary = tmp_path / "embedded/lstm/seed2/summary.json"
    summary.write_text(summary.read_text().replace('"bleu": 50.0', '"bleu": 70.0'))
    return tmp_path


def listed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    assert main(["runs", *arguments, "--json"]) == code
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def names(rows: list[dict[str, Any]], folder: Path) -> list[str]:
    return [str(Path(row["run"]).relative_to(folder)) for row in rows]


def test_every_run_is_a_row_a_damaged_one_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = listed(capsys, str(folder))
    rows = dict(zip(names(found, folder), found, strict=True))
    assert {name: row["state"] for name, row in rows.items()} == {
        "broken/config": "damaged",
        "broken/summary": "damaged",
        "embedded/lstm/seed1": "finished",
        "embedded/lstm/seed2": "finished",
        "embedded/lstm/seed3": "unfinished",
        "embedded/transformer/seed1": "finished",
    }
    assert "summary.json" in rows["broken/summary"]["why"] and "config.yaml" in rows["broken/config"]["why"]
    one, cut = rows["embedded/lstm/seed1"], rows["embedded/lstm/seed3"]
    assert (one["bleu"], one["nll"], one["parameters"], one["tokens"], one["valid_bleu"]) == (
        50,
        1,
        1_460_000,
        20_000,
        5,
    )
    assert (cut["bleu"], cut["steps"], cut["tokens"], cut["seconds"], cut["valid_bleu"]) == (None, 20, 20_000, 2.0, 9)


def test_only_what_differs_is_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = listed(capsys, str(folder / "embedded/lstm"))
    assert [row["differs"] for row in rows] == [{"seed": seed} for seed in (1, 2, 3)]
    both = {row["run"]: row["differs"] for row in listed(capsys, str(folder / "embedded"), "--filter", "seed=1")}
    one = both[str(folder / "embedded/transformer/seed1")]
    assert one["trainer.optimizer.lr"] == 0.002 and one["model.name"] == "transformer" and "seed" not in one
    assert not {"name", "outputs"} & one.keys()


def test_rows_are_sorted_and_filtered(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    top = folder / "embedded/lstm"
    for arguments, expected in [
        (["--sort", "bleu"], ["seed2", "seed1", "seed3"]),
        (["--sort", "valid_bleu"], ["seed2", "seed3", "seed1"]),
        (["--sort", "parameters"], ["seed2", "seed1", "seed3"]),
        (["--filter", "seed>=2"], ["seed2", "seed3"]),
        (["--filter", "state=finished", "--filter", "seed!=2"], ["seed1"]),
        (["--filter", "bleu>60"], ["seed2"]),
        (["--filter", "take=null"], ["seed1", "seed2", "seed3"]),
        (["--filter", "joint=true", "--filter", "lr<1e-9"], []),
    ]:
        assert names(listed(capsys, str(top), *arguments), top) == expected, arguments


def test_a_mistake_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in [
        ([str(folder), "--sort", "blue"], "did you mean bleu"),
        ([str(folder), "--filter", "layers=2"], "write out which"),
        ([str(folder), "--filter", "bleu"], "KEY=VALUE"),
        ([str(folder), "--filter", "state>a"], "is no number"),
        (["/nowhere"], "no folder there"),
    ]:
        assert main(["runs", *arguments]) == 2
        told = capsys.readouterr().err
        assert said in told and told.count("\n") == 1


def test_a_relative_and_an_absolute_folder_go_together(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert main(["runs", "embedded/lstm", str(folder / "embedded/transformer")]) == 0
    assert "4 runs below embedded" in capsys.readouterr().out
    assert main(["runs", "embedded/lstm"]) == 0
    assert "3 runs below embedded/lstm" in capsys.readouterr().out


def test_the_tables_are_80_columns_wide_and_csv_is_whole(folder: Path) -> None:
    command = [str(Path(sys.executable).parent / "seq2seq"), "runs", str(folder)]
    environment = {**os.environ, "COLUMNS": "80"}
    table = subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout
    drawn = [line for line in table.splitlines() if line.startswith(("│", "┏", "└"))]
    assert max(map(len, drawn)) <= 80 and "1.46M" in table and table.count("damaged: ") == 2
    text = subprocess.run([*command, "--csv"], capture_output=True, text=True, env=environment, check=True).stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 6 and {row["bleu"] for row in rows if row["state"] == "finished"} == {"50.0", "70.0"}
    assert [row["seed"] for row in rows] == ["", "", "1", "2", "3", "1"]


def test_figures_and_states_are_not_broken_and_what_is_not_set_is_not_told(
    fake_run: FakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = ("data.source=text", "data.train.src=a", "data.train.tgt=b", "data.grammar.pairs=7")
    long = fake_run("outputs/of-the-embedded-corpus/and-a-long-name/lstm/seed1").summary_file
    long.write_text(json.dumps(json.loads(long.read_text()) | {"seconds": 4_260.0}))
    fake_run("outputs/of-text/and-a-long-name/lstm/seed2", "lstm", 2, (), *text).summary_file.unlink()
    assert main(["runs", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "unfinished│" in told and "finished  │" in told and "│1 h 11 min│" in told
    assert max(map(len, told.splitlines())) <= 80
    assert "│2│of-the-embedded-cor" in told, "the run's name has what is left, and no room is lost beside it"
    assert "src=a" in told and "null" not in told and "pairs=7" not in told
    assert told.count("source=") == 2


def test_files_that_the_name_of_the_corpus_tells_apart_are_not_told(
    fake_run: FakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    one, two = ("data.name=one", "data.train.src=a.en"), ("data.name=two", "data.train.src=b.en", "data.weights=[2]")
    for n, options in enumerate((one, one, two)):
        fake_run(f"run{n}", "lstm", 1, (), "data.source=text", "data.train.tgt=x", *options)
    rows = listed(capsys, str(tmp_path))
    assert rows[0]["differs"] == {"data.name": "one", "data.train.src": "a.en", "data.weights": []}
    assert main(["runs", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "name=one" in told and ".en" not in told and "weights=[2.0]" in told and "weights=[]" not in told
    path = f"/{'folder/' * 12}c.en"
    fake_run("run3", "lstm", 1, (), "data.source=text", "data.train.tgt=x", "data.name=one", f"data.train.src={path}")
    assert main(["runs", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "src=a.en" in told and "src=b.en" in told and "src=/folder/" in told and "/c.en" in told and path not in told


def test_a_folder_without_runs_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "outputs").mkdir()
    for arguments, said in [
        ([], "no run below outputs: seq2seq train makes them below outputs, or give another folder\n"),
        (["outputs", "sweeps"], "no run below outputs or sweeps: "),
        (["embedded", "--filter", "seed>7"], "no run below embedded with seed>7: leave --filter out, or give another"),
    ]:
        assert main(["runs", *arguments]) == 0
        assert capsys.readouterr().out.startswith(said)
