# shellcheck shell=sh
# How is the service before it is restarted? Reads only, as any account.
# Last line: {"known": bool, "wanted": bool, "manager": text, "was": text, "instance": text}
#   known     there is such a service here
#   wanted    it is to be restarted: it runs, or is meant to
#   was       up, down (meant to run, and does not), off (disabled, masked, or started only by
#             others) or absent
#   instance  which start of it this is, another one after each start; empty where neither
#             systemd nor a file with its process can tell

show() {
  systemctl show --property LoadState --property ActiveState --property UnitFileState \
    --property MainPID --property ActiveEnterTimestampMonotonic "$OK_SERVICE"
}

fact() { # name: out of what show printed
  printf '%s\n' "$now" | sed -n "s/^$1=//p"
}

case $OK_STAY in
  [1-9] | [1-5][0-9] | 60) ;;
  *)
    echo "stay must be 1 to 60 seconds, not $OK_STAY" >&2
    exit 2
    ;;
esac

case $OK_SERVICE in
  *.target | *.mount | *.automount | *.swap | *.slice | *.scope | *.device | *.path)
    # To restart poweroff.target would be more than was asked for.
    echo "$OK_SERVICE is no service" >&2
    exit 2
    ;;
esac

starts_by_itself() { # links in the folders of runlevels
  for link in "$@"; do
    if [ -e "$link" ] || [ -L "$link" ]; then return 0; fi
  done
  return 1
}

instance=
if command -v systemctl >/dev/null && [ -d /run/systemd/system ]; then
  manager=systemd
  now=$(show)
  instance=$(printf '%s/%s' "$(fact MainPID)" "$(fact ActiveEnterTimestampMonotonic)" |
    tr -cd '0-9/')
  case $(fact LoadState)/$(fact ActiveState)/$(fact UnitFileState) in
    not-found/*) was=absent ;;
    masked/*) was=off ;;
    */active/* | */reloading/*) was=up ;;
    */inactive/disabled | */inactive/static | */inactive/indirect) was=off ;;
    *) was=down ;;
  esac
elif command -v rc-service >/dev/null; then
  manager=openrc
  was=absent
  if rc-service --exists "$OK_SERVICE"; then
    was=down
    if rc-service "$OK_SERVICE" status >/dev/null 2>&1; then
      was=up
    elif ! starts_by_itself /etc/runlevels/*/"$OK_SERVICE"; then
      was=off
    fi
  fi
elif command -v service >/dev/null; then
  manager=sysv
  was=absent
  if [ -x "/etc/init.d/$OK_SERVICE" ]; then
    was=down
    if service "$OK_SERVICE" status >/dev/null 2>&1; then
      was=up
    elif ! starts_by_itself /etc/rc[2-5].d/S[0-9][0-9]"$OK_SERVICE"; then
      was=off
    fi
  fi
else
  echo "there is no systemctl, rc-service or service here" >&2
  exit 4
fi

known=true
wanted=true
case $was in
  absent) known=false wanted=false ;;
  off) wanted=$OK_START ;;
esac
if [ "$manager" != systemd ]; then
  for file in "/run/$OK_SERVICE.pid" "/run/$OK_SERVICE/$OK_SERVICE.pid" "/var/run/$OK_SERVICE.pid"; do
    if [ -r "$file" ]; then
      instance=$(head -n 1 "$file" | tr -cd 0-9)
      break
    fi
  done
fi
if [ "$known" = false ]; then
  echo "there is no service $OK_SERVICE here: nothing to restart"
elif [ "$wanted" = false ]; then
  echo "$OK_SERVICE is stopped, and nothing starts it by itself: left alone without start=true"
else
  echo "$OK_SERVICE is $was"
fi
printf '{"known": %s, "wanted": %s, "manager": "%s", "was": "%s", "instance": "%s"}\n' \
  "$known" "$wanted" "$manager" "$was" "$instance"
