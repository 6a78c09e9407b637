# shellcheck shell=sh
# May it be restarted now? Reads only. Exit code 1 with every reason against it.

reasons=0
refuse() {
  reasons=$((reasons + 1))
  echo "not restarted: $1" >&2
}

if [ "$OK_EVEN_IF_BUSY" != true ]; then
  people=$(who 2>/dev/null | awk '{ print $1 " on " $2 }' | sort -u | tr '\n' ',')
  if [ -n "$people" ]; then
    refuse "somebody is logged in: ${people%,}"
  fi
  if command -v systemd-inhibit >/dev/null; then
    blocks=$(systemd-inhibit --list --no-pager --no-legend 2>/dev/null |
      awk '/(^|[ :])shutdown([ :]|$)/ && $NF == "block" { print $1 }' | tr '\n' ' ')
    if [ -n "$blocks" ]; then
      refuse "a program blocks restarts: $blocks"
    fi
  fi
fi

# Never, whoever asks: a machine may not come up again with half a package.
locked=false
for file in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/rpm/.rpm.lock \
  /usr/lib/sysimage/rpm/.rpm.lock; do
  inode=$(stat -c %i "$file" 2>/dev/null) || continue
  pid=$(awk -v inode="$inode" '
    { many = split($6, id, ":") }
    many == 3 && id[3] == inode && $2 != "->" { print $5; exit }' /proc/locks 2>/dev/null) || :
  [ -n "$pid" ] || continue
  locked=true
  name=
  { read -r name <"/proc/$pid/comm"; } 2>/dev/null || :
  refuse "packages are being installed: process $pid (${name:-unknown}) holds $file"
done
# While dpkg works, its folder of updates is not empty either.
if [ "$locked" = false ] && [ -n "$(find /var/lib/dpkg/updates -name '[0-9]*' 2>/dev/null)" ]; then
  refuse "dpkg was interrupted: run dpkg --configure -a first"
fi

if [ "$reasons" -ne 0 ]; then
  exit 1
fi
echo "it may be restarted"
