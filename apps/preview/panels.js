// The panels beside the image: the legend, rate and latency, the source, the board.

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const SECONDS = 60;
const MANY = 24;

function percent(share) {
  if (share >= 0.0995) return `${Math.round(share * 100)}%`;
  return share < 0.0005 ? "<0.1%" : `${(share * 100).toFixed(1)}%`;
}
const count = (number) => number.toLocaleString("en-GB");
export const ms = (number) => (number >= 99.5 ? Math.round(number).toString() : number.toFixed(1));

export function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export class Legend {
  constructor(drawing) {
    this.drawing = drawing;
    this.rows = [];
    this.all = false;
    $("all").onclick = () => this.toggleAll(true);
    $("none").onclick = () => this.toggleAll(false);
    $("more").onclick = () => { this.all = !this.all; this.fold(); };
  }

  build(classes) {
    const names = JSON.stringify(classes);
    if (names === this.names) return; // after a reconnection, classes that are switched off stay off
    this.names = names;
    this.drawing.setClasses(classes);
    this.rows = classes.map(({ name, rgb }, id) => {
      const item = document.createElement("li");
      const label = document.createElement("label");
      const box = document.createElement("input");
      box.type = "checkbox";
      box.checked = true;
      box.onchange = () => this.toggle(id, box.checked);
      const swatch = document.createElement("span");
      swatch.className = "swatch";
      const text = document.createElement("span");
      text.className = "name";
      text.textContent = text.title = name;
      const share = document.createElement("output");
      const bar = document.createElement("span");
      bar.className = "bar";
      const filled = document.createElement("i");
      swatch.style.background = filled.style.background = `rgb(${rgb.join(" ")})`;
      bar.append(filled);
      label.append(box, swatch, text, bar, share);
      item.append(label);
      return { item, label, box, share, filled, seen: classes.length <= MANY };
    });
    $("legend").replaceChildren(...this.rows.map(({ item }) => item));
    this.fold();
    this.tell();
  }

  // shares: of the newest frame, by class id; empty if it is not valid
  update(shares) {
    let appeared = false;
    this.rows.forEach((row, id) => {
      const share = shares[id];
      set(row.share, share === undefined ? "–" : share > 0 ? percent(share) : "");
      row.filled.style.transform = `scaleX(${share ?? 0})`;
      row.label.classList.toggle("absent", !(share >= 0.0005));
      if (share >= 0.001 && !row.seen) appeared = row.seen = true;
    });
    if (appeared) this.fold();
  }

  toggle(id, shown) {
    this.drawing.shown[id] = shown;
    this.rows[id].label.classList.toggle("off", !shown);
    this.drawing.paint();
    this.tell();
  }

  toggleAll(shown) {
    this.rows.forEach((row, id) => {
      row.box.checked = this.drawing.shown[id] = shown;
      row.label.classList.toggle("off", !shown);
    });
    this.drawing.paint();
    this.tell();
  }

  // A class that is not drawn must not look like an absent class.
  tell() {
    const hidden = this.drawing.shown.filter((shown) => !shown).length;
    $("hidden-classes").hidden = !hidden;
    set($("hidden-classes"), hidden === 1 ? "1 class hidden" : `${hidden} classes hidden`);
  }

  fold() {
    const unseen = this.rows.filter(({ seen }) => !seen).length;
    this.rows.forEach(({ item, seen }) => { item.hidden = !seen && !this.all; });
    $("more").hidden = !unseen;
    $("more").setAttribute("aria-expanded", String(this.all));
    set($("more"), this.all ? "Show those seen alone" : `Show ${unseen} more, not seen so far`);
  }
}

export class Sparkline {
  constructor(id, series) {
    this.svg = $(`${id}-spark`);
    this.most = $(`${id}-most`);
    this.series = series;
    this.unit = id === "rate" ? "" : " ms";
  }

  draw(points) {
    const last = points.length ? points[points.length - 1].at : 0;
    const values = points.flatMap((point) => this.series.map((name) => point[name] ?? 0));
    const top = Math.max(1e-6, ...values) * 1.08;
    const x = (point) => 240 - ((last - point.at) / (SECONDS - 1)) * 240;
    const y = (value) => 47 - (value / top) * 45;
    const parts = [make("line", { x1: 0, x2: 240, y1: 47.5, y2: 47.5 })];
    for (const point of points) {
      if (!point.valid) parts.push(make("rect", { x: x(point) - 4, y: 0, width: 4.1, height: 48 }));
    }
    this.series.forEach((name, index) => {
      const line = points.map((point, at) => `${at ? "L" : "M"}${x(point).toFixed(1)} ${y(point[name] ?? 0).toFixed(1)}`).join("");
      if (!line) return;
      if (!index) parts.push(make("path", { class: "area", d: `${line}L240 48L${x(points[0]).toFixed(1)} 48Z` }));
      parts.push(make("path", { d: line, class: index ? "thin" : "line" }));
    });
    this.svg.replaceChildren(...parts);
    set(this.most, points.length ? `most ${ms(Math.max(...values))}${this.unit}` : "");
  }
}

function make(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// rows: [what, value, class of the value]
function list(element, rows) {
  const known = JSON.stringify(rows);
  if (element.known === known) return;
  element.known = known;
  element.replaceChildren(...rows.flatMap(([what, value, kind]) => {
    const term = document.createElement("dt");
    term.textContent = what;
    const fact = document.createElement("dd");
    fact.textContent = value;
    fact.className = kind ?? "";
    return [term, fact];
  }));
}

export function showRun(run) {
  const computes = run.variant.startsWith(run.precision) ? "" : `, in ${run.precision}`;
  set($("what"), `${run.bundle}, ${run.variant} with ${run.backend} on ${run.device}${computes}`);
  $("degraded").hidden = !run.degraded;
  set($("degraded"), `Degraded: ${run.degraded}`);
  const { temperatures, throttled } = run.board;
  $("throttled").hidden = !throttled.length;
  set($("throttled"), `The board is throttled: ${throttled.join(", ")}`);
  const sensors = Object.entries(temperatures).sort(([, one], [, other]) => other - one).slice(0, 6);
  $("board").hidden = !sensors.length;
  list($("temperatures"), sensors.map(([sensor, celsius]) => [sensor, `${celsius.toFixed(0)} °C`, celsius >= 85 ? "warn" : ""]));
}

export function showSource(source, run) {
  const running = source.results > 0;
  set($("fps"), running ? source.fps.toFixed(1) : "–");
  set($("p50"), "p50" in source.latency_ms ? ms(source.latency_ms.p50) : "–");
  set($("p99"), "p99" in source.latency_ms ? ms(source.latency_ms.p99) : "–");
  const head = $("source-name").parentElement;
  head.className = `source ${source.connected ? "up" : "down"}`;
  set($("source-name"), source.name);
  $("problem").hidden = !source.problem;
  set($("problem"), source.problem);
  const invalid = Object.entries(source.invalid).filter(([, number]) => number);
  const total = invalid.reduce((sum, [, number]) => sum + number, 0);
  const rows = [
    ["State", source.connected ? (source.live ? "connected, live" : "open") : "not there", source.connected ? "" : "bad"],
    ["Frame", source.size_hw ? `${source.size_hw[1]} × ${source.size_hw[0]}` : "none yet"],
    ["Frames captured", count(source.captured)],
    ["Dropped for newer ones", count(source.dropped)],
    ["Reconnects", count(source.reconnects)],
    ["Not valid", total ? `${count(total)} (${invalid.map(([reason, number]) => `${reason} ${count(number)}`).join(", ")})` : "0"],
  ];
  if (source.missing) rows.push(["Missing from the film", count(source.missing), "warn"]);
  if (run.deadline_ms !== null) rows.push([`Later than ${run.deadline_ms} ms`, count(source.deadline_misses), source.deadline_misses ? "warn" : ""]);
  const failures = Object.entries(run.inference_errors).filter(([, number]) => number);
  if (failures.length) rows.push(["Inference failed", failures.map(([kind, number]) => `${kind} ${count(number)}`).join(", "), "warn"]);
  for (const sink of source.sinks) {
    if (sink.disabled) rows.push([sink.name, sink.problem || "disabled", "bad"]);
    else if (sink.dropped && sink.name !== "preview") rows.push([`${sink.name}, dropped`, count(sink.dropped), ""]);
  }
  list($("facts"), rows);
}

const UNITS = { m: "m", s: "s", px: "px", deg: "°" };

// A card for each kind of finding, such as the landing spot. live: whether the page itself may be believed now.
export function showFindings(findings, live) {
  const names = Object.keys(findings);
  const cards = $("findings");
  if (cards.dataset.names !== names.join()) {
    cards.dataset.names = names.join();
    cards.replaceChildren(...names.map((name) => {
      const card = Object.assign(document.createElement("section"), { className: "card finding" });
      card.append(
        Object.assign(document.createElement("h2"), { textContent: words(name) }),
        Object.assign(document.createElement("p"), { className: "problem" }),
        document.createElement("dl"),
        Object.assign(document.createElement("p"), { className: "warning" }),
      );
      return card;
    }));
  }
  names.forEach((name, at) => {
    const { valid, reason, facts, blind_to } = findings[name];
    const [, why, numbers, warning] = cards.children[at].children;
    warning.hidden = !blind_to;
    set(warning, `Blind to ${blind_to}`);
    why.hidden = live && valid;
    set(why, live ? reason : "not known now");
    const rows = Object.entries(facts).filter(([key]) => key !== "valid" && key !== "reason");
    list(numbers, live && valid ? rows.map(([key, value]) => fact(key, value)) : []);
  });
}

const NAMES = { frd: "Forward, right, down", uv: "Column, row", ground: "North, east" };
const words = (name) => NAMES[name] ?? `${name[0].toUpperCase()}${name.slice(1)}`.replaceAll("_", " ");

// A name that ends in a unit, such as clearance_m, is a row "Clearance, m".
function fact(key, value) {
  const [, name, unit] = /^(.*?)(?:_(m|s|px|deg))?$/.exec(key);
  const numbers = (Array.isArray(value) ? value : [value]).map((each) => (each === null ? "–" : each.toLocaleString("en-GB")));
  return [unit ? `${words(name)}, ${UNITS[unit]}` : words(name), numbers.join(", "), ""];
}

export function showTabs(numbers, sources, chosen, choose) {
  const tabs = $("tabs");
  tabs.hidden = numbers.length < 2;
  if (tabs.hidden) return;
  if (tabs.children.length !== numbers.length) {
    tabs.replaceChildren(...numbers.map((number) => {
      const tab = document.createElement("button");
      tab.type = "button";
      tab.role = "tab";
      tab.append(Object.assign(document.createElement("span"), { className: "dot" }), document.createElement("span"));
      tab.onclick = () => choose(number);
      return tab;
    }));
    tabs.onkeydown = (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const at = [...tabs.children].indexOf(document.activeElement);
      if (!step || at < 0) return;
      const next = (at + step + numbers.length) % numbers.length;
      tabs.children[next].focus();
      choose(numbers[next]);
    };
  }
  numbers.forEach((number, at) => {
    const source = sources.find((each) => each.number === number);
    const [dot, text] = tabs.children[at].children;
    tabs.children[at].setAttribute("aria-selected", String(number === chosen));
    tabs.children[at].tabIndex = number === chosen ? 0 : -1;
    dot.className = `dot ${source ? (source.valid ? "up" : "down") : ""}`;
    set(text, source ? `${number} ${source.name}` : `Source ${number}`);
  });
}
