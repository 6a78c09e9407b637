# shellcheck shell=sh
# Installs the good version over the bad one and holds it. Nothing is removed.

# The words come from this machine's own preflight; none may be read as an option.
for word in $OK_TARGET; do
  case $word in
    -* | *[!A-Za-z0-9.+~:^_%=/-]*)
      echo "cannot install $word" >&2
      exit 2
      ;;
  esac
done

case $OK_MANAGER in
  apt)
    DEBIAN_FRONTEND=noninteractive
    APT_LISTCHANGES_FRONTEND=none
    NEEDRESTART_SUSPEND=1 # it would restart services that are none of our business
    export DEBIAN_FRONTEND APT_LISTCHANGES_FRONTEND NEEDRESTART_SUSPEND
    # Configuration files that were edited here are kept, and nobody is asked about them.
    # shellcheck disable=SC2086
    apt-get -y -q --allow-downgrades --no-remove --no-install-recommends \
      -o DPkg::Lock::Timeout=120 \
      -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
      install $OK_TARGET
    apt-mark hold "$OK_PACKAGE"
    ;;
  dnf)
    # A second try after a failed hold finds the good version there already.
    installed=$(rpm -q --qf '%{EVR}\n' "$OK_PACKAGE" 2>/dev/null | sed 's/^0://' | sort -u)
    if [ "$installed" != "${OK_GOOD_VERSION#0:}" ]; then
      # shellcheck disable=SC2086
      dnf -y --setopt=exit_on_lock=True --setopt=install_weak_deps=False downgrade $OK_TARGET
    fi
    if dnf -q versionlock list >/dev/null 2>&1; then
      dnf -q versionlock add "$OK_PACKAGE-${OK_GOOD_VERSION#0:}"
    else
      echo "dnf has no versionlock here: the next update brings the bad version back" >&2
    fi
    ;;
  *)
    echo "unknown package manager $OK_MANAGER" >&2
    exit 2
    ;;
esac
