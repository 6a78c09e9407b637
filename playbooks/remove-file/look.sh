# shellcheck shell=sh
# What is at the path, and may it be removed? Reads only.
# Exit code 1 with every reason if there is something that must not be removed.
# Last line: {"there": bool, "wanted": bool, "found": SHA-256 or "", "bytes": int}
#   wanted    a file is there, and has the contents that were asked for

reasons=0
refuse() {
  reasons=$((reasons + 1))
  echo "not removed: $1" >&2
}

digest() {
  if command -v sha256sum >/dev/null; then sha256sum <"$1"; else shasum -a 256 <"$1"; fi |
    cut -c 1-64
}

end() { # there wanted found bytes
  printf '{"there": %s, "wanted": %s, "found": "%s", "bytes": %s}\n' "$1" "$2" "$3" "$4"
  exit 0
}

refuse_by_place() { # path
  case $1 in
    /etc/passwd | /etc/shadow | /etc/group | /etc/gshadow | /etc/fstab | /etc/sudoers | \
      /etc/sudoers.d/* | /etc/pam.d/* | /etc/ssh/* | /etc/nsswitch.conf | /etc/inittab | \
      /etc/ld.so.* | /etc/hosts | /etc/resolv.conf | /etc/machine-id)
      refuse "this machine cannot be without $1"
      ;;
    /dev/shm/*) ;; # an ordinary folder, where bad files like to be
    /boot/* | /efi/* | /dev/* | /proc/* | /sys/*)
      refuse "$1 belongs to the boot loader or the kernel"
      ;;
    /var/lib/dpkg/* | /var/lib/rpm/* | /usr/lib/sysimage/rpm/*)
      refuse "$1 belongs to the package manager: without it nothing can be repaired"
      ;;
    */.ssh/authorized_keys | */.ssh/authorized_keys2)
      refuse "without $1 nobody may be able to log in"
      ;;
    */.outagekit/*)
      refuse "$1 is what was put aside before: use undo"
      ;;
  esac
}

owner_package() { # path: name of the package a file came with
  if command -v dpkg-query >/dev/null; then
    # It reads patterns, and a name may look like one.
    dpkg-query -S "$(printf '%s' "$1" | sed 's/[][*?\\]/\\&/g')" 2>/dev/null | sed -n '1s/: .*//p'
  fi
  if command -v rpm >/dev/null; then
    rpm -qf --qf '%{NAME}\n' "$1" 2>/dev/null | sed -n '1p' | grep -v ' ' || :
  fi
}

case $OK_PATH in
  */./* | */../* | */. | */.. | *//* | */)
    echo "not removed: write the path without ./ ../ // and without a slash at its end" >&2
    exit 1
    ;;
  /*) ;;
  *)
    echo "not removed: the path must begin with /" >&2
    exit 1
    ;;
esac

if [ -L "$OK_PATH" ]; then
  refuse "$OK_PATH is a symbolic link: name the file it leads to"
  exit 1
fi
if [ ! -e "$OK_PATH" ]; then
  echo "$OK_PATH is not there"
  end false false '' 0
fi
if [ ! -f "$OK_PATH" ]; then
  refuse "$OK_PATH is no ordinary file"
  exit 1
fi

name=${OK_PATH##*/}
folder=${OK_PATH%/*}
real=$(cd -P -- "${folder:-/}" && pwd -P) || exit 1
real=${real%/}/$name
refuse_by_place "$OK_PATH"
if [ "$real" != "$OK_PATH" ]; then
  refuse_by_place "$real"
fi
if [ "$OK_PACKAGED" != true ]; then
  # Packages may name the folder that /usr took over: /bin for /usr/bin.
  package=$(for each in "$OK_PATH" "$real" "${real#/usr}"; do owner_package "$each"; done)
  if [ -n "$package" ]; then
    refuse "it came with the package $(printf '%s' "$package" | sed -n 1p): roll that back, or\
 say packaged=true"
  fi
fi
if [ "$reasons" -ne 0 ]; then
  exit 1
fi

found=$(digest "$OK_PATH")
bytes=$(wc -c <"$OK_PATH" | tr -d ' ')
asked=$(printf '%s' "$OK_SHA256" | tr 'A-F' 'a-f')
if [ -n "$asked" ] && [ "$asked" != "$found" ]; then
  echo "$OK_PATH has other contents ($found): left alone"
  end true false "$found" "$bytes"
fi
ls -ld "$OK_PATH"
links=$(stat -c %h -- "$OK_PATH" 2>/dev/null || stat -f %l -- "$OK_PATH")
[ "$links" -eq 1 ] || echo "the file has $((links - 1)) more names, which stay: see find -samefile"
end true true "$found" "$bytes"
