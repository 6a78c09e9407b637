# shellcheck shell=sh
# Takes away only what comes back by itself or nobody needs any more, and only what was asked
# for: downloads of packages, old journal, old rotated logs. Says how much that gained.
# Last line: {"gained_mib": int}

if [ "$(id -u)" -ne 0 ]; then
  echo "$(id -un) may not clean up: log in as root, or give the endpoint become: sudo" >&2
  exit 3
fi
case $OK_JOURNAL_MIB/$OK_ROTATED_DAYS in
  *[!0-9/]* | /* | */)
    echo "journal_mib and rotated_days must be 0 or more" >&2
    exit 2
    ;;
esac

free_kib() {
  df -Pk "$OK_PATH" | awk 'NR > 1 {
    for (i = NF; i > 3; i--) if ($i ~ /^[0-9]+%$/) { print $(i - 1); exit } }'
}

# What lies on another file system does not make this one emptier: it is not taken away. Parts of
# one pool have names of their own, and the same room left.
helps() { # folder
  [ -d "$1" ] || return 0
  if df -Pk "$OK_PATH" "$1" | awk 'NR > 1 {
    for (i = NF; i > 3; i--) if ($i ~ /^[0-9]+%$/) { left[NR] = $(i - 1); break }
    name[NR] = $1 }
    END { exit name[2] != name[3] && left[2] != left[3] }'; then
    return 0
  fi
  echo "$1 is on another file system than $OK_PATH: left alone" >&2
  return 1
}

before=$(free_kib)
failed=

if [ "$OK_PACKAGE_CACHE" = true ]; then
  if command -v apt-get >/dev/null && helps /var/cache/apt; then
    apt-get -q clean || failed="$failed apt-get"
  fi
  if command -v dnf >/dev/null && helps /var/cache/dnf && helps /var/cache/libdnf5; then
    dnf -q clean packages || failed="$failed dnf"
  fi
fi

journal=/var/log/journal
[ -d "$journal" ] || journal=/run/log/journal
if [ "$OK_JOURNAL_MIB" -gt 0 ] && command -v journalctl >/dev/null && helps "$journal"; then
  journalctl --quiet --vacuum-size="${OK_JOURNAL_MIB}M" || failed="$failed journalctl"
fi

sweep() {
  # Names that log rotation gives. The journal keeps its own house; audit logs are evidence.
  find /var/log -xdev \( -path /var/log/journal -o -path /var/log/audit \) -prune -o -type f \
    \( -name '*.gz' -o -name '*.xz' -o -name '*.bz2' -o -name '*.zst' -o -name '*.old' \
    -o -name '*.[0-9]' -o -name '*.[0-9][0-9]' -o -name '*-20[0-9][0-9][01][0-9][0-3][0-9]' \) \
    -mtime "+$OK_ROTATED_DAYS" -print -exec rm -f -- {} +
}

if [ "$OK_ROTATED_DAYS" -gt 0 ] && [ -d /var/log ] && helps /var/log; then
  # A file that log rotation takes away meanwhile is an error to find, and gone the second time.
  sweep || sweep || failed="$failed find"
fi

gained=$((($(free_kib) - before) / 1024))
if [ "$gained" -lt 0 ]; then gained=0; fi # somebody wrote meanwhile
if [ -n "$failed" ]; then
  echo "gained $gained MiB; not everything could be cleaned:$failed" >&2
  exit 1
fi
df -Pk "$OK_PATH"
echo "gained $gained MiB"
printf '{"gained_mib": %s}\n' "$gained"
