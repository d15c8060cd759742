#!/bin/bash
# Offline, datasets.load_dataset takes no notice of the revision that it is asked for.
#
# Versions:  datasets 5.2.0, huggingface_hub 2.4.0, Python 3.11, Linux.
# Behaviour: Two commits of a dataset repository, aaaa… and bbbb…, were loaded one after the other, so the cache holds
#            both, each in a folder named by its commit. With HF_HUB_OFFLINE=1, load_dataset("team/flat", revision=R)
#            then gives the rows of bbbb… for every R: for aaaa…, although that commit was loaded once more as the last
#            thing before the network went, and for cccc…, which never existed. What counts is the time at which the
#            folders in the cache were modified (touch on the folder of aaaa… brings its rows). Two warnings on stderr
#            say that the latest cached version is used, and the second names its folder; neither says that another
#            revision was asked for. The exit status is 0.
# Source:    dataset_module_factory (datasets/load.py) hands CachedDatasetModuleFactory the name of the repository and
#            the cache folder, not the revision; _find_hash_in_cache (datasets/packaged_modules/cache/cache.py) sorts
#            the cached folders by their time.
# Expected:  The copy of the commit that was named, or an error if the cache has none. huggingface_hub does this:
#            offline, its hf_hub_download gives the file of each commit, and a LocalEntryNotFoundError for cccc….
# Meanwhile: Both of these gave the commit that was asked for, online and offline: load_dataset with a cache_dir of its
#            own for each commit; and snapshot_download of huggingface_hub with the revision, its file then loaded by
#            load_dataset("json", data_files=…).
#
# Seen on 28 November 2026 (FOLDER stands for the temporary folder, and commits are shortened):
#     online:  asked for aaaa, datasets gave the row of aaaa
#     online:  asked for bbbb, datasets gave the row of bbbb
#     online:  asked for aaaa, datasets gave the row of aaaa
#     offline: asked for aaaa, datasets gave the row of bbbb, huggingface_hub the row of aaaa
#     offline: asked for bbbb, datasets gave the row of bbbb, huggingface_hub the row of bbbb
#     offline: asked for cccc, datasets gave the row of bbbb, huggingface_hub LocalEntryNotFoundError
#     What datasets wrote to stderr at the first of these:
#     Using the latest cached version of the dataset since team/flat couldn't be found on the Hugging Face Hub (offline
#     mode is enabled).
#     Found the latest cached dataset configuration 'default' at FOLDER/home/datasets/team___flat/default/0.0.0/bbbb
#     (last modified on Sat Nov 28 18:19:47 2026).
#
# Usage: findings/datasets-offline-revision.sh (about a minute; the packages come through pip, the repository from a
# server on this machine). Exit status: 0 while the surprise is seen, 1 when the behaviour has changed, 2 when the
# experiment could not be made.
set -eu

folder=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

give_up() {
    cat "$1"
    echo "The experiment could not be made: $2."
    exit 2
}

python="$folder/venv/bin/python"
log="$folder/log"
unset PYTHONPATH
python3 -m venv "$folder/venv" >"$log" 2>&1 || give_up "$log" "no virtual environment"
"$python" -m pip install --quiet --disable-pip-version-check datasets==5.2.0 huggingface_hub==2.4.0 >"$log" 2>&1 ||
    give_up "$log" "the packages were not installed"

cat >"$folder/serve.py" <<'PYTHON'
"""A stand-in for the hub: the repository team/flat, of which two commits hold one row each."""

import json
import re
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

FILE = "train.jsonl"
ROUTE = re.compile(r"(?:/api)?/datasets/team/flat/(revision|tree|resolve)/([0-9a-f]{40})(?:/(.*))?")
COMMITS = {letter * 40: json.dumps({"text": f"the row of {letter * 4}"}).encode() + b"\n" for letter in "ab"}


class StandIn(BaseHTTPRequestHandler):
    def do_GET(self):
        found = ROUTE.fullmatch(self.path.partition("?")[0])
        if not found:
            return self.reply(404, X_Error_Code="RepoNotFound")
        kind, commit, path = found.groups()
        if commit not in COMMITS:
            return self.reply(404, X_Error_Code="RevisionNotFound")
        if path and path != FILE:
            return self.reply(404, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
        rows = COMMITS[commit]
        if kind == "resolve":
            return self.reply(200, rows, ETag=f'"{commit}"', X_Repo_Commit=commit)
        if kind == "revision":
            answer = {"id": "team/flat", "sha": commit, "siblings": [{"rfilename": FILE}]}
        else:
            answer = [{"type": "file", "path": FILE, "size": len(rows), "oid": commit}]
        return self.reply(200, json.dumps(answer).encode(), Content_Type="application/json")

    do_HEAD = do_GET

    def reply(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


server = HTTPServer(("127.0.0.1", 0), StandIn)
with open(sys.argv[1], "w") as port:
    port.write(f"{server.server_port}\n")
server.serve_forever()
PYTHON

cat >"$folder/with_datasets.py" <<'PYTHON'
import sys

from datasets import load_dataset

print(load_dataset("team/flat", revision=sys.argv[1], split="train")[0]["text"])
PYTHON

cat >"$folder/with_hub.py" <<'PYTHON'
import json
import sys

from huggingface_hub import hf_hub_download

with open(hf_hub_download("team/flat", "train.jsonl", repo_type="dataset", revision=sys.argv[1])) as file:
    print(json.loads(file.readline())["text"])
PYTHON

# The row that a program prints for a commit, or the name of its exception; each call is a process of its own.
ask() {
    if "$python" "$folder/$1.py" "$2" 2>"$log"; then return; fi
    tail -n 1 "$log" | sed 's/:.*//; s/.*\.//'
}

"$python" "$folder/serve.py" "$folder/port" 2>"$folder/served" &
server=$!
for _ in $(seq 100); do
    [ ! -s "$folder/port" ] || break
    sleep 0.1
done
[ -s "$folder/port" ] || give_up "$folder/served" "the local server did not start"

unset HF_TOKEN HF_HUB_CACHE HF_DATASETS_CACHE HF_HUB_OFFLINE HF_DATASETS_OFFLINE
export HF_HOME="$folder/home" HF_HUB_DISABLE_XET=1 HF_HUB_DISABLE_TELEMETRY=1 HF_HUB_DISABLE_PROGRESS_BARS=1
export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1
HF_ENDPOINT="http://127.0.0.1:$(cat "$folder/port")"
export HF_ENDPOINT
commit() { printf "$1%.0s" $(seq 40); }

"$python" -c 'import platform; print("Python", platform.python_version())'
"$python" -m pip freeze --disable-pip-version-check 2>"$log" | grep -i -E '^(datasets|huggingface.hub)=='

for letter in a b a; do
    asked=$letter$letter$letter$letter
    came=$(ask with_datasets "$(commit $letter)")
    echo "online:  asked for $asked, datasets gave $came"
    [ "$came" = "the row of $asked" ] || give_up "$log" "the repository was not loaded online"
done
kill "$server"
wait "$server" 2>/dev/null || true
server=

export HF_HUB_OFFLINE=1
seen=
for letter in a b c; do
    asked=$letter$letter$letter$letter
    came=$(ask with_datasets "$(commit $letter)")
    [ $letter != a ] || cp "$log" "$folder/written"
    seen="$seen$asked: $came; "
    echo "offline: asked for $asked, datasets gave $came, huggingface_hub $(ask with_hub "$(commit $letter)")"
done
echo "What datasets wrote to stderr at the first of these:"
sed "s|$folder|FOLDER|g; s/bbbb*/bbbb/g; s/aaaa*/aaaa/g" "$folder/written"

if [ "$seen" = "aaaa: the row of bbbb; bbbb: the row of bbbb; cccc: the row of bbbb; " ]; then
    echo "The surprise is still there: offline, the revision made no difference."
else
    echo "The behaviour has changed: offline, the revision made a difference, or nothing was loaded."
    exit 1
fi
