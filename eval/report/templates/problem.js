// One problem: what every checkpoint of the section answered to it.

let sections, section, problems, position;

function heading(problem) {
  const groups = ["subject", "level", "source"].map((name) => problems[name][position]).filter((value) => value !== null && value !== undefined);
  document.getElementById("number").textContent = `Problem ${position + 1}`;
  document.getElementById("on").textContent = `of ${section.title}`;
  document.getElementById("statement").replaceChildren(shownText(problem.text), el("dl", {}, entry("gold", answerOf(problem.gold)),
    ...(groups.length ? [entry("kind", groups.join(", "))] : []), entry("id", el("span", { class: "quiet" }, problem.id))));
  document.title = `Problem ${position + 1} of ${section.title}`;
}

function changeOf(before, now) {
  if (!before || !before.length || !now.length) return "";
  const share = (answers) => answers.filter((one) => one[1] === "correct").length / answers.length;
  const gain = share(now) - share(before);
  return gain > 0 ? "fixed" : gain < 0 ? "broken" : "";
}

function checkpoint(row, answers, before) {
  const change = changeOf(before, answers);
  const right = answers.filter((one) => one[1] === "correct").length;
  const first = answers[0];
  const summary = el("summary", {}, first ? badge(answers.length > 1 ? (right ? "right" : "wrong") : first[0], answers.length > 1 ? `${right} of ${answers.length}` : undefined) : badge("ungraded"),
    el("span", { class: "problem" }, row.label, change ? el("span", { class: `change ${change}` }, change) : ""),
    el("span", { class: "answers" }, el("span", {}, "answered ", el("code", {}, answerText(first?.[2])))));
  const details = el("details", { class: "item" }, summary);
  details.addEventListener("toggle", async () => {
    if (!details.open || details.dataset.filled) return;
    details.dataset.filled = "yes";
    const outcomes = await loadOutcomes(row.key);
    const outputs = await loadOutputs(row.key, outcomes, position);
    const place = outcomes.positions.indexOf(position);
    details.append(el("div", { class: "body" }, ...outputs.flatMap((output, sample) => [shownText(output.text),
      el("p", { class: "quiet" }, [`${words(outcomes.statuses[place + sample])}, decided by ${outcomes.rules[place + sample] || "no rule"}`,
        ...facts(outcomes, place + sample), `${outcomes.tokens[place + sample]} tokens`].join(", "))])));
  });
  return details;
}

function step(id, to) {
  const link = document.getElementById(id);
  const there = to >= 0 && to < problems.ids.length;
  link.hidden = !there;
  if (there) link.href = `#section=${section.id}&item=${to + 1}`;
}

async function show() {
  const { section: wanted, item } = address();
  section = sections.find((one) => one.id === wanted) ?? sections[0];
  if (!section) throw new Error("No finished evaluation yet.");
  problems = await loadProblems(section.benchmark);
  position = Math.min(Math.max(Number(item || 1) - 1 || 0, 0), problems.ids.length - 1);
  heading(await loadProblem(section.benchmark, position));
  const form = document.getElementById("filters");
  form.elements.section.replaceChildren(...sections.map((one) => el("option", { value: one.id }, one.title)));
  form.elements.section.value = section.id;
  form.elements.number.value = position + 1;
  form.elements.number.max = problems.ids.length;
  const file = await load(`pages/${section.id}`, numbered("answers", Math.floor(position / PROBLEMS_A_FILE)));
  const all = section.rows.map((row) => [row, file[row.key][position % PROBLEMS_A_FILE]]);
  const right = all.filter(([, answers]) => answers.some((one) => one[1] === "correct")).length;
  document.getElementById("shown").textContent = `${right} of ${all.length} get it right`;
  document.getElementById("list").replaceChildren(...all.map(([row, answers], place) => checkpoint(row, answers, all[place - 1]?.[1])));
  step("before", position - 1);
  step("after", position + 1);
}

async function start() {
  sections = await load("pages", "sections");
  await show();
  listen(document.getElementById("filters"), () => {
    const form = document.getElementById("filters");
    if (form.elements.number.value) location.hash = `#section=${form.elements.section.value}&item=${form.elements.number.value}`;
  });
  window.addEventListener("hashchange", () => location.hash.includes("=") && show().catch(failed));
}

start().catch(failed);
