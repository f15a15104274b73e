"""Packets and descriptors over Unix sockets."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from seatrial.native import channel


@pytest.fixture
def pair() -> Iterator[list[int]]:
    ends = list(channel.socketpair())
    yield ends
    for fd in ends:
        os.close(fd)


def test_message_comes_over_whole(pair: list[int]) -> None:
    channel.send_message(pair[0], 5, 0xFFFFFFFF, -3, errno.EPERM, "ü".encode())
    message = channel.receive_message(pair[1])
    assert message is not None
    got = (message.kind, message.operation, message.value, message.error, message.text, message.fds)
    assert got == (5, 0xFFFFFFFF, -3, errno.EPERM, "ü".encode(), [])


def test_descriptors_come_over_in_order_and_close_on_exec(pair: list[int]) -> None:
    pipes = [os.pipe() for _ in range(3)]
    channel.send_message(pair[0], 3, fds=[writer for _, writer in pipes])
    message = channel.receive_message(pair[1])
    assert message is not None
    assert len(message.fds) == 3
    for number, fd in enumerate(message.fds):
        assert not os.get_inheritable(fd)
        os.write(fd, b"%d" % number)
        os.close(fd)
    for number, (reader, writer) in enumerate(pipes):
        assert os.read(reader, 5) == b"%d" % number
        os.close(reader)
        os.close(writer)


def test_packets_keep_their_borders(pair: list[int]) -> None:
    for text in (b"a", b"b" * 60_000, b"c"):
        channel.send(pair[0], text)
    assert [channel.receive(pair[1])[0] for _ in range(3)] == [b"a", b"b" * 60_000, b"c"]


def test_end_of_file_is_none(pair: list[int]) -> None:
    os.close(pair.pop(0))
    assert channel.receive_message(pair[0]) is None
    with pytest.raises(BrokenPipeError):
        channel.send_message(pair[0], 7)


def test_peer_that_died_with_unread_messages_is_end_of_file(pair: list[int]) -> None:
    channel.send_message(pair[1], 7)
    os.close(pair.pop(0))
    assert channel.receive_message(pair[0]) is None


def test_short_packet_is_an_error(pair: list[int]) -> None:
    channel.send(pair[0], b"short")
    with pytest.raises(OSError) as failed:
        channel.receive_message(pair[1])
    assert failed.value.errno == errno.EBADMSG


def test_packet_that_does_not_fit_leaks_no_descriptor(pair: list[int]) -> None:
    before = set(os.listdir("/proc/self/fd"))
    channel.send(pair[0], b"x" * 100, [pair[0], pair[1]])
    with pytest.raises(OSError) as failed:
        channel.receive(pair[1], 10)
    assert failed.value.errno == errno.EMSGSIZE
    assert set(os.listdir("/proc/self/fd")) == before


def test_listen_connect_and_accept(tmp_path: Path) -> None:
    path = tmp_path / "s"
    listener = channel.listen(str(path))
    client = channel.connect(str(path))
    server = channel.accept(listener)
    channel.send_message(client, 7)
    message = channel.receive_message(server)
    assert message is not None
    assert message.kind == 7
    for fd in (client, server, listener):
        os.close(fd)
    with pytest.raises(ConnectionRefusedError, match="connect: "):
        channel.connect(str(path))


def test_too_long_a_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError) as failed:
        channel.listen(str(tmp_path / ("x" * 108)))
    assert failed.value.errno == errno.ENAMETOOLONG
