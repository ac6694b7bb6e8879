#!/usr/bin/env bash
# Builds one virtual environment per netconduit version in interop/.venvs/<version>.
# Safe to call before every test run: what is already built is left alone.
#
#   interop/setup.sh            all versions
#   interop/setup.sh 5.0.0      only the named ones
#
# PYTHON names another interpreter than python3.
set -eu

cd "$(dirname "$0")"
python=${PYTHON:-python3}
constraints=python/constraints.txt
wheels=.venvs/wheels
[ $# -gt 0 ] || set -- 0.1.0 2.0.0 3.0.0 4.0.0 5.0.0

fail() {
    echo "interop/setup.sh: $*" >&2
    exit 1
}

stamp() { # what a finished environment of version $1 was built from
    echo "netconduit==$1"
    cat "$constraints"
}

is_ready() {
    [ -x ".venvs/$1/bin/python" ] && [ -f ".venvs/$1/ready" ] && stamp "$1" | cmp -s - ".venvs/$1/ready" &&
        ".venvs/$1/bin/python" -c '' 2>/dev/null
}

missing() { # the versions that are still to be built
    for version in "$@"; do
        is_ready "$version" || echo "$version"
    done
}

[ -n "$(missing "$@")" ] || exit 0

hint="install Python 3.10 or newer with its venv module (Debian: apt-get install python3 python3-venv)"
command -v "$python" >/dev/null 2>&1 || fail "$python was not found; $hint"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "$("$python" --version 2>&1) is too old; $hint"
"$python" -c 'import venv, ensurepip' 2>/dev/null || fail "$python has no venv or ensurepip module; $hint"

mkdir -p "$wheels"
if command -v flock >/dev/null 2>&1; then
    exec 9>.venvs/lock
    flock 9 # test programs may start this script side by side
fi
todo=$(missing "$@")

make_venv() {
    rm -rf ".venvs/$1"
    "$python" -m venv ".venvs/$1"
}

pip() { # pip VERSION ARGUMENTS...
    local venv=".venvs/$1"
    shift
    "$venv/bin/python" -m pip --quiet --disable-pip-version-check --no-input "$@"
}

wait_all() { # waits for every process named; fails if one of them failed
    local failed=0 pid
    for pid in "$@"; do wait "$pid" || failed=1; done
    return "$failed"
}

pids=
for version in $todo; do
    make_venv "$version" 9>&- &
    pids="$pids $!"
done
wait_all $pids || fail "python3 -m venv failed (see above)"

first=${todo%%[!0-9.]*}
[ -z "$first" ] || pip "$first" download --only-binary :all: --find-links "$wheels" --dest "$wheels" -r "$constraints" ||
    fail "could not download the packages in $constraints (see above)"
for version in $todo; do
    pip "$first" download --no-deps --find-links "$wheels" --dest "$wheels" "netconduit==$version" ||
        fail "could not download netconduit $version (see above)"
done

pids=
for version in $todo; do
    (
        pip "$version" install --no-index --find-links "$wheels" -c "$constraints" "netconduit==$version"
        ".venvs/$version/bin/python" -c \
            'import sys, conduit; sys.exit(conduit.__version__ != sys.argv[1])' "$version"
        stamp "$version" >".venvs/$version/ready"
    ) 9>&- &
    pids="$pids $!"
done
wait_all $pids || fail "could not install every netconduit version (see above)"

for version in $todo; do echo "interop: netconduit $version is ready"; done
