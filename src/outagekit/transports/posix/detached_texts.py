r"""The shell texts around a detached script, for any POSIX shell: dash, busybox, bash, ksh, zsh.

They hold no value: names, numbers and the script itself are assigned before them. `PLACE` comes
first and sets `folder`; then one of the others does its work and ends with an answer.

The order of what a start does is what keeps a script from running twice. `begun` is made by the
process that is going to run the script, already in a session of its own, as a hard link to a
finished file: either it is there with all it says, or nothing began. Of any number of starts at the
same time one gets it, and only that one runs. A start that died before it is repeated; one that
may have run anything never is.
"""

from __future__ import annotations

from typing import Final

# What all of them share. No function prints anything but `refuse` and `tell`.
_COMMON: Final = r"""
now() {
  if [ -r /proc/uptime ]; then read -r now idle </proc/uptime; now=${now%%.*}
  else now=$(date +%s); fi
}
booted() {
  booted=
  if [ -r /proc/sys/kernel/random/boot_id ]; then read -r booted </proc/sys/kernel/random/boot_id
  else booted=$(sysctl -n kern.bootsessionuuid 2>/dev/null); fi
  booted=${booted:--}
}
born() {
  born=
  if [ -r /proc/self/stat ]; then
    line=
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 0
    set -- ${line##*\) }
    case ${1:-Z} in Z|X|x) return 0 ;; esac
    born=${20:-}
  else
    set -- $(ps -o stat= -o lstart= -p "$1" 2>/dev/null)
    case ${1:-Z} in Z*) return 0 ;; esac
    shift
    for word; do born=${born}_$word; done
  fi
}
"""

# Run as `sh -c` in a session of its own: folder, nonce, language, file mask of the account.
# Closing 3 lets the start go on; some shells keep a copy of their standard output open.
RUNNER: Final = (
    _COMMON
    + r"""
s=$1/s.$2
trap : HUP INT TERM
now; booted; born "$$"
me="$2 $$ ${born:--} $booted $now"
printf '%s\n' "$me" >"$s/claim" || exit 0
: >"$s/out"
: >"$s/err"
: >"$s/ending"
ln "$s/claim" "$1/begun" 2>/dev/null
it=
{ read -r it <"$1/begun"; } 2>/dev/null
if [ "$it" != "$me" ]; then rm -rf "$s"; exit 0; fi
sync "$1/begun" "$1" 2>/dev/null || sync
exec 3>&-
(umask "$4" && exec "$3" -s <"$s/script" >"$s/out" 2>"$s/err")
code=$?
now
mv -f "$s/ending" "$s/ended.$code.$now"
"""
)

PLACE: Final = (
    _COMMON
    + r"""
refuse() {
  printf '%s\n' 'outagekit-detached refused' "$*"
  exit 0
}
ours() { [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ]; }
pace=0.05
nap() { sleep "$pace" 2>/dev/null || sleep 1; pace=0.2; }
case ${HOME-} in /*) ;; *) refuse 'the account has no home folder' ;; esac
[ -d "$HOME/." ] || refuse "the home folder $HOME is not there"
case $(ls -ld "$HOME/.") in
????????w*) refuse "everybody may write into the home folder $HOME" ;;
esac
base=$HOME/.outagekit
folder=$base/$name
umask 077
look() {
  now; age=0; code=; s=
  if [ ! -e "$folder/begun" ]; then state=absent; return 0; fi
  nonce=; pid=; start=; boot=; at=
  read -r nonce pid start boot at more <"$folder/begun"
  case $nonce in ''|*[!0-9a-f]*) nonce=none ;; esac
  case $pid in ''|*[!0-9]*) pid=0 ;; esac
  case $at in ''|*[!0-9]*) at=$now ;; esac
  s=$folder/s.$nonce
  booted; born "$pid"
  state=gone
  if [ "$pid" -gt 1 ] && [ "${born:--}" = "$start" ] && [ "$booted" = "$boot" ] && [ "$born" ]
  then state=running; fi
  last=$now
  for file in "$s"/ended.*; do
    if [ -e "$file" ]; then
      state=ended
      code=${file##*/ended.}
      last=${code##*.}
      code=${code%%.*}
    fi
  done
  if [ "$state" != running ] && [ -e "$folder/stopped" ]; then state=stopped; code=; fi
  age=$((last - at))
  [ "$age" -ge 0 ] || age=0
}
wait_for_it() {
  look
  since=$now
  while [ "$state" = running ] && [ "$((now - since))" -lt "$wait" ] && [ "$age" -le "$limit" ]
  do nap; look; done
}
bytes() {
  set -- $( { wc -c <"$1"; } 2>/dev/null) 0
  bytes=$1
}
send() {
  [ -f "$1" ] || return 0
  bytes "$1"
  if [ "$bytes" -le "$keep" ]; then [ "$rest" ] || cat "$1"
  elif [ "$rest" ]; then tail -c "$half" "$1"
  else dd if="$1" bs="$block" count="$blocks" 2>/dev/null; fi
}
tell() {
  out=0; err=0
  rest=${1-}
  if [ "$s" ] && [ "$state" != running ]; then
    bytes "$s/out"; out=$bytes
    bytes "$s/err"; err=$bytes
  fi
  printf 'outagekit-detached %s code=%s age=%s out=%s err=%s\n' \
    "$state" "$code" "$age" "$out" "$err"
  [ "$state" != running ] || return 0
  send "$s/out"
  send "$s/err" >&2
}
"""
)

START: Final = r"""
put() {
  # Only a builtin keeps the script out of the list of processes; ksh has `print` for it.
  if [ "$(command -v printf)" = printf ]; then printf %s "$1"; else print -rn -- "$1"; fi
}
make() {
  [ -e "$1" ] || [ -L "$1" ] || why=$(mkdir -m 700 "$1" 2>&1)
  ours "$1"
}
launch() {
  exec 3>&1 >/dev/null
  if command -v setsid >/dev/null 2>&1; then
    exec setsid sh -c "$runner" outagekit "$@"
  elif command -v perl >/dev/null 2>&1; then
    exec perl -e 'use POSIX (); POSIX::setsid(); exec @ARGV' sh -c "$runner" outagekit "$@"
  fi
  exec nohup sh -c "$runner" outagekit "$@"
}
begin() {
  s=$folder/s.$nonce
  why=$( { mkdir -m 700 "$s" && put "$script" >"$s/script"; } 2>&1)
  bytes "$s/script"
  if [ "$bytes" -ne "$size" ]; then
    rm -rf "$s"
    refuse "the script could not be written into $folder: ${why:-the disk may be full}"
  fi
  none=$(
    command -v setsid >/dev/null 2>&1 || command -v perl >/dev/null 2>&1 || set -m
    launch "$folder" "$nonce" "$language" "$mask" 2>/dev/null </dev/null &
  )
  # Most shells waited there until the script's shell began or ended; ksh closes 3 before.
  tries=25
  until [ -e "$folder/begun" ] || [ "$tries" -eq 0 ]; do tries=$((tries - 1)); nap; done
  [ -e "$folder/begun" ] && return 0
  rm -rf "$s"
  refuse "the script could not be started from $folder: it needs space and hard links"
}
tries=3
why=
until make "$base" && make "$folder"; do
  tries=$((tries - 1))
  [ "$tries" -gt 0 ] || refuse "$folder cannot be used: ${why:-it is not a folder of the account}"
done
chmod 700 "$base" "$folder"
[ -e "$folder/begun" ] || begin
wait_for_it
tell
"""

_OURS: Final = r"""
if [ -e "$base" ] || [ -L "$base" ]; then
  ours "$base" || refuse "$base is not a folder of the account"
fi
if [ -e "$folder" ] || [ -L "$folder" ]; then
  ours "$folder" || refuse "$folder is not a folder of the account"
fi
"""

WAIT: Final = _OURS + "wait_for_it\ntell\n"
REST: Final = _OURS + "look\ntell rest\n"

STOP: Final = (
    _OURS
    + r"""
family() {
  ps -A -o pid= -o ppid= | awk -v top="$pid" '
    { up[$1] = $2 }
    END {
      for (one in up) {
        at = one
        while (at != top && (at in up) && up[at] != at) at = up[at]
        if (at == top) print one
      }
    }'
}
strike() { kill "-$1" "-$pid" 2>/dev/null || kill "-$1" $(family) 2>/dev/null; }
left() { kill -0 "-$pid" 2>/dev/null || { look; [ "$state" = running ]; }; }
outlast() {
  now
  since=$now
  while left; do
    now
    [ "$((now - since))" -lt "$1" ] || return 0
    nap
  done
}
look
if [ "$state" = running ]; then
  : >"$folder/stopped"
  strike TERM
  outlast "$term"
  ! left || strike KILL
  outlast "$kill"
  look
fi
tell
"""
)

RELEASE: Final = (
    _OURS
    + r"""
look
if [ "$state" = running ]; then tell; exit 0; fi
if [ -e "$folder" ]; then
  # The proof that it ran goes last: what is left by a removal that was cut starts nothing.
  rm -rf "$folder"/s.*
  rm -rf "$folder"
  [ ! -e "$folder" ] || refuse "$folder could not be removed"
fi
rmdir "$base" 2>/dev/null
printf '%s\n' 'outagekit-detached released'
"""
)
