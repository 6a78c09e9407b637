# shellcheck shell=sh
# How is the service right before the change? What was broken before is not the change's fault.
# Last line: {"service_state": text, "instance": text}
#   service_state  up; down: it should run and does not stay up; off: disabled or masked,
#                  which is somebody's wish, or started only by others; absent: there is none
#   instance       which start of the service it is; another one after each start

facts() {
  systemctl show --property LoadState --property ActiveState --property UnitFileState \
    --property MainPID --property ActiveEnterTimestampMonotonic "$OK_SERVICE"
}

fact() { # name: out of what facts printed
  printf '%s\n' "$now" | sed -n "s/^$1=//p"
}

instance() {
  printf '%s/%s' "$(fact MainPID)" "$(fact ActiveEnterTimestampMonotonic)" | tr -cd '0-9/'
}

now=$(facts)
state=down
first=$(instance)
case $(fact LoadState)/$(fact ActiveState)/$(fact UnitFileState) in
  not-found/*) state=absent ;;
  masked/*) state=off ;;
  */active/* | */reloading/*)
    sleep 3
    now=$(facts)
    if [ "$(fact ActiveState)" = active ] && [ "$(instance)" = "$first" ]; then
      state=up
    fi
    ;;
  */inactive/disabled | */inactive/static | */inactive/indirect) state=off ;;
esac
echo "$OK_SERVICE is $state before the change"
printf '{"service_state": "%s", "instance": "%s"}\n' "$state" "$(instance)"
