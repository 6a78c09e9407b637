# shellcheck shell=sh
# Which version is installed, and is it the bad one? Reads only.
# Last line: {"installed": text, "impacted": true or false, "manager": "apt" or "dnf"}

if [ "$(id -u)" -ne 0 ]; then
  echo "log in as root: $(id -un) may not change packages" >&2
  exit 3
fi
if [ "$OK_BAD_VERSION" = "$OK_GOOD_VERSION" ]; then
  echo "the bad and the good version are the same: $OK_BAD_VERSION" >&2
  exit 2
fi

# A system that only has the tools of the other family has no packages of it.
if command -v apt-get >/dev/null && dpkg-query -W dpkg >/dev/null 2>&1; then
  manager=apt
  # The second letter of the status is what is so: n and c are not there, all others are, also
  # half installed and half configured, as a bad update may leave a package.
  # shellcheck disable=SC2016
  installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Version}\n' "$OK_PACKAGE" 2>/dev/null |
    awk 'substr($1, 2, 1) !~ /[nc]/ && $2 != "" { print $2 }' | sort -u)
elif command -v dnf >/dev/null && command -v rpm >/dev/null; then
  manager=dnf
  # rpm says "not installed" on its output, with an exit code.
  installed=$(rpm -q --qf '%{EVR}\n' "$OK_PACKAGE" 2>/dev/null) || installed=
  installed=$(printf '%s\n' "$installed" | sort -u)
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

impacted=false
if [ "$installed" = "$OK_BAD_VERSION" ]; then
  impacted=true
fi
printf '{"installed": "%s", "impacted": %s, "manager": "%s"}\n' "$installed" "$impacted" "$manager"
