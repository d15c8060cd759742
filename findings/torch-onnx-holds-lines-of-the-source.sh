#!/bin/bash
# torch.onnx: an exported model holds lines of the program's source and the full paths of its files.
#
# Versions:  torch 2.13.0 (CPU build), onnx 1.23.2, onnxscript 0.7.2, Python 3.11, Linux.
# Behaviour: torch.onnx.export(…, dynamo=True), the default, gives each operator a `pkg.torch.onnx.stack_trace`: the
#            frames of the forward pass, each with the absolute path of its file and the line of code. verbose=False
#            and optimize=True leave them. For a model of two operators the metadata are half of the file.
# Why it matters: An exported model is made to be handed on. With it go the name of the user and of the project's folders,
#            and of code that is not published as many lines as the forward pass has; two exports of the same weights
#            from two folders differ.
# Expected:  That what is for finding faults is left out unless it is asked for.
# Meanwhile: Delete `metadata_props` of all nodes before the file is handed on; or export with dynamo=False.
#
# Seen on 1 December 2026:
#     dynamo=True: the folder True, the line of code True; 2,417 bytes, of which 1,216 are left without it
#     dynamo=False: the folder False, the line of code False
#
# Usage: findings/torch-onnx-holds-lines-of-the-source.sh (two minutes; the packages come through pip). Exit status: 0
# while the surprise is seen, 1 when the behaviour has changed, 2 when the experiment could not be made.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
unset PYTHONPATH

give_up() {
    cat "$folder/log"
    echo "The experiment could not be made: $1."
    exit 2
}

mkdir "$folder/someone" "$folder/out"
cat >"$folder/someone/export.py" <<'PYTHON'
import sys
import warnings
from pathlib import Path

import onnx
import torch

warnings.simplefilter("ignore")


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 2)

    def forward(self, x):
        return torch.relu(self.linear(x))  # a remark


seen = []
for dynamo in (True, False):
    path = Path(sys.argv[1]) / f"{dynamo}.onnx"
    torch.onnx.export(Model().eval(), (torch.zeros(1, 2),), path, dynamo=dynamo, verbose=False)
    content = path.read_bytes()
    folder, line = str(Path(__file__).parent).encode() in content, b"torch.relu(self.linear(x))" in content
    seen += [folder, line]
    print(f"dynamo={dynamo}: the folder {folder}, the line of code {line}", end="")
    if dynamo:
        model = onnx.load_model_from_string(content)
        for node in model.graph.node:
            del node.metadata_props[:]
        print(f"; {len(content):,} bytes, of which {len(model.SerializeToString()):,} are left without it", end="")
    print()
sys.exit(0 if seen == [True, True, False, False] else 1)
PYTHON

python3 -m venv "$folder/env" >"$folder/log" 2>&1 || give_up "no virtual environment"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy onnx==1.23.2 \
    onnxscript==0.7.2 >"$folder/log" 2>&1 || give_up "the packages were not installed"
status=0
"$folder/env/bin/python" "$folder/someone/export.py" "$folder/out" 2>"$folder/log" || status=$?
[ "$status" -le 1 ] && [ "$(find "$folder/out" -name '*.onnx' | wc -l)" = 2 ] || give_up "a model was not exported"
[ "$status" = 0 ] || echo "The behaviour has changed."
exit "$status"
