# shellcheck shell=sh
# How long are the certificates in these files and behind these ports of this machine valid?
# Reads only. One line for each certificate, the soonest to end last before the result.
# Last line: {"found": int, "days_left": int, "expiring": bool, "soonest": text, "faults": int,
#             "fault": text}
#   days_left of the one that ends first; below 0 it is over; 99999 where none was found
#   faults    what there is and could not be judged, or is not valid yet; fault says the first

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
faults=0
fault=
most=200 # certificates of one file

miss() {
  faults=$((faults + 1))
  [ -n "$fault" ] || fault=$(printf '%s' "$1" | tr '\n' ' ' | plain)
  echo "$1" >&2
}

block() { # number: that certificate of a text
  awk -v wanted="$1" '
    /-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----/ { number++ }
    number == wanted { print }
    /-----END (TRUSTED |X509 )?CERTIFICATE-----/ { if (number == wanted) exit }'
}

plain() { # lines of people's text, also fit for JSON
  tr -d '\000-\011\013-\037\177\\"|' | cut -c 1-200
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

fact() { # name: out of what openssl printed; older ones write a blank after the sign
  printf '%s\n' "$facts" | sed -n "s/^$1= *//p"
}

judge() { # where, PEM text
  number=1
  where=$(printf '%s' "$1" | tr '\n' ' ' | plain)
  while one=$(printf '%s\n' "$2" | block "$number") && [ -n "$one" ]; do
    if [ "$number" -gt "$most" ]; then
      miss "$1: more than $most certificates, the others were not looked at"
      break
    fi
    if ! facts=$(printf '%s\n' "$one" | openssl x509 -noout -startdate -enddate -subject \
      -issuer -nameopt RFC2253 2>/dev/null | plain) || [ -z "$facts" ]; then
      miss "$1: certificate $number cannot be read"
    else
      begin=$(fact notBefore)
      end=$(fact notAfter)
      if [ "$(days_until "$begin")" -ge 0 ]; then
        miss "$1: certificate $number is not valid before $begin"
      fi
      all="$all$(days_until "$end")|$where|$(fact subject)|$(fact issuer)|$end$newline"
    fi
    number=$((number + 1))
  done
  [ "$number" -gt 1 ] || echo "$1: no certificate in it that can be read here" >&2
}

text_of() { # path: PEM, also of a file in DER
  if ! grep -q 'BEGIN .*CERTIFICATE' "$1" &&
    openssl x509 -inform DER -in "$1" -outform PEM 2>/dev/null; then
    return 0
  fi
  tr -d '\000' <"$1"
}

# Patterns are read here; one that fits nothing is no fault: machines differ.
for path in $OK_FILES; do
  [ -e "$path" ] || continue
  if [ ! -f "$path" ] || [ ! -r "$path" ]; then
    miss "$path: cannot be read"
    continue
  fi
  judge "$path" "$(text_of "$path")"
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
    *CONNECTED*) miss "port $port: no certificate; it speaks no TLS, or only after STARTTLS" ;;
    # Machines differ: one that has no such service is no fault.
    *) echo "port $port: nobody answers there" >&2 ;;
  esac
done

rest=$(printf '"faults": %s, "fault": "%s"}' "$faults" "$fault")
if [ -z "$all" ]; then
  echo "no certificate was found"
  printf '{"found": 0, "days_left": 99999, "expiring": false, "soonest": "", %s\n' "$rest"
  exit 0
fi
sorted=$(printf '%s' "$all" | sort -t '|' -k 1,1nr)
printf '%s\n' "$sorted" | awk -F '|' '
  { printf "%d days: %s (%s), issued by %s, until %s\n", $1, $3, $2, $4, $5 }'
soonest=$(printf '%s\n' "$sorted" | tail -n 1)
days=${soonest%%|*}
expiring=false
if [ "$days" -lt "$OK_DAYS" ]; then expiring=true; fi
printf '{"found": %s, "days_left": %s, "expiring": %s, "soonest": "%s", %s\n' \
  "$(printf '%s\n' "$sorted" | wc -l | tr -d ' ')" "$days" "$expiring" \
  "$(printf '%s\n' "$soonest" | awk -F '|' '{ print $3 " (" $2 "), until " $5 }')" "$rest"
