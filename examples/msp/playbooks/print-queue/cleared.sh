# shellcheck shell=sh
# True if no job waits for more than an hour and the scheduler takes new ones.

if [ -n "$(find /var/spool/cups -maxdepth 1 -type f -name 'd*' -mmin +60)" ]; then exit 1; fi
if lpstat -r | grep -q 'is running'; then exit 0; fi
exit 1
