#!/bin/bash
# torch.onnx: the output of an LSTM is declared as long as the example was, though the input's length is dynamic.
#
# Versions:  torch 2.13.0 (CPU build), onnx 1.23.2, onnxscript 0.7.2, onnxruntime 1.32.0, Python 3.11, Linux.
# Behaviour: torch.onnx.export(…, dynamo=True) with both axes of a batch-first nn.LSTM's input declared dynamic
#            (torch.export.Dim) writes a graph whose input is [batch, time, 4] and whose output is declared
#            [batch, 7, 5], where 7 is the length of the example. No warning is given. The numbers are right for every
#            length, and onnxruntime says at each run of another one that the shape is not the one expected.
# Why it matters: Sentences have any length. Whoever reads the declared shape (a buffer that is allocated from it, a
#            converter, shape inference before a quantisation) believes that the encoder takes seven tokens.
# Expected:  [batch, time, 5], as the input says, or an error.
# Meanwhile: The exporter with dynamo=False and dynamic_axes declares both free.
#
# Seen on 1 December 2026:
#     dynamo=True:  input ['batch', 'time', 4], output ['batch', 7, 5]; of 9 steps the output has 9
#     dynamo=False: input ['batch', 'time', 4], output ['batch', 'time', 5]; of 9 steps the output has 9
#
# Usage: findings/torch-onnx-declares-the-examples-length.sh (two minutes; the packages come through pip). Exit status:
# 0 while the surprise is seen, 1 when the behaviour has changed, 2 when the experiment could not be made.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
unset PYTHONPATH
export ORT_DISABLE_TELEMETRY=1

give_up() {
    cat "$folder/log"
    echo "The experiment could not be made: $1."
    exit 2
}

mkdir "$folder/out"
cat >"$folder/export.py" <<'PYTHON'
import sys
import warnings

import numpy
import onnx
import onnxruntime
import torch
from torch.export import Dim

warnings.simplefilter("ignore")


class Encoder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(4, 5, batch_first=True)

    def forward(self, x):
        return self.lstm(x)[0]


def sizes(value):
    return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]


names = {0: "batch", 1: "time"}
options = {
    "dynamo=True": {"dynamo": True, "dynamic_shapes": {"x": {axis: Dim(name) for axis, name in names.items()}}},
    "dynamo=False": {"dynamo": False, "dynamic_axes": {"x": names, "y": names}},
}
model, example, another = Encoder().eval(), torch.randn(2, 7, 4), torch.randn(3, 9, 4)
seen = []
for exporter, given in options.items():
    path = f"{sys.argv[1]}/{exporter}.onnx"
    torch.onnx.export(model, (example,), path, input_names=["x"], output_names=["y"], verbose=False, **given)
    graph = onnx.load(path).graph
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [found] = session.run(None, {"x": another.numpy()})
    right = found.shape == (3, 9, 5) and numpy.allclose(found, model(another).detach().numpy(), atol=1e-5)
    told = sizes(graph.output[0])
    seen.append((told[1], right))
    print(f"{exporter + ':':13} input {sizes(graph.input[0])}, output {told}; of 9 steps the output has {found.shape[1]}")
sys.exit(0 if seen == [(7, True), ("time", True)] else 1)
PYTHON

python3 -m venv "$folder/env" >"$folder/log" 2>&1 || give_up "no virtual environment"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy onnx==1.23.2 \
    onnxscript==0.7.2 onnxruntime==1.32.0 >"$folder/log" 2>&1 || give_up "the packages were not installed"
status=0
"$folder/env/bin/python" "$folder/export.py" "$folder/out" 2>"$folder/log" || status=$?
[ "$status" -le 1 ] && [ "$(find "$folder/out" -name '*.onnx' | wc -l)" = 2 ] || give_up "a model was not exported"
[ "$status" = 0 ] || echo "The behaviour has changed."
exit "$status"
