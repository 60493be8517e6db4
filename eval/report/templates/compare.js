// Two evaluations of one section side by side: what was fixed and what broke.

const form = document.getElementById("filters");
let sections, section, a, b, problems, changed, state;

const right = (outcomes) => {
  const shares = new Map();
  outcomes.positions.forEach((position, place) => {
    if (["undecided", "ungraded"].includes(outcomes.kinds[place])) return;
    const entry = shares.get(position) ?? { right: 0, judged: 0 };
    entry.right += outcomes.statuses[place] === "correct";
    entry.judged += 1;
    shares.set(position, entry);
  });
  return shares;
};
const placesOf = (outcomes) => {
  const places = new Map();
  outcomes.positions.forEach((position, place) => places.has(position) || places.set(position, place));
  return places;
};
const rowOf = (key) => section.rows.find((one) => one.key === key);

function findChanges() {
  const [ofA, ofB, placesA, placesB] = [right(a), right(b), placesOf(a), placesOf(b)];
  changed = [];
  for (const [position, before] of ofA) {
    const after = ofB.get(position);
    if (!after) continue;
    const gain = after.right / after.judged - before.right / before.judged;
    const [placeA, placeB] = [placesA.get(position), placesB.get(position)];
    if (gain) changed.push({ position, gain, before, after, placeA, placeB, kind: gain > 0 ? a.kinds[placeA] : b.kinds[placeB] });
  }
}

function figures(found) {
  const percent = (share) => `${(100 * share).toFixed(1)}%`;
  const signed = (share) => {
    const shown = (100 * Math.abs(share)).toFixed(1);
    return `${shown === "0.0" ? "" : share > 0 ? "+" : "−"}${shown}`;
  };
  const head = ["", "A", "B", "B − A", "95% interval", "p", "fixed", "broken"];
  const lines = Object.entries(found.levels).map(([level, one]) => el("tr", {}, el("th", { scope: "row" }, level),
    ...[percent(one.a), percent(one.b), signed(one.b - one.a), `${signed(one.low)} to ${signed(one.high)}`,
      one.p < 0.0005 ? "< 0.001" : one.p.toFixed(3), one.fixed, one.broken].map((cell) => el("td", {}, String(cell)))));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "The three readings" },
    el("table", {}, el("thead", {}, el("tr", {}, ...head.map((name) => (name ? el("th", { scope: "col" }, name) : el("td"))))), el("tbody", {}, ...lines)));
}

// As a shell reads it: a key is the name of a folder, which anybody may have given.
const quoted = (text) => (/^[\w@%+=:,./][\w@%+=:,./-]*$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`);

function nothingToCompare() {
  return section.rows.length < 2
    ? `${rowOf(state.b).label} is the only checkpoint that was evaluated on ${section.title}, so there is nothing to compare. Evaluate another one under the same conditions.`
    : `A and B are both ${rowOf(state.a).label}: choose another checkpoint for one of them.`;
}

async function summarise() {
  if (state.a === state.b) {
    document.getElementById("figures").replaceChildren(el("p", { class: "lead" }, nothingToCompare()));
    return;
  }
  const found = (await load(`pages/${section.id}`, "pairs"))[`${state.a} ${state.b}`];
  const [fixed, broken] = [changed.filter((one) => one.gain > 0).length, changed.filter((one) => one.gain < 0).length];
  document.getElementById("figures").replaceChildren(...(found ? [el("p", { class: "lead" }, found.verdict[0].toUpperCase() + found.verdict.slice(1)), figures(found),
    ...(section.rows.length > 2 ? [el("p", { class: "quiet" }, "These p-values are of this pair alone. The report's table corrects for all its pairs (Holm), so it tells fewer apart.")] : [])]
    : [el("p", { class: "lead" }, `${fixed.toLocaleString("en")} fixed, ${broken.toLocaleString("en")} broken.`),
      el("p", { class: "quiet" }, "In a sweep this long the tests are made for neighbours and with the best only; for these two: ",
        el("code", {}, `python -m eval compare ${quoted(state.a)} ${quoted(state.b)}`))]));
}

function side(letter, key, outcomes, output, place) {
  if (!output) return el("div", { class: "side" }, el("h3", {}, `${letter}: ${rowOf(key).label}`), el("p", {}, "No output."));
  return el("div", { class: "side" }, el("h3", {}, `${letter}: ${rowOf(key).label} `, badge(outcomes.kinds[place])),
    el("p", {}, "answered ", answerOf(output.answer)), shownText(output.text),
    el("p", { class: "quiet" }, [`decided by ${outcomes.rules[place] || "no rule"}`, ...facts(outcomes, place), `${outcomes.tokens[place]} tokens`].join(", ")));
}

function item(one) {
  const { position, placeA, placeB } = one;
  const fixed = one.gain > 0;
  const share = (entry) => (a.samples > 1 ? `${entry.right}/${entry.judged}: ` : "");
  const answers = el("span", { class: "answers" }, el("span", {}, "gold ", el("code", {}, problems.golds[position].slice(0, 40))),
    el("span", {}, " A ", share(one.before), el("code", {}, answerText(a.answers[placeA]).slice(0, 30)), " → B ", share(one.after), el("code", {}, answerText(b.answers[placeB]).slice(0, 30))));
  return row([el("span", { class: `status ${fixed ? "correct" : "wrong"}` }, fixed ? "fixed" : "broken", el("small", {}, words(one.kind))), answers],
    problems.texts[position], section.benchmark, position, async (problem) => {
      const [outA, outB] = await Promise.all([loadOutputs(state.a, a, position), loadOutputs(state.b, b, position)]);
      return [el("dl", {}, entry("problem", shownText(problem.text)), entry("gold", answerOf(problem.gold)),
        entry("item", el("span", { class: "quiet" }, `${position + 1} (${problem.id}). `),
          el("a", { href: `problem.html#section=${section.id}&item=${position + 1}` }, "All checkpoints on this problem"))),
      el("div", { class: "sides" }, side("A", state.a, a, outA[0], placeA), side("B", state.b, b, outB[0], placeB))];
    });
}

function matches(one) {
  if (state.show && state.show !== (one.gain > 0 ? "fixed" : "broken")) return false;
  if (state.kind && state.kind !== one.kind) return false;
  if (state.subject && state.subject !== String(problems.subject[one.position])) return false;
  const text = [problems.ids[one.position], one.position + 1, problems.texts[one.position], problems.golds[one.position],
    a.answers[one.placeA] ?? "", b.answers[one.placeB] ?? ""].join("\n").toLowerCase();
  return (state.q ?? "").toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function show() {
  const found = changed.filter(matches);
  const page = Math.min(Number(state.page || 1) - 1, Math.max(0, Math.ceil(found.length / PAGE) - 1));
  document.getElementById("list").replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map(item));
  document.getElementById("shown").textContent = state.a === state.b ? "" : `${found.length.toLocaleString("en")} of ${changed.length.toLocaleString("en")} problems that changed`;
  pager(document.getElementById("pager"), found.length, page, (to) => {
    state.page = to + 1;
    remember(state);
    show();
    document.getElementById("changes").scrollIntoView();
  });
}

async function compare() {
  section = sections.find((one) => one.rows.some((candidate) => candidate.key === state.b))
    ?? sections.find((one) => one.rows.length > 1) ?? sections[0];
  if (!section) throw new Error("No finished evaluation yet.");
  const keys = section.rows.map((one) => one.key);
  if (!keys.includes(state.b)) state.b = keys.at(-1);
  if (!keys.includes(state.a)) state.a = keys[keys.indexOf(state.b) - 1] ?? keys[1] ?? keys[0];
  for (const name of ["a", "b"]) {
    form.elements[name].replaceChildren(...sections.map((one) => el("optgroup", { label: one.title },
      ...one.rows.map((candidate) => el("option", { value: candidate.key }, `${candidate.label} (${candidate.share})`)))));
    form.elements[name].value = state[name];
  }
  document.getElementById("on").textContent = `on ${section.title}`;
  document.getElementById("changes").closest("section").hidden = state.a === state.b;
  document.title = state.a === state.b ? `${rowOf(state.a).label} on ${section.title}` : `${rowOf(state.a).label} against ${rowOf(state.b).label} on ${section.title}`;
  [a, b, problems] = await Promise.all([loadOutcomes(state.a), loadOutcomes(state.b), loadProblems(section.benchmark)]);
  findChanges();
  form.elements.subject.closest("label").hidden = new Set(problems.subject).size < 2;
  options(form.elements.subject, changed.map((one) => String(problems.subject[one.position])), state.subject);
  options(form.elements.kind, changed.map((one) => one.kind), state.kind);
  form.elements.show.value = state.show ?? "";
  form.elements.q.value = state.q ?? "";
  await summarise();
  show();
}

async function start() {
  sections = await load("pages", "sections");
  state = address();
  await compare();
  listen(form, () => {
    const before = { ...state };
    state = Object.fromEntries(["a", "b", "show", "kind", "subject", "q"].map((name) => [name, form.elements[name].value]));
    if (state.b !== before.b && !section.rows.some((one) => one.key === state.b)) state.a = "";
    if (state.a && state.a !== before.a && !section.rows.some((one) => one.key === state.a)) {
      const other = sections.find((one) => one.rows.some((candidate) => candidate.key === state.a));
      state.b = other.rows.at(-1).key;
    }
    const again = state.a !== before.a || state.b !== before.b;
    (again ? compare() : Promise.resolve(show())).then(() => remember(state)).catch(failed);
  });
  window.addEventListener("hashchange", () => {
    if (!location.hash.includes("=")) return;
    state = address();
    compare().catch(failed);
  });
}

start().catch(failed);
