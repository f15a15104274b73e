#!/bin/sh
# Make systemd mount the hierarchies of a cgroup mode (v2, hybrid or v1) from the next boot on: words for the kernel's
# command line, by way of the box's boot loader.
set -eu
unified=systemd.unified_cgroup_hierarchy
legacy=systemd.legacy_systemd_cgroup_controller
case $1 in
v2) words="$unified=1" ;;
hybrid) words="$unified=0 $legacy=0" ;;
v1) words="$unified=0 $legacy=1" ;;
*)
    echo "unknown cgroup mode $1" >&2
    exit 1
    ;;
esac

if command -v grubby >/dev/null; then
    grubby --update-kernel=ALL --remove-args="$unified $legacy" --args="$words"
elif command -v update-grub >/dev/null && [ -f /etc/default/grub ]; then
    mkdir -p /etc/default/grub.d
    echo "GRUB_CMDLINE_LINUX=\"\$GRUB_CMDLINE_LINUX $words\"" >/etc/default/grub.d/90-seatrial.cfg
    update-grub
else
    echo "cannot change the kernel's command line: neither grubby nor update-grub is in this box" >&2
    exit 1
fi
