#!/bin/bash
# A streamed dataset that was given a place to go on from tells another place until it has given its next example.
#
# Versions:  datasets 5.2.0, Python 3.11, Linux.
# Behaviour: Three JSONL files of four rows are streamed, six rows are read, and state_dict() is saved. A new stream that
#            load_state_dict() was given this place goes on with row 6, as it should. But asked for its state_dict()
#            before that, it tells the beginning: who saves it and loads it later reads from row 0 again. A stream that
#            had been read up to row 8 before it was given the place tells the place behind row 8, and who saves that
#            goes on at row 9, so rows 6 to 8 are never read. To call iter() does not help; after one next() the place is
#            right.
# Source:    IterableDataset.load_state_dict (datasets/iterable_dataset.py) notes the place for the next iterator, and
#            state_dict() returns the state of the last one until the new one has begun.
# Expected:  What was loaded is what is told: x.load_state_dict(s) and then x.state_dict() == s, as it is for modules and
#            optimisers of PyTorch. The documentation has the state be that at the latest example that was yielded, and
#            says nothing of a place that was loaded. A training that is stopped between its start and its next block of
#            rows loses its place.
# Meanwhile: Keep the place that was loaded, and save that until an example has been read.
# Related:   A place that never moved again after loading was another fault, mended in 2026 (huggingface/datasets, issue
#            8308).
#
# Seen on 30 November 2026:
#     saved behind row 5
#     new stream:  goes on with row 6, told before that a place that goes on with row 0
#     used stream: goes on with row 6, told before that a place that goes on with row 9
#     used stream, after iter(): told a place that goes on with row 9
#     after its next row it told a place that goes on with row 7
#
# Usage: findings/datasets-place-after-load.sh (a minute or more; the package comes through pip). Exit status: 0 while the
# surprise is seen, 1 when the behaviour has changed, 2 when the experiment could not be made.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
log="$folder/log"

give_up() {
    cat "$log"
    echo "The experiment could not be made: $1."
    exit 2
}

unset PYTHONPATH
export HF_HUB_OFFLINE=1 HF_HOME="$folder/home"
python3 -m venv "$folder/venv" >"$log" 2>&1 || give_up "no virtual environment"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check datasets==5.2.0 >"$log" 2>&1 ||
    give_up "the package was not installed"

cat >"$folder/experiment.py" <<'PYTHON'
import json
import sys

from datasets import load_dataset

folder = sys.argv[1]
files = [f"{folder}/{number}.jsonl" for number in range(3)]
for number, name in enumerate(files):
    with open(name, "w") as rows:
        rows.writelines(json.dumps({"row": number * 4 + n}) + "\n" for n in range(4))


def stream(place=None):
    made = load_dataset("json", data_files=files, split="train", streaming=True)
    if place is not None:
        made.load_state_dict(place)
    return made


def read(dataset, count):
    rows = iter(dataset)
    return [next(rows)["row"] for _ in range(count)]


def next_row(place):
    """The row with which a new stream goes on from a place."""
    return read(stream(place), 1)[0]


first = stream()
print(f"saved behind row {read(first, 6)[-1]}")
saved = first.state_dict()
new = stream(saved)
told = new.state_dict()
print(f"new stream:  goes on with row {next_row(saved)}, told before that a place that goes on with row {next_row(told)}")
used = stream()
read(used, 9)
used.load_state_dict(saved)
told = used.state_dict()
rows = iter(used)
told_after_iter = used.state_dict()
row = next(rows)["row"]
print(f"used stream: goes on with row {row}, told before that a place that goes on with row {next_row(told)}")
print(f"used stream, after iter(): told a place that goes on with row {next_row(told_after_iter)}")
print(f"after its next row it told a place that goes on with row {next_row(used.state_dict())}")
PYTHON

"$folder/venv/bin/python" "$folder/experiment.py" "$folder" >"$folder/seen" 2>"$log" || give_up "the program ended early"
cat "$folder/seen"
cat >"$folder/expected" <<'TEXT'
saved behind row 5
new stream:  goes on with row 6, told before that a place that goes on with row 0
used stream: goes on with row 6, told before that a place that goes on with row 9
used stream, after iter(): told a place that goes on with row 9
after its next row it told a place that goes on with row 7
TEXT
if cmp -s "$folder/expected" "$folder/seen"; then
    echo "The surprise is seen: a place that was loaded is not told until a row has been read."
else
    echo "The behaviour has changed."
    exit 1
fi
