# shellcheck shell=sh
# True (exit code 0) if the service runs, was started anew, and is the same process for as long
# as `stay` says: one that crashes and is started again is active most of the time.

wait_s=30

tell() {
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

runs() {
  case $OK_MANAGER in
    systemd) systemctl is-active --quiet "$OK_SERVICE" ;;
    openrc) rc-service "$OK_SERVICE" status >/dev/null 2>&1 ;;
    sysv) service "$OK_SERVICE" status >/dev/null 2>&1 ;;
    *)
      echo "unknown service manager $OK_MANAGER" >&2
      exit 2
      ;;
  esac
}

instance() {
  if [ "$OK_MANAGER" != systemd ]; then
    for file in "/run/$OK_SERVICE.pid" "/run/$OK_SERVICE/$OK_SERVICE.pid" \
      "/var/run/$OK_SERVICE.pid"; do
      if [ -r "$file" ]; then
        head -n 1 "$file" | tr -cd 0-9
        break
      fi
    done
    return 0
  fi
  systemctl show --property MainPID --property ActiveEnterTimestampMonotonic "$OK_SERVICE" |
    sed 's/^[^=]*=//' | tr '\n' '/' | sed 's,/$,,'
}

fail() {
  echo "$1" >&2
  tell >&2
  exit 1
}

waited=0
until runs; do
  if [ "$waited" -ge "$wait_s" ]; then
    fail "$OK_SERVICE does not run"
  fi
  sleep 2
  waited=$((waited + 2))
done
seen=$(instance)
if [ -n "$seen" ] && [ "$seen" = "$OK_INSTANCE" ]; then
  fail "$OK_SERVICE was not restarted: it is the process it was before"
fi
sleep "$OK_STAY"
if ! runs || [ "$(instance)" != "$seen" ]; then
  fail "$OK_SERVICE does not stay up: it ended within $OK_STAY seconds"
fi
exit 0
