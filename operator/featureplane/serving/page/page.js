"use strict";

// What comes from the server goes into the page as text alone: names and values are whatever somebody wrote.
const REFRESH_MS = 10_000;
const ROWS_AT_ONCE = 50;
const OPTIONS_AT_ONCE = 40;
const LONGEST_VALUE = 300;
const EPOCH = "1970-01-01T00:00:00Z";
const SERVICE = "service: ";

const at = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== ""));
  return node;
}

const mark = (kind, text) => make("span", { className: `mark ${kind}` }, text);
const counted = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

// --- Asking the server

let token = "";
let catalogue = { feature_views: [], feature_services: [], answered_by_feast: [] };
let catalogueTag = "";
let skew = 0;

class Problem extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

async function ask(path, body) {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  let response;
  let text;
  try {
    response = await fetch(path, body === undefined
      ? { headers }
      : { method: "POST", body, headers: { ...headers, "content-type": "application/json" } });
    text = await response.text();
  } catch {
    throw new Problem("The server does not answer.");
  }
  if (!response.ok) throw new Problem(reason(response, text), response.status);
  try {
    return { said: body === undefined ? JSON.parse(text) : withDigits(text), tag: response.headers.get("etag") ?? "" };
  } catch {
    throw new Problem("What the server answered is not JSON.");
  }
}

// The server's own words: {"message", "request_id"}, which for errors of Feast's kinds come as JSON in a text.
function reason(response, text) {
  let said;
  try {
    said = JSON.parse(text);
    if (typeof said === "string") said = JSON.parse(said);
  } catch {
    said = null;
  }
  const words = said?.message ?? said?.detail;
  const message = typeof words === "string" ? words : response.statusText || "no reason given";
  const request = typeof said?.request_id === "string" ? ` (request ${said.request_id})` : "";
  return `The server answered ${response.status}: ${message}${request}`;
}

// Numbers of an answer stay as they are written: JavaScript's would lose digits beyond 2^53, and show 1.0 as 1.
const NUMBER_OR_TEXT = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
class Digits {
  constructor(text) {
    this.text = text;
  }
}

function withDigits(text) {
  const kept = text.replace(NUMBER_OR_TEXT, (piece) => (piece.startsWith('"') ? piece : `"\\u0000${piece}"`));
  return JSON.parse(kept, (_, value) =>
    typeof value === "string" && /^\0-?\d/.test(value) ? new Digits(value.slice(1)) : value);
}

function written(value, inside = false) {
  if (value instanceof Digits) return value.text;
  if (Array.isArray(value)) return `[${value.map((each) => written(each, true)).join(", ")}]`;
  if (value !== null && typeof value === "object") {
    return `{${Object.entries(value).map(([key, each]) => `${JSON.stringify(key)}: ${written(each, true)}`).join(", ")}}`;
  }
  return typeof value === "string" && !inside ? value : JSON.stringify(value);
}

// --- Times

const now = () => Date.now() + skew;

function duration(seconds) {
  const units = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => seconds >= size);
  if (first < 0) return "0 s";
  const [unit, size] = units[first];
  const whole = Math.floor(seconds / size);
  const rest = units[first + 1] && whole < 10 ? Math.floor((seconds % size) / units[first + 1][1]) : 0;
  return `${whole.toLocaleString("en")} ${unit}${rest ? ` ${rest} ${units[first + 1][0]}` : ""}`;
}

function ago(time) {
  const seconds = (now() - Date.parse(time)) / 1000;
  return seconds < -1 ? `in ${duration(-seconds)}` : `${duration(Math.max(seconds, 0))} ago`;
}

const moment = (time) => make("span", { className: "time" }, `${time.slice(0, 10)} ${time.slice(11, 19)} UTC`);

// --- State

function showState(said) {
  at("project").textContent = said.project;
  at("version").textContent = `Featureplane ${said.version}`;
  document.title = `${said.project}: feature server`;
  const store = (name, problem, more) => card(name, problem ? mark("bad", "Unavailable") : mark("good", "Answers"), problem || more);
  at("state").replaceChildren(
    card("Server", mark("good", "Running"), `for ${duration(said.uptime_seconds)}, ${counted(said.workers, "worker", "workers")}`),
    store("Registry", said.registry.problem, `last asked ${ago(said.registry.checked)}`),
    store("Online store", said.online_store.problem, said.online_store.type),
    card("Served", counted(said.feature_views, "feature view", "feature views"), counted(said.feature_services, "feature service", "feature services")),
  );
  if (said.registry.problem) at("state").children[1].append(make("dd", {}, `what was read ${ago(said.registry.checked)} is served on`));
}

const card = (name, value, more) => make("div", {}, make("dt", {}, name), make("dd", {}, value), make("dd", {}, more));

// --- Tables

function keysCell(keys) {
  return make("div", {}, ...keys.map((key) => make("div", {},
    make("span", { className: "name" }, key.name), ` ${key.type}`,
    key.entity && key.entity !== key.name ? make("small", {}, `entity ${key.entity}`) : "")));
}

// The names themselves are made when somebody opens the list: thousands of views have a hundred thousand of them.
function featuresCell(features, deprecated = []) {
  const said = new Map(deprecated.map((each) => [each.feature, deprecation(each)]));
  const details = make("details", {}, make("summary", {}, counted(features.length, "feature", "features")));
  details.addEventListener("toggle", () => {
    if (details.childElementCount > 1) return;
    details.append(make("ul", {}, ...features.map((name) => make("li", { className: "name" }, name,
      said.has(name) ? make("small", {}, said.get(name)) : ""))));
  });
  return details;
}

const deprecation = ({ since, message, replaced_by: instead }) =>
  `deprecated as of ${since}${instead ? `; use ${instead}` : ""}${message ? `: ${message}` : ""}`;

// Its name, who answers for it, its tags, and what of it is deprecated.
function nameCell(kind, item) {
  const whole = item.deprecated.find(({ feature }) => !feature);
  const parts = item.deprecated.length - (whole ? 1 : 0);
  return make("div", {}, pickButton(kind, item),
    item.owner ? make("small", {}, `owner ${item.owner}`) : "",
    tagged(item) ? make("small", {}, tagged(item)) : "",
    whole ? make("div", {}, mark("warn", "Deprecated"), make("small", {}, deprecation(whole))) : "",
    parts ? make("div", {}, mark("warn", `${counted(parts, "feature", "features")} deprecated`)) : "");
}

const tagged = (item) => Object.entries(item.tags).map(([key, value]) => (value ? `${key}: ${value}` : key)).join(", ");

function pickButton(kind, item) {
  const button = make("button", { type: "button", className: "pick" }, item.name);
  button.setAttribute("aria-label", `Ask for an entity of ${item.name}`);
  button.addEventListener("click", () => choose(kind, item.name));
  return button;
}

function row(cells) {
  return make("tr", { role: "row" }, ...cells.map(([label, content], index) => index === 0
    ? make("th", { scope: "row", role: "rowheader" }, content)
    : make("td", { role: "cell", "data-label": label }, make("div", {}, content))));
}

// Roles are spelled out since a narrow screen lays tables out as blocks, which then are no tables to a screen reader.
function table(headings, label) {
  const body = make("tbody", { role: "rowgroup" });
  const heads = headings.map((text) => make("th", { scope: "col", role: "columnheader" }, text));
  return [make("table", { role: "table", "aria-label": label },
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads)), body), body];
}

const OF = { write: "written through this server", window: "end of the last window that Feast copied" };

function newestCell(view) {
  if (!view.newest_event_time) return make("span", { className: "none" }, "not known");
  return make("div", {}, moment(view.newest_event_time), view.newest_of in OF ? make("small", {}, OF[view.newest_of]) : "");
}

function fill(cell, view) {
  const said = freshness(view);
  if (cell.dataset.said === said.join()) return;
  cell.dataset.said = said.join();
  cell.replaceChildren(mark(said[0], said[1]), said[2] ? make("small", {}, said[2]) : "");
}

function freshness(view) {
  if (view.why_not) return ["bad", "Not served", view.why_not];
  if (!view.newest_event_time) return ["plain", "Not known", ""];
  const age = ago(view.newest_event_time);
  if (!view.ttl_seconds) return ["plain", "Never expires", age];
  const past = now() - Date.parse(view.newest_event_time) > view.ttl_seconds * 1000;
  return past ? ["warn", "Past its ttl", age] : ["good", "Fresh", age];
}

function viewRow(view) {
  const cell = make("div");
  fill(cell, view);
  const node = row([
    ["View", nameCell("view", view)],
    ["Join keys", keysCell(view.join_keys)],
    ["Features", featuresCell(view.features, view.deprecated)],
    ["TTL", view.ttl_seconds ? duration(view.ttl_seconds) : "none"],
    ["Newest row", newestCell(view)],
    ["Freshness", cell],
  ]);
  return { node, tick: () => fill(cell, view) };
}

function serviceRow(service) {
  const node = row([
    ["Service", nameCell("service", service)],
    ["Join keys", keysCell(service.join_keys)],
    ["Features", featuresCell(service.features)],
  ]);
  return { node, tick: () => {} };
}

// A table of which only the first rows are made, and more when asked for.
class Listing {
  constructor(id, headings, label, none, makeRow) {
    this.id = id;
    this.none = none;
    this.makeRow = makeRow;
    this.items = [];
    this.rows = new Map();
    this.most = ROWS_AT_ONCE;
    [this.table, this.body] = table(headings, label);
    this.more = make("button", { type: "button", className: "more", hidden: true });
    this.table.hidden = true;
    this.more.addEventListener("click", () => this.showMore());
    at(id).append(this.table, this.more);
    at(`${id}-filter`).addEventListener("input", () => this.start());
    at(`${id}-order`)?.addEventListener("change", () => this.start());
  }

  take(items) {
    this.items = items.map((item) => ({ item, key: JSON.stringify(item), words: words(item) }));
    at(`${this.id}-count`).textContent = items.length.toLocaleString("en");
    this.show();
  }

  start() {
    this.most = ROWS_AT_ONCE;
    this.show();
  }

  showMore() {
    const next = this.most;
    this.most += ROWS_AT_ONCE;
    this.show();
    this.body.children[next]?.querySelector("button")?.focus();
  }

  show() {
    const wanted = at(`${this.id}-filter`).value.trim().toLowerCase();
    let found = this.items.filter(({ words: its }) => its.includes(wanted));
    if (at(`${this.id}-order`)?.value === "oldest") found = [...found].sort(byAge);
    const before = this.rows;
    this.rows = new Map();
    for (const { item, key } of found.slice(0, this.most)) this.rows.set(key, before.get(key) ?? this.makeRow(item));
    this.put([...this.rows.values()].map(({ node }) => node));
    const left = found.length - this.rows.size;
    this.more.textContent = `Show ${Math.min(left, ROWS_AT_ONCE)} more of ${found.length.toLocaleString("en")}`;
    this.table.hidden = found.length === 0;
    this.more.hidden = left <= 0;
    at(`${this.id}-said`).textContent = this.items.length === 0 ? this.none
      : wanted ? `${found.length.toLocaleString("en")} of ${this.items.length.toLocaleString("en")} match` : "";
  }

  // Rows that stay are not touched, so that neither the focus nor what was opened is lost.
  put(nodes) {
    const kept = new Set(nodes);
    for (const node of [...this.body.children]) if (!kept.has(node)) node.remove();
    nodes.forEach((node, place) => {
      if (this.body.children[place] !== node) this.body.insertBefore(node, this.body.children[place] ?? null);
    });
  }

  tick() {
    for (const { tick } of this.rows.values()) tick();
  }
}

const words = (item) => [item.name, item.owner, tagged(item), item.deprecated.length ? "deprecated" : "", ...item.join_keys.flatMap((key) => [key.name, key.entity]), ...item.features].join("\n").toLowerCase();
const newest = ({ item }) => (item.newest_event_time ? Date.parse(item.newest_event_time) : Number.MAX_VALUE);
const byAge = (one, other) => newest(one) - newest(other);

// --- The form

function chosen() {
  const text = at("target").value;
  const view = catalogue.feature_views.find(({ name }) => name === text);
  if (view) return { kind: "view", item: view };
  const name = text.startsWith(SERVICE) ? text.slice(SERVICE.length) : text;
  const service = catalogue.feature_services.find((each) => each.name === name);
  return service ? { kind: "service", item: service } : null;
}

function choose(kind, name) {
  at("target").value = kind === "service" ? SERVICE + name : name;
  showKeys();
  at("ask").scrollIntoView({ block: "center" });
  (at("keys").querySelector("input") ?? at("target")).focus();
}

function showOptions() {
  const text = at("target").value.toLowerCase();
  const names = [
    ...catalogue.feature_views.map(({ name }) => name),
    ...catalogue.feature_services.map(({ name }) => SERVICE + name),
  ].filter((name) => name.toLowerCase().includes(text)).slice(0, OPTIONS_AT_ONCE);
  at("targets").replaceChildren(...names.map((value) => make("option", { value })));
}

function showKeys() {
  const found = chosen();
  const keys = found?.item.join_keys ?? [];
  const fields = at("keys");
  const shape = JSON.stringify(keys);
  if (fields.dataset.shape === shape) return;
  fields.dataset.shape = shape;
  fields.hidden = keys.length === 0;
  fields.replaceChildren(fields.firstElementChild, ...keys.map((key, index) => make("div", { className: "field" },
    make("label", { htmlFor: `key-${index}` }, key.name, " ", make("span", { className: "type" }, key.type)),
    keyInput(key, `key-${index}`))));
}

function keyInput(key, id) {
  const whole = /^Int/.test(key.type);
  return make("input", {
    id, required: true, spellcheck: false,
    ...(whole ? { inputMode: "numeric", pattern: "-?[0-9]+", title: "A whole number" } : {}),
  });
}

// An entity's value as JSON; digits stay as they are written.
function valueText(type, text) {
  const isWhole = /^(Int|UnixTimestamp)/.test(type) && /^-?(0|[1-9][0-9]*)$/.test(text.trim());
  return isWhole ? text.trim() : JSON.stringify(text);
}

async function submit(event) {
  event.preventDefault();
  const found = chosen();
  at("answer").replaceChildren();
  if (!found) {
    say(`There is no feature view or service called ${at("target").value}.`, true);
    at("target").focus();
    return;
  }
  const { kind, item } = found;
  const entities = item.join_keys.map((key, index) =>
    `${JSON.stringify(key.name)}:[${valueText(key.type, at(`key-${index}`).value)}]`);
  const names = item.features.map((name) => (kind === "service" ? name.slice(name.indexOf(":") + 1) : name));
  const what = kind === "service" ? { feature_service: item.name } : { features: [item.name] };
  const rest = JSON.stringify({ ...what, full_feature_names: new Set(names).size < names.length }).slice(1);
  say("Asking …");
  try {
    const started = performance.now();
    const { said } = await ask("get-online-features", `{"entities":{${entities.join(",")}},${rest}`);
    showAnswer(item, said, performance.now() - started);
  } catch (error) {
    say(error instanceof Problem ? error.message : "The answer has not the form of a feature server's.", true);
  }
}

function say(text, isBad = false) {
  at("answer-said").className = isBad ? "notice bad" : "said";
  at("answer-said").textContent = text;
}

const STATUS = { PRESENT: "good", NOT_FOUND: "bad", OUTSIDE_MAX_AGE: "warn", NULL_VALUE: "plain" };
const MEANING = { NOT_FOUND: "nothing is stored", OUTSIDE_MAX_AGE: "older than the view's ttl" };

function showAnswer(item, said, milliseconds) {
  const keys = new Set(item.join_keys.map(({ name }) => name));
  const columns = said.metadata.feature_names
    .map((name, index) => ({ name, value: said.results[index].values[0], status: said.results[index].statuses[0], time: said.results[index].event_timestamps[0] }))
    .filter(({ name }) => !keys.delete(name));
  const [made, body] = table(["Feature", "Value", "Status", "Event time"], `Features of ${item.name}`);
  body.append(...columns.map((column) => row([
    ["Feature", make("span", { className: "name" }, column.name)],
    ["Value", valueCell(column.value)],
    ["Status", make("div", {}, mark(STATUS[column.status] ?? "plain", column.status), column.status in MEANING ? make("small", {}, MEANING[column.status]) : "")],
    ["Event time", !column.time || column.time === EPOCH ? make("span", { className: "none" }, "none")
      : make("div", {}, moment(column.time), make("small", {}, ago(column.time)))],
  ])));
  at("answer").replaceChildren(made);
  const present = columns.filter(({ status }) => status === "PRESENT").length;
  say(`${present} of ${counted(columns.length, "feature", "features")} of ${item.name} present, in ${Math.round(milliseconds)} ms.`);
}

function valueCell(value) {
  if (value === null) return make("span", { className: "none" }, "null");
  const text = written(value);
  if (text.length <= LONGEST_VALUE) return make("span", { className: "name" }, text);
  return make("details", {}, make("summary", {}, `${text.slice(0, 60)}… (${text.length.toLocaleString("en")} characters)`),
    make("span", { className: "name" }, text));
}

// --- Staying up to date

const views = new Listing("views", ["View", "Join keys", "Features", "TTL", "Newest row", "Freshness"], "Feature views",
  "Nothing is registered that can be served yet.", viewRow);
const services = new Listing("services", ["Service", "Join keys", "Features"], "Feature services",
  "No feature service is registered.", serviceRow);

async function refresh() {
  try {
    const { said } = await ask("status");
    skew = Date.parse(said.now) - Date.now();
    const found = await ask("status/views");
    if (!found.tag || found.tag !== catalogueTag) {
      catalogueTag = found.tag;
      catalogue = found.said;
      views.take(catalogue.feature_views);
      services.take(catalogue.feature_services);
      showOptions();
      showKeys();
      at("others").hidden = catalogue.answered_by_feast.length === 0;
      at("others-list").replaceChildren(...catalogue.answered_by_feast.map((name) => make("li", {}, name)));
    }
    showState(said);
    trouble("");
    at("access").hidden = true;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const isAccess = error.status === 401 || error.status === 403;
    at("access").hidden = !isAccess;
    trouble(isAccess && !token ? "" : error.message);
  }
  views.tick();
}

function trouble(text) {
  if (at("trouble").textContent === text) return;
  at("trouble").replaceChildren(...(text ? [make("p", { className: "notice bad" }, text)] : []));
}

at("ask").addEventListener("submit", submit);
at("target").addEventListener("input", () => {
  showOptions();
  showKeys();
});
at("access").addEventListener("submit", (event) => {
  event.preventDefault();
  token = at("token").value.trim();
  at("token").value = "";
  refresh();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
setInterval(() => {
  if (!document.hidden) refresh();
}, REFRESH_MS);
refresh();
