# shellcheck shell=sh
# True (exit code 0) if at least want_free percent of room and of inodes are free; false (1) if not.

percent_used() { # option of df
  df "$1" "$OK_PATH" 2>/dev/null | awk 'NR > 1 {
    for (i = NF; i > 3; i--) if ($i ~ /^[0-9]+%$/) { print $i + 0; exit } }'
}

used=$(percent_used -Pk)
inodes=$(percent_used -Pi) || inodes=
if [ -z "$used" ]; then
  echo "df says nothing of $OK_PATH" >&2
  exit 2
fi
if [ "$used" -gt $((100 - OK_WANT_FREE)) ]; then
  echo "$((100 - used)) % of the room is free, $OK_WANT_FREE % are wanted" >&2
  exit 1
fi
if [ "${inodes:-0}" -gt $((100 - OK_WANT_FREE)) ]; then
  echo "$((100 - inodes)) % of the inodes are free, $OK_WANT_FREE % are wanted" >&2
  exit 1
fi
exit 0
