"""The HTML reports in a real browser: a thousand rows, filters, evidence, layout, colours, hostile text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import run_samples

from seatrial.conformance.ledger import ledger
from seatrial.conformance.report.views import write_reports
from seatrial.conformance.verdict import outcome
from seatrial.conformance.verdict.results import Run

FOREIGN = 40  # requirements of another release of the ledger: with them the table has more than a thousand rows
LARGEST = 4_000_000  # bytes of a page with a thousand rows and six columns
V2 = {"view": "v2", "controllers": ["hugetlb"], "manager": "cgroupfs"}
Show = Callable[..., Any]


def one_run(directory: Path, digit: int, name: str, **changes: Any) -> Run:
    """A run over every requirement, in which each tenth case from `digit` on fails with evidence."""
    names = [*ledger.load(), *(f"config/later/{number}" for number in range(FOREIGN))]
    results = []
    for number, requirement in enumerate(names):
        case = f"topic/test_many.py::test_{number}[{requirement}]"
        if number % 10 == digit:
            evidence = directory / "evidence" / f"{digit}-{number}"
            evidence.mkdir(parents=True)
            (evidence / "failure.txt").write_text(f"failure {number}\n")
            reason = f"case {number} failed\n" + "expected one thing, found another\n" * 6
            results.append(run_samples.result(case, "failed", requirement, reason=reason, evidence=str(evidence)))
        else:
            found = outcome.SKIPPED if number % 17 == digit else outcome.PASSED
            results.append(run_samples.result(case, found, requirement))
    stamp = run_samples.stamp(runtime=run_samples.runtime(name, str(digit)), **changes)
    return Run(stamp, results, len(results), {"seconds": 10.0}, f"{name}.jsonl")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    directory = tmp_path_factory.mktemp("compared")
    made = [
        one_run(directory, 0, "runc version 1.3.0"),
        one_run(directory, 1, "crun version 1.21"),
        one_run(directory, 2, run_samples.HOSTILE, cgroup=V2),
        one_run(directory, 3, "youki version 0.5", masks=["no-clone3"]),
        one_run(directory, 4, "runsc version 2026", accelerator="tcg"),
        one_run(directory, 5, "seatrial-runtime version 0.1.0", privilege="rootless"),
        run_samples.hostile(),
    ]
    write_reports(made, [("html", str(directory / "page.html"))])
    write_reports([made[2]], [("html", str(directory / "run.html"))])
    return made


@pytest.fixture(scope="module")
def pages(runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    directory = next(tmp_path_factory.getbasetemp().glob("compared*"))
    return {"comparison": str(directory / "page.html"), "run": str(directory / "run.html")}


def shown(browser: Any) -> int:
    """Rows of the matrix that can be seen."""
    script = "return [...document.querySelectorAll('#matrix tbody tr[id]')].filter(row => row.offsetHeight).length"
    return int(browser.execute_script(script))


def enter(browser: Any, field: str, value: str) -> float:
    """Put a value into a field of the filter; the milliseconds until the table has its new layout."""
    script = """
      const field = document.getElementById(arguments[0]), start = performance.now();
      if (field.type === "checkbox") field.checked = Boolean(arguments[1]); else field.value = arguments[1];
      field.dispatchEvent(new Event("input", { bubbles: true }));
      document.getElementById("matrix").offsetHeight;
      return performance.now() - start;"""
    return float(browser.execute_script(script, field, value))


def no_complaints(browser: Any) -> None:
    assert [entry["message"] for entry in browser.get_log("browser")] == []
    assert browser.title.startswith("seatrial: ")
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_a_thousand_rows_are_shown_and_filtered(show: Show, pages: dict[str, str], runs: list[Run]) -> None:
    assert Path(pages["comparison"]).stat().st_size < LARGEST
    browser = show(pages["comparison"])
    rows = len(ledger.load()) + FOREIGN + 1  # the hostile run has an id of its own
    assert rows >= 1000
    assert shown(browser) == rows
    took = [enter(browser, "words", "test_123[")]
    assert shown(browser) == 1
    took.append(enter(browser, "words", "no such words anywhere"))
    assert shown(browser) == 0
    took.append(enter(browser, "words", ""))
    violated = str(outcome.VERDICTS.index(outcome.VIOLATED))
    took += [enter(browser, "verdict", violated), enter(browser, "column", "1")]
    assert shown(browser) == sum(1 for result in runs[1].results if result.outcome == outcome.FAILED)
    assert browser.find_element("id", "shown").text == f"{shown(browser)} of {rows}"
    took.append(enter(browser, "level", "MUST"))
    wanted = {name for name, row in ledger.load().items() if row.level == "MUST"}
    failed = [result for result in runs[1].results if result.outcome == outcome.FAILED]
    assert shown(browser) == sum(1 for result in failed if result.requirements[0] in wanted)
    browser.find_element("css selector", "#filter button").click()
    browser.execute_async_script("setTimeout(arguments[0], 50)")
    assert shown(browser) == rows
    enter(browser, "section", "config.md#hostname")
    assert shown(browser) == sum(1 for row in ledger.load().values() if row.chapter == "config.md#hostname")
    enter(browser, "section", "")
    enter(browser, "differing", "yes")
    assert 0 < shown(browser) <= rows
    assert max(took) < 5000, took  # milliseconds; a tenth of that on an idle machine
    no_complaints(browser)


def test_evidence_is_one_click_away(show: Show, pages: dict[str, str]) -> None:
    browser = show(pages["comparison"])
    cell = browser.find_element("css selector", "#matrix td.bad[data-column]")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", cell)
    cell.click()
    chosen = browser.find_element("css selector", ".block.chosen")
    assert "violated" in chosen.find_element("css selector", "h3").text
    assert chosen.find_element("css selector", "pre").text.startswith("case ")
    assert "seatrial replay /" in chosen.text
    spec = browser.find_element("css selector", "td.opened a").get_attribute("href")
    assert spec.startswith("https://github.com/opencontainers/runtime-spec/blob/")
    no_complaints(browser)
    chosen.find_element("link text", "evidence").click()
    assert "failure.txt" in browser.page_source
    assert browser.current_url.startswith("file:///")


def test_keyboard_opens_and_closes_a_row(show: Show, pages: dict[str, str]) -> None:
    browser = show(pages["comparison"])
    button = browser.find_element("css selector", "#matrix tbody button")
    browser.execute_script("arguments[0].focus()", button)
    assert button.get_attribute("aria-expanded") == "false"
    browser.switch_to.active_element.send_keys("\ue007")
    assert button.get_attribute("aria-expanded") == "true"
    assert browser.find_elements("css selector", "td.opened")
    browser.switch_to.active_element.send_keys("\ue007")
    assert button.get_attribute("aria-expanded") == "false"
    assert not browser.find_elements("css selector", "td.opened")
    browser.find_element("css selector", "body").send_keys("/")
    assert browser.switch_to.active_element.get_attribute("id") == "words"
    no_complaints(browser)


def test_an_address_leads_to_its_requirement(show: Show, pages: dict[str, str]) -> None:
    browser = show(pages["comparison"] + "#config/hostname/2")
    line = browser.find_element("css selector", 'tr[id="config/hostname/2"]')
    assert line.find_element("css selector", "button").get_attribute("aria-expanded") == "true"
    frame, place = browser.find_element("id", "frame").rect, line.rect
    assert frame["y"] <= place["y"] < frame["y"] + frame["height"]


def test_the_table_says_what_its_cells_are(show: Show, pages: dict[str, str]) -> None:
    browser = show(pages["comparison"])
    for selector, role in (
        ("#matrix", "table"),
        ("#matrix thead th", "columnheader"),
        ("#matrix tbody tr[id] th", "rowheader"),
        ("#frame", "region"),
        ("#filter", "search"),
        ("#shown", "status"),
    ):
        assert browser.find_element("css selector", selector).aria_role == role, selector
    assert browser.find_element("id", "words").accessible_name == "search id, text, case, reason"


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("page", ["comparison", "run"])
def test_head_and_first_column_stay_and_nothing_overflows(
    show: Show, pages: dict[str, str], page: str, width: int
) -> None:
    browser = show(pages[page], width)
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    places = browser.execute_script("""
      const frame = document.getElementById("frame"), row = document.querySelector("#matrix tbody tr[id] th");
      frame.scrollIntoView(); frame.scrollTop = 9000; frame.scrollLeft = 200;
      const of = element => element.getBoundingClientRect(), head = document.querySelector("#matrix thead th");
      const hit = document.elementFromPoint(of(head).left + 10, of(head).top + 10);
      return [of(frame).top, of(head).top, of(frame).left, of(row).left, frame.scrollTop, head.contains(hit),
              of(frame).bottom - innerHeight, of(head).height];""")
    assert places[4] > 8000
    assert abs(places[1] - places[0]) <= 2
    assert abs(places[3] - places[2]) <= 2
    assert places[5]
    assert places[6] <= 1
    assert places[7] < 250  # however long the names of runtimes are
    no_complaints(browser)


CONTRAST = """
  const light = text => { const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = element => { for (; element; element = element.parentElement) {
    const found = getComputedStyle(element).backgroundColor; if (!/, 0\\)$/.test(found)) return found; } };
  return ["#matrix td.good", "#matrix td.bad", "#matrix td.warn", "#matrix td.none", "#matrix button", ".soft", "a",
          ".says", "#matrix thead th", "tr.group th"]
    .flatMap(name => { const element = document.querySelector(name); if (!element) return [];
      const pair = [light(getComputedStyle(element).color), light(ground(element))].sort((a, b) => b - a);
      return [[name, (pair[0] + 0.05) / (pair[1] + 0.05)]]; });"""


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read_in_both_colour_schemes(show: Show, pages: dict[str, str], dark: bool, tmp_path: Path) -> None:
    browser = show(pages["comparison"], dark=dark)
    browser.find_element("css selector", "#matrix td.bad[data-column]").click()
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 200) == dark
    found = browser.execute_script(CONTRAST)
    assert len(found) >= 8
    assert [(name, ratio) for name, ratio in found if ratio < 4.5] == []  # WCAG 2.1, 1.4.3
    assert browser.save_screenshot(str(tmp_path / "page.png"))
    assert (tmp_path / "page.png").stat().st_size > 20_000


def test_the_page_prints_whole(show: Show, pages: dict[str, str]) -> None:
    browser = show(pages["comparison"], media="print")
    frame, table, form = (browser.find_element("id", name) for name in ("frame", "matrix", "filter"))
    assert frame.rect["height"] >= table.rect["height"]
    assert not form.is_displayed()


def test_hostile_text_is_only_text(show: Show, pages: dict[str, str], runs: list[Run]) -> None:
    for page in pages.values():
        browser = show(page)
        assert browser.execute_script("return document.querySelectorAll('img, iframe, object').length") == 0
        enter(browser, "words", "config/hostname/2")
        browser.find_element("css selector", 'tr[id="config/hostname/2"] button').click()
        assert browser.execute_script("return document.querySelectorAll('img, iframe, object').length") == 0
        links = browser.execute_script("return [...document.links].map(link => link.protocol)")
        assert set(links) <= {"file:", "https:"}
        no_complaints(browser)
        # Were any of it to run, the policy of the page would stop it: this very attempt is refused.
        browser.execute_script("""
          const script = document.createElement("script"); script.textContent = "document.title = 'owned'";
          document.body.append(script);""")
        assert browser.title != "owned"
        assert any("Content Security Policy" in entry["message"] for entry in browser.get_log("browser"))
