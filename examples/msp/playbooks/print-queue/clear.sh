# shellcheck shell=sh
# Moves stuck jobs into a folder beside the spool, and starts the service anew.

aside=/var/spool/cups-aside
systemctl stop cups
mkdir -p -m 700 "$aside"
find /var/spool/cups -maxdepth 1 -type f \( -name 'd*' -o -name 'c*' \) -mmin +60 \
  -exec mv -n {} "$aside/" \;
systemctl start cups
echo "$(find "$aside" -type f -name 'd*' | wc -l) jobs moved aside"
