#!/bin/sh
# Compiles and runs the SDK's own tests with the native compiler: guest-sdk/c/tests/run.sh
set -e
cd "$(dirname "$0")"
out=$(mktemp -d)
trap 'rm -r "$out"' EXIT
for test in *.c; do
    ${CC:-cc} -std=c11 -Wall -Wextra -Werror -g -O1 ${SANITIZE--fsanitize=address,undefined} -I .. "$test" ../*.c -o "$out/${test%.c}"
    ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1 "$out/${test%.c}"
    echo "ok $test"
done
