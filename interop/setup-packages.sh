#!/usr/bin/env bash
# Installs foreign peers inside this folder: Python packages for JSON-RPC in .venvs/jsonrpc, those for webhooks in
# .venvs/webhooks, Node packages in .node. Safe to call before every test run: what is already installed is left alone.
#
#   interop/setup-packages.sh jsonrpc|webhooks|node
#
# PYTHON, NODE and NPM name other programs than python3, node and npm.
set -eu

cd "$(dirname "$0")"
python=${PYTHON:-python3}
node=${NODE:-node}
npm=${NPM:-npm}

fail() {
    echo "interop/setup-packages.sh: $*" >&2
    exit 1
}

lock() { # test programs may start this script side by side
    mkdir -p "$1"
    command -v flock >/dev/null 2>&1 || return 0
    exec 9>"$1/$2-lock"
    flock 9
}

setup_python() {
    local venv=.venvs/$1 wanted=python/$1-requirements.txt
    local hint="install Python 3.10 or newer with its venv module (Debian: apt-get install python3 python3-venv)"
    is_ready() { cmp -s "$wanted" "$venv/ready" && "$venv/bin/python" -c '' 2>/dev/null; }
    is_ready && return
    command -v "$python" >/dev/null 2>&1 || fail "$python was not found; $hint"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        fail "$("$python" --version 2>&1) is too old; $hint"
    "$python" -c 'import venv, ensurepip' 2>/dev/null || fail "$python has no venv or ensurepip module; $hint"
    lock .venvs "$1"
    is_ready && return
    rm -rf "$venv"
    "$python" -m venv "$venv" 9>&- || fail "python3 -m venv failed (see above)"
    "$venv/bin/python" -m pip --quiet --disable-pip-version-check --no-input install --only-binary :all: --no-deps \
        -r "$wanted" 9>&- || fail "could not install the packages in $wanted (see above)"
    cp "$wanted" "$venv/ready"
    echo "interop: the Python packages for $1 are ready"
}

setup_node() {
    local hint="install Node.js 18 or newer with npm (Debian: apt-get install nodejs npm)"
    command -v "$node" >/dev/null 2>&1 || fail "$node was not found; $hint"
    "$node" -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' ||
        fail "Node.js $("$node" --version 2>&1) is too old; $hint"
    is_ready() { cmp -s node/package-lock.json .node/ready; }
    is_ready && return
    command -v "$npm" >/dev/null 2>&1 || fail "$npm was not found; $hint"
    lock .node jsonrpc
    is_ready && return
    cp node/package.json node/package-lock.json .node/
    (cd .node && "$npm" ci --silent --ignore-scripts --no-audit --no-fund) 9>&- ||
        fail "could not install the packages in interop/node/package-lock.json (see above)"
    cp node/package-lock.json .node/ready
    echo "interop: the Node JSON-RPC peers are ready"
}

case ${1-} in
    jsonrpc | webhooks) setup_python "$1" ;;
    node) setup_node ;;
    *) fail "say jsonrpc, webhooks or node" ;;
esac
