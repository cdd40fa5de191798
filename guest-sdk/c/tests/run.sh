#!/bin/sh
# Compiles and runs tests with the native compiler: the SDK's own, or with a folder those of that operator project.
#     guest-sdk/c/tests/run.sh [PROJECT]
set -e
project=${1:+$(cd "$1" && pwd)}
cd "$(dirname "$0")"
if ! command -v "${CC:-cc}" >/dev/null; then
    echo "skipped: no C compiler here (${CC:-cc})"
    exit
fi
out=$(mktemp -d)
trap 'rm -r "$out"' EXIT
compile() {
    ${CC:-cc} -std=c11 -Wall -Wextra -Werror -g -O1 ${SANITIZE--fsanitize=address,undefined} -I .. "$@"
}
run() {
    name=$1
    shift
    compile "$@" ../*.c -o "$out/test"
    ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1 "$out/test"
    echo "ok $name"
}
if [ -n "$project" ]; then
    run "$project" -I "$project/src" "$project"/tests/*.c "$project"/src/*.c
    exit
fi
for test in *.c; do
    run "$test" "$test"
done
# The code of guest-sdk/C.md: an operator, its test, and a part of an aggregate.
if [ -f ../../C.md ]; then
    awk -v out="$out" '/^```c$/ { n++; inside = 1; next } /^```$/ { inside = 0 } inside { print > (out "/block" n ".c") }' ../../C.md
    run C.md "$out/block1.c" "$out/block2.c"
    {
        echo '#include "tidemill.h"'
        echo 'static tidemill_status merge(void *accumulator, const void *later) { (void)accumulator, (void)later; return TIDEMILL_OK; }'
        echo 'static tidemill_status finish(const tidemill_window *w, const void *a, tidemill_rows *r) { (void)w, (void)a, (void)r; return TIDEMILL_OK; }'
        cat "$out/block3.c"
    } >"$out/aggregate.c"
    compile -c "$out/aggregate.c" -o "$out/aggregate.o"
    echo "ok C.md, aggregate"
fi
