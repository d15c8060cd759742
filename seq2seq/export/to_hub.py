"""From a run to a model repository of the hub: the portable folder in one commit. Knows the hub's client."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, errors, get_session, get_token

from seq2seq.data.hub import quiet_hub, why
from seq2seq.errors import UserError
from seq2seq.export.options import Request
from seq2seq.terminal.tables import say

ANSWER_SECONDS = 10  # for the first, short request
TRANSFER_SECONDS = 300  # without a byte, or an answer, in all others; the client's own default is to wait for ever
MAYBE_ABSENT = ("fingerprint.json", "summary.json", "subwords/src.model", "subwords/tgt.model")
"""Files that not every portable folder has: what an earlier push left of them would be of another model."""
ADVICE: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "it does not accept the token: run hf auth login, or set HF_TOKEN to a valid one",
    HTTPStatus.FORBIDDEN: "the token may not write there: check the owner's name, and take a token that may write",
    HTTPStatus.NOT_FOUND: "there is no such owner or repository: check --repo",
    HTTPStatus.CONFLICT: "something else changes it at this moment: start the same command again",
    HTTPStatus.PRECONDITION_FAILED: "something else changed it meanwhile: start the same command again",
    HTTPStatus.TOO_MANY_REQUESTS: "it had too many requests: wait some minutes and start the same command again",
}


@dataclass(frozen=True)
class Found:
    """What the repository holds before: its newest commit, the names of its files, and who may read it."""

    commit: str
    files: frozenset[str]
    private: bool


def export(request: Request) -> None:
    """Push the folder, and print where it is and how to use it.

    Raises:
        UserError: no token, a repository that others could read though ``--public`` is not given, an answer of the hub
            that refuses, or what ``to_folder.write`` raises; nothing is left behind on this machine.
    """
    quiet_hub()
    repo = str(request.repo)
    with _answered(repo):
        api, before = _connect(repo)
    if before and not (before.private or request.public):
        raise UserError(f"{repo} exists and everybody can read it: push there with --public, or take another --repo")
    with tempfile.TemporaryDirectory(prefix="seq2seq-") as place:
        from seq2seq.export import to_folder  # torch, after the hub has answered

        folder = Path(place) / "folder"
        to_folder.write(replace(request, out=folder))
        if before is None:
            with _answered(repo):
                api.create_repo(repo, private=not request.public)
                before = _look(api, repo)
            print(f"made the repository {repo}", file=sys.stderr)
        with _answered(repo):
            commit = _push(api, repo, folder, before)
    _report(request, before, commit)


def _connect(repo: str) -> tuple[HfApi, Found | None]:
    """The client, and what the repository holds; None: there is none."""
    if constants.HF_HUB_OFFLINE:
        raise UserError("HF_HUB_OFFLINE is set, and --to hub needs the hub: unset it, or take --to folder")
    token = get_token()
    if not token:
        raise UserError("there is no token for the hub: run hf auth login, or set HF_TOKEN")
    get_session().timeout = TRANSFER_SECONDS
    api = HfApi(token=token)
    try:
        return api, _look(api, repo)
    except errors.RepositoryNotFoundError as error:
        if error.response.status_code == HTTPStatus.UNAUTHORIZED:
            raise
        return api, None


def _look(api: HfApi, repo: str) -> Found:
    info = api.model_info(repo, timeout=ANSWER_SECONDS)
    files = frozenset(each.rfilename for each in info.siblings or [])
    return Found(info.sha or "", files, bool(info.private))


def _push(api: HfApi, repo: str, folder: Path, before: Found) -> str:
    """The newest commit after the push, which is the one before if nothing has changed.

    ``upload_folder`` would make several commits of it where one waits for a large file.
    """
    paths = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    operations: list[Any] = [CommitOperationAdd(name, str(path)) for name, path in paths.items()]
    gone = sorted((before.files & set(MAYBE_ABSENT)) - set(paths))
    if "config.yaml" in before.files:  # the mark of a portable folder
        operations += [CommitOperationDelete(name) for name in gone]
    return api.create_commit(repo, operations, commit_message="Push a model of seq2seq-trainer").oid


@contextmanager
def _answered(repo: str) -> Iterator[None]:
    """Raise ``UserError`` for whatever the hub, its client or the network answer in the block."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # their types change from release to release
        reason = why(error).replace(get_token() or "\0", "…")  # a client may quote a token that it cannot send
        where = f"{repo} on {constants.ENDPOINT}"
        answer = _answer(error)
        if answer is not None:
            status, said = answer.response.status_code, " ".join((answer.server_message or "").split())
            told = f" ({status}{f', {said}' if said else ''})"
            advice = "it is out of order: try again later" if status >= 500 else "check --repo and the token"
            raise UserError(f"{where}: not pushed{told}: {ADVICE.get(status, advice)}") from error
        raise UserError(f"{where}: not pushed ({reason}): check the network, HF_ENDPOINT and HF_TOKEN") from error


def _answer(error: BaseException | None) -> errors.HfHubHTTPError | None:
    """The hub's answer that an exception is, or comes from."""
    while error is not None and not isinstance(error, errors.HfHubHTTPError):
        error = error.__cause__
    return error


def _report(request: Request, before: Found, commit: str) -> None:
    repo, readers = str(request.repo), "private" if before.private else "public: everybody can read it"
    what = "nothing has changed since" if commit == before.commit else f"pushed in one commit over {before.commit[:7]},"
    say(f"{constants.ENDPOINT}/{repo} is {readers}; {what} {commit[:7]}")
    if request.public and before.private:
        print(f"{repo} stays private, as it was: who may read it is changed in its settings", file=sys.stderr)
    if not request.license:
        print("no license is given: export with --license", file=sys.stderr)
    say(f"To translate: hf download {repo} --local-dir FOLDER && seq2seq translate FOLDER")
