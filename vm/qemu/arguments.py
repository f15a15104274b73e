"""The command line of QEMU for a machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seatrial.vm import programs
from seatrial.vm.guest.agent import PORT

# Without "enhanced rep movsb", with which kernels and libc clear and copy memory a byte at a time under emulation: a
# third of the time.
CPU = "max,-erms,-fsrm"


@dataclass(frozen=True, slots=True)
class Drive:
    """What one QEMU is made of.  `directory` holds its sockets and its console log; `ram` is a file for its memory,
    which a template shares (`share`) and clones open copy-on-write; `incoming` starts it waiting for a state."""

    directory: str
    kernel: str
    initramfs: str
    layers: Sequence[str]
    cgroup: str
    memory: int
    cpus: int
    accelerator: str
    append: str = ""
    ram: str | None = None
    share: bool = False
    incoming: bool = False


def command(drive: Drive) -> list[str]:
    """argv for a drive.

    One thread for all CPUs under TCG: with one each (`thread=multi`) kernels since 7.2 panic in some boots.
    """
    tcg = drive.accelerator == "tcg"
    argv = [programs.find("setpriv"), "--pdeathsig", "KILL"]  # it ends with the thread that started it
    argv += [programs.find("qemu-system-x86_64"), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    argv += ["-accel", "tcg,thread=single" if tcg else drive.accelerator, "-cpu", CPU if tcg else "host"]
    argv += ["-smp", str(drive.cpus), "-m", str(drive.memory)]
    argv += ["-machine", "q35,memory-backend=ram", "-object"]
    if drive.ram is None:  # of the same name, or no clone could take its state
        argv += [f"memory-backend-ram,id=ram,size={drive.memory}M"]
    else:
        share = "on" if drive.share else "off"
        argv += [
            f"memory-backend-file,id=ram,size={drive.memory}M,mem-path={drive.ram.replace(',', ',,')},share={share}"
        ]
    words = f"console=ttyS0 quiet panic=-1 seatrial.cgroup={drive.cgroup} seatrial.layers={len(drive.layers)}"
    argv += ["-kernel", drive.kernel, "-initrd", drive.initramfs, "-append", f"{words} {drive.append}".rstrip()]
    for number, path in enumerate(drive.layers):
        argv += ["-drive", f"if=none,id=layer{number},format=raw,readonly=on,file={path.replace(',', ',,')}"]
        argv += ["-device", f"virtio-blk-pci,drive=layer{number}"]
    d = drive.directory
    argv += ["-chardev", f"socket,id=agent,path={d}/agent,server=on,wait=off", "-device", "virtio-serial-pci"]
    argv += ["-device", f"virtserialport,chardev=agent,name={PORT}", "-device", "virtio-rng-pci"]
    argv += ["-chardev", f"socket,id=control,path={d}/control,server=on,wait=off"]
    argv += ["-mon", "chardev=control,mode=control", "-serial", f"file:{d}/console"]
    if drive.incoming:
        argv += ["-incoming", "defer"]
    return argv
