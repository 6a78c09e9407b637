# shellcheck shell=sh
# Can the rollback be done here, and would it do nothing else? Reads only.
# Every reason against it is printed; one is enough for exit code 1.

free_kib=204800 # downloads and unpacked files of an ordinary package, with room to spare
reasons=0

refuse() {
  reasons=$((reasons + 1))
  echo "not ready: $1" >&2
}

refuse_by_name() {
  case $OK_PACKAGE in
    kernel* | linux-image* | linux-modules*)
      refuse "boot the older kernel instead of downgrading $OK_PACKAGE"
      ;;
    glibc* | libc6* | selinux* | libselinux* | policycoreutils* | dpkg | apt | rpm | dnf*)
      refuse "$OK_PACKAGE carries the system and cannot be downgraded safely: use a snapshot"
      ;;
    postgresql* | mysql* | mariadb* | percona* | mongodb* | redis* | valkey* | mssql-server*)
      if [ "$OK_ALLOW_DATABASE" != true ]; then
        refuse "an older $OK_PACKAGE may not read its files; allow_database=true overrides this"
      fi
      ;;
  esac
}

refuse_without_space() {
  full=$(df -Pk / /var | awk -v least="$free_kib" \
    'NR > 1 && $4 < least { print $6 " has " int($4 / 1024) " MiB left" }' | sort -u)
  if [ -n "$full" ]; then
    refuse "too little space: $full"
  fi
}

refuse_by_apt() {
  if apt-mark showhold | grep -Fxq -- "$OK_PACKAGE"; then
    refuse "$OK_PACKAGE is held already: somebody had a reason, see apt-mark showhold"
  fi
  broken=$(dpkg --audit 2>&1) || :
  if [ -n "$broken" ]; then
    refuse "dpkg has unfinished packages: $broken"
  fi
  if ! apt-cache madison "$OK_PACKAGE" |
    awk -F '|' -v good="$OK_GOOD_VERSION" \
      '{ gsub(/[ \t]/, "", $2) } $2 == good { found = 1 } END { exit !found }'; then
    refuse "$OK_GOOD_VERSION is in no repository this machine knows: refresh its lists or add one"
    return
  fi
  if ! outlook=$(apt-get -s -q --allow-downgrades --no-install-recommends \
    install "$OK_PACKAGE=$OK_GOOD_VERSION" 2>&1); then
    refuse "apt-get cannot do it: $(printf '%s\n' "$outlook" | tail -n 5)"
    return
  fi
  removed=$(printf '%s\n' "$outlook" | awk '$1 == "Remv" { print $2 }')
  if [ -n "$removed" ]; then
    refuse "it would remove $(printf '%s' "$removed" | tr '\n' ' ')"
  fi
  printf '%s\n' "$outlook" | grep '^Inst ' || :
}

refuse_by_dnf() {
  if dnf -q versionlock list 2>/dev/null | awk -v name="$OK_PACKAGE" '
    $0 == "Package name: " name { found = 1 }
    index($0, name "-") == 1 && substr($0, length(name) + 2, 1) ~ /[0-9]/ { found = 1 }
    END { exit !found }'; then
    refuse "$OK_PACKAGE is locked already: somebody had a reason, see dnf versionlock list"
  fi
  if ! dnf -q --showduplicates list "$OK_PACKAGE" 2>/dev/null |
    awk -v good="$OK_GOOD_VERSION" '$2 == good { found = 1 } END { exit !found }'; then
    refuse "$OK_GOOD_VERSION is in no repository this machine knows: enable the one that has it"
    return
  fi
  # Answering no is an error to dnf; what it would do stands in its output all the same.
  outlook=$(dnf --assumeno --setopt=install_weak_deps=False \
    downgrade "$OK_PACKAGE-$OK_GOOD_VERSION" 2>&1) || :
  if ! printf '%s\n' "$outlook" | grep -q '^[[:space:]]*Downgrad'; then
    refuse "dnf cannot do it: $(printf '%s\n' "$outlook" | tail -n 5)"
  elif printf '%s\n' "$outlook" | grep -Eq '^[[:space:]]*Remov(e|ing)'; then
    refuse "it would remove packages: $(printf '%s\n' "$outlook" | tail -n 20)"
  fi
}

refuse_by_name
refuse_without_space
case $OK_MANAGER in
  apt) refuse_by_apt ;;
  dnf) refuse_by_dnf ;;
  *) refuse "unknown package manager $OK_MANAGER" ;;
esac

if [ "$reasons" -ne 0 ]; then
  exit 1
fi
echo "ready: $OK_PACKAGE goes from $OK_BAD_VERSION to $OK_GOOD_VERSION"
