#!/bin/bash
# A glob sweep that Hydra's parser reads alone has no values; read in a list of one it has them.
#
# Versions:  hydra-core 1.3.8, Python 3.11, Linux.
# Behaviour: OverridesParser.create(config_loader=…) is given the loader that knows a group's options. An override that
#            its parse_overrides(["db=glob(*)"]) returns lists them; one that parse_override("db=glob(*)") returns raises
#            HydraException, "ConfigLoader is not set": that method does not hand the loader on.
# Expected:  The same override from both methods of one parser.
# Meanwhile: Parse a list of one.
#
# Seen on 29 November 2026:
#     parse_override:  HydraException: ConfigLoader is not set
#     parse_overrides: ['mysql', 'postgres']
#
# Usage: findings/hydra-glob-parsed-alone.sh (half a minute; the package comes through pip). Exit status: 0 while the
# surprise is seen, 1 when the behaviour has changed, 2 when the experiment could not be made.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

python="$folder/venv/bin/python"
unset PYTHONPATH
if ! { python3 -m venv "$folder/venv" &&
    "$python" -m pip install --quiet --disable-pip-version-check hydra-core==1.3.8; } >"$folder/log" 2>&1; then
    cat "$folder/log"
    echo "The experiment could not be made: the package was not installed."
    exit 2
fi

mkdir -p "$folder/conf/db"
touch "$folder/conf/db/mysql.yaml" "$folder/conf/db/postgres.yaml"
cat >"$folder/glob.py" <<'PYTHON'
import sys

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

with initialize_config_dir(sys.argv[1], version_base="1.3"):
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    alone, listed = parser.parse_override("db=glob(*)"), parser.parse_overrides(["db=glob(*)"])[0]
    for name, override in (("parse_override: ", alone), ("parse_overrides:", listed)):
        try:
            print(name, list(override.sweep_string_iterator()))
        except HydraException as error:
            print(name, f"{type(error).__name__}: {error}")
PYTHON

"$python" -c 'import platform; print("Python", platform.python_version())'
"$python" -m pip freeze --disable-pip-version-check
"$python" "$folder/glob.py" "$folder/conf" | tee "$folder/seen"

if grep -q "parse_override:  HydraException: ConfigLoader is not set" "$folder/seen" &&
    grep -q "parse_overrides: \['mysql', 'postgres'\]" "$folder/seen"; then
    echo "The surprise is still there: a glob that is parsed alone has no values."
else
    echo "The behaviour has changed."
    exit 1
fi
