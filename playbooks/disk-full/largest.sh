# shellcheck shell=sh
# What takes the room: folders, files, and files that are deleted and still open. Reads only, and
# stays on the file system of the path.

many=15

echo "== largest folders, in KiB"
nice -n 19 du -xk "$OK_PATH" 2>/dev/null | sort -rn | head -n "$many" || :

echo "== largest files of more than 50 MiB, in KiB"
nice -n 19 find "$OK_PATH" -xdev -type f -size +102400 -exec du -k {} + 2>/dev/null |
  sort -rn | head -n "$many" || :

echo "== folders with the most entries"
nice -n 19 find "$OK_PATH" -xdev -type d -size +128 -exec ls -ld {} + 2>/dev/null |
  awk '{ print $5, $9 }' | sort -rn | head -n 5 || :

echo "== deleted, but still open, of 1 MiB or more: their room comes back when the process ends or lets go"
for process in /proc/[0-9]*; do
  [ -d "$process/fd" ] || continue
  for open in "$process"/fd/*; do
    to=$(readlink "$open" 2>/dev/null) || continue
    case $to in
      /memfd:* | /dev/* | /proc/* | /SYSV*) continue ;;
      /*' (deleted)') ;;
      *) continue ;;
    esac
    bytes=$(stat -L -c %s "$open" 2>/dev/null) || continue
    [ "$bytes" -ge 1048576 ] || continue
    name=
    { read -r name <"$process/comm"; } 2>/dev/null || :
    echo "$((bytes / 1024)) KiB: process ${process#/proc/} (${name:-unknown}) $to"
  done
done | sort -rn | head -n "$many" || :
