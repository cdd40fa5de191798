#!/usr/bin/env bash
# clang, lld, wasi-libc and clang's wasm32 runtime where they are not installed: Debian's packages, unpacked into a folder.
# Nothing is installed system-wide. Run by xtask's language_tools.rs.
# usage: debian-clang.sh DIR VERSION     fills DIR: usr/ as the packages have it, lib/ the libraries they need
set -euo pipefail
D=$(realpath -m "${1:?folder to fill}"); V=${2:?version of clang}; W=$D/work
say() { echo "    $*" >&2; }
die() { echo "    $*" >&2; exit 1; }
for tool in apt-get apt-cache dpkg dpkg-architecture ldd; do
  command -v "$tool" >/dev/null || [ "$tool" = dpkg-architecture ] || die "$tool is not here: this way needs Debian or a derivative"
done
ARCH=$(gcc -print-multiarch 2>/dev/null || echo "$(uname -m)-linux-gnu")
fetch() { (cd "$W" && apt-get download -qq "$@" >&2 2>/dev/null) || die "apt-get download $* failed: does apt know these packages (apt-get update), is there a network?"; }
unpack() { for f in "$W"/*.deb; do dpkg -x "$f" "$1"; done; rm -f "$W"/*.deb; }

mkdir -p "$W" "$D/lib"
if ! apt-cache show "clang-$V" >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then say "apt-get update"; apt-get update -qq >&2 || true; fi
say "downloading clang-$V, lld-$V, wasi-libc and what they need (about 50 MB)"
fetch "clang-$V" "lld-$V" wasi-libc "libclang-rt-$V-dev-wasm32" "libllvm$V" "libclang-cpp$V" "libclang-common-$V-dev"
unpack "$D"
cp -P "$D"/usr/lib/"$ARCH"/*.so* "$D/lib/"
needs() { LD_LIBRARY_PATH=$D/lib ldd "$D/usr/lib/llvm-$V/bin/clang" "$D/usr/lib/llvm-$V/bin/lld" | grep -q 'not found'; }
if needs; then
  more=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances "libllvm$V" "lld-$V" \
    | grep -E '^lib[a-z0-9.+-]+$|^zlib1g$' | grep -vxE "libc6|libgcc-s1|libstdc\+\+6|libcrypt1|libllvm$V" | sort -u | tr '\n' ' ')
  say "downloading libraries that they need: $more"
  fetch $more
  mkdir -p "$W/more"; unpack "$W/more"
  find "$W/more" -path "*/lib/$ARCH/*" -name '*.so*' -exec cp -P {} "$D/lib/" \;
fi
needs && die "libraries are missing still: $(LD_LIBRARY_PATH=$D/lib ldd "$D/usr/lib/llvm-$V/bin/clang" | grep 'not found' | tr -s '\t\n' ' ')"
rm -rf "$W" "$D/usr/share/doc" "$D/usr/share/man"
