# shellcheck shell=sh
# Moves the file into a folder that only this account can read, with a note of what it was.
# The folder belongs to this run and this path: undo finds it again by both.

digest() {
  if command -v sha256sum >/dev/null; then sha256sum <"$1"; else shasum -a 256 <"$1"; fi |
    cut -c 1-64
}

facts() { # uid:gid, mode, links
  stat -c '%u:%g %a %h' -- "$1" 2>/dev/null || stat -f '%u:%g %Lp %l' -- "$1"
}

if [ -L "$OK_PATH" ] || [ ! -f "$OK_PATH" ]; then
  echo "$OK_PATH is no ordinary file any more" >&2
  exit 1
fi
if [ "$(digest "$OK_PATH")" != "$OK_FOUND" ]; then
  echo "$OK_PATH was changed since it was looked at: look again" >&2
  exit 1
fi
case ${HOME-} in
  /*) ;;
  *)
    echo "the account has no home folder to keep the file in" >&2
    exit 1
    ;;
esac

device() {
  stat -c %d -- "$1" 2>/dev/null || stat -f %d -- "$1"
}

umask 077
key=$(printf '%s\n' "$OK_RUN $OK_PATH" | cksum | tr -cd '0-9 ' | tr ' ' '-')
base=$HOME/.outagekit
aside=$base/quarantine/$key
for each in "$base" "$base/quarantine"; do
  [ -d "$each" ] || mkdir -m 700 "$each"
  # Every shell that is a system's sh knows -O.
  # shellcheck disable=SC3067
  if [ -L "$each" ] || [ ! -O "$each" ]; then
    echo "$each is not this account's own folder" >&2
    exit 1
  fi
  chmod 700 "$each"
done
if [ -e "$aside/file" ] || [ -L "$aside/file" ]; then
  echo "$aside holds a file of this run and path already: it came back after it was removed" >&2
  exit 1
fi
[ -d "$aside" ] || mkdir -m 700 "$aside"

folder=${OK_PATH%/*}
folder=$(cd -P -- "${folder:-/}" && pwd -P)
# On one file system only its name changes, which takes no room, also where a disk is full.
same=false
if [ "$(device "$folder")" = "$(device "$aside")" ]; then same=true; fi
if [ "$same" = false ]; then
  need=$(($(wc -c <"$OK_PATH") / 1024 + 1024))
  left=$(df -Pk "$aside" | awk 'NR == 2 { print $4 }')
  if [ "$left" -lt "$need" ]; then
    echo "there is no room for the file in $aside: $left KiB left, $need needed" >&2
    exit 1
  fi
fi

{
  printf 'path %s\n' "$OK_PATH"
  printf 'folder %s\n' "$folder"
  printf 'facts %s\n' "$(facts "$OK_PATH")"
  printf 'sha256 %s\n' "$OK_FOUND"
  printf 'run %s\n' "$OK_RUN"
  printf 'at %s\n' "$(date -u '+%Y-%m-%dT%H:%M:%SZ')"
} >"$aside/note"
ls -ld "$OK_PATH" >>"$aside/note"

if [ "$same" = false ]; then
  # First a whole copy under another name: a try that is cut off leaves nothing that looks done.
  rm -f -- "$aside/part"
  cp -a -- "$OK_PATH" "$aside/part"
  if [ "$(digest "$aside/part")" != "$OK_FOUND" ] || ! rm -f -- "$OK_PATH"; then
    rm -f -- "$aside/part" "$aside/note"
    rmdir -- "$aside"
    echo "$OK_PATH was changed while it was copied, or cannot be removed: it is in its place" >&2
    exit 1
  fi
  mv -f -- "$aside/part" "$aside/file"
elif ! mv -f -- "$OK_PATH" "$aside/file"; then
  rm -f -- "$aside/note"
  rmdir -- "$aside"
  echo "$OK_PATH cannot be moved: it is in its place" >&2
  exit 1
fi
if [ "$(digest "$aside/file")" != "$OK_FOUND" ]; then
  mv -f -- "$aside/file" "$OK_PATH"
  echo "$OK_PATH was changed while it was moved: it is back in its place" >&2
  exit 1
fi
echo "$OK_PATH is in $aside/file now, with a note beside it"
