"""Statistics from the texts that kernels write, and the JSON that runc's `events` makes of them."""

from __future__ import annotations

import json
import os

import pytest

from seatrial.runtime.cgroup import stats_v1, stats_v2
from seatrial.runtime.cgroup.values import cpu_list
from seatrial.runtime.cli.duration import seconds
from seatrial.runtime.cli.stats_document import document
from seatrial.runtime.document import dumps
from seatrial.runtime.errors import SeatrialError, UsageError
from seatrial.runtime.network.statistics import InterfaceStatistics
from seatrial.runtime.stats import NO_LIMIT, BlkioEntry, Hugetlb, Rdma, Stats

PRESSURE = (
    "some avg10=1.50 avg60=0.00 avg300=0.25 total=77\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n"
)

V1 = {
    "cpuacct.usage": "111100566\n",
    "cpuacct.stat": "user 4\nsystem 6\n",
    "cpuacct.usage_percpu": "46257596 64842970 \n",
    "cpuacct.usage_all": "cpu user system\n0 15540963 30838555\n1 19861972 27378273\n",
    "cpu.stat": "nr_periods 12\nnr_throttled 3\nthrottled_time 456\nnr_bursts 1\nburst_time 2\nwait_sum 9\n",
    "cpuset.cpus": "0-2,5\n",
    "cpuset.mems": "0\n",
    "cpuset.cpu_exclusive": "0\n",
    "cpuset.sched_load_balance": "1\n",
    "cpuset.sched_relax_domain_level": "-1\n",
    "memory.stat": "cache 4096\nrss 100\nhierarchical_memory_limit 9223372036854771712\n",
    "memory.usage_in_bytes": "8192\n",
    "memory.max_usage_in_bytes": "9000\n",
    "memory.limit_in_bytes": "9223372036854771712\n",
    "memory.failcnt": "2\n",
    "memory.memsw.usage_in_bytes": "8200\n",
    "memory.memsw.limit_in_bytes": "10000\n",
    "memory.kmem.usage_in_bytes": "50\n",
    "memory.kmem.tcp.failcnt": "1\n",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
    "pids.current": "7\n",
    "pids.max": "max\n",
    "blkio.throttle.io_service_bytes": "8:0 Read 10\n8:0 Write 20\n8:0 Total 30\nTotal 30\n",
    "blkio.throttle.io_serviced_recursive": "8:0 Read 1\n259:3 Discard 2\nTotal 3\n",
    "hugetlb.2MB.usage_in_bytes": "1\n",
    "hugetlb.2MB.max_usage_in_bytes": "4194304\n",
    "hugetlb.2MB.failcnt": "5\n",
    "hugetlb.1GB.rsvd.usage_in_bytes": "2\n",
    "hugetlb.1GB.rsvd.max_usage_in_bytes": "3\n",
    "hugetlb.1GB.rsvd.failcnt": "6\n",
    "hugetlb.1GB.usage_in_bytes": "99\n",
    "rdma.current": "mlx4_0 hca_handle=2 hca_object=20\n",
    "rdma.max": "mlx4_0 hca_handle=3 hca_object=max\n",
}

V2 = {
    "cpu.stat": "usage_usec 100\nuser_usec 60\nsystem_usec 40\nnr_periods 5\nnr_throttled 2\nthrottled_usec 7\n"
    "nr_bursts 1\nburst_usec 3\n",
    "cpu.pressure": PRESSURE,
    "memory.pressure": PRESSURE,
    "memory.current": "1000\n",
    "memory.peak": "3000\n",
    "memory.max": "5000\n",
    "memory.stat": "anon 100\nfile 200\n",
    "memory.events": "low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n",
    "memory.swap.current": "10\n",
    "memory.swap.max": "500\n",
    "memory.swap.events": "high 0\nmax 4\nfail 0\n",
    "pids.current": "7\n",
    "pids.max": "33\n",
    "io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.usage=1\n(unknown) rbytes=8\n7:1 \n",
    "hugetlb.2MB.current": "2097152\n",
    "hugetlb.2MB.events": "max 3\n",
    "misc.current": "res_a 3\n",
    "misc.events": "res_a.max 2\n",
}


@pytest.fixture
def directory(tmp_path: os.PathLike[str], request: pytest.FixtureRequest) -> str:
    for name, content in request.param.items():
        with open(os.path.join(tmp_path, name), "w", encoding="ascii") as file:
            file.write(content)
    return os.fspath(tmp_path)


CONTROLLERS = ("cpuacct", "cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "rdma")


@pytest.mark.parametrize("directory", [V1], indirect=True)
def test_v1(directory: str) -> None:
    stats = stats_v1.stats(dict.fromkeys(CONTROLLERS, directory))
    usage = stats.cpu.usage
    assert (usage.total, usage.user, usage.kernel) == (111100566, 40_000_000, 60_000_000)
    assert usage.percpu == [46257596, 64842970]
    assert usage.percpu_user == [15540963, 19861972]
    assert usage.percpu_kernel == [30838555, 27378273]
    throttling = stats.cpu.throttling
    assert (throttling.periods, throttling.throttled_periods, throttling.throttled_time) == (12, 3, 456)
    assert (throttling.bursts, throttling.burst_time) == (1, 2)
    assert stats.cpuset.cpus == [0, 1, 2, 5]
    assert stats.cpuset.sched_relax_domain_level == -1
    memory = stats.memory
    assert (memory.usage.usage, memory.usage.max, memory.usage.failcnt) == (8192, 9000, 2)
    assert memory.usage.limit == 9223372036854771712
    assert (memory.swap.usage, memory.swap.limit) == (8200, 10000)
    assert (memory.kernel.usage, memory.kernel_tcp.failcnt) == (50, 1)
    assert memory.cache == 4096
    assert memory.raw["rss"] == 100
    assert memory.events == {"oom_kill": 4}
    assert (stats.pids.current, stats.pids.limit) == (7, 0)
    assert stats.blkio.io_service_bytes_recursive == [
        BlkioEntry(major=8, minor=0, op="Read", value=10),
        BlkioEntry(major=8, minor=0, op="Write", value=20),
        BlkioEntry(major=8, minor=0, op="Total", value=30),
    ]
    assert stats.blkio.io_serviced_recursive[1] == BlkioEntry(major=259, minor=3, op="Discard", value=2)
    assert stats.hugetlb == {
        "2MB": Hugetlb(usage=1, max=4194304, failcnt=5),
        "1GB": Hugetlb(usage=2, max=3, failcnt=6, reserved=True),
    }
    assert stats.rdma == {"mlx4_0": Rdma(hca_handle=2, hca_object=20, hca_handle_limit=3)}
    assert stats.cpu.psi is None


@pytest.mark.parametrize("directory", [V1 | {"blkio.bfq.io_serviced_recursive": "8:0 Read 4\n"}], indirect=True)
def test_the_schedulers_numbers_come_first(directory: str) -> None:
    blkio = stats_v1.stats({"blkio": directory}).blkio
    assert blkio.io_serviced_recursive == [BlkioEntry(major=8, minor=0, op="Read", value=4)]
    assert blkio.io_service_bytes_recursive == []


@pytest.mark.parametrize("directory", [{"cpu.pressure": PRESSURE}], indirect=True)
def test_hybrid_has_the_pressure_of_v2(directory: str) -> None:
    psi = stats_v1.stats({"": directory}).cpu.psi
    assert psi is not None
    assert (psi.some.avg10, psi.some.avg300, psi.some.total, psi.full.total) == (1.5, 0.25, 77, 5)


@pytest.mark.parametrize("directory", [V2], indirect=True)
def test_v2(directory: str) -> None:
    stats = stats_v2.stats(directory)
    usage, throttling = stats.cpu.usage, stats.cpu.throttling
    assert (usage.total, usage.user, usage.kernel, usage.percpu) == (100_000, 60_000, 40_000, [])
    assert (throttling.periods, throttling.throttled_periods, throttling.throttled_time) == (5, 2, 7000)
    assert (throttling.bursts, throttling.burst_time) == (1, 3000)
    memory = stats.memory
    assert (memory.usage.usage, memory.usage.max, memory.usage.limit, memory.usage.failcnt) == (1000, 3000, 5000, 9)
    assert (memory.swap.usage, memory.swap.max, memory.swap.limit, memory.swap.failcnt) == (1010, 0, 5500, 4)
    assert (memory.swap_only.usage, memory.swap_only.limit) == (10, 500)
    assert memory.cache == 200
    assert memory.events["oom_kill"] == 1
    assert memory.psi is not None
    assert stats.blkio.psi is None
    assert (stats.pids.current, stats.pids.limit) == (7, 33)
    assert [(entry.op, entry.value) for entry in stats.blkio.io_service_bytes_recursive] == [
        ("Read", 1), ("Write", 2), ("Discard", 5),
    ]  # fmt: skip
    assert [(entry.op, entry.value) for entry in stats.blkio.io_serviced_recursive] == [
        ("Read", 3), ("Write", 4), ("Discard", 6),
    ]  # fmt: skip
    assert stats.hugetlb == {"2MB": Hugetlb(usage=2097152, failcnt=3)}
    assert (stats.misc["res_a"].usage, stats.misc["res_a"].events) == (3, 2)


@pytest.mark.parametrize("directory", [V2 | {"memory.max": "max\n"}], indirect=True)
def test_v2_without_limit(directory: str) -> None:
    memory = stats_v2.stats(directory).memory
    assert (memory.usage.limit, memory.swap.limit, memory.swap_only.limit) == (NO_LIMIT, NO_LIMIT, 500)


@pytest.mark.parametrize("directory", [{}, {"cgroup.threads": "5\n6\n"}], indirect=True)
def test_without_controllers_there_is_nothing(directory: str) -> None:
    threads = 2 if os.listdir(directory) else 0
    expected = Stats()
    expected.pids.current = threads
    assert stats_v2.stats(directory) == expected
    assert stats_v1.stats(dict.fromkeys(CONTROLLERS, directory)) == Stats()
    assert stats_v1.stats({}) == Stats()
    assert stats_v1.stats({"memory": directory + "/gone"}) == Stats()


@pytest.mark.parametrize("directory", [{"memory.current": "soon\n"}], indirect=True)
def test_what_is_no_number_is_an_error_that_names_the_file(directory: str) -> None:
    with pytest.raises(SeatrialError, match=r"memory\.current: not a number: 'soon'"):
        stats_v2.stats(directory)


@pytest.mark.parametrize("directory", [V1], indirect=True)
def test_document_is_runcs(directory: str) -> None:
    stats = stats_v1.stats(dict.fromkeys(CONTROLLERS, directory))
    assert dumps(document(stats)) == (
        '{"cpu":{"usage":{"total":111100566,"percpu":[46257596,64842970],"percpu_kernel":[30838555,27378273],'
        '"percpu_user":[15540963,19861972],"kernel":60000000,"user":40000000},'
        '"throttling":{"periods":12,"throttledPeriods":3,"throttledTime":456}},'
        '"cpuset":{"cpus":[0,1,2,5],"cpu_exclusive":0,"mems":[0],"mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,'
        '"memory_spread_page":0,"memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":1,'
        '"sched_relax_domain_level":-1},'
        '"memory":{"cache":4096,"usage":{"limit":9223372036854771712,"usage":8192,"max":9000,"failcnt":2},'
        '"swap":{"limit":10000,"usage":8200,"failcnt":0},"kernel":{"limit":0,"usage":50,"failcnt":0},'
        '"kernelTCP":{"limit":0,"failcnt":1},"raw":{"cache":4096,"hierarchical_memory_limit":9223372036854771712,'
        '"rss":100}},"pids":{"current":7},'
        '"blkio":{"ioServiceBytesRecursive":[{"major":8,"op":"Read","value":10},{"major":8,"op":"Write","value":20},'
        '{"major":8,"op":"Total","value":30}],'
        '"ioServicedRecursive":[{"major":8,"op":"Read","value":1},{"major":259,"minor":3,"op":"Discard","value":2}]},'
        '"hugetlb":{"1GB":{"usage":2,"max":3,"failcnt":6},"2MB":{"usage":1,"max":4194304,"failcnt":5}},'
        '"intel_rdt":{},"network_interfaces":null}'
    )


@pytest.mark.parametrize("directory", [V2], indirect=True)
def test_document_has_pressure_and_interfaces(directory: str) -> None:
    stats = stats_v2.stats(directory)
    stats.network_interfaces = [InterfaceStatistics(name="eth0", rx_bytes=1, tx_dropped=2)]
    text = dumps(document(stats))
    pressure = '"psi":{"some":{"avg10":1.5,"avg60":0,"avg300":0.25,"total":77},"full":{"avg10":0,"avg60":0,'
    assert text.count(pressure) == 2
    interface = json.loads(text)["network_interfaces"][0]
    assert list(interface) == [
        "Name", "RxBytes", "RxPackets", "RxErrors", "RxDropped", "TxBytes", "TxPackets", "TxErrors", "TxDropped",
    ]  # fmt: skip
    assert (interface["RxBytes"], interface["TxDropped"]) == (1, 2)


@pytest.mark.parametrize(
    ("text", "expected"), [("", []), ("0", [0]), ("0-2,5", [0, 1, 2, 5]), ("3,7-8", [3, 7, 8])]
)
def test_cpu_lists(text: str, expected: list[int]) -> None:
    assert cpu_list(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5s", 5), ("300ms", 0.3), ("1.5h", 5400), ("2h45m", 9900), ("0", 0), ("-2s", -2), ("+1m", 60), (".5s", 0.5),
        ("1.s", 1), ("7us", 7e-6), ("7µs", 7e-6), ("1h1m1s1ms1us1ns", 3661.001001001),
    ],
)  # fmt: skip
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "5", "s", ".s", "1.2.3s", "5 s", "5d", "-", "1e3s", "٣s", "9999999999h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match="invalid duration"):
        seconds(text)
