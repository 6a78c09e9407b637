# shellcheck shell=sh
# Has the service run with the good version: restarts it, unless the package did so already.

instance() {
  systemctl show --property MainPID --property ActiveEnterTimestampMonotonic "$OK_SERVICE" |
    sed 's/^[^=]*=//' | tr '\n' '/' | sed 's,/$,,'
}

case $OK_STATE in
  off | absent)
    echo "$OK_SERVICE was $OK_STATE before: left alone"
    exit 0
    ;;
esac
if systemctl is-active --quiet "$OK_SERVICE" && [ "$(instance)" != "$OK_INSTANCE" ]; then
  echo "$OK_SERVICE was restarted with the package"
  exit 0
fi
# One that crashed too often is not started again without this.
systemctl reset-failed "$OK_SERVICE" 2>/dev/null || :
if systemctl restart "$OK_SERVICE"; then
  echo "restarted $OK_SERVICE"
  exit 0
fi
systemctl status --no-pager --lines 20 "$OK_SERVICE" >&2 || :
if [ "$OK_STATE" = down ]; then
  echo "$OK_SERVICE does not start, and did not run before the rollback either" >&2
  exit 0
fi
exit 1
