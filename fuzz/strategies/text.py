"""Strings that a kernel takes: no NUL, and encodable as UTF-8."""

from __future__ import annotations

from hypothesis import strategies as st

# Names of this sort stay readable in a report, and shrink to "a".
names = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz0123456789-_"), min_size=1, max_size=12).filter(
    lambda name: name[0] not in "-_"
)
# What may stand in a value: every character but NUL and the halves of surrogate pairs.
characters = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
values = st.text(characters, max_size=20)
variables = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", min_size=1, max_size=12)
# One component of a path.
components = st.one_of(
    names,
    st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
        lambda name: name not in (".", "..") and len(name.encode()) < 200
    ),
)
