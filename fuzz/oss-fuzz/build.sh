#!/bin/bash -eu
# Build every target into $OUT, with its first inputs and dictionary.  OSS-Fuzz runs this with SRC, OUT, CC, CFLAGS and
# LIB_FUZZING_ENGINE set and with compile_python_fuzzer at hand; local.sh gives it the same without a container.
cd "$SRC/seatrial"
python3 -c 'import seatrial.fuzz' 2>/dev/null || python3 -m pip install --quiet '.[fuzz]'

BUILD=$(mktemp -d)
python3 -m seatrial.fuzz.guided.build "$BUILD"

finish() { # TARGET DICTIONARY
    (cd "$BUILD/corpora/$1" && python3 -m zipfile -c "$OUT/$1_seed_corpus.zip" ./*)
    cp "$BUILD/dictionaries/$2.dict" "$OUT/$1.dict"
}

compile_python_fuzzer fuzz/targets/loader.py
finish loader json
for target in converter compiler seccomp; do
    compile_python_fuzzer "fuzz/targets/$target.py"
    finish "$target" config
done
compile_python_fuzzer fuzz/targets/mount_options.py
finish mount_options mount_options
for target in plan_decoder executor_front; do
    cp "$BUILD/$target" "$OUT/$target"
    finish "$target" plan
done
# The executor leaves its memory to exit(2); the target frees what it can see.
printf '[libfuzzer]\ndetect_leaks = 0\n' > "$OUT/executor_front.options"
rm -rf "$BUILD"
