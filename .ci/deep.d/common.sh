# shellcheck shell=bash
# Functions that the parts of .ci/deep share; each reads this first.
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../script.sh"
readonly figures=${1:?run this by .ci/deep}

# Adds a line of Markdown to the evidence.
report() { printf '%s\n' "$*" >>"$figures"; }

# configure FOLDER [OPTION...]
configure() {
  say "configuring $1"
  quietly cmake -S . -B "$1" -G Ninja -DBUBBLESCOPE_BENCH=OFF -DBUBBLESCOPE_CUDA=OFF "${@:2}"
}

# build FOLDER TARGET...
build() {
  say "building ${*:2} in $1"
  quietly cmake --build "$1" --target "${@:2}"
}

# build_release [TARGET]: the program unless told
build_release() {
  quietly cmake --preset release -G Ninja
  build build/release "${1-bubblescope}"
}

# Runs all tests in a build folder and adds ctest's summary, and what failed, to the evidence.
run_tests() {
  local code=0 log
  log=$(mktemp)
  ctest --test-dir "$1" --output-on-failure -j "$(nproc)" | tee "$log" || code=1
  report '```text'
  sed -n '/tests passed/,$p' "$log" | grep -vE '^Total Test time|^Errors while|^ *$' >>"$figures"
  report '```'
  rm "$log"
  return $code
}

# Commands whose output has to be the same bytes from every build of the program: orders, a search,
# costs from a model, shared links, noise, formulas, a trace written and one read.
readonly same_commands=(
  '-q simulate 1f1b -p 4 -m 8 --forward 10us --input-grad 11us --weight-grad 8us --format json'
  '-q compare --model deepseek-v3 --hardware h800 --parallel ep=64,dp=128 -p 16 -m 32
    --schedules 1f1b,dualpipe,zb-v --format json'
  '-q simulate v-auto -p 4 -m 12 --costs deepseek-v3-h800 --comm stream --format json'
  '-q simulate zb-h1 -p 4 -m 8 --costs deepseek-v3-h800 --jitter 5 --seed 7 --format json'
  '-q explain 1f1b -p 4 -m 8 --costs deepseek-v3-h800'
  '-q order dualpipev -p 4 -m 8 --to torch-comms'
  '-q simulate zb-h1 -p 4 -m 8 --costs deepseek-v3-h800
    --trace trace.json --svg picture.svg --html page.html'
  '-q analyze trace.json --format json'
  '-q reproduce dualpipe-readme'
)

# same_bytes PROGRAM: fails at the first command that it does not answer as the release build does.
same_bytes() {
  local folders command build
  local -A program=([this]=$(realpath "$1") [release]=$PWD/build/release/bubblescope)
  folders=$(mktemp -d)
  mkdir "$folders/this" "$folders/release"
  for command in "${same_commands[@]}"; do
    for build in this release; do
      # shellcheck disable=SC2086  # a command is split into its words
      (cd "$folders/$build" && "${program[$build]}" $command >>output 2>&1) || {
        tail "$folders/$build/output"
        fail "fails: ${program[$build]} $command"
      }
    done
    diff -r "$folders/this" "$folders/release" | head -20 ||
      fail "not the same bytes: bubblescope $command"
  done
  rm -r "$folders"
  report "${#same_commands[@]} commands give the same bytes as a release build by g++."
}
