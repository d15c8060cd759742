"""A dataset hub on this machine: the few routes of huggingface.co that ``datasets`` asks for, served from memory.

``Hub().publish("owner/name", {"train.jsonl": b"..."})``, then a process in ``client_environment(hub.address, folder)``.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


def client_environment(endpoint: str, folder: Path) -> dict[str, str]:
    """The environment of a process, which reads it at import, whose hub is ``endpoint``; ``folder`` has its cache."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    hub = {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "hf"), "HF_HUB_DISABLE_XET": "1"}
    here = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost", "OMP_NUM_THREADS": "1"}
    root = str(Path(__file__).parents[1])
    return {**own, **hub, **here, "HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONPATH": root}


class Hub:
    """A server on a free port of the loopback; a context manager."""

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, bytes]] = {}
        self.history: dict[str, dict[str, bytes]] = {}  # the files of each commit that was published
        self.public: set[str] = set()
        self.revisions = {"main"}  # names of the newest commit
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.answer(self)

            do_HEAD = do_POST = do_PUT = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Hub:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def publish(self, repo: str, files: dict[str, bytes]) -> None:
        self.repos[repo] = files
        self.history[self.commit(repo)] = files

    def commit(self, repo: str) -> str:
        """As on the hub, the commit changes with the content."""
        content = [(path, hashlib.sha1(body).hexdigest()) for path, body in sorted(self.repos[repo].items())]
        return hashlib.sha1(json.dumps(content).encode()).hexdigest()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("Content-Length") or 0)
        body = request.rfile.read(length)
        parts = [unquote(part) for part in urlsplit(request.path).path.strip("/").split("/")]
        if self.takes(request, parts, body):
            return None
        asked = json.loads(body or b"{}")
        api = parts[0] == "api"
        parts = parts[2:] if api else parts[parts[0] == "datasets" :]  # a model's files have no such prefix
        repo, route = "/".join(parts[:2]), parts[2:]
        if repo not in self.repos:
            return self._send(request, 404, b"{}", {"X-Error-Code": "RepoNotFound"})
        files, sha = self.repos[repo], self.commit(repo)
        if len(route) > 1 and route[1] in self.history:
            files, sha = self.history[route[1]], route[1]
        elif len(route) > 1 and route[1] not in {*self.revisions, sha}:
            return self._send(request, 404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        if not api:  # resolve/REVISION/PATH
            path = "/".join(route[2:])
            if path not in files:
                return self._send(request, 404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": sha})
            etag = hashlib.sha1(files[path]).hexdigest()
            return self._send(request, 200, files[path], {"ETag": f'"{etag}"', "X-Repo-Commit": sha})
        if not route or route[0] == "revision":
            reply: Any = {"id": repo, "sha": sha, "siblings": [{"rfilename": path} for path in files]}
            reply["private"] = repo not in self.public
        elif route[0] == "paths-info":
            reply = [self._entry(path, body) for path, body in files.items() if path in asked.get("paths", [])]
        elif route[0] == "tree":
            folder = "".join(f"{part}/" for part in route[2:])
            below = {path: body for path, body in files.items() if path.startswith(folder)}
            if not below:
                return self._send(request, 404, b"{}", {"X-Error-Code": "EntryNotFound"})
            if "recursive=true" in request.path.lower():
                reply = [self._entry(path, body) for path, body in below.items()]
                return self._send(request, 200, json.dumps(reply).encode(), {"Content-Type": "application/json"})
            folders = {folder + path[len(folder) :].split("/")[0] for path in below if "/" in path[len(folder) :]}
            reply = [{"type": "directory", "path": path, "size": 0, "oid": sha} for path in sorted(folders)]
            reply += [self._entry(path, body) for path, body in below.items() if "/" not in path[len(folder) :]]
        else:
            return self._send(request, 404, b"{}", {})
        return self._send(request, 200, json.dumps(reply).encode(), {"Content-Type": "application/json"})

    def takes(self, request: BaseHTTPRequestHandler, parts: list[str], body: bytes) -> bool:
        """Whether it has answered the request; a hub that is pushed to does so."""
        return False

    @staticmethod
    def _entry(path: str, body: bytes) -> dict[str, Any]:
        return {"type": "file", "path": path, "size": len(body), "oid": hashlib.sha1(body).hexdigest()}

    @staticmethod
    def _send(request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)
