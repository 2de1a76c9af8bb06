#!/usr/bin/env bash
# The first hour on a machine with an NVIDIA GPU. A bundle (./run bundle) holds this script; it needs the driver and the usual
# commands of a shell, and no network.
#
#   ./first_hour.sh              every step
#   ./first_hour.sh tests bench  some of them, in this order: facts info solve tests memcheck racecheck initcheck
#                                synccheck bench bench_large peers ncu train
#   OUT=DIR                      where results go; default: ./out
#   FIRST_HOUR_LIMIT=SECONDS     for all steps together; default: 3600
#
# A failed step does not end the run. OUT then holds summary.txt (what ran, passed, failed or was skipped, and why), tests.json,
# bench.json, bench_large.json, peers.json and logs.tar.gz. The exit code is 0 if every step passed or was skipped because the machine lacks
# a tool or a library, 1 if a step failed or there is no GPU, 2 for a step that does not exist.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${OUT:-$PWD/out}
limit=${FIRST_HOUR_LIMIT:-3600}
all=(facts info solve tests memcheck racecheck initcheck synccheck bench bench_large peers ncu train)
steps=("$@")
[ $# -gt 0 ] || steps=("${all[@]}")
for step in "${steps[@]}"; do
  case " ${all[*]} " in
    *" $step "*) ;;
    *) echo "first_hour.sh: expected steps among ${all[*]}, found '$step'" >&2; exit 2 ;;
  esac
done

logs=$out/logs
mkdir -p "$logs" || { echo "first_hour.sh: OUT: $out cannot be made" >&2; exit 2; }
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
summary=$out/summary.txt
failures=0
{
  cat "$here/BUNDLE.txt"
  echo "started: $(date -u +%Y-%m-%dT%H:%M:%SZ) on $(uname -srm)"
} >"$summary"
cat "$summary"

# RESULT (passed, failed, skipped) STEP WHY
report() {
  local line
  line=$(printf '%-8s %-12s %s' "$1" "$2" "$3")
  echo "$line" | tee -a "$summary"
  [ "$1" != failed ] || failures=$((failures + 1))
}

# --- what the machine has -----------------------------------------------------------------------------------------
# The first of PATTERN... that exists.
first_file() {
  local file
  for file in "$@"; do
    [ -e "$file" ] && { echo "$file"; return; }
  done
  return 1
}
find_tool() {  # NAME PATTERN...
  command -v "$1" 2>/dev/null && return
  shift
  first_file "$@"
}
sanitizer=$(find_tool compute-sanitizer /usr/local/cuda*/bin/compute-sanitizer /usr/local/cuda*/compute-sanitizer/compute-sanitizer)
ncu=$(find_tool ncu /usr/local/cuda*/bin/ncu /opt/nvidia/nsight-compute/*/ncu)
smi=$(find_tool nvidia-smi /usr/local/nvidia/bin/nvidia-smi)

# Folders of the driver, of cuBLAS and of cuSOLVER that the loader does not search: a toolkit's, or those of Python packages.
cublas=$(sed -n 's/^cublas: //p' "$here/BUNDLE.txt")
cusolver=$(sed -n 's/^cusolver: //p' "$here/BUNDLE.txt")
path=$here/lib
PATH=$PATH:/usr/sbin:/sbin  # ldconfig
shopt -s nullglob
add_folder_of() {  # FILE: unless the loader finds it
  ldconfig -p 2>/dev/null | grep -q "[[:space:]]$1 " && return
  local file folder
  for folder in $(tr : " " <<<"${LD_LIBRARY_PATH-}"); do
    [ -e "$folder/$1" ] && return
  done
  file=$(first_file /usr/local/nvidia/lib64/"$1" /usr/local/cuda*/lib64/"$1" /usr/local/cuda*/targets/x86_64-linux/lib/"$1" \
    /usr/lib/x86_64-linux-gnu/nvidia/current/"$1" /usr/lib/wsl/lib/"$1" "$(in_python_packages "$1")") || return
  case ":$path:" in
    *":$(dirname "$file"):"*) ;;
    *) path+=:$(dirname "$file") ;;
  esac
}
in_python_packages() {  # FILE
  local python root
  for python in python3 python; do
    command -v "$python" >/dev/null || continue
    for root in $(timeout 20 "$python" -c 'import sys; print("\n".join(p for p in sys.path if p))' 2>/dev/null); do
      find "$root/nvidia" -maxdepth 4 -name "$1" -print -quit 2>/dev/null
    done
  done | head -n 1
}
add_folder_of libcuda.so.1
add_folder_of "$cublas"
# What cuBLAS and cuSOLVER load themselves.
for file in "${cublas/cublas/cublasLt}" "$cusolver" libcusparse.so.12 libnvJitLink.so.13 libnvJitLink.so.12; do
  add_folder_of "$file"
done
shopt -u nullglob
# The bundle's C++ runtime only where the machine has none, or an older one: the machine's tools need theirs.
with_libraries() { LD_LIBRARY_PATH=$path${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$@"; }
with_libraries "$here/bin/sotalign" --version >/dev/null 2>&1 || path+=:$here/lib/runtime
export SOTALIGN_TEST_FILES=$here/tests SOTALIGN_TEST_PROGRAM=$here/bin/sotalign SOTALIGN_TEST_DATA_DIR=$here/shared
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
sotalign=$here/bin/sotalign
tests=$here/bin/sotalign_tests
bench=$here/bin/klot_bench

no_gpu=
if ! with_libraries "$sotalign" --version >"$logs/info.log" 2>&1; then
  no_gpu="the program does not start: $(tail -n 1 "$logs/info.log")"
elif ! with_libraries timeout -k 5 120 "$sotalign" info --device cuda >"$logs/info.log" 2>&1; then
  no_gpu="no usable GPU: $(tail -n 1 "$logs/info.log")"
fi
# Why products and decompositions cannot run; empty if they can.
no_libraries=$(sed -n 's/^cu[BS][LO][A-Z]* *\(CUDA: .*\)/\1/p' "$logs/info.log" | head -n 1)

# --- steps --------------------------------------------------------------------------------------------------------
# STEP SECONDS COMMAND...: runs it with a limit, its output in logs/STEP.log; returns its status, 124 after the limit.
attempt() {
  local step=$1 seconds=$2 left=$((limit - SECONDS)) start=$SECONDS
  shift 2
  [ "$left" -lt "$seconds" ] && seconds=$left
  with_libraries timeout -k 10 "$seconds" "$@" >"$logs/$step.log" 2>&1 </dev/null
  local status=$?
  took="$((SECONDS - start)) s"
  [ $status -ne 137 ] || status=124
  [ $status -ne 124 ] || took="stopped after $took"
  return $status
}
last_line() { tail -n 1 "$logs/$1.log" | cut -c 1-300; }

# STEP SECONDS COMMAND...: passes if the command does.
simple() {
  if attempt "$@"; then
    report passed "$1" "$took"
  else
    report failed "$1" "$took: $(last_line "$1")"
  fi
}

facts() {
  [ -n "$smi" ] || { report skipped facts "nvidia-smi not found"; return; }
  attempt facts 60 "$smi" -q
  local status=$?
  { lscpu; free -g; cat /etc/os-release; ldconfig -p | grep -E 'cuda|cublas|cusolver'; } >"$logs/machine.log" 2>&1
  [ $status -eq 0 ] || { report failed facts "$took: $(last_line facts)"; return; }
  "$smi" --query-gpu=name,driver_version,compute_cap,memory.total,clocks.max.sm,clocks.max.mem,power.limit \
    --format=csv,noheader 2>&1 | tee -a "$summary"
  report passed facts "$took"
}

info() {
  tee -a "$summary" <"$logs/info.log"
  report passed info "${no_libraries:-cuBLAS and cuSOLVER can be loaded}"
}

# Sinkhorn and KLOT on given affinities: with a driver alone.
solve() {
  local files=$here/tests/golden/klot_0
  simple solve 180 "$sotalign" klot --device cuda --student "$files.k_student.npy" --teacher "$files.k_teacher.npy" \
    --gradient "$work/gradient.npy"
}

# STEP STATUS: what the GoogleTest log of a step shows. Tests that fail only because a library is missing count as skipped.
report_tests() {
  local counts passed failed lacking skipped
  counts=$(awk '/^\[ RUN      \]/ { lacks = 0 }
    /cannot be loaded/ { lacks = 1 }
    /^\[       OK \]/ { passed++ }
    /^\[  SKIPPED \].* ms\)$/ { skipped++ }
    /^\[  FAILED  \].* ms\)$/ { if (lacks) lacking++; else { failed++; names = names " " $4 } }
    END { printf "%d %d %d %d%s", passed, failed, lacking, skipped, names }' "$logs/$1.log")
  read -r passed failed lacking skipped names <<<"$counts"
  local text="$took: $passed tests passed, $failed failed, $skipped skipped"
  [ "$lacking" -eq 0 ] || text+=", $lacking skipped for want of cuBLAS or cuSOLVER"
  if [ "$2" -eq 124 ]; then
    text+="; the time limit came first"
  elif [ "$2" -ne 0 ] && [ "$2" -ne 1 ] && [ "$2" -ne 99 ]; then
    text+="; status $2: $(last_line "$1")"
  fi
  local found
  found=$(grep -E '(ERROR|RACECHECK) SUMMARY' "$logs/$1.log" | tail -n 1)
  [ -z "$found" ] || text+="; ${found#*= }"
  [ "$failed" -eq 0 ] || text+=":$(echo " $names" | cut -c 1-1000)"
  if [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ] && { [ "$2" -eq 0 ] || { [ "$2" -eq 1 ] && [ "$lacking" -gt 0 ]; }; }; then
    report passed "$1" "$text"
  else
    report failed "$1" "$text"
  fi
}

tests() {
  attempt tests 900 "$tests" --gtest_filter='*cuda*:*Cuda*' --gtest_output="json:$out/tests.json"
  report_tests tests $?
}

# A tool of compute-sanitizer, which slows kernels down a hundredfold: long tests and the libraries' own kernels are left out.
sanitize() {
  [ -n "$sanitizer" ] || { report skipped "$1" "compute-sanitizer not found"; return; }
  local filter='*cuda*-*Trainer*:*Teacher*:*Golden*:*Eigh*:*Svd*:*EndToEnd*:*Program*:*SelfTraining*:*Hostile*:*Method*'
  attempt "$1" 600 "$sanitizer" --tool "$1" --error-exitcode 99 --print-limit 50 "$tests" --gtest_filter="$filter"
  report_tests "$1" $?
}

benchmark() {  # STEP SECONDS SIZES
  simple "$1" "$2" "$bench" --benchmark_filter="/cuda/.*n:($3)(/|\$)" --benchmark_out="$out/$1.json" --benchmark_out_format=json
  grep -E '/cuda/' "$logs/$1.log" | cut -c 1-160
}

# The same solves by other libraries, where the machine's Python has PyTorch with CUDA.
peers() {
  local missing
  missing=$(timeout 120 python3 -c 'import numpy, torch; assert torch.cuda.is_available(), "no CUDA"' 2>&1) ||
    { report skipped peers "PyTorch with CUDA: $(tail -n 1 <<<"$missing" | cut -c 1-200)"; return; }
  SOTALIGN_COMMIT=$(sed -n 's/^commit: //p' "$here/BUNDLE.txt")
  export SOTALIGN_COMMIT
  simple peers 600 python3 "$here/compare_solvers.py" --device cuda --program "$here/bin/sotalign" \
    --sizes 1024 4096 16384 --peers pytorch pytorch_compiled pot_log geomloss --out "$out/peers.json"
  grep -E '^ *[0-9]+  ' "$logs/peers.log"
}

ncu() {
  [ -n "$ncu" ] || { report skipped ncu "ncu not found"; return; }
  # --clock-control none, because a lent machine may forbid to set clocks.
  local n of result=passed text=
  for n in 4096 16384; do
    for of in 'sinkhorn rows_kernel|finish_kernel' 'klot density_kernel|klot_kernel'; do
      attempt "ncu_${of%% *}_$n" 120 "$ncu" --clock-control none --set full --kernel-name "regex:${of#* }" --launch-skip 2 \
        --launch-count 6 --page details "$bench" --benchmark_filter="${of%% *}/cuda/scaling/n:$n(/batch:1)?/iterations" ||
        { result=failed; text+="; ${of%% *} at n = $n: $took: $(last_line "ncu_${of%% *}_$n")"; }
    done
  done
  report $result ncu "logs/ncu_*.log$text"
}

train() {
  [ -z "$no_libraries" ] || { report skipped train "$no_libraries"; return; }
  simple train 300 "$sotalign" demo --device cuda --set emoji --seeds 0 --out "$work/demo"
  cp "$logs/train.log" "$out/train.txt" 2>/dev/null
}

for step in "${steps[@]}"; do
  if [ $((limit - SECONDS)) -lt 5 ]; then
    report skipped "$step" "the limit of $limit s for all steps is reached"
  elif [ "$step" != facts ] && [ -n "$no_gpu" ]; then
    case $step in
      info) report failed info "$no_gpu" ;;
      *) report skipped "$step" "$no_gpu" ;;
    esac
  else
    case $step in
      memcheck | racecheck | initcheck | synccheck) sanitize "$step" ;;
      bench) benchmark bench 600 '256|512|1024|2048|4096|10000' ;;
      bench_large) benchmark bench_large 600 '8192|16384|22000|32768' ;;
      *) "$step" ;;
    esac
  fi
  tar -C "$out" -czf "$out/logs.tar.gz" logs  # after each step: a later one may be cut short
done
[ -z "$no_gpu" ] || failures=$((failures + 1))
if [ $failures -eq 0 ]; then
  echo "finished after $SECONDS s: nothing failed" | tee -a "$summary"
else
  echo "finished after $SECONDS s: failures, see above and logs.tar.gz" | tee -a "$summary"
fi
echo "$summary"
[ $failures -eq 0 ]
