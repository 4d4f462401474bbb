# shellcheck shell=bash
# setup.sh - packages and hugepages. Leaves no service of an installed package running or enabled.

hugepages_wanted=512
hugepages_file=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages

packages_wanted() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' dev.d/packages | sort -u; }
packages_installed() { dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort -u; }
packages_missing() { comm -23 <(packages_wanted) <(packages_installed); }

verb_setup() {
  [[ $# -eq 0 ]] || die 2 "setup takes no options"
  local missing
  missing=$(packages_missing)
  if [[ -z $missing ]]; then
    say "setup: every package of dev.d/packages is there"
  elif [[ $EUID -ne 0 ]]; then
    die 1 "setup: these packages are missing and only root can install them (sudo ./dev setup):" $missing
  else
    install_packages $missing
  fi
  prepare_hugepages
}

# In a subshell, so that the trap restores policy-rc.d however it ends.
install_packages() (
  say "setup: installing $# packages:" "$@"
  before=$(packages_installed)
  policy=/usr/sbin/policy-rc.d kept=
  if [[ -e $policy ]]; then
    kept=$(mktemp "$policy.XXXXXX")
    mv "$policy" "$kept"
  fi
  restore() {
    if [[ -n $kept ]]; then mv "$kept" "$policy"; else rm -f "$policy"; fi
    # shellcheck disable=SC2046  # one package a word
    disable_services $(comm -13 <(echo "$before") <(packages_installed))
  }
  trap restore EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  export DEBIAN_FRONTEND=noninteractive
  options=(-q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
  apt-get "${options[@]}" update </dev/null
  apt-get "${options[@]}" --no-install-recommends -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
    install "$@" </dev/null
)

# The services, sockets and timers that these packages brought: stopped and disabled.
disable_services() {
  [[ $# -gt 0 ]] || return 0
  local files unit script
  files=$(dpkg -L "$@" 2>/dev/null)
  if command -v systemctl >/dev/null; then
    for unit in $(sed -nE 's,^(/usr)?/lib/systemd/system/([^/@]+\.(service|socket|timer))$,\2,p' <<<"$files" | sort -u); do
      [[ $(systemctl is-enabled "$unit" 2>/dev/null) == enabled ]] || continue
      say "setup: disabling $unit"
      systemctl --quiet disable "$unit" 2>/dev/null || say "setup: $unit could not be disabled"
      if [[ -d /run/systemd/system ]]; then systemctl --quiet stop "$unit"; fi
    done
  fi
  for script in $(sed -n 's,^/etc/init.d/,,p' <<<"$files" | sort -u); do
    update-rc.d "$script" disable >/dev/null 2>&1 || say "setup: init script $script could not be disabled"
  done
}

prepare_hugepages() {
  local have=0
  if [[ ! -r $hugepages_file ]]; then
    say "setup: this kernel offers no 2 MB hugepages; DPDK falls back to --no-huge"
    return 0
  fi
  have=$(<"$hugepages_file")
  if ((have < hugepages_wanted)) && [[ $EUID -eq 0 ]]; then
    say "setup: raising the count of 2 MB hugepages from $have to $hugepages_wanted"
    echo "$hugepages_wanted" 2>/dev/null >"$hugepages_file" || true  # refused or cut short: told below
    have=$(<"$hugepages_file")
  fi
  if ((have < hugepages_wanted)); then
    say "setup: $have of $hugepages_wanted hugepages of 2 MB (more need root and free memory); DPDK falls back to --no-huge"
  fi
  if ! grep -q ' hugetlbfs ' /proc/mounts; then
    if [[ $EUID -eq 0 ]] && mkdir -p /dev/hugepages && mount -t hugetlbfs -o pagesize=2M none /dev/hugepages; then
      say "setup: mounted hugetlbfs on /dev/hugepages"
    else
      say "setup: hugetlbfs is not mounted (needs root: mount -t hugetlbfs none /dev/hugepages); DPDK falls back to --no-huge"
    fi
  fi
}
