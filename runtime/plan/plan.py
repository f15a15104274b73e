"""A plan: the operations that make a container, in order."""

from __future__ import annotations

from seatrial.runtime.plan.encode import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from seatrial.runtime.plan.operation import Operation


class Plan:
    """What the executor runs.  `operations` is a plain list: tools may take a plan apart and build another."""

    __slots__ = ("operations",)

    def __init__(self, operations: list[Operation]) -> None:
        self.operations = operations

    def __eq__(self, other: object) -> bool:
        return self.operations == other.operations if isinstance(other, Plan) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # the list is mutable

    def __len__(self) -> int:
        return len(self.operations)

    def encode(self) -> bytes:
        """The executor's form.  Raises `encode.EncodeError` when a value does not fit (a NUL byte in a path ...)."""
        return encode(self.operations)

    def operation(self, index: int) -> Operation | None:
        """The operation that the executor calls `index` (from 0); None where there is no such one."""
        return self.operations[index] if 0 <= index < len(self.operations) else None

    def failure(self, index: int, errno: int, detail: str = "") -> str:
        """The sentence for a failed operation: ``mount proc on /proc: EPERM (operation 12 of 64)``.

        `index`, `errno` and `detail` are the executor's; index 0xffffffff says that the plan itself was refused.
        """
        from errno import ECANCELED

        from seatrial.runtime.errors import errno_name

        operation = self.operation(index)
        if operation is not None and operation.name == "hook":
            detail = detail.removeprefix(f"hook {operation.values[1]!s} ")  # the title names it
            errno = 0 if detail and errno == ECANCELED else errno  # the hook ended otherwise than with status 0
        reasons = ([errno_name(errno)] if errno else []) + ([detail] if detail else [])
        if operation is None:
            return ": ".join(["the executor refused the plan", *reasons])
        return f"{': '.join([operation.title(), *reasons])} (operation {index + 1} of {len(self.operations)})"

    def describe(self) -> str:
        """One numbered line for each operation."""
        width = len(str(len(self.operations)))
        lines = [f"{number:>{width}}  {operation.describe()}" for number, operation in enumerate(self.operations, 1)]
        return "\n".join(lines) + "\n"

    def to_json(self) -> list[dict[str, Any]]:
        """JSON values: name, arguments and description of each operation; bytes in hexadecimal."""
        return [
            {
                "name": operation.name,
                "arguments": {
                    key: value.hex() if isinstance(value, bytes) else value
                    for key, value in operation.arguments().items()
                },
                "description": operation.describe(),
            }
            for operation in self.operations
        ]
