# shellcheck shell=sh
# How many jobs have waited for more than an hour? Reads only.
# Last line: {"stuck": number, "impacted": true or false}

spool=/var/spool/cups
if [ ! -d "$spool" ]; then
  echo "there is no $spool here" >&2
  exit 4
fi
stuck=$(find "$spool" -maxdepth 1 -type f -name 'd*' -mmin +60 | wc -l)
impacted=false
if [ "$stuck" -gt 0 ]; then
  impacted=true
fi
printf '{"stuck": %d, "impacted": %s}\n' "$stuck" "$impacted"
