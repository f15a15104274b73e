"""Generate operations.h, the C executor's view of operations.py: opcodes, one struct for each operation's arguments,
the field tables that drive the decoder, and the typed dispatcher.

The header has three parts.  The declarations are for everybody; `#define OPERATION_TABLES` before the include adds the
field tables (decode.c), `#define OPERATION_DISPATCH` adds `operation_run` (main.c), which calls `op_NAME(machine,
arguments)`: an operation without an implementation does not link.
"""

from __future__ import annotations

import operations  # type: ignore[import-not-found]  # beside this file: found while building

C_TYPES = {
    "u32": "uint32_t",
    "u64": "uint64_t",
    "i64": "int64_t",
    "str": "const char *",
    "bytes": "struct bytes",
    "strs": "struct strs",
    "u32s": "struct u32s",
}

TYPES = """\
/* Arguments point into the plan's buffer; a str ends in NUL and has none inside. */
struct bytes {
    const unsigned char *data;
    uint32_t size;
};

struct strs {
    char **items; /* count of them, then NULL */
    uint32_t count;
};

struct u32s {
    uint32_t *items;
    uint32_t count;
};

struct machine;
"""

TABLE_TYPES = """\
struct field {
    uint8_t type;
    uint16_t offset; /* in the operation's struct */
    const char *name;
};

struct operation_kind {
    const char *name; /* NULL: no such opcode */
    const struct field *fields;
    uint8_t count;
};
"""


def check(table: tuple[tuple[str, int, tuple[str, ...], str], ...]) -> None:
    """ValueError when the table repeats a name or an opcode, or uses an unknown argument type."""
    if len({name for name, *_ in table}) != len(table) or len({code for _, code, *_ in table}) != len(table):
        raise ValueError("an operation's name or opcode is used twice")
    for name, code, arguments, _ in table:
        if not 0 < code < 0x10000:
            raise ValueError(f"{name}: opcode {code} is not a positive 16 bit number")
        for argument in arguments:
            if argument.partition(":")[2] not in C_TYPES:
                raise ValueError(f"{name}: unknown argument type in {argument!r}")


def declaration(argument: str) -> str:
    name, _, kind = argument.partition(":")
    c_type = C_TYPES[kind]
    return f"    {c_type}{'' if c_type.endswith('*') else ' '}{name};"


def structs(table: tuple[tuple[str, int, tuple[str, ...], str], ...]) -> list[str]:
    lines = []
    for name, _, arguments, summary in table:
        body = [declaration(argument) for argument in arguments] or ["    char none;"]
        lines += [f"/* {summary} */", f"struct op_{name} {{", *body, "};"]
        lines += [f"int op_{name}(struct machine *m, const struct op_{name} *a);", ""]
    lines += ["struct operation {", "    uint16_t code;", "    union arguments {"]
    lines += [f"        struct op_{name} {name}_;" for name, *_ in table]
    lines += ["    } as;", "};", ""]
    return lines


def tables(table: tuple[tuple[str, int, tuple[str, ...], str], ...]) -> list[str]:
    lines = ["#ifdef OPERATION_TABLES", "enum field_type {"]
    lines += [f"    FIELD_{kind.upper()}," for kind in C_TYPES]
    lines += ["};", "", TABLE_TYPES]
    for name, _, arguments, _ in table:
        if arguments:
            lines.append(f"static const struct field fields_{name}[] = {{")
            for argument in arguments:
                field, _, kind = argument.partition(":")
                lines.append(f'    {{FIELD_{kind.upper()}, offsetof(struct op_{name}, {field}), "{field}"}},')
            lines.append("};")
    lines += ["", "static const struct operation_kind operation_kinds[] = {"]
    for name, _, arguments, _ in table:
        fields = f"fields_{name}" if arguments else "NULL"
        lines.append(f'    [OP_{name.upper()}] = {{"{name}", {fields}, {len(arguments)}}},')
    lines += ["};", "#endif", ""]
    return lines


def dispatcher(table: tuple[tuple[str, int, tuple[str, ...], str], ...]) -> list[str]:
    lines = ["#ifdef OPERATION_DISPATCH", "static int operation_run(struct machine *m, const struct operation *o)", "{"]
    lines += ["    switch (o->code) {"]
    for name, *_ in table:
        lines += [f"    case OP_{name.upper()}:", f"        return op_{name}(m, &o->as.{name}_);"]
    lines += ["    }", "    return -38; /* ENOSYS: the decoder admits no other opcode */", "}", "#endif"]
    return lines


def header() -> str:
    """The text of operations.h; ValueError when the table is not consistent."""
    table = operations.OPERATIONS
    check(table)
    lines = ["/* Generated from operations.py by generate.py: do not edit. */", "#pragma once"]
    lines += ["#include <stddef.h>", "#include <stdint.h>", ""]
    magic = operations.MAGIC.decode("ascii")
    lines += [f'#define PLAN_MAGIC "{magic}"', f"#define PLAN_VERSION {operations.VERSION}"]
    lines += [f"#define PLAN_HEADER_BYTES {operations.HEADER_BYTES}"]
    lines += [f"#define USER_FOUND {operations.USER_FOUND}u", "", "enum {"]
    lines += [f"    OP_{name.upper()} = {code}," for name, code, _, _ in table]
    lines += ["};", "", "enum {"]
    constants = [name for name in vars(operations) if name.startswith(("SYNC_", "MESSAGE_"))]
    lines += [f"    {name} = {getattr(operations, name)}," for name in constants]
    lines += ["};", "", TYPES]
    lines += structs(table) + tables(table) + dispatcher(table)
    return "\n".join(lines) + "\n"
