# shellcheck shell=sh
# Installs the good version over the bad one and holds it. Nothing else is removed or added.

case $OK_MANAGER in
  apt)
    DEBIAN_FRONTEND=noninteractive
    export DEBIAN_FRONTEND
    # Configuration files that were edited here are kept, and nobody is asked about them.
    apt-get -y -q --allow-downgrades --no-remove --no-install-recommends \
      -o DPkg::Lock::Timeout=120 \
      -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
      install "$OK_PACKAGE=$OK_GOOD_VERSION"
    apt-mark hold "$OK_PACKAGE"
    ;;
  dnf)
    # A second try after a failed hold finds the good version there already.
    installed=$(rpm -q --qf '%{EVR}\n' "$OK_PACKAGE" 2>/dev/null | sort -u)
    if [ "$installed" != "$OK_GOOD_VERSION" ]; then
      dnf -y --setopt=install_weak_deps=False downgrade "$OK_PACKAGE-$OK_GOOD_VERSION"
    fi
    if dnf -q versionlock list >/dev/null 2>&1; then
      dnf -q versionlock add "$OK_PACKAGE-$OK_GOOD_VERSION"
    else
      echo "dnf has no versionlock here: the next update brings the bad version back" >&2
    fi
    ;;
  *)
    echo "unknown package manager $OK_MANAGER" >&2
    exit 2
    ;;
esac
