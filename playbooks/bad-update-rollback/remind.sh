# shellcheck shell=sh
# Says what keeps the package where it is now, and how to let it go. Reads only, as any account.
# Last line: {"held": true or false, "lift": the command that lets it go, or ""}

held=false
lift=

case $OK_MANAGER in
  apt)
    if apt-mark showhold | grep -Fxq -- "$OK_PACKAGE"; then
      echo "$OK_PACKAGE is held at $OK_GOOD_VERSION and gets no updates, security fixes included."
      held=true
      lift="apt-mark unhold $OK_PACKAGE"
    else
      echo "$OK_PACKAGE is not held: the next upgrade brings another version."
    fi
    ;;
  dnf)
    if ! locks=$(dnf -q versionlock list 2>/dev/null); then
      echo "$OK_PACKAGE is not locked, as dnf has no versionlock here."
      echo "The next upgrade brings another version."
    elif printf '%s\n' "$locks" | awk -v name="$OK_PACKAGE" '
      $0 == name || $0 == "Package name: " name { found = 1 }
      index($0, name "-") == 1 && substr($0, length(name) + 2, 1) ~ /[0-9*]/ { found = 1 }
      END { exit !found }'; then
      echo "$OK_PACKAGE is locked at $OK_GOOD_VERSION and gets no updates, security fixes included."
      held=true
      lift="dnf versionlock delete $OK_PACKAGE"
    else
      echo "$OK_PACKAGE is not locked: the next upgrade brings another version."
    fi
    ;;
  *)
    echo "unknown package manager $OK_MANAGER" >&2
    exit 2
    ;;
esac
[ -z "$lift" ] || echo "When a repaired version is out: $lift"
printf '{"held": %s, "lift": "%s"}\n' "$held" "$lift"
