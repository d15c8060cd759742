#!/bin/bash
# torch: to construct any optimizer loads the compiler, FSDP and sympy, though nothing is compiled or sharded.
#
# Versions:  torch 2.13.0 (CPU build), Python 3.11, Linux.
# Behaviour: torch.optim.SGD([parameter], lr=0.1) loads 823 modules that `import torch` has left out, among them
#            torch._dynamo, sympy, torch.distributed.fsdp and torch.distributed.tensor, and takes four fifths of the
#            processor time of `import torch` itself. TORCHDYNAMO_DISABLE=1 and TORCH_COMPILE_DISABLE=1, which turn the
#            compiler off, change nothing. Of the training loop no other line does so: a model, its loss and its
#            gradients load none of them.
# Why it matters: Every process that trains pays it once, whatever it trains: each trial of a search over learning rates,
#            each worker of a launcher, each test that makes an update. A tiny training is half waiting for it.
# Expected:  That a switch which disables the compiler also keeps it from being loaded; or that it is loaded on first use.
# Meanwhile: Fork such processes from one that has constructed an optimizer.
#
# Seen on 30 November 2026 (seconds differ between machines):
#     import torch: 1114 modules, 1.81 s
#     gradients: 0 modules more, none of the compiler's
#     SGD: 823 modules more in 1.47 s: torch._dynamo sympy torch.distributed.fsdp torch.distributed.tensor
#     the same with TORCHDYNAMO_DISABLE=1 TORCH_COMPILE_DISABLE=1
#
# Usage: findings/torch-optimizer-loads-the-compiler.sh (a minute or two; the packages come through pip). Exit status:
# 0 while the surprise is seen, 1 when the behaviour has changed, 2 when the experiment could not be made.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
unset PYTHONPATH TORCHDYNAMO_DISABLE TORCH_COMPILE_DISABLE

give_up() {
    cat "$folder/log"
    echo "The experiment could not be made: $1."
    exit 2
}

cat >"$folder/optimizer.py" <<'PYTHON'
import sys
import time

HEAVY = ("torch._dynamo", "sympy", "torch.distributed.fsdp", "torch.distributed.tensor")


def loaded():
    return [name for name in HEAVY if name in sys.modules]


began = time.process_time()
import torch

print(f"import torch: {len(sys.modules)} modules, {time.process_time() - began:.2f} s", file=sys.stderr)
model = torch.nn.Linear(2, 2)
before = len(sys.modules)
model(torch.ones(1, 2)).square().sum().backward()
light = not loaded()
print(f"gradients: {len(sys.modules) - before} modules more, {'none' if light else 'some'} of the compiler's")
before, began = len(sys.modules), time.process_time()
torch.optim.SGD(model.parameters(), lr=0.1)
more = len(sys.modules) - before
print(f"SGD: {more} modules more:", *loaded())
print(f"in {time.process_time() - began:.2f} s", file=sys.stderr)
sys.exit(0 if light and more > 400 and loaded() == list(HEAVY) else 1)
PYTHON

python3 -m venv "$folder/env" >"$folder/log" 2>&1 || give_up "no virtual environment"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy >"$folder/log" 2>&1 ||
    give_up "torch 2.13.0 was not installed"
status=0
"$folder/env/bin/python" "$folder/optimizer.py" >"$folder/on" || status=$?
[ "$status" -le 1 ] || give_up "the script failed"
cat "$folder/on"
if [ "$status" = 0 ]; then
    TORCHDYNAMO_DISABLE=1 TORCH_COMPILE_DISABLE=1 "$folder/env/bin/python" "$folder/optimizer.py" \
        >"$folder/off" 2>"$folder/log" || status=1
    cmp -s "$folder/on" "$folder/off" || status=1
    [ "$status" = 0 ] && echo "the same with TORCHDYNAMO_DISABLE=1 TORCH_COMPILE_DISABLE=1"
fi
[ "$status" = 0 ] || echo "The behaviour has changed."
exit "$status"
