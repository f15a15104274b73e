"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const table = document.getElementById("matrix"), frame = document.getElementById("frame");
  const lines = [...table.querySelectorAll("tbody > tr[id]")];
  const heads = [...table.tHead.rows[0].cells].slice(2).map(cell => [...cell.childNodes].map(node => node.textContent).join(", "));
  const colours = ["good", "bad", "warn", "none"];
  const opened = new Map();  // row number -> the row below it
  const field = name => document.getElementById(name);

  // -- filter

  let haystack = null;  // made at the first search: most readers filter by verdict
  function texts() {
    return haystack ??= data.rows.map(row => {
      const parts = [row.id, row.section, row.level, row.observable];
      for (const number of row.cases) {
        parts.push(data.cases[number]);
        for (const column of data.results) {
          const result = column[number];
          if (result && result.length > 2) parts.push(data.texts[result[2]]);
        }
      }
      return parts.join("\n").toLowerCase();
    });
  }
  const says = lines.map(line => line.querySelector(".says").textContent.toLowerCase());

  function filter() {
    const words = field("words").value.toLowerCase().trim().split(/\s+/).filter(Boolean);
    const verdict = field("verdict").value, section = field("section").value, level = field("level").value;
    const column = field("column")?.value ?? "", differing = field("differing")?.checked ?? false;
    const all = words.length ? texts() : null;
    let shown = 0;
    lines.forEach((line, number) => {
      const row = data.rows[number];
      const looked = column === "" ? row.verdicts : [row.verdicts[column]];
      const fits = (verdict === "" || looked.includes(Number(verdict))) && (section === "" || row.section === section)
        && (level === "" || row.level === level) && (!differing || new Set(row.verdicts).size > 1)
        && words.every(word => all[number].includes(word) || says[number].includes(word));
      line.hidden = !fits;
      if (opened.has(number)) opened.get(number).hidden = !fits;
      shown += fits;
    });
    for (const body of table.tBodies) body.hidden = ![...body.rows].some(line => line.id && !line.hidden);
    field("shown").textContent = `${shown} of ${lines.length}`;
  }

  // -- what is behind a row

  function element(name, text, looks) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (looks) made.className = looks;
    return made;
  }
  function link(text, target) {
    const made = element("a", text);
    made.href = target;
    return made;
  }
  const tones = { passed: "good", failed: "bad", flaky: "bad", "unexpected-pass": "bad", "expected-failure": "bad" };

  const weight = (column, number) => data.results[column][number][0];  // outcomes are in order of their weight

  function block(row, column) {
    const made = element("section", undefined, "block"), list = element("ul");
    const title = element("h3", (data.results.length > 1 ? heads[column] + ": " : ""));
    title.append(element("span", data.verdicts[row.verdicts[column]], colours[row.verdicts[column]]));
    made.append(title, list);
    // What failed comes first.
    const present = row.cases.filter(number => data.results[column][number]);
    for (const number of present.sort((one, other) => weight(column, other) - weight(column, one))) {
      const result = data.results[column][number];
      const [kind, seconds, reason, target, directory] = result, item = element("li"), name = data.outcomes[kind];
      item.append(element("span", name, "tag " + (tones[name] ?? "warn")), " ", element("code", data.cases[number]), " ",
                  element("span", `${seconds} s`, "soft"));
      if (reason !== undefined && data.texts[reason]) item.append(element("pre", data.texts[reason]));
      if (target !== undefined)
        item.append(link("evidence", data.texts[target]), " ", element("code", "seatrial replay " + data.texts[directory]));
      list.append(item);
    }
    if (!list.children.length) list.append(element("li", "no case of this column covers it", "soft"));
    return made;
  }

  function toggle(line, column) {
    const number = lines.indexOf(line), row = data.rows[number], button = line.querySelector("button");
    let below = opened.get(number);
    const chosen = below?.dataset.column ?? "";
    if (below && (column === undefined || chosen === String(column))) {
      below.remove();
      opened.delete(number);
      button.setAttribute("aria-expanded", "false");
      return;
    }
    if (!below) {
      below = element("tr");
      const cell = element("td", undefined, "opened"), box = element("div"), facts = element("p");
      cell.colSpan = 2 + data.results.length;
      if (row.link) facts.append(link("in the spec", row.link), ", ");
      facts.append(element("span", row.subject ? `a duty of: ${row.subject}` : "", "soft"));
      if (row.needs.length) facts.append(element("span", `, needs ${row.needs.join(", ")}`, "soft"));
      box.append(facts);
      if (row.observable) box.append(element("p", "Checked by: " + row.observable, "soft"));
      const blocks = element("div", undefined, "blocks");
      data.results.forEach((_, one) => blocks.append(block(row, one)));
      box.append(blocks);
      cell.append(box);
      below.append(cell);
      line.after(below);
      opened.set(number, below);
      button.setAttribute("aria-expanded", "true");
    }
    below.dataset.column = column ?? "";
    [...below.querySelectorAll(".block")].forEach((one, place) => one.classList.toggle("chosen", place === column));
  }

  function show(id) {
    const line = lines.find(one => one.id === id);
    if (!line) return;
    if (line.hidden) { field("filter").reset(); filter(); }
    if (!opened.has(lines.indexOf(line))) toggle(line);
    frame.scrollIntoView();
    frame.scrollTop = line.offsetTop - table.tHead.offsetHeight - 4;
    line.querySelector("button").focus({ preventScroll: true });
  }

  table.addEventListener("click", event => {
    const line = event.target.closest("tr[id]");
    if (!line) return;
    if (event.target.closest("button")) {
      toggle(line);
      history.replaceState(null, "", "#" + line.id);
    } else if (event.target.closest("td[data-column]") && !String(getSelection())) {
      toggle(line, event.target.closest("td[data-column]").cellIndex - 2);
    }
  });
  const form = field("filter");
  form.addEventListener("input", filter);
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  addEventListener("keydown", event => {
    if (event.key !== "/" || event.target.closest("input, select")) return;
    event.preventDefault();
    field("words").focus();
  });
  addEventListener("hashchange", () => show(decodeURIComponent(location.hash.slice(1))));
  function measure() {
    frame.style.setProperty("--seen", frame.clientWidth + "px");
    frame.style.scrollPaddingTop = table.tHead.offsetHeight + "px";  // what gets the focus is not below the head
  }
  addEventListener("resize", measure);
  measure();
  filter();
  if (location.hash) show(decodeURIComponent(location.hash.slice(1)));
})();
