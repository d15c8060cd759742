#!/bin/bash
# A newer Argos package of a language pair is installed, listed, and not used.
#
# Versions:  argos-translate-lt 1.12.1 (the package argostranslate that LibreTranslate takes), Python 3.11, Linux.
# Behaviour: Version 1.0 of a package en → de is installed and asked for; then version 2.0, whose folder has another name.
#            get_installed_packages lists both, nothing is said, and the translation from en to de stays that of 1.0.
#            With 2.0 first and 1.0 second it stays that of 2.0: what came first in this process, not the version,
#            decides. (In a new process the order of the folders on the disk decides, by Path.iterdir.)
# Expected:  The higher package_version, as update_package_index and get_available_packages suggest, or a warning.
# Meanwhile: Give all versions of a package one top folder, so that the newer one takes the place of the older, and start
#            the server anew after an installation.
#
# Seen on 29 November 2026:
#     earlier first: listed 1.0 2.0, used earlier
#     later first: listed 1.0 2.0, used later
#
# Usage: findings/argos-newer-package-is-not-used.sh (a minute, 350 MB; the packages come through pip; user folders are
# not touched). Exit status: 0 while the surprise is seen, 1 when the behaviour has changed, 2 when the experiment could
# not be made.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

python="$folder/venv/bin/python"
unset PYTHONPATH
if ! { python3 -m venv "$folder/venv" &&
    "$python" -m pip install --quiet --disable-pip-version-check argos-translate-lt==1.12.1; } >"$folder/log" 2>&1; then
    cat "$folder/log"
    echo "The experiment could not be made: the packages were not installed."
    exit 2
fi

cat >"$folder/install.py" <<'PYTHON'
import json
import sys
import zipfile

import argostranslate.package as package
import argostranslate.translate as translate

folder, *names = sys.argv[1:]
versions = {"earlier": "1.0", "later": "2.0"}
pair = {"from_code": "en", "from_name": "English", "to_code": "de", "to_name": "German"}
for name in names:
    with zipfile.ZipFile(f"{folder}/{name}.argosmodel", "w") as packed:
        metadata = {"package_version": versions[name], "argos_version": "1.12", "type": "translate", **pair}
        packed.writestr(f"{name}/metadata.json", json.dumps(metadata))
        packed.writestr(f"{name}/minisbd/splitter.onnx", b"")
    package.install_from_path(f"{folder}/{name}.argosmodel")
    used = translate.get_translation_from_codes("en", "de").underlying.pkg.package_path.name
listed = sorted(each.package_version for each in package.get_installed_packages())
print(f"{names[0]} first: listed {' '.join(listed)}, used {used}")
PYTHON

"$python" -m pip freeze --disable-pip-version-check | grep -i -E "argos|minisbd|ctranslate2"
for first in earlier later; do
    second=$([ "$first" = earlier ] && echo later || echo earlier)
    home="$folder/home-$first"
    mkdir -p "$home/zips"
    env HOME="$home" XDG_DATA_HOME="$home/data" XDG_CACHE_HOME="$home/cache" XDG_CONFIG_HOME="$home/config" \
        "$python" "$folder/install.py" "$home/zips" "$first" "$second" | tee -a "$folder/seen"
done

if grep -q "earlier first: listed 1.0 2.0, used earlier" "$folder/seen" &&
    grep -q "later first: listed 1.0 2.0, used later" "$folder/seen"; then
    echo "The surprise is still there: the second package of a pair is listed, and not used."
else
    echo "The behaviour has changed."
    exit 1
fi
