#!/bin/sh
# Measures everything anew and brings PERFORMANCE.md with its plots up to date: some half an hour.
# Other programs should rest meanwhile; the page tells how much they did not.
#
#   benches/refresh.sh               5 rounds
#   ROUNDS=3 benches/refresh.sh      3 rounds
set -eu
cd "$(dirname "$0")/.."
rounds=${ROUNDS:-5}
folder=$PWD/docs/performance
failed=0
mkdir -p "$folder"

cargo build --release -p cndt-benches --bins
cargo bench --no-run -p cndt-benches --bench allocations
(cd benches/peers && cargo build --release)

# What one system fails at is told in the tables; the others are worth having.
cargo run --release -p cndt-benches --bin sockets -- \
    --rounds "$rounds" --json "$folder/sockets.json" || failed=1
cargo run --release -p cndt-benches --bin sockets -- \
    --sweep --rounds "$rounds" --json "$folder/sweep.json" || failed=1
(cd benches/peers && cargo run --release -- \
    --rounds "$rounds" --json "$folder/peers.json") || failed=1
cargo bench -p cndt-benches --bench allocations -- --json "$folder/allocations.json" || failed=1
cargo run --release -p cndt-benches --bin cndt-bench-report
exit "$failed"
