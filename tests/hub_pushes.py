"""A model hub on this machine that can be pushed to: ``hub_server`` with the routes of ``HfApi.create_commit``.

It takes small files in the commit and ``.safetensors`` by LFS, as the real one does without Xet.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler
from typing import Any

import yaml

from tests import hub_server

TOKEN = "hf_good"
OWNER = "ada"


class Hub(hub_server.Hub):
    """
    Attributes:
        commits: the paths that each commit adds, and ``-path`` for those that it deletes.
        faults: the status to answer with, by a part of a route's path.
    """

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[list[str]] = []
        self.large: dict[str, bytes] = {}
        self.faults: dict[str, int] = {}

    def takes(self, request: BaseHTTPRequestHandler, parts: list[str], body: bytes) -> bool:
        status = next((status for part, status in self.faults.items() if part in parts), None)
        if status is not None:
            self._reply(request, status, {"error": "as the test\nwants it"})
        elif parts[0] == "large":  # what LFS uploads
            self.large[parts[1]] = body
            self._reply(request, 200, {})
        elif request.headers.get("Authorization") != f"Bearer {TOKEN}":
            told = {"X-Error-Message": "Invalid credentials in Authorization header"}
            self._send(request, 401, b"{}", told)
        elif "create" in parts:
            self._create(request, json.loads(body))
        elif "validate-yaml" in parts:
            self._validate(request, json.loads(body)["content"])
        elif "preupload" in parts:
            files = [self._mode("/".join(parts[2:4]), each["path"]) for each in json.loads(body)["files"]]
            self._reply(request, 200, {"files": files})
        elif "batch" in parts:
            self._reply(request, 200, {"objects": [self._upload(each) for each in json.loads(body)["objects"]]})
        elif "commit" in parts:
            self._commit(request, "/".join(parts[2:4]), [json.loads(line) for line in body.splitlines()])
        else:
            return False
        return True

    def _validate(self, request: BaseHTTPRequestHandler, card: str) -> None:
        codes = yaml.safe_load(card.split("---")[1]).get("language", [])
        wrong = [code for code in codes if not re.fullmatch("[a-z]{2,3}", code)]
        errors = [{"message": f'"language" must be lower-case ISO 639 codes, not {code}'} for code in wrong]
        self._reply(request, 400 if wrong else 200, {"errors": errors, "warnings": []})

    def _create(self, request: BaseHTTPRequestHandler, asked: dict[str, Any]) -> None:
        if asked["organization"] != OWNER:
            return self._reply(request, 403, {"error": "you have no rights to that namespace"})
        repo = f"{OWNER}/{asked['name']}"
        self.publish(repo, {".gitattributes": b"*.safetensors filter=lfs\n"})
        if asked.get("visibility") != "private" and not asked.get("private"):
            self.public.add(repo)
        return self._reply(request, 200, {"url": f"{self.address}/{repo}"})

    def _mode(self, repo: str, path: str) -> dict[str, Any]:
        large, there = path.endswith(".safetensors"), self.repos[repo].get(path)
        git = hashlib.sha1(b"blob %d\0" % len(there) + there).hexdigest() if there is not None else None
        oid = hashlib.sha256(there).hexdigest() if large and there is not None else git
        return {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, "oid": oid}

    def _upload(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["oid"] in self.large:
            return asked
        return {**asked, "actions": {"upload": {"href": f"{self.address}/large/{asked['oid']}"}}}

    def _commit(self, request: BaseHTTPRequestHandler, repo: str, lines: list[dict[str, Any]]) -> None:
        files, names = dict(self.repos[repo]), []
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
            names += [("-" if line["key"] == "deletedFile" else "") + value["path"]] if "path" in value else []
        self.publish(repo, files)
        self.commits.append(sorted(names))
        sha = self.commit(repo)
        self._reply(request, 200, {"commitUrl": f"{self.address}/{repo}/commit/{sha}", "commitOid": sha})

    def _reply(self, request: BaseHTTPRequestHandler, status: int, answer: dict[str, Any]) -> None:
        self._send(request, status, json.dumps(answer).encode(), {"Content-Type": "application/json"})
