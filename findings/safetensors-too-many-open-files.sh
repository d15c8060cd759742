#!/bin/bash
# A process that may open no more files is told by safetensors that its file does not exist.
#
# Versions:  safetensors 0.8.0, numpy 2.3.5, Python 3.11, Linux.
# Behaviour: A process holds as many files open as it may (16 here; a training holds the shards of its corpus, its logs
#            and the pipes of its workers). safe_open then raises FileNotFoundError, "No such file or directory", for a
#            checkpoint that os.path.exists finds. The exception has no errno. Python's open raises OSError [Errno 24]
#            "Too many open files" for the same file at the same moment.
# Expected:  The error of the system, as for a folder in a file's place: there safe_open does give the system's number.
# Meanwhile: Open the file with Python's open beside safe_open: its error tells the two cases apart.
#
# Seen on 28 November 2026:
#     the checkpoint is there: True
#     safe_open: FileNotFoundError, errno None, No such file or directory
#     open:      OSError, errno 24, Too many open files
#
# Usage: findings/safetensors-too-many-open-files.sh (half a minute; the packages come through pip). Exit status: 0
# while the surprise is seen, 1 when the behaviour has changed, 2 when the experiment could not be made.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

python="$folder/venv/bin/python"
unset PYTHONPATH
if ! { python3 -m venv "$folder/venv" &&
    "$python" -m pip install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.3.5; } >"$folder/log" 2>&1; then
    cat "$folder/log"
    echo "The experiment could not be made: the packages were not installed."
    exit 2
fi

cat >"$folder/full.py" <<'PYTHON'
import os
import resource
import sys

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

path = os.path.join(sys.argv[1], "checkpoint.safetensors")
save_file({"weight": np.zeros((2, 2), dtype=np.float32)}, path)
with safe_open(path, "np") as first:  # whatever the library loads later is loaded now
    first.get_tensor("weight")

resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
others = []
while True:
    try:
        others.append(open(os.devnull, "rb"))
    except OSError:
        break
print(f"the checkpoint is there: {os.path.exists(path)}")
for name, opens in (("safe_open: ", lambda: safe_open(path, "np")), ("open:      ", lambda: open(path, "rb"))):
    try:
        opens()
        print(f"{name}opened")
    except OSError as error:
        words = error.strerror or str(error).split(":")[0]
        print(f"{name}{type(error).__name__}, errno {error.errno}, {words}")
PYTHON

"$python" -c 'import platform; print("Python", platform.python_version())'
"$python" -m pip freeze --disable-pip-version-check
"$python" "$folder/full.py" "$folder" | tee "$folder/seen"

if grep -q "is there: True" "$folder/seen" && grep -q "safe_open: FileNotFoundError, errno None" "$folder/seen" &&
    grep -q "open:      OSError, errno 24" "$folder/seen"; then
    echo "The surprise is still there: too many open files are called a missing file."
else
    echo "The behaviour has changed."
    exit 1
fi
