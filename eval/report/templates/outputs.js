// The page of one evaluation: all its outputs, filtered, searched, 100 at a time.

const view = document.getElementById("outputs").dataset;
const form = document.getElementById("filters");
const FIELDS = ["kind", "status", "rule", "subject", "level", "source", "fact", "q"];
const FACTS = { truncated: 1, ran_on: 2, recoverable: 4 };
let outcomes, problems, state;

function valueOf(field, place) {
  if (field === "kind") return outcomes.kinds[place];
  if (field === "status") return outcomes.statuses[place];
  if (field === "rule") return outcomes.rules[place];
  return problems[field][outcomes.positions[place]];
}

function matches(place) {
  for (const field of FIELDS.slice(0, 6)) {
    if (state[field] && String(valueOf(field, place) ?? "") !== state[field]) return false;
  }
  if (state.fact && !(outcomes.facts[place] & FACTS[state.fact])) return false;
  if (!state.q) return true;
  const position = outcomes.positions[place];
  const text = [problems.ids[position], position + 1, problems.texts[position], problems.golds[position], outcomes.answers[place] ?? ""];
  return state.q.toLowerCase().split(/\s+/).every((word) => text.join("\n").toLowerCase().includes(word));
}

function sampleOf(place) {
  let sample = 0;
  while (place > sample && outcomes.positions[place - sample - 1] === outcomes.positions[place]) sample += 1;
  return sample;
}

function item(place) {
  const position = outcomes.positions[place];
  const sample = outcomes.samples > 1 ? `, sample ${sampleOf(place) + 1}` : "";
  const answers = el("span", { class: "answers" }, el("span", {}, "gold ", el("code", {}, problems.golds[position].slice(0, 40))),
    el("span", {}, " answered ", el("code", {}, answerText(outcomes.answers[place]).slice(0, 40))));
  const kind = outcomes.kinds[place];
  return row([badge(kind, outcomes.details[place] && kind === "near_miss" ? outcomes.details[place] : undefined), answers],
    problems.texts[position], view.benchmark, position, async (problem) => {
      const output = (await loadOutputs(view.key, outcomes, position))[sampleOf(place)];
      return [el("dl", {},
        entry("problem", shownText(problem.text)),
        entry("gold", answerOf(problem.gold)),
        entry("answered", answerOf(output.answer)),
        entry("output", shownText(output.text)),
        entry("verdict", `${words(outcomes.statuses[place])}, decided by ${outcomes.rules[place] || "no rule"}`),
        entry("class", [words(kind), ...facts(outcomes, place)].join(", ")),
        entry("item", el("span", { class: "quiet" }, `${position + 1} (${problem.id})${sample}, ${outcomes.tokens[place]} tokens. `),
          el("a", { href: `../problem.html#section=${view.section}&item=${position + 1}` }, "All checkpoints on this problem")),
      )];
    });
}

function show() {
  const found = outcomes.positions.map((_, place) => place).filter(matches);
  const page = Math.min(Number(state.page || 1) - 1, Math.max(0, Math.ceil(found.length / PAGE) - 1));
  const slice = found.slice(page * PAGE, (page + 1) * PAGE);
  document.getElementById("list").replaceChildren(...slice.map(item));
  const all = outcomes.positions.length;
  const count = found.length === all ? `All ${all.toLocaleString("en")} outputs` : `${found.length.toLocaleString("en")} of ${all.toLocaleString("en")} outputs`;
  document.getElementById("shown").textContent = found.length > PAGE ? `${count}, ${page * PAGE + 1} to ${page * PAGE + slice.length} shown` : count;
  pager(document.getElementById("pager"), found.length, page, (to) => {
    state.page = to + 1;
    remember(state);
    show();
    document.getElementById("outputs").scrollIntoView();
  });
}

function read() {
  state = address();
  for (const field of FIELDS) form.elements[field].value = state[field] ?? "";
  for (const field of FIELDS) if (form.elements[field].value !== (state[field] ?? "")) delete state[field];
}

async function start() {
  [outcomes, problems] = await Promise.all([loadOutcomes(view.key), loadProblems(view.benchmark)]);
  for (const field of FIELDS.slice(0, 6)) {
    const values = outcomes.positions.map((_, place) => valueOf(field, place)).filter((value) => value !== null);
    form.elements[field].closest("label").hidden = new Set(values).size < 2;
    options(form.elements[field], values.map(String), "");
  }
  read();
  show();
  listen(form, () => {
    state = Object.fromEntries(FIELDS.map((field) => [field, form.elements[field].value]));
    remember(state);
    show();
  });
  window.addEventListener("hashchange", () => {
    if (location.hash === "#main" || location.hash === "#outputs") return;
    read();
    show();
  });
}

start().catch(failed);
