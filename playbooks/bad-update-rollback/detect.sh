# shellcheck shell=sh
# Which version is installed, is it the bad one, and since when? Reads only, as any account.
# Last line: {"installed": text, "impacted": true or false, "manager": "apt" or "dnf",
#             "since": UTC time or "", "previous": the version before or ""}

if [ "$OK_BAD_VERSION" = "$OK_GOOD_VERSION" ]; then
  echo "the bad and the good version are the same: $OK_BAD_VERSION" >&2
  exit 2
fi

utc() { # seconds since 1970 -> UTC text, nothing for what is no number
  case $1 in
    '' | *[!0-9]*) return 0 ;;
  esac
  date -u -d "@$1" '+%Y-%m-%dT%H:%M:%SZ' 2>/dev/null || :
}

apt_history() {
  for log in /var/log/apt/history.log.*.gz; do
    [ ! -r "$log" ] || gzip -dc -- "$log" 2>/dev/null || :
  done
  [ ! -r /var/log/apt/history.log ] || cat /var/log/apt/history.log
}

# The newest entry that put the bad version in: "LOCAL-DATE TIME|OLD-VERSION". An entry reads
# "Upgrade: name:arch (old, new), ..." or "Install: name:arch (new), ...".
apt_arrival() {
  apt_history | awk -v name="$OK_PACKAGE" -v bad="$OK_BAD_VERSION" '
    $1 == "Start-Date:" { moment = $2 " " $3 }
    $1 ~ /^(Upgrade|Install|Reinstall|Downgrade):$/ {
      sub(/^[A-Za-z]+: /, "")
      many = split($0, entries, /\), */)
      for (i = 1; i <= many; i++) {
        open = index(entries[i], " (")
        who = substr(entries[i], 1, open - 1)
        sub(/:[a-z0-9-]+$/, "", who)
        if (!open || who != name) continue
        inside = substr(entries[i], open + 2)
        sub(/\)$/, "", inside)
        parts = split(inside, versions, /, */)
        old = ""
        new = versions[1]
        if (parts > 1 && versions[2] != "automatic") { old = versions[1]; new = versions[2] }
        if (new == bad && moment > latest) { latest = moment; before = old }
      }
    }
    END { if (latest != "") print latest "|" before }'
}

since=
previous=
# A system that only has the tools of the other family has no packages of it.
if command -v apt-get >/dev/null && dpkg-query -W dpkg >/dev/null 2>&1; then
  manager=apt
  # The second letter of the status is what is so: n and c are not there, all others are, also
  # half installed and half configured, as a bad update may leave a package.
  # shellcheck disable=SC2016
  installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Version}\n' "$OK_PACKAGE" 2>/dev/null |
    awk 'substr($1, 2, 1) !~ /[nc]/ && $2 != "" { print $2 }' | sort -u)
  arrival=$(apt_arrival)
  if [ -n "$arrival" ]; then
    since=$(utc "$(date -d "${arrival%%|*}" +%s 2>/dev/null || :)")
    previous=${arrival#*|}
  fi
elif command -v dnf >/dev/null && command -v rpm >/dev/null; then
  manager=dnf
  # rpm says "not installed" on its output, with an exit code. It writes an epoch of 0 where a
  # package names it, which dnf never does.
  installed=$(rpm -q --qf '%{EVR}\n' "$OK_PACKAGE" 2>/dev/null) || installed=
  installed=$(printf '%s\n' "$installed" | sed 's/^0://' | sort -u)
  since=$(rpm -q --qf '%{INSTALLTIME}\n' "$OK_PACKAGE" 2>/dev/null | sort -n | tail -n 1) || since=
  since=$(utc "$since")
else
  echo "neither apt-get with dpkg nor dnf with rpm is here" >&2
  exit 4
fi

if [ "$(printf '%s\n' "$installed" | wc -l)" -gt 1 ]; then
  echo "several versions of $OK_PACKAGE are installed side by side:" >&2
  printf '%s\n' "$installed" >&2
  exit 5
fi
installed=$(printf '%s' "$installed" | tr -cd 'A-Za-z0-9.+~:^_-')
previous=$(printf '%s' "$previous" | tr -cd 'A-Za-z0-9.+~:^_-')

# A version that was typed without its epoch or release would let a bad fleet look healthy.
upstream=${installed#*:}
for short in "$upstream" "${upstream%-*}"; do
  if [ "$short" = "$OK_BAD_VERSION" ] && [ "$installed" != "$OK_BAD_VERSION" ] &&
    [ "$installed" != "$OK_GOOD_VERSION" ]; then
    echo "$OK_PACKAGE is installed as $installed: if that is the bad one, write it whole" >&2
    exit 6
  fi
done

impacted=false
bad=$OK_BAD_VERSION
[ "$manager" = apt ] || bad=${bad#0:}
if [ -n "$installed" ] && [ "$installed" = "$bad" ]; then
  impacted=true
else
  since=
  previous=
fi
if [ -n "$since" ]; then
  echo "$OK_PACKAGE $installed came at $since${previous:+, after $previous}"
fi
printf '{"installed": "%s", "impacted": %s, "manager": "%s", "since": "%s", "previous": "%s"}\n' \
  "$installed" "$impacted" "$manager" "$since" "$previous"
