#!/usr/bin/env bash
# Runs tests on the newest Slurm, podman, docker and crun that Debian has (unstable: 26.05, 5.8, 28.5 and 1.28 when this was written), in a root file
# system of its own: as an ordinary user with cgroup v2; docker's as root, who becomes that user for rootless docker. Needs root and mmdebstrap; the
# first run, and the first with other packages, downloads 300 MB and takes a minute.
# A chroot would not do: the kernel lets nobody make user namespaces in one, so the root is changed with pivot_root.
# Usage: test/current-debian.sh [slurm/steps|slurm/contract|…|peers/podman|peers/docker ...]     all of test/slurm, podman and docker, unless named
set -euo pipefail
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
root=${BERTH_SID_ROOT:-/var/tmp/berth-sid}
mirror=${BERTH_SID_MIRROR:-http://deb.debian.org/debian}
skip() { echo "skipped: $*" >&2; [ "${CI:-}" != true ] || exit 1; exit 0; }
[ "$(id -u)" = 0 ] || skip "only root can change the root file system"
command -v mmdebstrap >/dev/null || skip "mmdebstrap is not installed (apt-get install mmdebstrap)"

packages=slurm-wlm,slurm-client,munge,slurmrestd,slurm-wlm-jwt-plugin,slurmdbd,mariadb-server-core,mariadb-client-core
packages+=,runc,crun,podman,conmon,catatonit,docker.io,docker-cli,docker-compose,docker-buildx,containerd,rootlesskit,slirp4netns,lua5.4
packages+=,busybox-static,procps,uidmap,bsdutils,mount,iproute2,iptables

# Made beside and renamed: another run may be at work in the one that lacks a package.
if [ "$(cat "$root/etc/berth-packages" 2>/dev/null)" != "$packages" ]; then
  made=$root.$$
  trap 'rm -rf "$made"' EXIT
  mmdebstrap --variant=apt --aptopt='Acquire::Check-Valid-Until "false"' --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
    --include="$packages" sid "$made" "deb $mirror sid main" || skip "mmdebstrap could not make $root"
  echo "$packages" >"$made/etc/berth-packages"
  [ ! -e "$root" ] || mv "$root" "$made.old"
  mv "$made" "$root"
  rm -rf --one-file-system "$made.old"
  trap - EXIT
fi
[ $# -gt 0 ] || set -- slurm/steps slurm/transfer slurm/accounting slurm/scrun slurm/rest slurm/trouble slurm/contract peers/podman peers/generate peers/docker peers/docker-root peers/docker-now peers/docker-lua

# Everything below happens in a mount namespace that ends with it.
export root checkout
exec unshare --mount --pid --fork --propagation private bash -euc '
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  mount --rbind /sys "$root/sys"
  mount --rbind /dev "$root/dev"
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
    runtime=/tmp/runtime home=/home/berthci user=berthci
    as_user="umount -R /sys/fs/cgroup 2>/dev/null; mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null; exec setpriv --reuid=berthci --regid=berthci --init-groups \"\$@\""
    case $suite in
      # Root makes a namespace like that for each site, or a daemon of its own with the cgroups that this host has.
      peers/docker*) as_user="exec \"\$@\"" runtime=/tmp/root-runtime home=/root user=root && mkdir -p -m 700 $runtime ;;
    esac
    unshare --mount --propagation private sh -c "$as_user" as-user env -i HOME=$home XDG_RUNTIME_DIR=$runtime USER=$user LANG=C.UTF-8 ${CI:+CI="$CI"} \
      PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin node_modules/.bin/bun test --timeout=120000 "./test/$suite.test.ts" || status=1
  done
  exit $status' suite "$@"
