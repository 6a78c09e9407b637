# shellcheck shell=sh
# How full is the file system of the path? Reads only, as any account.
# Last line: {"free": percent, "inodes_free": percent, "full": bool, "free_mib": int}
#   A file system that does not count inodes has 100 percent of them free.

case $OK_WANT_FREE in
  [1-9] | [1-8][0-9] | 90) ;;
  *)
    echo "want_free must be 1 to 90 percent, not $OK_WANT_FREE" >&2
    exit 2
    ;;
esac
if [ ! -d "$OK_PATH" ]; then
  echo "there is no folder $OK_PATH here" >&2
  exit 1
fi

# A percentage is what is found first from the end: devices and mount points may hold blanks.
blocks=$(df -Pk "$OK_PATH" | awk '
  NR > 1 { for (i = NF; i > 3; i--) if ($i ~ /^[0-9]+%$/) { print 100 - $i, $(i - 1); exit } }')
inodes=$(df -Pi "$OK_PATH" 2>/dev/null | awk '
  NR > 1 { for (i = NF; i > 3; i--) if ($i ~ /^[0-9]+%$/) { print 100 - $i; exit } }') || inodes=
free=${blocks%% *}
inodes=${inodes:-100}
if [ -z "$free" ]; then
  echo "df says nothing of $OK_PATH" >&2
  exit 1
fi
df -Pk "$OK_PATH"
full=false
if [ "$free" -lt "$OK_WANT_FREE" ] || [ "$inodes" -lt "$OK_WANT_FREE" ]; then full=true; fi
printf '{"free": %s, "inodes_free": %s, "full": %s, "free_mib": %s}\n' \
  "$free" "$inodes" "$full" "$((${blocks#* } / 1024))"
