#!/usr/bin/env bash
# Plants one bug after another into a copy of the core and lets the simulation look for it. Each must
# be found. Prints: the bug, the rule that it was meant to break, the rule that caught it, worlds until
# then, steps that were left after cutting down.
#
#   testkit/mutants/run.sh [NAME…]      all of them, or those
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

(cd "$root" && git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf -) | tar -xf - -C "$copy"
export CARGO_TARGET_DIR="$copy/target"
names=("$@")
[ ${#names[@]} -gt 0 ] || for patch in "$here"/*.patch; do names+=("$(basename "$patch" .patch)"); done

missed=0
for name in "${names[@]}"; do
    patch="$here/$name.patch"
    meant=$(sed -n 's/^Breaks: //p' "$patch")
    patch --quiet --directory "$copy" --strip 1 <"$patch"
    cargo build --quiet --release --manifest-path "$copy/Cargo.toml" -p cndt-testkit --bin cndt-sim 2>/dev/null ||
        { echo "$name does not build"; exit 1; }
    if found=$("$copy/target/release/cndt-sim" --seeds 100000 --shrink 20); then
        printf '%-42s %-14s SURVIVED\n' "$name" "$meant"
        missed=1
    else
        world=$(sed -n 's/^seed \([0-9]*\):.*/\1/p;q' <<<"$found")
        rule=$(sed -n 's/^seed [0-9]*: \([A-Za-z]*\).*/\1/p;q' <<<"$found")
        steps=$(sed -n 's/^cut down to \([0-9]*\) steps.*/\1/p' <<<"$found" | head -1)
        printf '%-42s %-14s %-14s world %-6s %s steps\n' "$name" "$meant" "$rule" "$world" "$steps"
    fi
    patch --quiet --reverse --directory "$copy" --strip 1 <"$patch"
done
exit "$missed"
