# shellcheck shell=bash
# run.sh - the verbs that run what was built.

# Root is needed for namespaces and ports.
need_root() { [[ $EUID -eq 0 ]] || die 1 "$1 makes network namespaces and opens ports: it needs root"; }

# need_program FOLDER PATH WHAT
need_program() { [[ -x $1/$2 ]] || die 1 "$3: $2 is not part of this build"; }

verb_test() {
  local sanitize='' arguments=()
  while [[ $# -gt 0 ]]; do
    case $1 in
      --sanitize) sanitize=${2:?a list of sanitizers} && shift ;;
      --kind | --match) arguments+=("$1" "${2:?a value for $1}") && shift ;;
      *) die 2 "test has no option $1" ;;
    esac
    shift
  done
  verb_setup
  local flavours=(test address,undefined) flavour folder
  [[ -z $sanitize ]] || flavours=("$sanitize")
  for flavour in "${flavours[@]}"; do
    folder=$(build_folder "$flavour")
    local begun=$SECONDS
    if make_build "$folder"; then
      arguments+=(--build "$flavour=$folder=built")
    else
      arguments+=(--build "$flavour=$folder=failed")
    fi
    say "$folder took $((SECONDS - begun)) s"
  done
  python3 tests/runner/main.py --jobs "$jobs" "${arguments[@]}"
}

verb_tidy() {
  local folder
  verb_setup
  folder=$(build_folder test)
  make_build "$folder" || die 1 "the build failed (above)"
  python3 tests/tidy/tidy.py --build "$folder" --jobs "$jobs" "$@"
}

cxx_sources() { git ls-files -co --exclude-standard -- '*.h' '*.cc'; }

verb_fmt() {
  local formatter=clang-format-19
  command -v "$formatter" >/dev/null || die 1 "$formatter is missing: ./dev setup installs it"
  case ${1:-} in
    --check) cxx_sources | xargs -r -P "$jobs" -n 8 "$formatter" --dry-run -Werror && say "all sources are formatted" ;;
    '') cxx_sources | xargs -r -P "$jobs" -n 8 "$formatter" -i && say "formatted $(cxx_sources | wc -l) files" ;;
    *) cd "$caller_dir" && "$formatter" -i "$@" ;;
  esac
}

verb_demo() {
  need_root demo
  [[ -x tests/e2e/demo ]] || die 1 "demo: tests/e2e/demo is not in this tree"
  verb_build
  SLUICE_BUILD=$root/$(build_folder release) show tests/e2e/demo "$@"
}

verb_bench() {
  need_root bench
  verb_build perf/sluice-bench
  local folder
  folder=$(build_folder release)
  need_program "$folder" perf/sluice-bench bench
  cd "$caller_dir" || die 1 "$caller_dir is gone"
  SLUICE_BUILD=$root/$folder show "$root/$folder/perf/sluice-bench" "$@"
}

# run_built TARGET ARGUMENTS...: builds a test program with the guard and runs it.
run_built() {
  local folder target=$1
  verb_setup
  folder=$(build_folder test)
  [[ -d $(dirname "$target") ]] || die 1 "$target: not in this tree"
  make_build "$folder" "$target" || die 1 "the build of $target failed (above)"
  SLUICE_BUILD=$root/$folder show "$folder/$target" "${@:2}"
}

verb_sim() {
  local folder
  if [[ ${1:-} != --mutants && ${1:-} != --record ]]; then
    run_built tests/sim/sluice-sim --jobs "$jobs" "$@"
    return
  fi
  verb_setup
  folder=$(build_folder test)
  make_build "$folder" tests/sim/sluice-sim tests/tcp_scripts/tcp-scripts ||
    die 1 "the build of the simulator failed (above)"
  if [[ $1 == --mutants ]]; then
    python3 tests/sim/mutants.py --build "$folder" --jobs "$jobs" "${@:2}"
    return
  fi
  "$folder/tests/sim/sluice-sim" --jobs "$jobs" --record tests/sim/record.txt "${@:2}" || return
  python3 tests/tcp_scripts/table.py --build "$folder"
}
verb_golden() { run_built tests/golden/golden "$@"; }

verb_bless() {
  [[ -z ${CI:-} ]] || die 1 "bless: refused, because CI is set: expectations change by a person's hand and review"
  run_built tests/golden/golden --bless "$@"
  git --no-pager diff --stat -- tests/golden
}

# The transfers at full length: 100 MB each way over every kind of bad link, and ours beside Linux's at 1 % loss.
full_transfers() {
  local folder failed=0
  verb_setup
  folder=$(build_folder test)
  make_build "$folder" mgmt/sluiced mgmt/sluicectl tests/e2e/sluice-wire || die 1 "the build failed (above)"
  SLUICE_BUILD=$root/$folder tests/e2e/28_transfers.py 100 || failed=1
  SLUICE_BUILD=$root/$folder tests/e2e/29_goodput.py 10 5 || failed=1
  return $failed
}

verb_e2e() {
  need_root e2e
  if [[ ${1:-} == --full ]]; then
    full_transfers
    return
  fi
  verb_test --kind e2e ${1:+--match "$1"}
}

verb_fuzz() {
  verb_setup
  local folder
  folder=$(build_folder coverage)
  python3 tests/runner/fuzz.py --build "$folder" --jobs "$jobs" "$@"
}

verb_soak() {
  need_root soak
  verb_setup
  python3 tests/runner/soak.py "$@"
}
