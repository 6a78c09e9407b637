# shellcheck shell=sh
# Puts the file back where it was: same bytes, owner, mode and time. Never over another file.

digest() {
  if command -v sha256sum >/dev/null; then sha256sum <"$1"; else shasum -a 256 <"$1"; fi |
    cut -c 1-64
}

facts() {
  stat -c '%u:%g %a' -- "$1" 2>/dev/null || stat -f '%u:%g %Lp' -- "$1"
}

key=$(printf '%s\n' "$OK_RUN $OK_PATH" | cksum | tr -cd '0-9 ' | tr ' ' '-')
aside=$HOME/.outagekit/quarantine/$key
if [ ! -e "$aside/file" ] && [ -f "$aside/part" ] && [ ! -L "$aside/part" ]; then
  mv -- "$aside/part" "$aside/file" # it was cut off right after the file was removed
fi
if [ -L "$aside" ] || [ ! -f "$aside/file" ] || [ ! -f "$aside/note" ]; then
  echo "$aside does not hold what this run removed" >&2
  exit 1
fi
if [ -e "$OK_PATH" ] || [ -L "$OK_PATH" ]; then
  echo "something is at $OK_PATH again: the removed file stays in $aside/file" >&2
  exit 1
fi
wanted=$(sed -n 's/^sha256 //p' "$aside/note")
if [ "$(digest "$aside/file")" != "$wanted" ]; then
  echo "$aside/file is not what was removed any more" >&2
  exit 1
fi
# shellcheck disable=SC2046
set -- $(sed -n 's/^facts //p' "$aside/note")
owner=$1
mode=$2

folder=${OK_PATH%/*}
name=./${OK_PATH##*/}
if ! cd -P -- "${folder:-/}" || [ "$(pwd -P)" != "$(sed -n 's/^folder //p' "$aside/note")" ]; then
  echo "the folder of $OK_PATH is gone or is another one now: it stays in $aside/file" >&2
  exit 1
fi
umask 077
# A link cannot hit another file, and it is the file itself that is back, with all it had.
if ! ln -- "$aside/file" "$name" 2>/dev/null; then
  # Another file system: a copy in a folder where nobody else can lay a trap, then a link to it.
  new=.outagekit.$$
  mkdir -m 700 "$new"
  there=$(pwd -P)/$new
  trap 'cd / && rm -rf -- "$there"' EXIT
  cd -P -- "$new"
  if [ "$(pwd -P)" != "$there" ]; then
    echo "somebody is changing ${there%/*}: the file stays in $aside/file" >&2
    exit 1
  fi
  cp -a -- "$aside/file" file
  if [ "$(facts file | cut -d ' ' -f 1)" != "$owner" ]; then
    chown "$owner" file
  fi
  chmod "$mode" file
  touch -r "$aside/file" -- file
  if [ "$(digest file)" != "$wanted" ]; then
    echo "the copy for $OK_PATH is not whole" >&2
    exit 1
  fi
  if ! ln -- file "../$name"; then
    echo "$OK_PATH could not be put back: it stays in $aside/file" >&2
    exit 1
  fi
fi
if command -v restorecon >/dev/null; then
  restorecon "$OK_PATH" 2>/dev/null || :
fi
rm -f -- "$aside/file" "$aside/note"
rmdir -- "$aside"
echo "$OK_PATH is back: $(ls -ld "$OK_PATH")"
