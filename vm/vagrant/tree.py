"""The root of a box: the base layer with its kernel, its modules and what Vagrant expects of a guest, as ext4."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping

from seatrial.vm import programs
from seatrial.vm.kernel.kernel import Kernel

USER = "vagrant"
# To this key everybody has the private one: `vagrant up` finds a machine by it.
INSECURE_KEY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "insecure.pub")
UUID = "5ea77a1a-0000-4000-8000-000000000001"
# What waits for something that never comes, or serves a machine with a long life or a console.
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
    "proc-sys-fs-binfmt_misc.automount",
    "systemd-binfmt.service",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-modules-load.service",
    "systemd-random-seed.service",
    "systemd-remount-fs.service",
    "systemd-sysusers.service",
    "systemd-timesyncd.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-update-utmp.service",
)
# There is no udev: the modules that matter are loaded in the initramfs, and devtmpfs has the nodes.
NETWORK = "seatrial-network.service"
FILES = {
    f"etc/systemd/system/{NETWORK}": """[Unit]
Description=An address by DHCP
DefaultDependencies=no
Before=network.target ssh.service
[Service]
Type=forking
ExecStart=/usr/bin/busybox udhcpc -b -i eth0 -s /usr/lib/seatrial/dhcp
""",
    "usr/lib/seatrial/dhcp": """#!/bin/sh
case $1 in
deconfig) ip link set "$interface" up ;;
bound | renew)
    ip address replace "$ip/$mask" dev "$interface"
    [ -z "$router" ] || ip route replace default via "${router%% *}"
    for server in $dns; do echo "nameserver $server"; done >/etc/resolv.conf
    ;;
esac
""",
    # Keys of its own for each machine, and of the kind alone that costs nothing under software emulation.
    "etc/systemd/system/ssh.service.d/keys.conf": """[Service]
ExecStartPre=
ExecStartPre=/bin/sh -c 'k=/etc/ssh/ssh_host_ed25519_key; test -s $k || ssh-keygen -q -t ed25519 -N "" -f $k'
""",
    # What a Debian has, for those who change the kernel's command line the usual way.
    "etc/default/grub": "GRUB_CMDLINE_LINUX=\n",
    "usr/sbin/update-grub": """#!/bin/sh -e
for file in /etc/default/grub /etc/default/grub.d/*.cfg; do [ ! -e "$file" ] || . "$file"; done
echo "set words=\\"$GRUB_CMDLINE_LINUX\\"" >/boot/grub/words.cfg
""",
    "etc/ssh/sshd_config.d/seatrial.conf": "HostKey /etc/ssh/ssh_host_ed25519_key\nUseDNS no\n",
    f"etc/sudoers.d/{USER}": f"{USER} ALL=(ALL) NOPASSWD: ALL\n",
    f"home/{USER}/.bashrc": "",
    "etc/fstab": "",
    "etc/machine-id": "",
    "etc/hosts": "127.0.0.1 localhost seatrial\n",
}
# Run in a user namespace where the caller is not root: there the owners are what they shall be.
STEPS = r"""
set -e
tree=$1 image=$2 extra=$3 disk=$4 offset=$5 blocks=$6
fsck.erofs --extract="$tree" --preserve "$image" >/dev/null
# Its chown after its chmod costs the set-user-id bits: read them from a second copy.
fsck.erofs --extract="$tree.modes" --preserve-perms --no-preserve-owner "$image" >/dev/null
cd "$tree.modes"
find . -type f -perm /6000 -exec sh -c 'for f; do chmod --reference="$f" "$0/$f"; done' "$tree" {} +
cd /
rm -rf "$tree.modes"
# logind starts when it is asked for (it takes part in a reboot), not at boot.
rm -f "$tree"/usr/lib/systemd/system/multi-user.target.wants/systemd-logind.service
# Its scripts run at every login.
rm -rf "$tree"/etc/update-motd.d
rm -f "$tree"/etc/ssh/ssh_host_* "$tree"/etc/resolv.conf
cp -r "$extra"/. "$tree"/
cd "$tree"
echo "vagrant:x:1001:1001::/home/vagrant:/bin/bash" >>etc/passwd
echo "vagrant:x:1001:" >>etc/group
echo 'vagrant:*:19000:0:99999:7:::' >>etc/shadow
chown -R 1001:1001 home/vagrant
chmod 700 home/vagrant/.ssh
chmod 600 home/vagrant/.ssh/authorized_keys
chmod 755 usr/lib/seatrial/dhcp usr/sbin/update-grub
chmod 440 etc/sudoers.d/vagrant
mkdir -p dev proc sys run tmp
cd /
options="hash_seed=$7,offset=$offset,lazy_itable_init=1"
mke2fs -q -t ext4 -O ^has_journal,^metadata_csum -m 0 -U "$7" -E "$options" -d "$tree" "$disk" "$blocks"k
rm -rf "$tree"
"""


def fill(disk: str, offset: int, blocks: int, image: str, kernel: Kernel, files: Mapping[str, str], work: str) -> None:
    """Make the file system of a box, of `blocks` KiB at `offset` bytes of the file `disk`, from a base layer's image,
    the kernel's modules and further `files` (path in the box -> path here)."""
    extra = os.path.join(work, "extra")
    _additions(extra, kernel, files)
    argv = [os.path.join(work, "tree"), image, extra, disk, str(offset), str(blocks), UUID]
    command = ["sh", "-c", STEPS, "sh", *argv]
    if os.geteuid() != 0:
        command = ["unshare", "--user", "--map-root-user", "--map-auto", *command]
    programs.run(command, "cannot make the file system of the box", env=with_sbin())
    shutil.rmtree(extra)


def _additions(extra: str, kernel: Kernel, files: Mapping[str, str]) -> None:
    """A directory with what the base layer lacks."""
    for path, content in FILES.items():
        os.makedirs(os.path.join(extra, os.path.dirname(path)), exist_ok=True)
        with open(os.path.join(extra, path), "w", encoding="utf-8") as file:
            file.write(content)
    units = os.path.join(extra, "etc/systemd/system")
    for unit in MASKED:
        os.symlink("/dev/null", os.path.join(units, unit))
    wanted = os.path.join(units, "multi-user.target.wants")
    os.makedirs(wanted)
    os.symlink(f"/etc/systemd/system/{NETWORK}", os.path.join(wanted, NETWORK))
    os.symlink("/lib/systemd/system/multi-user.target", os.path.join(units, "default.target"))
    keys = os.path.join(extra, "home", USER, ".ssh")
    os.makedirs(keys)
    shutil.copyfile(INSECURE_KEY, os.path.join(keys, "authorized_keys"))
    for path, source in files.items():
        os.makedirs(os.path.dirname(os.path.join(extra, path)), exist_ok=True)
        shutil.copyfile(source, os.path.join(extra, path))
    target = os.path.join(extra, "usr/lib/modules", kernel.release)
    shutil.copytree(kernel.modules, target, symlinks=True, ignore=shutil.ignore_patterns("build", "source"))
    os.chmod(extra, stat.S_IRWXU | 0o055)


def with_sbin() -> dict[str, str]:
    """The environment with the directories of system programs, which an ordinary user's PATH may lack."""
    return {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin"}
