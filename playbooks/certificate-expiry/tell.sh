# shellcheck shell=sh
# Says which certificate is about to end or could not be judged, and fails: so the run's end names every endpoint that
# needs somebody, its exit code tells a script, and --limit run:last:failed picks them.

if [ "$OK_FAULTS" -eq 1 ]; then
  echo "$OK_FAULT" >&2
elif [ "$OK_FAULTS" -gt 1 ]; then
  echo "$OK_FAULT (and $((OK_FAULTS - 1)) more)" >&2
fi
if [ "$OK_EXPIRING" != true ]; then
  :
elif [ "$OK_DAYS_LEFT" -lt 0 ]; then
  echo "over since $((-OK_DAYS_LEFT)) days: $OK_SOONEST" >&2
else
  echo "$OK_DAYS_LEFT days left: $OK_SOONEST" >&2
fi
exit 1
