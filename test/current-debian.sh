#!/usr/bin/env bash
# Runs tests on the newest Slurm, podman and crun that Debian has (unstable: 26.05, 5.8 and 1.28 when this was written), in a root file
# system of its own with cgroup v2, as an ordinary user. Needs root and mmdebstrap; the first run downloads 200 MB and takes half a minute.
# A chroot would not do: the kernel lets nobody make user namespaces in one, so the root is changed with pivot_root.
# Usage: test/current-debian.sh [slurm/steps|slurm/contract|…|peers/podman ...]     all of test/slurm and podman, unless named
set -euo pipefail
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
root=${BERTH_SID_ROOT:-/var/tmp/berth-sid}
mirror=${BERTH_SID_MIRROR:-http://deb.debian.org/debian}
skip() { echo "skipped: $*" >&2; [ "${CI:-}" != true ] || exit 1; exit 0; }
[ "$(id -u)" = 0 ] || skip "only root can change the root file system"
command -v mmdebstrap >/dev/null || skip "mmdebstrap is not installed (apt-get install mmdebstrap)"

if [ ! -x "$root/usr/sbin/slurmctld-wlm" ] || [ ! -x "$root/usr/sbin/slurmrestd" ] || [ ! -x "$root/usr/sbin/mariadbd" ] || [ ! -x "$root/usr/bin/podman" ] || [ ! -x "$root/usr/bin/catatonit" ]; then
  rm -rf "$root"
  mmdebstrap --variant=apt --aptopt='Acquire::Check-Valid-Until "false"' --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
    --include=slurm-wlm,slurm-client,munge,runc,crun,podman,conmon,catatonit,slurmrestd,slurm-wlm-jwt-plugin,slurmdbd,mariadb-server-core,mariadb-client-core,busybox-static,procps,uidmap,bsdutils,mount sid "$root" "deb $mirror sid main" \
    || skip "mmdebstrap could not make $root"
fi
[ $# -gt 0 ] || set -- slurm/steps slurm/transfer slurm/accounting slurm/scrun slurm/rest slurm/trouble slurm/contract peers/podman

# Everything below happens in a mount namespace that ends with it.
export root checkout
exec unshare --mount --pid --fork --propagation private bash -euc '
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  mount --rbind /sys "$root/sys"
  mount --rbind /dev "$root/dev"
  umount -R "$root/sys/fs/cgroup" 2>/dev/null || true
  mount -t cgroup2 none "$root/sys/fs/cgroup" 2>/dev/null || true
  mkdir -p "$root$checkout" "$root/old"
  mount --rbind "$checkout" "$root$checkout"
  mount -t tmpfs -o mode=1777 none "$root/tmp"
  printf "127.0.0.1 %s localhost\n" "$(hostname)" >"$root/etc/hosts"
  cd "$root"
  pivot_root . old
  hash -r # programs of the old root are gone
  busybox umount -l /old
  id berthci >/dev/null 2>&1 || useradd -m berthci
  cd "$checkout"
  status=0
  install -d -m 700 -o berthci -g berthci /tmp/runtime
  for suite; do
    setpriv --reuid=berthci --regid=berthci --init-groups env -i HOME=/home/berthci XDG_RUNTIME_DIR=/tmp/runtime USER=berthci LANG=C.UTF-8 ${CI:+CI="$CI"} \
      PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin node_modules/.bin/bun test --timeout=120000 "./test/$suite.test.ts" || status=1
  done
  exit $status' suite "$@"
