# shellcheck shell=sh
# Says what keeps the package where it is now, and how to let it go. Reads only.

case $OK_MANAGER in
  apt)
    if apt-mark showhold | grep -Fxq -- "$OK_PACKAGE"; then
      echo "$OK_PACKAGE is held at $OK_GOOD_VERSION and gets no updates, security fixes included."
      echo "When a repaired version is out: apt-mark unhold $OK_PACKAGE"
    else
      echo "$OK_PACKAGE is not held: the next upgrade brings another version."
    fi
    ;;
  dnf)
    if dnf -q versionlock list >/dev/null 2>&1; then
      echo "$OK_PACKAGE is locked at $OK_GOOD_VERSION and gets no updates, security fixes included."
      echo "When a repaired version is out: dnf versionlock delete $OK_PACKAGE"
    else
      echo "$OK_PACKAGE is not locked, as dnf has no versionlock here."
      echo "The next upgrade brings another version."
    fi
    ;;
  *)
    echo "unknown package manager $OK_MANAGER" >&2
    exit 2
    ;;
esac
