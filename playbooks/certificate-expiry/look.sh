# shellcheck shell=sh
# How long are the certificates in these files and behind these ports of this machine valid?
# Reads only. One line for each certificate, the soonest to end last before the result.
# Last line: {"found": int, "days_left": int, "expiring": bool, "soonest": text}
#   days_left of the one that ends first; below 0 it is over; 99999 where none was found

if ! command -v openssl >/dev/null; then
  echo "there is no openssl here" >&2
  exit 4
fi
case $OK_DAYS in
  '' | *[!0-9]*)
    echo "days must be a whole number, not $OK_DAYS" >&2
    exit 2
    ;;
esac

now=$(date +%s)
newline='
'
all=
misses=0

miss() {
  misses=$((misses + 1))
  echo "$1" >&2
}

block() { # number: that certificate of a text
  awk -v wanted="$1" '
    /-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----/ { number++ }
    number == wanted { print }
    /-----END (TRUSTED |X509 )?CERTIFICATE-----/ { if (number == wanted) exit }'
}

plain() { # for one line of people's text and of JSON
  tr -d '\000-\037\177\\"|' | cut -c 1-200
}

days_until() { # "Nov 22 18:00:00 2026 GMT" -> whole days, rounded down
  printf '%s\n' "$1" | awk -v now="$now" '
    {
      month = (index("JanFebMarAprMayJunJulAugSepOctNovDec", $1) + 2) / 3
      split($3, clock, ":")
      year = $4 - (month <= 2)
      era = int(year / 400)
      of_era = year - era * 400
      of_year = int((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + $2 - 1
      day = of_era * 365 + int(of_era / 4) - int(of_era / 100) + of_year + era * 146097 - 719468
      left = day * 86400 + clock[1] * 3600 + clock[2] * 60 + clock[3] - now
      days = int(left / 86400)
      print (left < 0 && days * 86400 != left) ? days - 1 : days
    }'
}

judge() { # where, PEM text
  number=1
  while [ "$number" -le 20 ]; do
    one=$(printf '%s\n' "$2" | block "$number")
    [ -n "$one" ] || break
    if ! end=$(printf '%s\n' "$one" | openssl x509 -noout -enddate 2>/dev/null); then
      miss "$1: certificate $number cannot be read"
    else
      end=${end#notAfter=}
      subject=$(printf '%s\n' "$one" | openssl x509 -noout -subject -nameopt RFC2253 | plain)
      issuer=$(printf '%s\n' "$one" | openssl x509 -noout -issuer -nameopt RFC2253 | plain)
      days=$(days_until "$end")
      all="$all$days|$(printf '%s' "$1" | plain)|${subject#*=}|${issuer#*=}|$end$newline"
    fi
    number=$((number + 1))
  done
  [ "$number" -gt 1 ] || miss "$1: no certificate in it"
}

# Patterns are read here; one that fits nothing is no fault: machines differ.
for path in $OK_FILES; do
  [ -e "$path" ] || continue
  if [ ! -f "$path" ] || [ ! -r "$path" ]; then
    miss "$path: cannot be read"
    continue
  fi
  judge "$path" "$(cat -- "$path")"
done

limit=
if command -v timeout >/dev/null; then limit='timeout 15'; fi
for port in $OK_PORTS; do
  case $port in
    *[!0-9]*)
      echo "a port is a number, not $port" >&2
      exit 2
      ;;
  esac
  set -- -connect "localhost:$port" -showcerts
  [ -z "$OK_NAME" ] || set -- "$@" -servername "$OK_NAME"
  # shellcheck disable=SC2086
  shown=$($limit openssl s_client "$@" </dev/null 2>/dev/null) || :
  case $shown in
    *'BEGIN CERTIFICATE'*) judge "port $port" "$shown" ;;
    *) miss "port $port: nobody answers there with a certificate" ;;
  esac
done

if [ -z "$all" ]; then
  echo "no certificate was found"
  echo '{"found": 0, "days_left": 99999, "expiring": false, "soonest": ""}'
  exit 0
fi
sorted=$(printf '%s' "$all" | sort -t '|' -k 1,1nr)
printf '%s\n' "$sorted" | awk -F '|' '
  { printf "%d days: %s (%s), issued by %s, until %s\n", $1, $3, $2, $4, $5 }'
soonest=$(printf '%s\n' "$sorted" | tail -n 1)
days=${soonest%%|*}
expiring=false
if [ "$days" -lt "$OK_DAYS" ]; then expiring=true; fi
printf '{"found": %s, "days_left": %s, "expiring": %s, "soonest": "%s"}\n' \
  "$(printf '%s\n' "$sorted" | wc -l | tr -d ' ')" "$days" "$expiring" \
  "$(printf '%s\n' "$soonest" | awk -F '|' '{ print $3 " (" $2 "), until " $5 }')"
