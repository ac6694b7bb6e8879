#!/usr/bin/env bash
# Counts the calls into the panic machinery that the linker keeps in the release program: each is a
# place where, as far as the optimizer can tell, something might panic. The number may only fall.
set -euo pipefail
cd "$(dirname "$0")"

most=${1:-0}
target=${CARGO_TARGET_DIR:-target}
sites=$(objdump --disassemble --no-show-raw-insn --demangle "$target/release/cndt-example-no-std" |
    grep -E '(call|jmp) .*<(core::panicking|core::slice::index|core::str::slice_error|core::option|core::result|alloc::raw_vec::handle_error|alloc::alloc::handle_alloc_error|bytes::panic)' || true)
count=$(printf '%s' "$sites" | grep -c . || true)
echo "panic call sites in the release no_std program: $count"
printf '%s\n' "$sites" | sed -E 's/.*<([^>+]*).*/\1/' | sort | uniq -c | sort -rn | head -12
if [ "$most" -gt 0 ] && [ "$count" -gt "$most" ]; then
    echo "that is more than the $most of before: find the new one, or say why it must be" >&2
    exit 1
fi
