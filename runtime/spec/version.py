"""The versions of the runtime-spec that this runtime accepts in ociVersion."""

from __future__ import annotations

from seatrial.runtime.version import SPEC_VERSION

SPEC_VERSION_MIN = "1.0.0"


def problem(text: str) -> str:
    """Why a configuration of this ociVersion is refused, or "" (config.md#specification-version).

    Any 1.y.z is taken, later minors included: unknown members are ignored by the extensibility rule, and a valid
    value that this runtime does not know is refused where it is used.
    """
    core, _, build = text.partition("+")
    core, dash, release = core.partition("-")
    numbers = core.split(".")
    good = (
        len(numbers) == 3
        and all(_is_number(number) for number in numbers)
        and (not dash or all(_is_identifier(part, True) for part in release.split(".")))
        and ("+" not in text or all(_is_identifier(part, False) for part in build.split(".")))
    )
    if not good:
        return "expected a version in SemVer 2.0.0 form, such as 1.0.2"
    if numbers[0] != "1":
        return f"expected a version {SPEC_VERSION_MIN} to {SPEC_VERSION}, or a later 1.x"
    return ""


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")


def _is_identifier(text: str, pre_release: bool) -> bool:
    if not text or not text.isascii() or not text.replace("-", "0").isalnum():
        return False
    return not (pre_release and text.isdigit()) or _is_number(text)
