#!/usr/bin/env bash
# Becomes a real `systemd --system` in namespaces of its own: processes, mounts, network, cgroups,
# host name and IPC. Its root is an overlay of this machine's, the upper layer in memory, so
# nothing that happens inside reaches the machine. Run by tests/box/machine.py, which also ends it.
#
#   boot.sh DIRECTORY NAME MEBIBYTES SEEN…
#
# DIRECTORY is empty; NAME names the cgroups; SEEN are directories that are seen inside, wherever
# they lie, each under a layer of its own.
set -euo pipefail
stage=${BOOT_STAGE:-namespaces}
directory=$1 name=$2 mebibytes=$3
cgroups=/sys/fs/cgroup
# One hierarchy (cgroup v2) or the mounted controllers of v1 beside systemd's own.
hierarchies=.
if [ "$(stat -fc %T $cgroups)" != cgroup2fs ]; then
  hierarchies=
  for each in systemd memory cpu cpuacct pids devices blkio unified; do
    [ ! -d "$cgroups/$each" ] || hierarchies+=" $each"
  done
fi

case $stage in
namespaces)
  BOOT_STAGE=cgroups exec unshare --fork --kill-child --pid --uts --ipc --net "$0" "$@"
  ;;
cgroups) # PID 1 from here on: a group of its own in every hierarchy, which is then the root
  for each in $hierarchies; do
    mkdir -p "$cgroups/$each/$name"
    echo 0 > "$cgroups/$each/$name/cgroup.procs"
  done
  BOOT_STAGE=root exec unshare --mount --cgroup --propagation private "$0" "$@"
  ;;
esac

mount -t tmpfs -o "mode=755,size=${mebibytes}m" tmpfs "$directory"
root=$directory/root
mkdir "$root" "$directory/upper" "$directory/work"
mount -t overlay -o "lowerdir=/,upperdir=$directory/upper,workdir=$directory/work" overlay "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
for each in run dev tmp; do mount -t tmpfs -o mode=755,size=256m tmpfs "$root/$each"; done
chmod 1777 "$root/tmp"
shift 3
number=0
for each; do
  layer=$directory/seen-$((number += 1))
  mkdir -p "$layer/upper" "$layer/work" "$root$each"
  ln -s "$each" "$layer/lower" # a link, because the path may hold what mount(8) takes for its own
  mount -t overlay -o "lowerdir=$layer/lower,upperdir=$layer/upper,workdir=$layer/work" \
    overlay "$root$each"
  # An instance that runs in the checkout outside is none of the machine's.
  [ ! -d "$each/.ouroboros" ] || mount -t tmpfs -o size=1m tmpfs "$root$each/.ouroboros"
done
mkdir "$root/dev/pts" "$root/dev/shm"
for each in null zero full random urandom tty; do
  touch "$root/dev/$each"
  mount --bind "/dev/$each" "$root/dev/$each"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777,size=64m tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for each in 0:stdin 1:stdout 2:stderr; do ln -s "fd/${each%:*}" "$root/dev/${each#*:}"; done

if [ "$hierarchies" = . ]; then
  mount -t cgroup2 cgroup2 "$root$cgroups"
else
  mount -t tmpfs -o mode=755 tmpfs "$root$cgroups"
  for each in $hierarchies; do
    mkdir "$root$cgroups/$each"
    case $each in
      unified) mount -t cgroup2 cgroup2 "$root$cgroups/$each" ;;
      systemd) mount -t cgroup -o none,name=systemd cgroup "$root$cgroups/$each" ;;
      *) mount -t cgroup -o "$each" cgroup "$root$cgroups/$each" ;;
    esac
  done
  # systemd would make hierarchies for controllers that this machine has elsewhere.
  for each in cpu,cpuacct net_cls,net_prio net_cls net_prio perf_event hugetlb cpuset freezer; do
    mkdir -p "$root$cgroups/$each"
    mount -t tmpfs -o ro,mode=555,size=4k tmpfs "$root$cgroups/$each"
  done
fi

# None of this machine's own units; the journal and the message bus are all that is started.
mount -t tmpfs -o mode=755 tmpfs "$root/etc/systemd/system"
units=$root/lib/systemd/system
for each in sysinit local-fs multi-user timers sockets; do
  [ ! -d "$units/$each.target.wants" ] || mount -t tmpfs -o mode=755 tmpfs "$units/$each.target.wants"
done
mount -t tmpfs -o mode=755 tmpfs "$root/lib/systemd/system-generators"
ln -s /lib/systemd/system/systemd-journald.service "$units/sysinit.target.wants/"
for each in systemd-journald.socket systemd-journald-dev-log.socket dbus.socket; do
  ln -s "/lib/systemd/system/$each" "$units/sockets.target.wants/"
done
ln -s /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"

cd "$root"
mkdir .old
pivot_root . .old
umount -l /.old
rmdir /.old
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
  container=ouroboros /lib/systemd/systemd --system --show-status=no
