# shellcheck shell=sh
# Can the rollback be done here, and would it remove nothing? Changes nothing.
# Every reason against it is printed; one is enough for exit code 1.
# Last line: {"target": what to install, "back": what undo installs, "also": others that change}

free_kib=204800 # downloads and unpacked files of an ordinary package, with room to spare
lock_s=60       # how long another package manager is waited for
reasons=0
target=
back=
also=

refuse() {
  reasons=$((reasons + 1))
  echo "not ready: $1" >&2
}

words() { # lines or blanks -> one line, only what a package's name, version or file can hold
  printf '%s' "$1" | tr '\n' ' ' | tr -cd 'A-Za-z0-9.+~:^_%=/ -' | sed 's/  */ /g; s/^ //; s/ $//'
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
  full=$(df -Pk / /usr /var /var/lib/dpkg /var/lib/rpm /usr/lib/sysimage/rpm 2>/dev/null | awk -v least="$free_kib" \
    'NR > 1 && $4 ~ /^[0-9]+$/ && $4 < least { print $6 " has " int($4 / 1024) " MiB left" }' |
    sort -u)
  if [ -n "$full" ]; then
    refuse "too little space: $(printf '%s' "$full" | tr '\n' ',')"
  fi
}

refuse_without_service() {
  case $OK_SERVICE in
    '') return 0 ;;
    *.target | *.mount | *.automount | *.swap | *.slice | *.scope | *.device | *.path)
      # To restart poweroff.target would be more than was asked for.
      refuse "$OK_SERVICE is no service"
      return 0
      ;;
  esac
  if ! command -v systemctl >/dev/null; then
    refuse "there is no systemctl here: leave service empty, and see to $OK_SERVICE yourself"
  elif [ "$(systemctl show --property LoadState "$OK_SERVICE")" = LoadState=not-found ]; then
    refuse "there is no service $OK_SERVICE here: see its name, or leave it empty"
  fi
}

# Who holds one of these files: "PID (NAME) holds FILE". The kernel's list names them by inode.
holder() {
  for file in "$@"; do
    inode=$(stat -c %i "$file" 2>/dev/null) || continue
    pid=$(awk -v inode="$inode" '
      { many = split($6, id, ":") }
      many == 3 && id[3] == inode && $2 != "->" { print $5; exit }' /proc/locks 2>/dev/null) || :
    [ -n "$pid" ] || continue
    name=
    { read -r name <"/proc/$pid/comm"; } 2>/dev/null || :
    echo "process $pid (${name:-unknown}) holds $file"
    return 0
  done
}

refuse_while_locked() {
  waited=0
  while held=$(holder "$@") && [ -n "$held" ]; do
    if [ "$waited" -ge "$lock_s" ]; then
      refuse "another package manager is at work: $held"
      return 1
    fi
    sleep 5
    waited=$((waited + 5))
  done
}

simulated() {
  apt-get -s -q --allow-downgrades --no-install-recommends install "$@" 2>&1
}

apt_knows() { # version
  apt-cache madison "$OK_PACKAGE" | awk -F '|' -v wanted="$1" \
    '{ gsub(/[ \t]/, "", $2) } $2 == wanted { found = 1 } END { exit !found }'
}

# What apt-get is told for a version: from a repository, else the file of an earlier download.
apt_spec() { # version
  if apt_knows "$1"; then
    echo "$OK_PACKAGE=$1"
    return 0
  fi
  quoted=$(printf '%s' "$1" | sed 's/:/%3a/g')
  for file in "/var/cache/apt/archives/${OK_PACKAGE}_${quoted}_"*.deb; do
    [ -f "$file" ] || continue
    # shellcheck disable=SC2016
    found=$(dpkg-deb -W --showformat '${Package} ${Version}' "$file" 2>/dev/null) || continue
    if [ "$found" = "$OK_PACKAGE $1" ]; then
      echo "$file"
      return 0
    fi
  done
}

# Installed packages built from the same source in the same version: they often need each other
# in exactly one version.
apt_family() {
  # shellcheck disable=SC2016
  dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version} ${source:Package}\n' | awk \
    -v name="$OK_PACKAGE" -v bad="$OK_BAD_VERSION" '
    substr($1, 2, 1) !~ /[nc]/ && $3 == bad { source_of[$2] = $4 }
    END { for (each in source_of)
            if (each != name && source_of[each] == source_of[name]) print each }' | sort
}

refuse_by_dpkg() {
  if apt-mark showhold | grep -Fxq -e "$OK_PACKAGE"; then
    refuse "$OK_PACKAGE is held already: somebody had a reason, see apt-mark showhold"
  fi
  if [ -n "$(find /var/lib/dpkg/updates -name '[0-9]*' 2>/dev/null)" ]; then
    refuse "dpkg was interrupted: run dpkg --configure -a"
  fi
  # The package itself may be unfinished: that is what a bad update leaves behind.
  # shellcheck disable=SC2016
  broken=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | awk -v name="$OK_PACKAGE" '
    $2 != name && ($1 ~ /^.[UFHWt]/ || length($1) > 2) { print $2 }')
  if [ -n "$broken" ]; then
    refuse "other packages are unfinished: $(words "$broken")"
  fi
}

refuse_by_apt() {
  # What can be seen while another one works is half of a change: nothing more is judged then.
  refuse_while_locked /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock \
    /var/cache/apt/archives/lock || return 0
  refuse_by_dpkg
  target=$(apt_spec "$OK_GOOD_VERSION")
  if [ -z "$target" ]; then
    refuse "$OK_GOOD_VERSION is in no repository this machine knows and in no earlier download:\
 refresh its lists, or add a repository that has it"
    return 0
  fi
  if ! outlook=$(simulated "$target"); then
    alone=$outlook
    set -- "$target"
    for each in $(apt_family); do
      set -- "$@" "$each=$OK_GOOD_VERSION"
    done
    if [ $# -eq 1 ] || ! outlook=$(simulated "$@"); then
      refuse "apt-get cannot do it: $(printf '%s\n' "$alone" | tail -n 8)"
      return 0
    fi
    target=$*
  fi
  removed=$(printf '%s\n' "$outlook" | awk '$1 == "Remv" || $1 == "Purg" { print $2 }')
  if [ -n "$removed" ]; then
    refuse "it would remove $(words "$removed")"
  fi
  also=$(printf '%s\n' "$outlook" |
    awk -v name="$OK_PACKAGE" '$1 == "Inst" && $2 != name { print $2 }')
  printf '%s\n' "$outlook" | grep '^Inst ' || :
  back=$(apt_spec "$OK_BAD_VERSION")
  for each in $target; do
    case $each in
      "$OK_PACKAGE="* | /*) ;;
      *) back="$back ${each%%=*}=$OK_BAD_VERSION" ;;
    esac
  done
}

evr() { # without the epoch 0 that only rpm writes
  printf '%s' "${1#0:}"
}

dnf_spec() { # version
  if dnf -q --showduplicates list "$OK_PACKAGE" 2>/dev/null | awk -v wanted="$(evr "$1")" '
    /^Installed/ { here = 1 } /^Available/ { here = 0 }
    !here { for (i = 1; i <= NF; i++) if ($i == wanted) found = 1 }
    END { exit !found }'; then
    echo "$OK_PACKAGE-$(evr "$1")"
    return 0
  fi
  find /var/cache/dnf /var/cache/libdnf5 -type f -name "$OK_PACKAGE-*.rpm" 2>/dev/null |
    while IFS= read -r file; do
      found=$(rpm -qp --qf '%{NAME} %{EVR}' "$file" 2>/dev/null | sed 's/ 0:/ /') || continue
      if [ "$found" = "$OK_PACKAGE $(evr "$1")" ]; then
        echo "$file"
        break
      fi
    done
}

dnf_locked() {
  dnf -q versionlock list 2>/dev/null | awk -v name="$OK_PACKAGE" '
    { sub(/^!/, "") }
    $0 == name || $0 == "Package name: " name { found = 1 }
    index($0, name "-") == 1 && substr($0, length(name) + 2, 1) ~ /[0-9*]/ { found = 1 }
    END { exit !found }'
}

# Names in a section of what dnf would do, which begins with a word and ends at a line that does
# not begin with a blank.
dnf_section() { # outlook, pattern of the headings
  printf '%s\n' "$1" | awk -v heading="$2" '
    /^[^ ]/ || /^$/ { inside = 0 }
    $0 ~ "^ *(" heading ")[a-z ]*:$" { inside = 1; next }
    /^ [^ ]/ && inside { print $1 }'
}

refuse_by_dnf() {
  refuse_while_locked /var/lib/rpm/.rpm.lock /usr/lib/sysimage/rpm/.rpm.lock || return 0
  if dnf_locked; then
    refuse "$OK_PACKAGE is locked already: somebody had a reason, see dnf versionlock list"
  fi
  if ! dnf -q versionlock list >/dev/null 2>&1; then
    echo "dnf has no versionlock here: nothing can hold the good version" >&2
  fi
  target=$(dnf_spec "$OK_GOOD_VERSION")
  if [ -z "$target" ]; then
    refuse "$OK_GOOD_VERSION is in no repository this machine knows and in no earlier download:\
 enable the repository that has it"
    return 0
  fi
  # Answering no is an error to dnf; what it would do stands in its output all the same.
  outlook=$(dnf --assumeno --setopt=exit_on_lock=True --setopt=install_weak_deps=False \
    downgrade "$target" 2>&1) || :
  down=$(dnf_section "$outlook" Downgrading)
  removed=$(dnf_section "$outlook" Removing)
  if ! printf '%s\n' "$down" | grep -Fxq -e "$OK_PACKAGE"; then
    refuse "dnf cannot do it: $(printf '%s\n' "$outlook" |
      awk '/^ *(Error|Problem)/ { on = 1 } on' | head -n 8)"
    return 0
  fi
  if [ -n "$removed" ]; then
    refuse "it would remove $(words "$removed")"
  fi
  also=$(dnf_section "$outlook" 'Downgrading|Upgrading|Installing|Reinstalling' |
    grep -Fxv -e "$OK_PACKAGE") || also=
  back=$(dnf_spec "$OK_BAD_VERSION")
}

if [ "$(id -u)" -ne 0 ]; then
  refuse "$(id -un) may not change packages: log in as root, or give the endpoint become: sudo"
fi
refuse_by_name
refuse_without_space
refuse_without_service
case $OK_MANAGER in
  apt) refuse_by_apt ;;
  dnf) refuse_by_dnf ;;
  *) refuse "unknown package manager $OK_MANAGER" ;;
esac

if [ "$reasons" -ne 0 ]; then
  exit 1
fi
also=$(words "$also")
[ -z "$also" ] || echo "these change with it: $also"
[ -n "$back" ] || echo "the bad version is nowhere to be had: undo could not bring it back" >&2
echo "ready: $OK_PACKAGE goes from $OK_BAD_VERSION to $OK_GOOD_VERSION"
printf '{"target": "%s", "back": "%s", "also": "%s"}\n' \
  "$(words "$target")" "$(words "$back")" "$also"
