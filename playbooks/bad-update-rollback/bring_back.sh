# shellcheck shell=sh
# Takes the rollback back: lets the package go and installs the version that was there before.

case $OK_MANAGER in
  apt)
    DEBIAN_FRONTEND=noninteractive
    export DEBIAN_FRONTEND
    apt-mark unhold "$OK_PACKAGE"
    apt-get -y -q --allow-downgrades --no-remove --no-install-recommends \
      -o DPkg::Lock::Timeout=120 \
      -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
      install "$OK_PACKAGE=$OK_BAD_VERSION"
    ;;
  dnf)
    if dnf -q versionlock list >/dev/null 2>&1; then
      dnf -q versionlock delete "$OK_PACKAGE"
    fi
    dnf -y --setopt=install_weak_deps=False install "$OK_PACKAGE-$OK_BAD_VERSION"
    ;;
  *)
    echo "unknown package manager $OK_MANAGER" >&2
    exit 2
    ;;
esac
