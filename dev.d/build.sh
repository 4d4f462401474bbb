# shellcheck shell=bash
# build.sh - build folders, one for each (flavour, compiler, options, CPU).

jobs=${JOBS:-$(nproc)}

# What tells machines apart for code built with -march=native.
cpu() { sed -nE '/^(vendor_id|cpu family|model|stepping|flags)[[:space:]]*:/p;/^$/q' /proc/cpuinfo | tr ' ' '\n' | sort -u; }

# Sets `compiler` and `options` for a flavour: release, test, coverage, or a list of sanitizers.
flavour_options() {
  local small=(-Ddebug=false -Doptimization=1 -Db_lundef=false)
  compiler=clang++-19
  case $1 in
    release) compiler=g++ options=(--buildtype=release -Db_lto=true -Dguard=false) ;;
    test) compiler=g++ options=(-Doptimization=2 -Ddebug=false -Dcpp_args=-g1 -Dguard=true) ;;
    lto) compiler=g++ options=(--buildtype=release -Db_lto=true -Dguard=true) ;;
    thread) options=("${small[@]}" -Dcpp_args='-gline-tables-only' -Db_sanitize=thread) ;;
    coverage) options=("${small[@]}" -Dcpp_args=-fno-sanitize=vptr -Db_sanitize=address,undefined -Dfuzz=true -Dcoverage=true) ;;
    address,undefined | address | undefined)
      # The layers below mgmt/ have no type information, which the check of vptr needs.
      options=("${small[@]}" -Dcpp_args='-gline-tables-only -fno-omit-frame-pointer -fno-sanitize=vptr' "-Db_sanitize=$1")
      [[ $1 == undefined ]] || options+=(-Dfuzz=true)
      ;;
    *) die 2 "no sanitizer '$1'; there are address,undefined and thread" ;;
  esac
}

# Prints what tells the build folders of a flavour apart.
build_key() {
  flavour_options "$1"
  command -v "$compiler" >/dev/null || die 1 "$compiler is missing: ./dev setup installs it"
  { "$compiler" --version; printf '%s\n' "${options[@]}"; cpu; } | sha256sum | cut -c1-10
}

# Prints the folder of a flavour; makes it when it is not there.
build_folder() {
  local flavour=$1 key folder
  key=$(build_key "$flavour")
  flavour_options "$flavour"
  folder=build-${flavour//,/-}-$key
  if [[ ! -f $folder/build.ninja ]]; then
    rm -rf "$folder"
    say "configuring $folder" >&2
    local launcher=
    command -v ccache >/dev/null && launcher='ccache '
    local c=${compiler/clang++/clang}
    if ! CXX="$launcher$compiler" CC="$launcher${c/g++/gcc}" meson setup "$folder" "${options[@]}" >"$folder.log" 2>&1 </dev/null; then
      cat "$folder.log" >&2
      rm -rf "$folder" "$folder.log"
      die 1 "meson setup failed (above)"
    fi
    rm -f "$folder.log"
  fi
  echo "$folder"
}

# ccache must not hand an object made for one CPU to another, and may share between clones.
export CCACHE_NAMESPACE
CCACHE_NAMESPACE=$(cpu | sha256sum | cut -c1-10)
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
export CCACHE_DEPEND=1  # what is not in the cache is not preprocessed twice

# make_build FOLDER [TARGET...]
make_build() {
  local log
  say "building $*" >&2
  log=$(mktemp)
  if ninja -C "$1" -j "$jobs" "${@:2}" >"$log" 2>&1 </dev/null; then
    tail -n 1 "$log" >&2
    rm -f "$log"
  else
    grep -v '^\[[0-9/]*\] \(Compiling\|Linking\|Generating\)' "$log" >&2 || true
    rm -f "$log"
    return 1
  fi
}

# The names of the programs an operator gets.
program_targets() {
  meson introspect --targets "$1" | python3 -c '
import json, sys
for target in json.load(sys.stdin):
    if target["type"] == "executable" and target["name"] in ("sluiced", "sluicectl", "sluice-bench"):
        print(target["filename"][0].split(sys.argv[1] + "/", 1)[1])' "$1"
}

verb_build() {
  local flavour=release targets=()
  while [[ $# -gt 0 ]]; do
    case $1 in
      --test) flavour="test" ;;
      --sanitize) flavour=${2:?a list of sanitizers} && shift ;;
      --*) die 2 "build has no option $1" ;;
      *) targets+=("$1") ;;
    esac
    shift
  done
  verb_setup
  local folder
  folder=$(build_folder "$flavour")
  if [[ $flavour == release && ${#targets[@]} -eq 0 ]]; then
    mapfile -t targets < <(program_targets "$folder")
    if [[ ${#targets[@]} -eq 0 ]]; then say "there is no program to build yet: building all targets"; fi
  fi
  make_build "$folder" "${targets[@]}" || die 1 "the build failed (above)"
  if [[ $flavour == release && (-L build || ! -e build) ]]; then ln -sfn "$folder" build; fi
  say "built in $folder:" "${targets[@]:-all targets}"
}
