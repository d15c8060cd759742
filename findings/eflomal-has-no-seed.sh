#!/bin/bash
# eflomal: the same text is aligned otherwise at each run, and no option fixes the seed.
#
# Versions:  eflomal 2.0.0 (the current release), Python 3.11, Linux.
# Behaviour: eflomal draws its alignments (Gibbs sampling), from a generator that it seeds from the operating system at
#            each start. Of three runs of eflomal-align on the same 1,000 sentence pairs each writes another file; on the
#            noisy toy text below four lines in ten differ between two of them. There is no option and no argument of
#            eflomal.Aligner for a seed, and the help does not say that runs differ. Eight samplers in place of three
#            (--n-samplers 8), whose votes are averaged, do not make it less.
# Why it matters: eflomal is what word alignments are made with today: for dictionaries, for projecting annotations, and
#            as the figure that attention is compared with. An AER that is published for it is one draw, corpora that
#            are made with it cannot be made again, and a build that caches by the hash of its outputs never hits.
# Expected:  A seed, as other samplers have; or a word in the help.
# Meanwhile: Keep the alignment files beside what was made from them, and give the spread of some runs beside an AER.
#
# Seen on 30 November 2026 (counts differ between runs):
#     forward, 3 samplers: lines of 1000 that differ between two runs: 368 379 377
#     reverse, 3 samplers: lines of 1000 that differ between two runs: 475 493 480
#     forward, 8 samplers: lines of 1000 that differ between two runs: 422 399 409
#
# Usage: findings/eflomal-has-no-seed.sh (a minute or two; the packages come through pip, and a C compiler is needed).
# Exit status: 0 while the surprise is seen, 1 when the behaviour has changed, 2 when the experiment could not be made.
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

cat >"$folder/text.py" <<'PYTHON'
# A toy language pair: most words have one translation, some share theirs, some are left out, neighbours change places.
import random
import sys

random.seed(1)
words = [f"word{n}" for n in range(400)]
with open(sys.argv[1], "w") as src, open(sys.argv[2], "w") as tgt:
    for _ in range(1000):
        sentence = [words[min(int(random.paretovariate(0.6)), 400) - 1] for _ in range(random.randint(4, 16))]
        translated = [f"mot{int(word[4:]) * 3 // 4}" for word in sentence if random.random() < 0.9] or ["mot0"]
        for n in range(len(translated) - 1):
            if random.random() < 0.3:
                translated[n], translated[n + 1] = translated[n + 1], translated[n]
        print(*sentence, file=src)
        print(*translated, file=tgt)
PYTHON
cat >"$folder/compare.py" <<'PYTHON'
import itertools
import sys
from pathlib import Path

folder = Path(sys.argv[1])
different = []
for name, samplers in (("forward", 3), ("reverse", 3), ("forward", 8)):
    files = [(folder / f"{name}-{samplers}-{run}").read_text().splitlines() for run in (1, 2, 3)]
    counts = [sum(map(str.__ne__, one, two)) for one, two in itertools.combinations(files, 2)]
    print(f"{name}, {samplers} samplers: lines of {len(files[0])} that differ between two runs:", *counts)
    different.append(all(counts))
sys.exit(0 if all(different) else 1)
PYTHON

python3 -m venv "$folder/env" >"$folder/log" 2>&1 || give_up "no virtual environment"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check eflomal==2.0.0 >"$folder/log" 2>&1 ||
    give_up "eflomal 2.0.0 was not installed"
if "$folder/env/bin/eflomal-align" --help | grep -i -q seed; then
    echo "The behaviour has changed: there is an option for a seed."
    exit 1
fi
"$folder/env/bin/python" "$folder/text.py" "$folder/src" "$folder/tgt"
for samplers in 3 8; do
    for run in 1 2 3; do
        "$folder/env/bin/eflomal-align" --n-samplers "$samplers" -s "$folder/src" -t "$folder/tgt" \
            -f "$folder/forward-$samplers-$run" -r "$folder/reverse-$samplers-$run" >"$folder/log" 2>&1 ||
            give_up "eflomal-align failed"
    done
done
status=0
"$folder/env/bin/python" "$folder/compare.py" "$folder" || status=$?
[ "$status" -le 1 ] || give_up "the script failed"
[ "$status" = 0 ] || echo "The behaviour has changed."
exit "$status"
