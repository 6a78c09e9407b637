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

# First beside its place, whole, then into it in one step that cannot hit another file.
umask 077
new=$OK_PATH.outagekit.$$
trap 'rm -f -- "$new"' EXIT
cp -p -- "$aside/file" "$new"
if [ "$(facts "$new" | cut -d ' ' -f 1)" != "$owner" ]; then
  chown "$owner" "$new"
fi
chmod "$mode" "$new"
touch -r "$aside/file" -- "$new"
if [ "$(digest "$new")" != "$wanted" ]; then
  echo "the copy for $OK_PATH is not whole" >&2
  exit 1
fi
if ! ln -- "$new" "$OK_PATH"; then
  echo "$OK_PATH could not be put back: it stays in $aside/file" >&2
  exit 1
fi
rm -f -- "$new"
if command -v restorecon >/dev/null; then
  restorecon "$OK_PATH" 2>/dev/null || :
fi
rm -f -- "$aside/file" "$aside/note"
rmdir -- "$aside"
echo "$OK_PATH is back: $(ls -ld "$OK_PATH")"
