#!/bin/bash
# torch: scatter_ of one element a row into a bf16 or fp16 tensor on a CPU copies the whole tensor, twice.
#
# Versions:  torch 2.13.0 (CPU build), Python 3.11, Linux.
# Behaviour: x.scatter_(1, index, 0) writes 1,856 elements, one in each row of a tensor of 1,856 x 8,000. In float32 and
#            float64 it allocates nothing. In bf16 and fp16 it allocates 59,392,000 bytes, which is x twice over,
#            calls copy_ twice, and takes hundreds to thousands of times as long. index_put_ to the same
#            places allocates kilobytes in every type. Nothing is said.
# Why it matters: This is how the gradient of a cross-entropy is finished by hand (subtract the target's share), how
#            label smoothing is spread, and how tokens are banned in a search: logits of a vocabulary, one element a row.
#            Under bf16 the line that touches least becomes one of the dearest of a training step.
# Expected:  Work in proportion to the index, as in float32; or a word in the documentation.
# Meanwhile: x[torch.arange(len(x)), index[:, 0]] = 0, or index_put_.
#
# Seen on 29 November 2026 (times differ between runs):
#     float32: 0 bytes, 0 copies, 1 times the time of float32
#     float64: 0 bytes, 0 copies, 1 times the time of float32
#     bfloat16: 59392000 bytes, 2 copies, 2754 times the time of float32
#     float16: 59392000 bytes, 2 copies, 2805 times the time of float32
#     bfloat16 by index_put_: less than a megabyte
#
# Usage: findings/torch-half-scatter-copies-the-tensor.sh (a minute or two; the packages come through pip). Exit status:
# 0 while the surprise is seen, 1 when the behaviour has changed, 2 when the experiment could not be made.
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

cat >"$folder/scatter.py" <<'PYTHON'
import sys
import time

import torch
from torch.profiler import ProfilerActivity, profile

torch.set_num_threads(1)
ROWS, COLUMNS = 1_856, 8_000


def measured(write):
    """Bytes that one call allocates, its copies, and the least time of five calls."""
    write()
    times = []
    for _ in range(5):
        began = time.perf_counter()
        write()
        times.append(time.perf_counter() - began)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        write()
    events = profiled.key_averages()
    allocated = sum(max(event.self_cpu_memory_usage, 0) for event in events)
    return allocated, sum(event.count for event in events if event.key == "aten::copy_"), min(times)


index = torch.zeros(ROWS, 1, dtype=torch.long)
found = {}
for kind in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
    x = torch.rand(ROWS, COLUMNS).to(kind)
    allocated, copies, seconds = found[kind] = measured(lambda: x.scatter_(1, index, 0))
    times = seconds / found[torch.float32][2]
    print(f"{str(kind)[6:]}: {allocated} bytes, {copies} copies, {times:.0f} times the time of float32")
x, rows, zero = torch.rand(ROWS, COLUMNS).bfloat16(), torch.arange(ROWS), torch.zeros((), dtype=torch.bfloat16)
small = measured(lambda: x.index_put_((rows, index[:, 0]), zero))[0] < 1_000_000
print("bfloat16 by index_put_:", "less than a megabyte" if small else "more than a megabyte")
whole = all(found[kind][:2] == (4 * ROWS * COLUMNS, 2) for kind in (torch.bfloat16, torch.float16))
nothing = all(found[kind][:2] == (0, 0) for kind in (torch.float32, torch.float64))
sys.exit(0 if whole and nothing and small else 1)
PYTHON

python3 -m venv "$folder/env" >"$folder/log" 2>&1 || give_up "no virtual environment"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy >"$folder/log" 2>&1 ||
    give_up "torch 2.13.0 was not installed"
status=0
"$folder/env/bin/python" "$folder/scatter.py" 2>"$folder/log" || status=$?
[ "$status" -le 1 ] || give_up "the script failed"
[ "$status" = 0 ] || echo "The behaviour has changed."
exit "$status"
