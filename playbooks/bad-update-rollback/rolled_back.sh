# shellcheck shell=sh
# True (exit code 0) if the good version is wholly installed and held; false (1) if not.
# Where dnf has no versionlock there is nothing to hold with, and the version alone decides.

case $OK_MANAGER in
  apt)
    # Wanted status: installed, with the wish "install" or "hold". Each architecture must agree.
    # shellcheck disable=SC2016
    dpkg-query -W -f '${db:Status-Abbrev} ${Version}\n' "$OK_PACKAGE" 2>/dev/null |
      awk -v good="$OK_GOOD_VERSION" '
        $1 !~ /^[ih]i$/ || $2 != good { other = 1 }
        END { exit (other || NR == 0) }' || exit 1
    apt-mark showhold | grep -Fxq -e "$OK_PACKAGE" || exit 1
    ;;
  dnf)
    installed=$(rpm -q --qf '%{EVR}\n' "$OK_PACKAGE" 2>/dev/null | sed 's/^0://' | sort -u)
    [ "$installed" = "${OK_GOOD_VERSION#0:}" ] || exit 1
    if locks=$(dnf -q versionlock list 2>/dev/null); then
      printf '%s\n' "$locks" | awk -v name="$OK_PACKAGE" '
        $0 == name || $0 == "Package name: " name { found = 1 }
        index($0, name "-") == 1 && substr($0, length(name) + 2, 1) ~ /[0-9*]/ { found = 1 }
        END { exit !found }' || exit 1
    fi
    ;;
  *)
    echo "unknown package manager $OK_MANAGER" >&2
    exit 2
    ;;
esac
exit 0
