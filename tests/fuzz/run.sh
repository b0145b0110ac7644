#!/usr/bin/env bash
# Runs each fuzz target for SECONDS (default 600), prints executions per second, and stops at
# the first finding. `run.sh SECONDS TARGET...` runs only these.
#
# A finding lies in artifacts/TARGET; once understood, it becomes regressions/TARGET/NAME,
# which `make test` replays for ever.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:-600}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(control packet_parse fragments flow_text toml replay sctp_chunks)

# libFuzzer's instrumentation on the pinned toolchain. The crates under test forbid unsafe
# code, so a sanitizer would watch only the libraries.
host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
bins=()
for target in "${targets[@]}"; do bins+=(--bin "$target"); done
# With a target named, build scripts and macros stay without instrumentation.
cargo build --release --quiet --target "$host" "${bins[@]}"
built=${CARGO_TARGET_DIR:-target}
RUSTFLAGS='' cargo run --release --quiet --bin make_corpus corpus

for target in "${targets[@]}"; do
  mkdir -p "corpus/$target" "artifacts/$target" "regressions/$target"
  log="artifacts/$target.log"
  # Longer ones are slower and find no more.
  case "$target" in replay) longest=8192 ;; *) longest=2048 ;; esac
  status=0
  "$built/$host/release/$target" "corpus/$target" "regressions/$target" \
    -max_total_time="$seconds" -max_len="$longest" -timeout=10 -rss_limit_mb=2048 \
    -artifact_prefix="artifacts/$target/" -print_final_stats=1 >"$log" 2>&1 || status=$?
  case "$status" in
    0) ;;
    130 | 137 | 143)
      # A signal from outside: neither a finding nor a run that counts.
      echo "$target: ended by a signal before its time" >&2
      exit "$status"
      ;;
    *)
      tail -n 40 "$log"
      echo "$target: a finding, in tests/fuzz/artifacts/$target" >&2
      exit 1
      ;;
  esac
  total=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
  echo "$target: $total executions in $seconds s, $rate per second, no finding"
done
