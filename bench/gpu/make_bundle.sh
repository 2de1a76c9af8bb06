#!/usr/bin/env bash
# Packs what a machine with a GPU, a driver and no network needs to test and to measure this build:
#   bench/gpu/make_bundle.sh BUILD_FOLDER ARCHIVE.tar.gz
# In it: first_hour.sh, compare_solvers.py, bin/ (program, tests, benchmark; stripped), lib/ (their shared libraries, except glibc's), lib/runtime (the
# C++ runtime, for machines with an older one), tests/golden, share/sotalign/emoji, and BUNDLE.txt, which says what it is.
# cuBLAS and cuSOLVER are too large: first_hour.sh looks for them on the machine.
set -euo pipefail
[ $# -eq 2 ] || { sed -n '3s/^# *//p' "$0" >&2; exit 2; }
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$1 archive=$2
most_bytes=60000000

description=$("$build/apps/sotalign/sotalign" info)
cuda=$(sed -n 's/^CUDA  *\(.*compiled for [^;]*\).*/\1/p' <<<"$description")
[ -n "$cuda" ] || { echo "make_bundle.sh: $build: expected a build with the CUDA backend; install nvcc" >&2; exit 1; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
bundle=$folder/sotalign-bundle
mkdir -p "$bundle"/{bin,lib/runtime,tests,share/sotalign}
for program in apps/sotalign/sotalign tests/sotalign_tests bench/klot_bench; do
  strip -o "$bundle/bin/$(basename "$program")" "$build/$program"
done
# "libfmt.so.9 => /lib/.../libfmt.so.9 (0x...)"
ldd "$bundle"/bin/* | awk '$2 == "=>" && $3 ~ /^\// { print $1, $3 }' | sort -u | while read -r name file; do
  case $name in
    ld-linux* | libc.so.* | libm.so.* | libdl.so.* | libpthread.so.* | librt.so.* | libresolv.so.*) ;;
    libstdc++.so.* | libgcc_s.so.*) cp -L "$file" "$bundle/lib/runtime/$name" ;;
    *) strip -o "$bundle/lib/$name" "$(readlink -f "$file")" ;;
  esac
done
cp -r "$root/tests/golden" "$bundle/tests/"
cp -r "$root/data/emoji" "$bundle/share/sotalign/"
cp "$root/bench/gpu/first_hour.sh" "$root/bench/ot/compare_solvers.py" "$root/LICENSE" "$root/docs/licences.md" "$bundle/"

nvcc=$(sed -n 's/^SOTALIGN_NVCC:[A-Z]*=//p' "$build/CMakeCache.txt")
define() {  # HEADER NAME: the number that the header defines NAME as
  "${nvcc:-nvcc}" -E -x cu - <<<"#include <$1>
RESULT $2" | sed -n 's/^RESULT \([0-9]\+\)$/\1/p' | grep .
}
cublas=$(define cublas_v2.h CUBLAS_VER_MAJOR)
cusolver=$(define cusolverDn.h CUSOLVER_VER_MAJOR)
{
  echo "sotalign bundle"
  echo "commit: $(git -C "$root" describe --always --dirty --abbrev=40 --exclude='*')"
  echo "CUDA: $cuda"
  echo "cublas: libcublas.so.$cublas"
  echo "cusolver: libcusolver.so.$cusolver"
  echo "needs: $(uname -m), glibc $(objdump -T "$bundle"/bin/* "$bundle"/lib/*.so* "$bundle"/lib/runtime/* |
    grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -n 1 | sed 's/GLIBC_//') or newer"
} >"$bundle/BUNDLE.txt"

mkdir -p "$(dirname "$archive")"
tar -C "$folder" --sort=name --owner=0 --group=0 --numeric-owner -cf - sotalign-bundle | gzip -6 >"$archive"
bytes=$(stat -c %s "$archive")
cat "$bundle/BUNDLE.txt"
echo "$archive: $((bytes / 1000000)) MB"
if [ "$bytes" -gt $most_bytes ]; then
  echo "make_bundle.sh: expected at most $((most_bytes / 1000000)) MB; set CUDAARCHS to fewer architectures" >&2
  exit 1
fi
