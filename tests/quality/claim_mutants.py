"""Mutants whose `features` say what they do not do, or whose rows of the ledger few other mutants touch."""

from __future__ import annotations

from planting import Mutant, applied, changed, dropped, exec_plan, plan, replaced, without

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

CLAIMS = "features/test_claims.py::"
LIMITS = "features/test_limits_of_claims.py::"
_MS_NOSUID = 2


def _one_option_more(real: Callable[[], list[str]]) -> list[str]:
    applied()
    return [*real(), "seatrial-made-up"]


def _without(*path: str, entry: str) -> Callable[..., dict[str, Any]]:
    """features() whose list at `path` lacks an entry."""

    def features(real: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        document = real()
        place = document
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = [one for one in place[path[-1]] if one != entry]
        applied()
        return document

    return features


def _anything(real: Callable[[str, int], list[int]], text: str, highest: int) -> list[int]:
    """number_list.parse that takes what is no list for CPU 0."""
    try:
        return real(text, highest)
    except ValueError:
        applied()
        return [0]


def _none(_real: Callable[[int], Any], count: int) -> Any:
    if count:
        applied()
    return []


TABLE = (
    Mutant(
        "features-option-made-up",
        "features lists a mount option that the runtime hands to the filesystem",
        replaced("mount_options:known", _one_option_more),
        CLAIMS + "test_listed_mount_options_are_known",
    ),
    Mutant(
        "features-option-without-effect",
        "a listed mount option is taken, and does nothing",
        plan(changed("mount", to=without(_MS_NOSUID, "flags"), where=lambda at: at["target"].startswith("/opt/"))),
        CLAIMS + "test_listed_mount_options_are_in_effect",
    ),
    Mutant(
        "features-operator-unlisted",
        "features leaves out a seccomp operator that the runtime takes",
        replaced("features:features", _without("linux", "seccomp", "operators", entry="SCMP_CMP_MASKED_EQ")),
        LIMITS + "test_what_is_not_listed_is_refused",
    ),
    Mutant(
        "features-option-unlisted",
        "features leaves out a mount option that the runtime takes",
        replaced("mount_options:known", lambda real: applied() or [word for word in real() if word != "nosuid"]),
        LIMITS + "test_mount_options_that_work_are_listed",
    ),
    Mutant(
        "affinity-list-unchecked",
        "execCPUAffinity that is no list of CPUs is taken for CPU 0",
        replaced("number_list:parse", _anything),
        "exec/test_outcome.py::TestAffinity::test_bad_list",
    ),
    Mutant(
        "affinity-stays-initial",
        "without `final` the executed process keeps the CPUs that its way into the cgroup had",
        exec_plan(dropped("affinity", "reset_affinity")),
        "exec/test_outcome.py::TestAffinity",
    ),
    Mutant(
        "preserved-descriptors-lost",
        "--preserve-fds is accepted, and nothing is passed on",
        replaced("cli.launching:preserved", _none),
        "process/test_descriptors.py::test_further_descriptors_are_the_callers",
    ),
    Mutant(
        "second-device-missing",
        "of two devices with one number only the first is made",
        plan(dropped("mknod", "bind_device", where=lambda at: at["target"] == "/dev/two")),
        "linux/test_devices.py::test_two_paths_of_one_device",
    ),
)
