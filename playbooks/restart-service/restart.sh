# shellcheck shell=sh
# Restarts the service; one that is down is started. Says why where it does not start.

tell() { # the last lines of what the service said
  case $OK_MANAGER in
    systemd)
      systemctl status --no-pager --lines 0 "$OK_SERVICE" || :
      if command -v journalctl >/dev/null; then
        journalctl --no-pager --quiet --lines 20 --unit "$OK_SERVICE" || :
      fi
      ;;
    openrc) rc-service "$OK_SERVICE" status || : ;;
    *) service "$OK_SERVICE" status || : ;;
  esac
}

case $OK_MANAGER in
  systemd)
    # One that crashed too often is not started again without this.
    systemctl reset-failed "$OK_SERVICE" 2>/dev/null || :
    set -- systemctl restart "$OK_SERVICE"
    ;;
  openrc) set -- rc-service "$OK_SERVICE" restart ;;
  sysv) set -- service "$OK_SERVICE" restart ;;
  *)
    echo "unknown service manager $OK_MANAGER" >&2
    exit 2
    ;;
esac
if ! "$@"; then
  echo "$OK_SERVICE does not restart" >&2
  tell >&2
  exit 1
fi
echo "restarted $OK_SERVICE"
