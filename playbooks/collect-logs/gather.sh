# shellcheck shell=sh
# Puts the journal of the last hours, named files and a few facts into one archive, in a folder
# that only root can read. Takes nothing away and changes nothing else; tidy.sh removes the folder.
# Last line: {"bytes": int, "sha256": text, "left_out": int}

base=/var/lib/outagekit
place=$base/collect-logs
most_mib=100 # what the playbook fetches at most

case $OK_MAX_MIB in
  [1-9] | [1-9][0-9] | 100) ;;
  *)
    echo "max_mib must be 1 to $most_mib, not $OK_MAX_MIB" >&2
    exit 2
    ;;
esac
case $OK_HOURS in
  '' | *[!0-9]* | 0)
    echo "hours must be 1 or more, not $OK_HOURS" >&2
    exit 2
    ;;
esac
if [ "$(id -u)" -ne 0 ]; then
  echo "$(id -un) may not read all logs: log in as root, or give the endpoint become: sudo" >&2
  exit 3
fi

umask 077
if [ -L "$base" ] || [ -L "$place" ]; then
  echo "$base or $place is a symbolic link: nothing is written there" >&2
  exit 1
fi
[ -d "$base" ] || mkdir -m 700 "$base"
if ! mkdir -m 700 "$place" 2>/dev/null; then
  # An earlier try of this run, or one that died long ago; nobody else's work.
  owner=
  { read -r owner <"$place/run"; } 2>/dev/null || :
  if [ "$owner" != "$OK_RUN" ] && [ -z "$(find "$place" -prune -mmin +60)" ]; then
    echo "another run collects logs here: ${owner:-it has just begun}" >&2
    exit 1
  fi
  rm -rf -- "$place"
  mkdir -m 700 "$place"
fi
# Without this line nobody could tell later whose folder it is.
if ! printf '%s\n' "$OK_RUN" >"$place/run"; then
  rm -rf -- "$place"
  rmdir "$base" 2>/dev/null || :
  echo "nothing can be written in $base" >&2
  exit 1
fi

most=$((OK_MAX_MIB * 1048576))
left=$(df -Pk "$place" | awk 'NR == 2 { print $4 }')
# The files, and the archive of them, and something for the machine to live on.
if [ "$left" -lt $((OK_MAX_MIB * 5120 + 51200)) ]; then
  echo "too little space for logs of $OK_MAX_MIB MiB: $((left / 1024)) MiB left in $base" >&2
  exit 1
fi

# From here on all is written below where this shell stands: if the run comes again and takes the
# folder away under an earlier try of it, that one can write nothing any more.
cd -- "$place"
logs=logs
mkdir "$logs"
room=$((most * 4)) # logs become smaller by more than this in an archive, as a rule
left_out=0

skip() {
  left_out=$((left_out + 1))
  printf '%s\n' "$1" >>"$logs/LEFT-OUT"
  echo "left out: $1" >&2
}

newest() { # stdin: its last bytes, as many as there is room for
  tail -c "$room"
}

spend() { # the room that a file takes
  room=$((room - $(wc -c <"$1")))
}

facts() {
  for each in "date -u" "uname -a" uptime "df -Pk" "df -Pi" "ps -ef"; do
    echo "== $each"
    $each 2>&1 || :
  done
  if command -v systemctl >/dev/null; then
    echo "== failed units"
    systemctl list-units --failed --no-legend --no-pager 2>&1 || :
  fi
}

facts | newest >"$logs/facts.txt"
spend "$logs/facts.txt"
if command -v journalctl >/dev/null; then
  since=$(date -u -d "@$(($(date +%s) - OK_HOURS * 3600))" '+%Y-%m-%d %H:%M:%S UTC')
  nice -n 19 journalctl --no-pager --quiet --utc --output short-iso --since "$since" 2>&1 |
    newest >"$logs/journal.txt"
  spend "$logs/journal.txt"
else
  skip "the journal: there is no journalctl here"
fi

copy() { # path; it may be rotated away, or be unreadable, in any moment
  had=$room
  size=$({ wc -c <"$1"; } 2>/dev/null) || size=0
  into=$logs/files/${1#/}
  mkdir -p "${into%/*}"
  if ! { newest <"$1" >"$into"; } 2>/dev/null; then
    rm -f -- "$into"
    skip "$1 (cannot be read)"
    return 0
  fi
  spend "$into"
  touch -r "$1" "$into" 2>/dev/null || :
  if [ "$size" -gt "$had" ]; then
    skip "$1 (its beginning: only the last $had of $size bytes)"
  fi
}

collect() { # path
  case $1/ in
    */./* | */../*) # in the archive's folder it would lead out of it again
      skip "$1 (no plain path)"
      return 0
      ;;
  esac
  if [ -L "$1" ]; then
    skip "$1 (a symbolic link)"
  elif [ ! -e "$1" ]; then
    skip "$1 (not there)"
  elif [ ! -f "$1" ]; then
    skip "$1 (no ordinary file)"
  elif [ "$room" -le 0 ]; then
    skip "$1 (no room: more than $OK_MAX_MIB MiB would be sent)"
  else
    copy "$1"
  fi
}

# Patterns are read here; a name that fits none stays as it is, and is said to be not there.
for path in $OK_FILES; do
  case $path in
    /*) collect "$path" ;;
    *) skip "$path (no whole path)" ;;
  esac
done

set -- logs.tar.gz
nice -n 19 tar -czf "$1" logs
rm -rf -- "$logs"
bytes=$(wc -c <"$1" | tr -d ' ')
if [ "$bytes" -gt "$most" ]; then
  echo "the archive has $((bytes / 1048576)) MiB, more than $OK_MAX_MIB: ask for fewer hours" >&2
  rm -rf -- "$place"
  rmdir "$base" 2>/dev/null || :
  exit 1
fi
printf '{"bytes": %s, "sha256": "%s", "left_out": %s}\n' \
  "$bytes" "$(sha256sum <"$1" | cut -c 1-64)" "$left_out"
