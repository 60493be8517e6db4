"use strict";

// Shared by the pages that show outputs: loads data files, makes elements. Text only ever becomes text nodes and attributes.

const received = new Map();
const asked = new Map();

// Each data file is one call of this function: a page from the file system may load a script, and may not fetch.
function pageData(name, value) {
  received.set(name, value);
}

function load(folder, file) {
  const address = `${document.body.dataset.root}${folder}/${file}.js`;
  if (!asked.has(address)) {
    asked.set(address, new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = address;
      script.onload = () => resolve(received.get(`${folder.replace(/\/pages$/, "").split("/").pop()}/${file}`));
      script.onerror = () => reject(new Error(`${address} is missing; run python -m eval report again`));
      document.head.append(script);
    }));
  }
  return asked.get(address);
}

const numbered = (name, number) => `${name}-${String(number).padStart(3, "0")}`;
const loadOutcomes = async (key) => spelled(await load(`${key}/pages`, "outcomes"));
const loadProblems = (benchmark) => load(`pages/${benchmark}`, "problems");
const PROBLEMS_A_FILE = 100;

async function loadProblem(benchmark, position) {
  const rows = await load(`pages/${benchmark}`, numbered("problems", Math.floor(position / PROBLEMS_A_FILE)));
  return rows[position % PROBLEMS_A_FILE];
}

async function loadOutputs(key, outcomes, position) {
  const rows = await load(`${key}/pages`, numbered("outputs", Math.floor(position / outcomes.each)));
  return rows.filter((row) => row.at[0] === position);
}

function spelled(stored) {
  const columns = { ...stored };
  for (const name of ["kinds", "details", "statuses", "rules"]) {
    columns[name] = stored[name][1].map((number) => stored[name][0][number]);
  }
  return columns;
}

// Elements

function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

const MATH = "http://www.w3.org/1998/Math/MathML";
const MATH_TAG = /^m(?:ath|row|i|n|o|s|text|space|frac|sqrt|root|su[bp]|subsup|under|over|underover|table|t[rd]|style|padded|phantom|multiscripts|prescripts)$/;
const MATH_ATTRIBUTE = /^(?:class|display|displaystyle|scriptlevel|stretchy|fence|form|accent|accentunder|movablelimits|linethickness|minsize|maxsize|width|height|depth|lspace|rspace|mathvariant)$/;

function mathml([tag, attributes, ...children]) {
  const element = document.createElementNS(MATH, MATH_TAG.test(tag) ? tag : "mrow");
  for (const [name, value] of Object.entries(attributes || {})) {
    if (MATH_ATTRIBUTE.test(name)) element.setAttribute(name, value);
  }
  element.append(...children.map((child) => (typeof child === "string" ? child : mathml(child))));
  return element;
}

// A formula is there twice, drawn and as source; the style sheet shows one of them.
function formula(source, tree, ...marked) {
  if (!tree) return el("span", {}, ...(marked.length ? marked : [source]));
  return el("span", { class: "formula" }, mathml(tree), el("code", { class: "source" }, ...(marked.length ? marked : [source])));
}

function piece(part) {
  if (typeof part === "string") return document.createTextNode(part);
  if (part.length === 2) return formula(part[0], part[1]);
  const [before, box, after, tree] = part;
  const element = formula("", tree, before, el("mark", {}, box), after);
  const drawn = [...element.querySelectorAll(".boxed")].pop() ?? element.querySelector("math");
  if (drawn) drawn.classList.add("graded");
  return element;
}

const pieces = (parts) => parts.map(piece);

// The beginning of a text in pieces, formulas whole.
function beginning(parts, length) {
  const taken = [];
  for (const part of parts) {
    const source = typeof part === "string" ? part : part.slice(0, -1).join("");
    if (source.length > length) {
      taken.push(typeof part === "string" ? `${part.slice(0, length)}…` : "…");
      break;
    }
    taken.push(part);
    length -= source.length;
  }
  return taken;
}

const words = (name) => name.replaceAll("_", " ");
const answerText = (answer) => (answer === null || answer === undefined ? "no box" : answer);
const badge = (kind, text) => el("span", { class: `status ${/^\w+$/.test(kind) ? kind : "other"}` }, text ?? words(kind));

function answerOf(pair) {
  return pair ? el("span", { class: "answer" }, formula(pair[0], pair[1])) : el("span", { class: "answer quiet" }, "no box");
}

function facts(outcomes, place) {
  const bits = outcomes.facts[place];
  return [bits & 1 ? "cut off by the token limit" : "", bits & 2 ? "went on into a next problem" : "",
    bits & 4 ? "a right answer stands in it" : "", outcomes.details[place]].filter(Boolean);
}

// Lists: filters by select elements, search, pages of 100

const PAGE = 100;

function options(select, values, kept) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  const sorted = [...counts].sort(([a], [b]) => String(a).localeCompare(String(b), "en", { numeric: true }));
  select.replaceChildren(el("option", { value: "" }, "all"),
    ...sorted.map(([value, count]) => el("option", { value }, `${words(String(value) || "none")} (${count.toLocaleString("en")})`)));
  if (counts.has(kept)) select.value = kept;
}

const address = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

function remember(state) {
  const kept = new URLSearchParams(Object.entries(state).filter(([, value]) => value !== "" && value !== undefined && value !== null));
  history.replaceState(null, "", `#${kept}`);
}

function pager(place, count, page, go) {
  const last = Math.max(0, Math.ceil(count / PAGE) - 1);
  place.replaceChildren();
  if (!last) return;
  const step = (text, to, on) => {
    const button = el("button", { type: "button", disabled: !on }, text);
    button.addEventListener("click", () => go(to));
    return button;
  };
  place.append(step("Previous", page - 1, page > 0), el("span", {}, `page ${page + 1} of ${last + 1}`), step("Next", page + 1, page < last));
}

// What a row shows once it is in view: its problem with formulas drawn.
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    seen.unobserve(entry.target);
    entry.target.whenSeen();
  }
}, { rootMargin: "200px" });

function row(summaryParts, excerpt, benchmark, position, fill) {
  const text = el("span", { class: "problem" }, excerpt);
  const details = el("details", { class: "item" }, el("summary", {}, summaryParts[0], text, ...summaryParts.slice(1)));
  text.whenSeen = async () => {
    const problem = await loadProblem(benchmark, position);
    text.replaceChildren(...pieces(beginning(problem.text, 160)));
  };
  seen.observe(text);
  details.addEventListener("toggle", async () => {
    if (!details.open || details.dataset.filled) return;
    details.dataset.filled = "yes";
    const body = el("div", { class: "body" }, el("p", { class: "quiet" }, "Loading…"));
    details.append(body);
    try {
      body.replaceChildren(...await fill(await loadProblem(benchmark, position)));
    } catch (error) {
      body.replaceChildren(el("p", { class: "alarm" }, error.message));
    }
  });
  return details;
}

const entry = (name, ...value) => el("div", {}, el("dt", {}, name), el("dd", {}, ...value));

// A formula does not break: where one is wider than the page, its text scrolls, by keyboard as well.
function shownText(parts) {
  const text = el("div", { class: "text" }, ...pieces(parts));
  requestAnimationFrame(() => {
    if (text.scrollWidth <= text.clientWidth) return;
    for (const [name, value] of Object.entries({ tabindex: "0", role: "group", "aria-label": "text with a wide formula" })) text.setAttribute(name, value);
  });
  return text;
}

function listen(form, changed) {
  let timer;
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(changed, 120);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
}

const asSource = document.getElementById("as-source");
if (asSource) asSource.addEventListener("change", () => document.body.classList.toggle("as-source", asSource.checked));

function failed(error) {
  document.getElementById("shown").textContent = error.message;
}
