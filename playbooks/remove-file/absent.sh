# shellcheck shell=sh
# True (exit code 0) if nothing is at the path; false (1) if something is.

if [ -e "$OK_PATH" ] || [ -L "$OK_PATH" ]; then
  exit 1
fi
exit 0
