# shellcheck shell=bash
# say.sh - what ./dev prints, and its help.

say() { printf 'dev: %s\n' "$*"; }
die() {
  printf 'dev: %s\n' "${*:2}" >&2
  exit "$1"
}

# Prints a command, then runs it.
show() {
  printf 'dev: $ %s\n' "$*"
  "$@"
}

verb_help() {
  cat <<'TEXT'
usage: ./dev VERB [OPTIONS]

  setup    install the Debian packages of dev.d/packages, prepare 512 hugepages of 2 MB; does nothing the second time
  build    build sluiced, sluicectl and sluice-bench, optimised; prints where they are (also behind the link ./build)
             --test                     the build that ./dev test runs: optimised, with the guard on worker turns
             --sanitize LIST            address,undefined or thread, with clang
             [TARGET...]                Meson targets instead of all
  test     setup, build with the guard and with ASan+UBSan, run every kind of test; ends with `N passed, N failed`
             --sanitize LIST            the same tests in that build alone
             --kind LIST                only these kinds: unit,golden,sim,scripts,fuzz,e2e,bench,tidy
             --match TEXT               only test programs whose name contains TEXT
  demo     namespaces with a client and backends, and a tour through what Sluice does; --keep stays up
  bench    ./dev bench SCENARIO [--quick] [--json FILE]: figures beside a peer's; without SCENARIO it tells which there are
  sim      the whole appliance and its peers in one thread under a seed: --seeds N --first SEED
             --record --seeds N         the same, and what the run went through into docs/tcp.md
             --mutants [NAME...]        instead: plants known bugs one at a time, each of which must be found
  fuzz     ./dev fuzz [NAME...] --seconds N: runs fuzzers, prints executions and line coverage of the corpus
             --keep                     add what was found to the corpus in the tree
  e2e      end-to-end tests of the real sluiced in network namespaces; [TEXT] picks by name;
             --full: 100 MB over every kind of bad link, and goodput beside Linux's, some minutes
  golden   golden packets; [CASE...]
  bless    rewrite the expectations of golden cases; the diff is the review. Refused when CI is set
  tidy     the rules of the house; [RULE...]
  fmt      format C++ sources; --check only tells
  soak     what takes hours: LTO and TSan builds of all tests, 10,000 seeds, mutants, long fuzzing, every verb's leftovers
             --minutes N                of fuzzing, for each fuzzer (default 10)
  help     this text

setup needs root; test, demo, bench and e2e need root for namespaces and ports. Build folders are build-KIND-KEY, where the
key covers compiler, options and CPU, so that no build meets a CPU it was not made for. JOBS=N bounds parallel work.
TEXT
}
