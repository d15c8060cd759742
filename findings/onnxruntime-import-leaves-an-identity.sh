#!/bin/bash
# onnxruntime: importing it writes an identity of the machine and a database into the user's cache folder.
#
# Versions:  onnxruntime 1.32.0, Python 3.11, Linux.
# Behaviour: In an empty HOME, `import onnxruntime` and nothing else leaves two files below
#            .cache/Microsoft/DeveloperTools/.onnxruntime: deviceid and onnxruntime.db. Nothing is printed. With
#            ORT_DISABLE_TELEMETRY=1 in the environment before the import nothing is left; calling
#            onnxruntime.disable_telemetry_events() after the import comes too late for the files.
# Why it matters: A translation program that only loads a model should leave nothing in a user's home, and a read-only or
#            shared home, an image that is built, or a test that compares folders sees files that nobody asked for.
# Expected:  No file at import; or a word where the package is described.
# Meanwhile: Set ORT_DISABLE_TELEMETRY=1 before the import.
#
# Seen on 29 November 2026:
#     import alone: .cache/Microsoft/DeveloperTools/.onnxruntime/{deviceid,onnxruntime.db}
#     with disable_telemetry_events(): the same files
#     with ORT_DISABLE_TELEMETRY=1: nothing
#
# Usage: findings/onnxruntime-import-leaves-an-identity.sh (half a minute; the package comes through pip). Exit status: 0
# while the surprise is seen, 1 when the behaviour has changed, 2 when the experiment could not be made.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
unset PYTHONPATH ORT_DISABLE_TELEMETRY XDG_CACHE_HOME

give_up() {
    cat "$folder/log"
    echo "The experiment could not be made: $1."
    exit 2
}

# left NAME CODE [VARIABLE=VALUE]: the files in a new home after Python has run CODE
left() {
    mkdir "$folder/$1"
    env HOME="$folder/$1" ${3:+"$3"} "$python" -c "$2" >"$folder/log" 2>&1 || give_up "onnxruntime was not imported"
    (cd "$folder/$1" && find . -type f -printf '%P\n' | sort | tr '\n' ' ')
}

python="$folder/venv/bin/python"
python3 -m venv "$folder/venv" >"$folder/log" 2>&1 || give_up "no virtual environment"
"$python" -m pip install --quiet --disable-pip-version-check "onnxruntime==1.32.0" >"$folder/log" 2>&1 ||
    give_up "onnxruntime was not installed"
alone=$(left alone "import onnxruntime")
later=$(left later "import onnxruntime; onnxruntime.disable_telemetry_events()")
without=$(left without "import onnxruntime" ORT_DISABLE_TELEMETRY=1)
echo "import alone: ${alone:-nothing}"
echo "with disable_telemetry_events(): $([ "$later" = "$alone" ] && echo the same files || echo "${later:-nothing}")"
echo "with ORT_DISABLE_TELEMETRY=1: ${without:-nothing}"
case "$alone" in
*deviceid*) [ "$later" = "$alone" ] && [ -z "$without" ] && exit 0 ;;
esac
echo "The behaviour has changed."
exit 1
