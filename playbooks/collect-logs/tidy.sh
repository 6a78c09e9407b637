# shellcheck shell=sh
# Removes the folder of this run's archive. That of another run is left alone.

place=/var/lib/outagekit/collect-logs

owner=
if [ -d "$place" ] && [ ! -L "$place" ]; then
  { read -r owner <"$place/run"; } 2>/dev/null || :
  if [ "$owner" = "$OK_RUN" ]; then
    rm -rf -- "$place"
    rmdir /var/lib/outagekit 2>/dev/null || :
    echo "removed $place"
  fi
fi
