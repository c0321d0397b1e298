// What pages can do better with JavaScript; without it everything still works.
"use strict";
document.documentElement.classList.add("js");

// Lists and selects that apply at once.
document.addEventListener("change", (e) => {
  if (e.target.matches("[data-submit]")) e.target.form.requestSubmit();
  if (e.target.closest("[data-job]")) chooseFields();
});

// Ask before what cannot be undone.
document.addEventListener("submit", (e) => {
  const question = e.target.dataset.ask;
  if (question && !confirm(question)) e.preventDefault();
});

document.addEventListener("click", async (e) => {
  const button = e.target.closest("[data-copy]");
  if (button) {
    await navigator.clipboard.writeText(button.dataset.copy);
    const was = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = was; }, 1500);
    return;
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(e.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (e) => {
  if (e.key === "Escape") for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
});

// The job editor shows the fields that belong to what is chosen.
function chooseFields() {
  const form = document.querySelector("[data-job]");
  if (!form) return;
  const show = (name, value) => {
    for (const field of form.querySelectorAll(`[data-${name}]`)) field.hidden = !field.dataset[name].split(" ").includes(value);
  };
  show("for", form.elements.entity.value);
  show("run", form.elements.run.value);
  show("timeframe", form.elements.timeframe.value);
}
chooseFields();

// A certificate can be dropped.
for (const zone of document.querySelectorAll("[data-drop]")) {
  zone.addEventListener("dragover", (e) => { e.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (e) => {
    e.preventDefault();
    zone.classList.remove("over");
    zone.querySelector("input[type=file]").files = e.dataTransfer.files;
  });
}

// A page is not replaced under somebody's hands, nor asked for while nobody looks.
const typed = (e) => e.type === "checkbox" ? e.checked !== e.defaultChecked : e.type !== "hidden" && e.value !== e.defaultValue;
function busy(live) {
  const at = document.activeElement, marked = getSelection();
  return live.contains(at) && at.matches("input, select, textarea, summary, [open] *") || live.querySelector("details[open]")
    || !marked.isCollapsed && live.contains(marked.anchorNode) || [...live.querySelectorAll("input, textarea")].some(typed);
}
document.addEventListener("htmx:beforeRequest", (e) => {
  const live = document.getElementById("live");
  if (document.hidden || live && busy(live)) e.preventDefault();
});

// Nor does it take the keyboard from where it is: what has the focus, has it again. Tables
// that are wider than the screen stay where they were moved to.
let focused = "", moved = [];
const likeness = (e) => e.matches(".scroll") ? e.ariaLabel : [e.tagName, e.getAttribute("href"), e.form && e.form.action, e.name, e.value, e.textContent.trim()].join("\n");
document.addEventListener("htmx:beforeSwap", () => {
  const live = document.getElementById("live");
  focused = live && live.contains(document.activeElement) ? likeness(document.activeElement) : "";
  moved = [...document.querySelectorAll("#live .scroll")].map((e) => e.scrollLeft);
});
document.addEventListener("htmx:afterSwap", () => {
  document.querySelectorAll("#live .scroll").forEach((e, n) => { e.scrollLeft = moved[n] || 0; });
  // What was asked for has happened: that it was asked for is no news any more.
  if (!document.querySelector("#live[hx-get]")) document.querySelector(".said")?.remove();
});
document.addEventListener("htmx:afterSettle", () => {
  if (!focused || document.activeElement !== document.body) return;
  for (const e of document.querySelectorAll("#live a, #live button, #live .scroll")) {
    if (likeness(e) === focused) return e.focus({ preventScroll: true });
  }
});
