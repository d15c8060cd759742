"""Pushing to a hub on this machine. The client reads its environment at import: each push is a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import seq2seq
from seq2seq.cli.main import main
from seq2seq.runs.run import Run
from tests import hub_pushes
from tests.export.test_folder import LINES, SECRET, MakeRun, content, make_run
from tests.hub_server import client_environment
from tests.processes import run_command

__all__ = ["make_run"]
REPO = f"{hub_pushes.OWNER}/small"


@pytest.fixture
def hub() -> Iterator[hub_pushes.Hub]:
    with hub_pushes.Hub() as hub:
        yield hub


class Client:
    """Commands of a user with a token, on a machine where temporary files have a place of their own."""

    def __init__(self, place: Path, endpoint: str) -> None:
        self.place, self.temporary = place, place / "tmp"
        self.temporary.mkdir()
        self.environment = client_environment(endpoint, place)
        self.environment |= {"HF_TOKEN": hub_pushes.TOKEN, "TMPDIR": str(self.temporary)}

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        whole = {**self.environment, **environment}
        found = subprocess.run(
            [sys.executable, *command],
            cwd=self.place,
            env=whole,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert list(self.temporary.iterdir()) == []
        return found

    def push(self, run: Path, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
        given = ["export", str(run), "--to", "hub", "--repo", REPO, *more]
        found = run_command(*given, cwd=self.place, env={**self.environment, **environment}, timeout=60)
        assert list(self.temporary.iterdir()) == []
        return found

    def refused(self, run: Path, *more: str, **environment: str) -> str:
        found = self.push(run, *more, **environment)
        assert (found.returncode, found.stdout) == (2, "") and "Traceback" not in found.stderr
        return found.stderr


@pytest.fixture
def client(hub: hub_pushes.Hub, tmp_path: Path) -> Client:
    return Client(tmp_path, hub.address)


def test_what_was_pushed_comes_back_and_translates_as_the_run(
    make_run: MakeRun, hub: hub_pushes.Hub, client: Client, tmp_path: Path
) -> None:
    run = make_run("bahdanau")
    before = content(run.folder)
    first = client.push(run.folder, "--license", "mit")
    assert first.returncode == 0, first.stderr
    assert f"{hub.address}/{REPO} is private" in first.stdout and REPO not in hub.public
    assert first.stderr.splitlines() == ["comparing 20 sentences of the run's test", f"made the repository {REPO}"]
    last = first.stdout.splitlines()[-1]
    assert last == f"To translate: hf download {REPO} --local-dir FOLDER && seq2seq translate FOLDER"
    assert content(run.folder) == before and len(hub.commits) == 1 and len(hub.large) == 1
    for body in hub.repos[REPO].values():
        assert SECRET.encode() not in body and b"SAMPLE" not in body
    download = f"import huggingface_hub as h; h.snapshot_download({REPO!r}, local_dir={str(tmp_path / 'back')!r})"
    client.run("-c", download).check_returncode()
    ours, theirs = (seq2seq.load(place, device="cpu").translate(LINES) for place in (run.folder, tmp_path / "back"))
    assert [(each.text, each.score) for each in ours] == [(each.text, each.score) for each in theirs]
    again = client.push(run.folder, "--license", "mit")
    assert again.returncode == 0 and "nothing has changed" in again.stdout and len(hub.commits) == 1


def test_another_model_replaces_ours_and_leaves_the_files_of_others(
    make_run: MakeRun, hub: hub_pushes.Hub, client: Client
) -> None:
    run = make_run("lstm")
    hub.publish(REPO, {"config.yaml": b"old", "summary.json": b"old", "notes/mine.txt": b"kept", ".gitattributes": b""})
    before = hub.commit(REPO)
    found = client.push(run.checkpoint("last"), "--public")  # of which there are no scores
    assert found.returncode == 0 and before[:7] in found.stdout and "is private" in found.stdout
    assert "stays private" in found.stderr and "no license" in found.stderr and "made the" not in found.stderr
    [commit] = hub.commits
    assert "-summary.json" in commit and "config.yaml" in commit
    assert hub.repos[REPO]["notes/mine.txt"] == b"kept" and hub.repos[REPO]["config.yaml"] != b"old"
    assert hub.commit(REPO)[:7] in found.stdout


def test_nothing_is_public_unless_it_is_asked_for(make_run: MakeRun, hub: hub_pushes.Hub, client: Client) -> None:
    run = make_run("lstm")
    hub.publish(REPO, {"README.md": b"card"})
    hub.public.add(REPO)
    assert "everybody can read it: push there with --public" in client.refused(run.folder)
    del hub.repos[REPO]
    hub.public.clear()
    assert "is public: everybody can read it" in client.push(run.folder, "--public").stdout and REPO in hub.public


def test_errors_before_anything_is_computed(make_run: MakeRun, hub: hub_pushes.Hub, client: Client) -> None:
    folder = make_run("lstm").folder
    cases = [
        ({"HF_TOKEN": ""}, "there is no token for the hub: run hf auth login, or set HF_TOKEN"),
        ({"HF_TOKEN": "hf_bad"}, "401, Invalid credentials in Authorization header): it does not accept the token"),
        ({"HF_TOKEN": "hf_ö"}, "not pushed ("),
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "not pushed ([Errno 111] Connection refused): check the network"),
    ]
    for environment, message in cases:
        told = client.refused(folder, **environment)
        assert message in told and told.count("\n") == 1, told
        assert "hf_ö" not in told and "hf_\\xf6" not in told
    for status, message in (
        (403, "the token may not write"),
        (409, "start the same"),
        (418, "check --repo"),
        (503, "try again"),
    ):
        hub.faults = {"models": status}
        told = client.refused(folder)
        assert f"{status}, as the test wants it): " in told and message in told and told.count("\n") == 1
    assert hub.repos == {}


@pytest.mark.parametrize(
    ("route", "status", "message"),
    [
        pytest.param("create", 403, "the token may not write", marks=pytest.mark.slow),
        ("commit", 500, "try again later"),
        ("large", 403, "may not write"),
    ],
)
def test_errors_of_a_push_are_a_line_and_nothing_is_committed(
    make_run: MakeRun, hub: hub_pushes.Hub, client: Client, route: str, status: int, message: str
) -> None:
    run: Run = make_run("lstm")
    before = content(run.folder)
    hub.faults = {route: status}
    told = client.refused(run.folder).splitlines()[-1]
    assert message in told and f"({status}" in told and REPO in told
    assert hub.commits == [] and content(run.folder) == before


def test_arguments_that_do_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["--to", "hub"], "--to hub needs a repository: --repo NAME/MODEL"),
        (["--to", "hub", "--repo", "small"], "give NAME/MODEL"),
        (["--to", "hub", "--repo", "ada/../x"], "give NAME/MODEL"),
        (["--to", "hub", "--repo", "ada/s", "--out", "x"], "take --to folder"),
        (["--to", "folder", "--repo", "ada/small"], "--repo is for --to hub"),
        (["--to", "onnx", "--public"], "--public is for --to hub"),
    ):
        assert main(["export", str(tmp_path), *arguments]) == 2
        assert message in (told := capsys.readouterr().err) and told.count("\n") == 1
