#!/usr/bin/env bash
# Build folders: another CPU, compiler or set of options means another folder; the same means the same.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
root=$PWD
. dev.d/say.sh
. dev.d/build.sh
failed=0
verdict() { if eval "$1"; then echo "ok $2"; else failed=1 && echo "not ok $2"; fi; }

this=$(build_key test)
verdict '[[ -n $this && $this == $(build_key test) ]]' "the same machine and options give the same key"
verdict '[[ $this != $(build_key release) ]]' "other options give another key"
verdict '[[ $(build_key address,undefined) != $(build_key thread) ]]' "other sanitizers give another key"
verdict '[[ $(cpu) == *avx2* ]]' "the key sees the flags of the CPU"
cpu() { echo "flags avx2 avx512f"; }
verdict '[[ $this != $(build_key test) ]]' "another CPU gives another key"
exit "$failed"
