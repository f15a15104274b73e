"""What a lifecycle can break."""

from __future__ import annotations

from seatrial.conformance.errors import Finding


class Violation(Finding):
    """`identity` is the same for the same mistake, whatever came before it; `requirement` a ledger id, or None."""

    def __init__(self, identity: str, detail: str, requirement: str | None = None) -> None:
        super().__init__(f"{identity}: {detail}")
        self.identity = identity
        self.detail = detail
        self.requirement = requirement
