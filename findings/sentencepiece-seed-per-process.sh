#!/bin/bash
# sentencepiece: a seed repeats sampled segmentations within a process, but no longer in another one.
#
# Versions:  sentencepiece 0.2.3 and, for comparison, 0.2.1; Python 3.11, Linux.
# Behaviour: One model file, and processes that each call set_random_generator_seed(1) and then encode the same two
#            lines with enable_sampling=True, num_threads=1. With 0.2.1 four processes print one and the same
#            segmentation. With 0.2.3 they print different ones, for a unigram model and for BPE (dropout) alike; within
#            one process the same seed twice still gives the same segmentation twice. Nothing is said on stderr.
# Why it matters: Subword regularisation seeds each batch or each epoch in order to repeat. A training that is stopped
#            and goes on in a new process, or a second run under the same seed, gets other batches, and a test that
#            compares two calls inside one process does not see it.
# Source:    Since 0.2.2 the generator is one whose seeds are mixed with a salt that each process draws for itself.
# Expected:  The same seed, the same segmentation, as its name says and as it was; or a word in the documentation.
# Meanwhile: 0.2.1 repeats; or the segmentation is drawn outside of sentencepiece.
#
# Seen on 28 November 2026:
#     sentencepiece 0.2.1, bpe: 1 different outputs of 4 processes; in one process: again the same
#     sentencepiece 0.2.1, unigram: 1 different outputs of 4 processes; in one process: again the same
#     sentencepiece 0.2.3, bpe: 4 different outputs of 4 processes; in one process: again the same
#     sentencepiece 0.2.3, unigram: 4 different outputs of 4 processes; in one process: again the same
#
# Usage: findings/sentencepiece-seed-per-process.sh (half a minute; the packages come through pip). Exit status: 0 while
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

cat >"$folder/train.py" <<'PYTHON'
import io
import random
import sys

import sentencepiece

random.seed(1)
syllables = ["ka", "to", "mi", "ren", "sol", "ba"]
lines = [" ".join("".join(random.choices(syllables, k=3)) for _ in range(8)) for _ in range(300)]
for kind in ("bpe", "unigram"):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, model_type=kind, vocab_size=60, minloglevel=2
    )
    open(f"{sys.argv[1]}/{kind}.model", "wb").write(model.getvalue())
PYTHON

cat >"$folder/sample.py" <<'PYTHON'
import sys

import sentencepiece

processor = sentencepiece.SentencePieceProcessor(model_file=f"{sys.argv[1]}/{sys.argv[2]}.model")
lines = ["katomi rensolba mikaren tomiba solkato", "barenmi tokasol mitoren kabasol renkami"]
sampled = []
for _ in range(2):
    sentencepiece.set_random_generator_seed(1)
    sampled.append(
        processor.encode(lines, out_type=str, enable_sampling=True, alpha=0.3, nbest_size=-1, num_threads=1)
    )
print("again the same" if sampled[0] == sampled[1] else "again another", sampled[0])
PYTHON

seen=0
for version in 0.2.1 0.2.3; do
    python="$folder/$version/bin/python"
    python3 -m venv "$folder/$version" >"$folder/log" 2>&1 || give_up "no virtual environment"
    "$python" -m pip install --quiet --disable-pip-version-check "sentencepiece==$version" >"$folder/log" 2>&1 ||
        give_up "sentencepiece $version was not installed"
    "$python" "$folder/train.py" "$folder" >"$folder/log" 2>&1 || give_up "the models were not trained"
    for kind in bpe unigram; do
        for process in 1 2 3 4; do
            "$python" "$folder/sample.py" "$folder" "$kind" >"$folder/$version-$kind-$process" 2>"$folder/log" ||
                give_up "nothing was sampled"
        done
        different=$(cat "$folder/$version-$kind"-* | sort -u | wc -l)
        again=$(cut -c1-14 "$folder/$version-$kind-1")
        echo "sentencepiece $version, $kind: $different different outputs of 4 processes; in one process: $again"
        case "$version $different $again" in
        "0.2.1 1 again the same") ;;
        "0.2.3 "[234]" again the same") ;;
        *) seen=1 ;;
        esac
    done
done
[ "$seen" = 0 ] || echo "The behaviour has changed."
exit "$seen"
