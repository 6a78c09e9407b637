# shellcheck shell=sh
# True (exit code 0) if every service that ran before the restart runs again; false (1) if not.
# Gives them time: this is asked as soon as the machine answers.

wait_s=120

missing() {
  for unit in $OK_SERVICES; do
    if ! systemctl is-active --quiet -- "$unit"; then
      printf '%s ' "$unit"
    fi
  done
}

waited=0
while gone=$(missing) && [ -n "$gone" ]; do
  if [ "$waited" -ge "$wait_s" ]; then
    echo "ran before the restart and does not run now: $gone" >&2
    # shellcheck disable=SC2086
    systemctl status --no-pager --lines 10 -- $gone >&2 || :
    exit 1
  fi
  sleep 5
  waited=$((waited + 5))
done
exit 0
