# shellcheck shell=sh
# Which services run now that start by themselves at boot? They must run afterwards. Reads only.
# One that is down now is not the restart's fault.
# Last line: {"services": names with blanks between them}

services=
if command -v systemctl >/dev/null; then
  enabled=$(systemctl list-unit-files --type=service --state=enabled --no-legend --no-pager |
    awk '{ print $1 }')
  for unit in $(systemctl list-units --type=service --state=running --no-legend --no-pager \
    --plain | awk '{ print $1 }'); do
    case $unit in
      *[!A-Za-z0-9:_.@-]*) continue ;; # its name would need quoting
      *@*.service) template=${unit%%@*}@.service ;;
      *) template=$unit ;;
    esac
    if printf '%s\n' "$enabled" | grep -Fxq -e "$unit" -e "$template"; then
      services="$services $unit"
    fi
  done
fi
services=${services# }
echo "these must run afterwards: ${services:-none is known}"
printf '{"services": "%s"}\n' "$services"
