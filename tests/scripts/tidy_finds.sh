#!/usr/bin/env bash
# Each rule of the house finds what breaks it: a small tree that keeps all rules, then one fault at a time.
set -uo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cd "$tree" || exit 1
failed=0

# A tree that keeps every rule.
fresh() {
  rm -rf "${tree:?}"/* "$tree"/.git
  git init -q .
  mkdir -p dataplane/base l4 l7 tests/unit/{dataplane/base,l4} docs build-x
  cp "$here/.clang-format" .
  printf '// a.h - one.\n#pragma once\n\ninline int a() { return 1; }\n' >dataplane/base/a.h
  printf '#include "dataplane/base/a.h"\n\nint b() { return a(); }\n' >dataplane/base/a.cc
  printf '#include "dataplane/base/a.h"\n\nTEST(A, One) {}\n' >tests/unit/dataplane/base/a_test.cc
  printf '// c.h - two.\n// Tested in tests/unit/l4/d_test.cc.\n#pragma once\n\n#include "dataplane/base/a.h"\n' >l4/c.h
  printf 'TEST(D, Two) {}\n' >tests/unit/l4/d_test.cc
  printf '| sentence | code | test |\n|---|---|---|\n| x | `l4/c.h` | `D.Two` |\n' >docs/conformance.md
  printf '#!/bin/bash\necho "$1"\n' >run.sh
  printf '*\n' >build-x/.gitignore
  commands dataplane/base/a.cc tests/unit/dataplane/base/a_test.cc tests/unit/l4/d_test.cc
  archive dataplane l4 l7
}
commands() {
  local source separator=
  {
    echo '['
    for source; do
      echo "$separator{\"directory\": \"$tree/build-x\", \"file\": \"../$source\", \"command\": \"g++ -I$tree -o x.o -c ../$source\"}"
      separator=,
    done
    echo ']'
  } >build-x/compile_commands.json
}
archive() {
  local name
  for name; do
    mkdir -p "build-x/$name"
    echo "${code:-int $name;}" | g++ -x c++ -c -o build-x/x.o - && ar rcs "build-x/$name/lib$name.a" build-x/x.o
  done
}
tidy() { python3 "$here/tests/tidy/tidy.py" --build build-x --jobs 2 "$@"; }

# finds RULE NAME: the fault that was just planted is found by this rule and named.
finds() {
  local answer
  if answer=$(tidy "$1") || [[ $answer != *"$2"* ]]; then
    failed=1
    echo "$answer"
    echo "not ok $1 finds $2"
  else
    echo "ok $1 finds $2"
  fi
  fresh
}

fresh
if answer=$(tidy); then echo "ok a tidy tree passes"; else
  failed=1
  echo "$answer"
  echo "not ok a tidy tree passes"
fi
echo '#include "l4/c.h"' >>dataplane/base/a.h && finds includes-go-left "dataplane/base/a.h:5"
echo '#include "tests/x.h"' >>dataplane/base/a.h && finds includes-go-left "tests/x.h"
echo '#include <rte_ethdev.h>' >>l4/c.h && finds includes-of-ports "l4/c.h:6"
echo '#include "base/a.h"' >>l4/c.h && finds includes-are-rooted "l4/c.h:6"
printf '#include <vector>\n#include "dataplane/base/a.h"\n' >dataplane/base/a.cc && finds own-header-first dataplane/base/a.cc
printf '#include <vector>\n' >tests/unit/dataplane/base/a_test.cc && finds own-header-first a_test.cc
sed -i 1d dataplane/base/a.h && finds header-opening "a.h:1"
sed -i /pragma/d l4/c.h && finds header-opening "l4/c.h: has no"
echo 'Missing here;' >>l4/c.h && finds headers-alone "l4/c.h: does not compile"
echo 'int e;' >l4/e.cc && finds every-source-built l4/e.cc
code='void f() { throw 1; }' archive l4 && finds symbols __cxa_throw
code='#include <mutex>
std::mutex m; void f() { m.lock(); }' archive l7 && finds symbols pthread_mutex
rm tests/unit/dataplane/base/a_test.cc && finds mirrored-tests "dataplane/base/a"
sed -i 's/d_test/no_test/' l4/c.h && finds mirrored-tests no_test
mkdir build-x/mgmt && printf '#!/bin/bash\necho new >"$1/node.md"\n' >build-x/mgmt/docs-gen && chmod +x build-x/mgmt/docs-gen &&
  finds pages-are-current docs/node.md
sed -i 's/D.Two/D.Three/' docs/conformance.md && finds conformance D.Three
sed -i 's,l4/c.h,l4/x.h,' docs/conformance.md && finds conformance l4/x.h
# shellcheck disable=SC2016
sed -i 's/`D.Two`/soon/' docs/conformance.md && finds conformance "names no test"
echo 'int  f( );' >>dataplane/base/a.h && finds format dataplane/base/a.h
seq -f '// %g' 400 >>l4/c.h && finds file-length "l4/c.h: 405"
{ echo 'int f() {'; seq -f '  g(%g);' 70; echo '}'; } >>l4/c.h && finds function-length "l4/c.h:6: a function of 72"
{ echo 'struct S {'; echo '  S() : a_{1}, b_{2} {'; seq -f '    g(%g);' 70; echo '  }'; echo '};'; } >>l4/c.h &&
  finds function-length "a function of 7"
: >l4/tcp_utils.txt && finds names tcp_utils
mkdir l4/common && : >l4/common/x.txt && finds names l4/common
printf '// TO%s later\n' DO >>l4/c.h && finds marks l4/c.h:6
# shellcheck disable=SC2016
printf 'cd $1\n' >>run.sh && finds scripts run.sh
printf 'def f(:\n' >x.py && finds scripts x.py
{ echo '// Whole: a table.'; echo 'int f() {'; seq -f '  g(%g);' 70; echo '}'; } >>l4/c.h
if tidy function-length >/dev/null; then echo "ok a long function may say why"; else failed=1 && echo "not ok a long function may say why"; fi
exit "$failed"
