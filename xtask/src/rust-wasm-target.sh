#!/usr/bin/env bash
# Makes Rust guests buildable where rustup cannot add wasm32-unknown-unknown: Debian's rustc and rust-src, unpacked into
# a private folder, std built once for wasm. Nothing is installed system-wide. Run by xtask's toolchain.rs.
# usage: rust-wasm-target.sh DIR     makes DIR/toolchain (bin/rustc, lib/); DIR/work is removed at the end
set -euo pipefail
D=$(realpath -m "${1:?folder to build in}"); T=$D/toolchain; W=$D/work; R=$W/root/usr
say() { echo "    $*" >&2; }
die() { echo "    $*" >&2; exit 1; }
for tool in apt-get apt-cache dpkg ldd gcc cargo rustc; do
  command -v "$tool" >/dev/null || die "$tool is not here: this way needs Debian (or a derivative), gcc and rustup's Rust"
done
ARCH=$(gcc -print-multiarch); HOST=$(rustc -vV | sed -n 's/^host: //p')
LLD=$(rustc --print sysroot)/lib/rustlib/$HOST/bin/rust-lld
[ -x "$LLD" ] || die "rust-lld is not at $LLD: use a rustup toolchain, which brings it"
mkdir -p "$D"; exec 9>"$D/lock"; flock 9
if [ -x "$T/bin/rustc" ] && ls "$T"/lib/rustlib/wasm32-unknown-unknown/lib/libstd-*.rlib >/dev/null 2>&1; then
  # Another run made it while this one waited, or only the linker's rustup toolchain has moved.
  ln -sf "$LLD" "$T/lib/rustlib/$HOST/bin/rust-lld"; exit 0
fi

depends() { apt-cache depends "$1" 2>/dev/null | sed -n "s/.*Depends: \($2\)\$/\1/p" | head -1; }
fetch() { (cd "$W/deb" && apt-get download -qq "$@" >&2 2>/dev/null) || die "apt-get download $* failed: is there a network?"; }

# 1. The packages. Their versions are read from apt: they move with Debian's security updates.
rm -rf "$W" && mkdir -p "$W/deb" "$W/root"
if [ "$(id -u)" = 0 ]; then say "apt-get update"; apt-get update -qq >&2 || say "apt-get update failed; going on with the lists there are"; fi
std=$(depends libstd-rust-web-dev 'libstd-rust-web-[0-9.]*')
[ -n "$std" ] || die "apt knows no package libstd-rust-web-dev (Debian's security archive has it): run apt-get update as root"
llvm=$(depends "$std" 'libllvm[0-9.]*')
[ -n "$llvm" ] || die "package $std names no libllvm: this recipe does not fit the packages of this system"
say "downloading rustc-web, libstd-rust-web-dev, rust-web-src, $std, $llvm (about 130 MB)"
fetch rustc-web libstd-rust-web-dev rust-web-src "$std" "$llvm"
for f in "$W"/deb/*.deb; do dpkg -x "$f" "$W/root"; done

# 2. A toolchain folder of them.
N=$W/toolchain; mkdir -p "$N/bin" "$N/lib/rustlib"
cp "$R/bin/rustc" "$N/bin/"; cp -P "$R"/lib/"$ARCH"/librustc_driver*.so "$R"/lib/"$ARCH"/libLLVM* "$N/lib/"
cp -r "$R/lib/rustlib/$HOST" "$N/lib/rustlib/"
mkdir -p "$N/lib/rustlib/$HOST/bin"; ln -sf "$LLD" "$N/lib/rustlib/$HOST/bin/rust-lld"   # a link: a copy loses its libLLVM
if LD_LIBRARY_PATH=$N/lib ldd "$N"/lib/librustc_driver*.so | grep -q 'not found'; then
  more=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances "$llvm" \
    | grep -E '^lib[a-z0-9.+-]+$' | grep -vxE "libc6|libgcc-s1|libstdc\+\+6|libcrypt1|$llvm" | sort -u | tr '\n' ' ')
  say "downloading libraries that $llvm needs: $more"
  mkdir "$W/more"; rm -f "$W"/deb/*.deb; fetch $more
  for f in "$W"/deb/*.deb; do dpkg -x "$f" "$W/more"; done
  find "$W/more" -path "*/lib/$ARCH/*" -name '*.so*' -exec cp -P {} "$N/lib/" \;
fi

# 3. std for wasm, built by that rustc from Debian's sources (their vendored crates come along). Bitcode is embedded:
#    without it guests with LTO do not link. That rustc looks for the sources beside the librustc_driver it loads.
say "building the standard library for wasm32-unknown-unknown (about a minute and a half)"
mkdir -p "$W/seed/src"; cd "$W/seed"
printf '[package]\nname="seed"\nversion="0.0.0"\nedition="2021"\n[lib]\ncrate-type=["rlib"]\n[workspace]\n' >Cargo.toml; : >src/lib.rs
env -u CARGO_ENCODED_RUSTFLAGS -u RUSTC_WRAPPER -u RUSTC_WORKSPACE_WRAPPER \
  RUSTC="$R/bin/rustc" LD_LIBRARY_PATH="$R/lib/$ARCH:$N/lib" RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Cembed-bitcode=yes CARGO_TARGET_DIR="$W/seed/target" \
  cargo build --quiet --release --target wasm32-unknown-unknown -Zbuild-std=std,panic_abort >&2
L=$N/lib/rustlib/wasm32-unknown-unknown/lib; mkdir -p "$L"
cp "$W"/seed/target/wasm32-unknown-unknown/release/deps/*.rlib "$L/"; rm -f "$L"/libseed-*.rlib

# 4. Into its place, whole or not at all.
rm -rf "$T"; mv "$N" "$T"; rm -rf "$W"
