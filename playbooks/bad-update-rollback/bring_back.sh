# shellcheck shell=sh
# Takes the rollback back: installs the version that was there before, lets the package go, and
# has the service run with it.

back=${OK_BACK:-}
for word in $back; do
  case $word in
    -* | *[!A-Za-z0-9.+~:^_%=/-]*)
      echo "cannot install $word" >&2
      exit 2
      ;;
  esac
done

instance() {
  systemctl show --property MainPID --property ActiveEnterTimestampMonotonic "$OK_SERVICE" |
    tr '\n' '/'
}

before=
[ -z "$OK_SERVICE" ] || before=$(instance)

case $OK_MANAGER in
  apt)
    DEBIAN_FRONTEND=noninteractive
    APT_LISTCHANGES_FRONTEND=none
    NEEDRESTART_SUSPEND=1
    export DEBIAN_FRONTEND APT_LISTCHANGES_FRONTEND NEEDRESTART_SUSPEND
    # It is let go last: if the version cannot be had, everything stays as it is.
    # shellcheck disable=SC2086
    apt-get -y -q --allow-downgrades --allow-change-held-packages --no-remove \
      --no-install-recommends -o DPkg::Lock::Timeout=120 \
      -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
      install ${back:-"$OK_PACKAGE=$OK_BAD_VERSION"}
    apt-mark unhold "$OK_PACKAGE"
    ;;
  dnf)
    # A lock hides every other version from dnf.
    locks=false
    if dnf -q versionlock list >/dev/null 2>&1; then
      locks=true
      dnf -q versionlock delete "$OK_PACKAGE"
    fi
    # shellcheck disable=SC2086
    if ! dnf -y --setopt=exit_on_lock=True --setopt=install_weak_deps=False \
      install ${back:-"$OK_PACKAGE-${OK_BAD_VERSION#0:}"}; then
      [ "$locks" = false ] || dnf -q versionlock add "$OK_PACKAGE-${OK_GOOD_VERSION#0:}"
      exit 1
    fi
    ;;
  *)
    echo "unknown package manager $OK_MANAGER" >&2
    exit 2
    ;;
esac

# Only where the service ran: one that was off stays off.
if [ -n "$OK_SERVICE" ] && [ "$(instance)" = "$before" ]; then
  if [ "${OK_STATE:-}" = up ] || systemctl is-active --quiet "$OK_SERVICE"; then
    systemctl restart "$OK_SERVICE"
    echo "restarted $OK_SERVICE"
  fi
fi
