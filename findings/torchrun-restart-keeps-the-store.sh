#!/bin/bash
# torchrun: workers that are started anew find in their store what the dead ones wrote, against the word of its source.
#
# Versions:  torch 2.13.0 (CPU build), Python 3.11, Linux.
# Behaviour: torchrun --standalone --max-restarts=1 starts two workers, each of which opens the store by
#            rendezvous("env://") and sets a key. One exits with 1, and torchrun starts both again. In the second life
#            both keys are there before anybody has set them. With TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 they are not.
# Why it matters: init_process_group puts the address of each process into this store under names that do not tell one
#            life from another. A worker that is started sooner than its fellow reads the address of the dead one and
#            tries to connect to it; whether it meets the living one is a race, lost the more often the busier the
#            machine. A restart after a crash, which is what --max-restarts is for, may then wait until its timeout.
# Source:    torch/distributed/rendezvous.py, _create_c10d_store: "We create a new TCPStore for every retry so no need to
#            add prefix for each attempt." Since the store of the rendezvous is shared with the workers, it is not new.
# Expected:  A new store, or a prefix for each life, as the comment says.
# Meanwhile: a PrefixStore under a name that the living workers have agreed on, or the environment variable above (the
#            addresses of the store itself are then chosen anew in each life).
#
# Seen on 29 November 2026:
#     shared store: life 0, worker 0: keys of before 0; worker 1: keys of before 0
#     shared store: life 1, worker 0: keys of before 2; worker 1: keys of before 2
#     own store: life 0, worker 0: keys of before 0; worker 1: keys of before 0
#     own store: life 1, worker 0: keys of before 0; worker 1: keys of before 0
#
# Usage: findings/torchrun-restart-keeps-the-store.sh (two minutes; the packages come through pip). Exit status: 0 while
# the surprise is seen, 1 when the behaviour has changed, 2 when the experiment could not be made.
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

cat >"$folder/worker.py" <<'PYTHON'
import os
import sys
from datetime import timedelta

from torch.distributed.rendezvous import rendezvous

store, rank, world = next(iter(rendezvous("env://", timeout=timedelta(seconds=60))))
life = os.environ["TORCHELASTIC_RESTART_COUNT"]
before = sum(store.check([f"key of {each}"]) for each in range(world))
store.set(f"looked {life} {rank}", "")
store.wait([f"looked {life} {each}" for each in range(world)])
store.set(f"key of {rank}", "")
store.wait([f"key of {each}" for each in range(world)])
with open(f"{sys.argv[1]}/{life}-{rank}", "w") as file:
    file.write(f"worker {rank}: keys of before {before}")
store.set(f"written {life} {rank}", "")
store.wait([f"written {life} {each}" for each in range(world)])
sys.exit(1 if rank and life == "0" else 0)
PYTHON

python3 -m venv "$folder/env" >"$folder/log" 2>&1 || give_up "no virtual environment"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy >"$folder/log" 2>&1 ||
    give_up "torch 2.13.0 was not installed"
seen=0
for store in shared own; do
    mkdir "$folder/$store"
    own=0
    [ "$store" = shared ] || own=1
    TORCH_DISABLE_SHARE_RDZV_TCP_STORE=$own OMP_NUM_THREADS=1 "$folder/env/bin/python" -m torch.distributed.run \
        --standalone --nproc-per-node=2 --max-restarts=1 "$folder/worker.py" "$folder/$store" >"$folder/log" 2>&1 ||
        give_up "torchrun failed"
    for life in 0 1; do
        found="$(cat "$folder/$store/$life-0"); $(cat "$folder/$store/$life-1")"
        echo "$store store: life $life, $found"
        keys=0
        [ "$store $life" != "shared 1" ] || keys=2
        [ "$found" = "worker 0: keys of before $keys; worker 1: keys of before $keys" ] || seen=1
    done
done
[ "$seen" = 0 ] || echo "The behaviour has changed."
exit "$seen"
