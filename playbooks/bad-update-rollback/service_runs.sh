# shellcheck shell=sh
# True (exit code 0) if the service runs, was started since the rollback began, and is the same
# process a little later: one that crashes and is started again is active most of the time.
# True as well if it was down or off before: that is not the rollback's fault, and is said.

wait_s=30
stay_s=5

instance() {
  systemctl show --property MainPID --property ActiveEnterTimestampMonotonic "$OK_SERVICE" |
    sed 's/^[^=]*=//' | tr '\n' '/' | sed 's,/$,,'
}

down() {
  echo "$1" >&2
  if [ "$OK_STATE" = down ]; then
    echo "it was down before the rollback, too: see to it apart from this" >&2
    exit 0
  fi
  systemctl status --no-pager --lines 20 "$OK_SERVICE" >&2 || :
  exit 1
}

case $OK_STATE in
  off | absent) exit 0 ;;
esac
waited=0
until systemctl is-active --quiet "$OK_SERVICE"; do
  if [ "$waited" -ge "$wait_s" ]; then
    down "$OK_SERVICE does not run"
  fi
  sleep 2
  waited=$((waited + 2))
done
seen=$(instance)
if [ "$seen" = "$OK_INSTANCE" ]; then
  down "$OK_SERVICE still runs as it was started before the rollback"
fi
sleep "$stay_s"
if ! systemctl is-active --quiet "$OK_SERVICE" || [ "$(instance)" != "$seen" ]; then
  down "$OK_SERVICE does not stay up: it ended within $stay_s seconds"
fi
exit 0
