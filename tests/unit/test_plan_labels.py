"""Labels of security modules in a plan: which operation, and where in the order."""

from __future__ import annotations

import pytest
from plan_configs import compiled, config, mount, names

from seatrial.runtime.plan import operation as op

LABEL = "system_u:system_r:container_t:s0:c1,c2"
CONTEXT = f'context="{LABEL}"'


def test_no_label_no_operation() -> None:
    assert not {"apparmor", "selinux", "relabel", "mask_label"} & set(names(compiled(config(mask_paths=["/x"]))))


def test_the_profile_is_applied_inside_and_before_what_may_cover_proc() -> None:
    plan = compiled(
        config(apparmor_profile="docker-default", no_new_privileges=True, readonly_paths=["/proc"], mask_paths=["/x"])
    )
    order = names(plan)
    assert op.apparmor("docker-default") in plan.operations
    assert order.index("pivot_root") < order.index("apparmor")
    for later in ("readonly", "mask", "no_new_privs", "identity", "sync"):
        assert order.index("apparmor") < len(order) - 1 - order[::-1].index(later)
    assert order.index("apparmor") < order.index("readonly")


def test_the_label_is_that_of_the_program_and_of_its_keyring() -> None:
    plan = compiled(config(process_label=LABEL))
    at = names(plan).index("session_keyring")
    assert plan.operations[at - 1] == op.selinux(1, LABEL)
    assert plan.operations[at + 1] == op.selinux(1, "")
    assert plan.operations.count(op.selinux(0, LABEL)) == 1
    assert op.selinux(1, LABEL) not in compiled(config(process_label=LABEL, no_new_keyring=True)).operations


@pytest.mark.parametrize(
    ("fstype", "data", "expected"),
    [
        ("tmpfs", "", CONTEXT),
        ("tmpfs", "size=1k", f"size=1k,{CONTEXT}"),
        ("devpts", "newinstance", f"newinstance,{CONTEXT}"),
        ("proc", "", ""),
        ("sysfs", "", ""),
        ("mqueue", "", ""),
    ],
)
def test_the_mount_label_is_an_option_of_new_filesystems(fstype: str, data: str, expected: str) -> None:
    plan = compiled(config(mounts=[mount("/m", fstype, fstype, data=data)], mount_label=LABEL))
    (made,) = [entry for entry in plan.operations if entry.name == "mount"]
    assert made.arguments()["data"] == expected
    assert (op.relabel("/m", LABEL) in plan.operations) == (fstype == "mqueue")


def test_bind_mounts_keep_their_labels() -> None:
    plan = compiled(config(mounts=[mount("/m", "bind", "/s", 4096)], mount_label=LABEL))
    assert LABEL not in "".join(str(entry) for entry in plan.operations if entry.name == "bind")


def test_copied_up_and_masking_filesystems_are_labelled_too() -> None:
    mounts = [mount("/c", "tmpfs", "tmpfs", copy_up=True)]
    plan = compiled(config(mounts=mounts, mount_label=LABEL, mask_paths=["/x"]))
    (copied,) = [entry for entry in plan.operations if entry.name == "copy_up"]
    assert copied.arguments()["data"] == CONTEXT
    order = names(plan)
    assert order.index("mask_label") < order.index("mask")


@pytest.mark.parametrize(
    ("operation", "line"),
    [
        (op.apparmor("p"), "apply AppArmor profile p"),
        (op.selinux(0, "l"), "set the SELinux label of the program (l)"),
        (op.selinux(1, "l"), "set the SELinux label of new keys (l)"),
        (op.relabel("/t", "l"), "set the SELinux label of /t (l)"),
    ],
)
def test_descriptions(operation: op.Operation, line: str) -> None:
    assert operation.describe() == line
