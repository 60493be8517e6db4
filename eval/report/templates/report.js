"use strict";

// Filter buttons of an evaluation's page: show the items that carry the pressed button's word. Without script all are shown.
const buttons = [...document.querySelectorAll("button[data-filter]")];
const items = [...document.querySelectorAll(".item")];

function show(word) {
  for (const item of items) {
    item.hidden = word !== "" && !item.dataset.words.split(" ").includes(word);
  }
  for (const button of buttons) {
    button.setAttribute("aria-pressed", String(button.dataset.filter === word));
  }
  document.getElementById("shown").textContent = `${items.filter((item) => !item.hidden).length} shown`;
}

for (const button of buttons) {
  button.addEventListener("click", () => show(button.dataset.filter));
}
