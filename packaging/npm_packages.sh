#!/bin/sh
# Fetch the npm packages of a folder, all of its lock file:  packaging/npm_packages.sh FOLDER
# Where there is no npm, or no network, it says so; with CI=true that is an error.
set -eu
[ -f "$1/package-lock.json" ] || exit 0
cd "$1"

done=node_modules/.complete
cmp --silent package-lock.json "$done" && exit 0
if npm ci --silent --no-audit --no-fund --ignore-scripts; then
    cp package-lock.json "$done"
else
    echo "The npm packages of $1 could not be fetched: what needs them is left out." >&2
    [ "${CI:-}" != true ]
fi
