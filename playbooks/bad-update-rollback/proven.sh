# shellcheck shell=sh
# What is so now that everything was done: version, hold, service. Reads only, as any account.
# Last line: {"installed": text, "held": true or false, "running": text}

case $OK_MANAGER in
  apt)
    # shellcheck disable=SC2016
    installed=$(dpkg-query -W -f '${Version}\n' "$OK_PACKAGE" | sort -u)
    held=false
    if apt-mark showhold | grep -Fxq -e "$OK_PACKAGE"; then held=true; fi
    ;;
  dnf)
    installed=$(rpm -q --qf '%{EVR}\n' "$OK_PACKAGE" | sed 's/^0://' | sort -u)
    held=false
    if dnf -q versionlock list 2>/dev/null | awk -v name="$OK_PACKAGE" '
      $0 == name || $0 == "Package name: " name { found = 1 }
      index($0, name "-") == 1 && substr($0, length(name) + 2, 1) ~ /[0-9*]/ { found = 1 }
      END { exit !found }'; then
      held=true
    fi
    ;;
  *)
    echo "unknown package manager $OK_MANAGER" >&2
    exit 2
    ;;
esac
running=
if [ -n "$OK_SERVICE" ]; then
  running=$(systemctl is-active "$OK_SERVICE" || :)
  if [ "$running" != active ]; then
    if [ "$OK_STATE" = up ]; then
      echo "$OK_SERVICE ran before the rollback and is $running now" >&2
      exit 1
    fi
    echo "$OK_SERVICE is ${running:-not known}, as it was before the rollback: see to it" >&2
  fi
fi
if [ "$installed" != "$OK_GOOD_VERSION" ] && [ "$installed" != "${OK_GOOD_VERSION#0:}" ]; then
  echo "$OK_PACKAGE is $installed, not $OK_GOOD_VERSION" >&2
  exit 1
fi
echo "$OK_PACKAGE is $installed"
printf '{"installed": "%s", "held": %s, "running": "%s"}\n' "$installed" "$held" "$running"
