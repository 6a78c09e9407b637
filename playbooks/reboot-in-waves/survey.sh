# shellcheck shell=sh
# Does this machine ask for a restart, how long is it up, and who is on it? Reads only.
# Last line: {"needed": bool, "why": text, "up_days": int, "users": int}

clean() {
  tr '\n' ' ' | tr -cd 'A-Za-z0-9.,:+~_/ ()-' | cut -c 1-200
}

needed=false
why=
if [ -e /run/reboot-required ]; then
  needed=true
  why="reboot-required $(cat /run/reboot-required.pkgs 2>/dev/null | sort -u | clean)"
elif command -v needs-restarting >/dev/null; then
  # 1 means yes; anything else than 0 and 1 is a fault.
  code=0
  said=$(needs-restarting -r 2>&1) || code=$?
  if [ "$code" -eq 1 ]; then
    needed=true
    why="needs-restarting $(printf '%s\n' "$said" | sed -n 's/^ *\* *//p' | clean)"
  elif [ "$code" -ne 0 ]; then
    echo "needs-restarting cannot tell: $said" >&2
  fi
elif command -v rpm >/dev/null; then
  newest=$(rpm -q --qf '%{INSTALLTIME} %{VERSION}-%{RELEASE}.%{ARCH}\n' kernel-core kernel \
    2>/dev/null | grep '^[0-9]' | sort -rn | sed -n '1s/^[0-9]* //p') || newest=
  if [ -n "$newest" ] && [ "$newest" != "$(uname -r)" ]; then
    needed=true
    why="kernel $(printf '%s' "$newest" | clean) is installed, $(uname -r | clean) runs"
  fi
fi

up_days=0
if [ -r /proc/uptime ]; then
  read -r seconds _ </proc/uptime
  up_days=$((${seconds%%.*} / 86400))
fi
# Commands of this tool have no terminal and are not counted.
users=$(who 2>/dev/null | wc -l | tr -d ' ')
[ -z "$why" ] || echo "$why"
echo "up for $up_days days, $users logged in"
printf '{"needed": %s, "why": "%s", "up_days": %s, "users": %s}\n' \
  "$needed" "$(printf '%s' "$why" | clean | sed 's/ *$//')" "$up_days" "$users"
