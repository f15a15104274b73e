#!/bin/bash -eu
# local.sh OUT: what OSS-Fuzz would build, on this host and without a container.  Needs clang with its run-time library,
# atheris, and this project installed for `python3` (PYTHON names another one).
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$1"
OUT=$(cd "$1" && pwd)
PYTHON=$(command -v "${PYTHON:-python3}")
SRC=$(mktemp -d)
trap 'rm -rf "$SRC"' EXIT
ln -s "$(dirname "$(dirname "$HERE")")" "$SRC/seatrial"
mkdir "$SRC/bin"
printf '#!/bin/sh\nexec "%s" "$@"\n' "$PYTHON" > "$SRC/bin/python3"
# Instead of a frozen program, a script that starts the target where it is.
cat > "$SRC/bin/compile_python_fuzzer" <<END
#!/bin/sh
name=\$(basename "\$1" .py)
printf '#!/bin/sh\nexec "%s" -P "%s" "\$@"\n' "$PYTHON" "\$(realpath "\$1")" > "$OUT/\$name"
chmod +x "$OUT/\$name"
END
chmod +x "$SRC/bin/python3" "$SRC/bin/compile_python_fuzzer"
export SRC OUT PATH="$SRC/bin:$PATH"
bash -eu "$HERE/build.sh"
