# shellcheck shell=sh
# Does the service run, and is it the same process a little later? Reads only.
# A service that crashes and is started again and again is active most of the time.

main_pid() {
  systemctl show --property MainPID "$OK_SERVICE" | sed -n 's/^MainPID=//p'
}

tries=0
until systemctl is-active --quiet "$OK_SERVICE"; do
  tries=$((tries + 1))
  if [ "$tries" -ge 15 ]; then
    echo "$OK_SERVICE does not run" >&2
    systemctl status --no-pager --lines 20 "$OK_SERVICE" >&2 || :
    exit 1
  fi
  sleep 2
done

before=$(main_pid)
sleep 5
if ! systemctl is-active --quiet "$OK_SERVICE" || [ "$(main_pid)" != "$before" ]; then
  echo "$OK_SERVICE does not stay up: it was restarted within 5 seconds" >&2
  systemctl status --no-pager --lines 20 "$OK_SERVICE" >&2 || :
  exit 1
fi
echo "$OK_SERVICE runs"
