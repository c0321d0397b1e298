// What pages can do better with JavaScript; without it everything still works.
"use strict";
document.documentElement.classList.add("js");

// Pages show times in the zone of whoever reads them; the server learns of it here.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) document.cookie = `cdds_zone=${encodeURIComponent(zone)}; path=/console; max-age=31536000; samesite=lax${location.protocol === "https:" ? "; secure" : ""}`;

// Lists and selects that apply at once.
document.addEventListener("change", (e) => {
  if (e.target.matches("[data-submit]")) e.target.form.requestSubmit();
  if (e.target.closest("[data-job]")) chooseFields();
});

// Ask before what cannot be undone. The dialog names the action, and the focus is on the safe answer.
let agreed;
document.addEventListener("submit", (e) => {
  const form = e.target, question = form.dataset.ask;
  if (!question || form === agreed) return;
  e.preventDefault();
  const dialog = document.createElement("dialog"), text = document.createElement("p"), row = document.createElement("div");
  text.id = "question";
  text.textContent = question;
  dialog.setAttribute("aria-labelledby", text.id);
  row.className = "actions";
  for (const [name, title] of [["", "Cancel"], ["danger", e.submitter.textContent]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = name;
    button.textContent = title;
    button.addEventListener("click", () => {
      dialog.close();
      if (!name) return;
      agreed = form;
      form.requestSubmit(e.submitter);
      agreed = undefined;
    });
    row.append(button);
  }
  dialog.addEventListener("close", () => dialog.remove());
  dialog.append(text, row);
  document.body.append(dialog);
  dialog.showModal();
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
  if (e.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
    menu.open = false;
  }
});
document.getElementById("picker")?.addEventListener("toggle", (e) => { if (e.target.open) document.getElementById("tenant").focus(); });

// The job editor shows the fields that belong to what is chosen.
function chooseFields() {
  const form = document.querySelector("[data-job]");
  if (!form) return;
  const show = (name, value) => {
    for (const field of form.querySelectorAll(`[data-${name}]`)) field.hidden = !field.dataset[name].split(" ").includes(value);
  };
  for (const [name, field] of [["for", "entity"], ["run", "run"], ["timeframe", "timeframe"]]) {
    if (form.elements[field]) show(name, form.elements[field].value);
  }
}
chooseFields();

// A file can be dropped.
for (const zone of document.querySelectorAll("[data-drop]")) {
  const input = zone.querySelector("input[type=file]");
  zone.addEventListener("dragover", (e) => { e.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (e) => {
    e.preventDefault();
    zone.classList.remove("over");
    input.files = e.dataTransfer.files;
    problemWith(input.form);
  });
  input.addEventListener("change", () => problemWith(input.form));
}

// A private key is recognised here and never sent, whether it is chosen, dropped or pasted.
// In DER a key begins with its version, an encrypted key with the name of its cipher; a
// certificate begins with neither.
function isKey(bytes) {
  if (/PRIVATE KEY|PuTTY-User-Key-File/.test(new TextDecoder("latin1").decode(bytes))) return true;
  const inside = (at) => at + 2 + (bytes[at + 1] > 0x80 ? bytes[at + 1] & 0x7f : 0);
  const first = inside(0);
  return bytes[0] === 0x30 && (bytes[first] === 0x02 || bytes[first] === 0x30 && bytes[inside(first)] === 0x06);
}

// problemWith says what is wrong with a certificate's form, if anything, and empties the form of it.
async function problemWith(form) {
  if (!form.elements.pem) return "";
  const file = form.querySelector("[data-drop] input"), pasted = form.elements.pem;
  const given = [pasted.value, ...file.files].map((part) => new Blob([part])).filter((blob) => blob.size);
  if (!given.length) return form.querySelector(".problems")?.textContent; // a form that was just emptied stays here
  let problem = "";
  for (const blob of given) {
    if (blob.size > 64 << 10) problem = "The file is too large for a certificate. Choose one of at most 64 KiB.";
    else if (isKey(new Uint8Array(await blob.arrayBuffer()))) problem = "This is a private key. It was not sent. Choose the certificate instead, and keep the key to yourself.";
    if (problem) break;
  }
  document.querySelectorAll(".problems").forEach((e) => e.remove());
  if (!problem) return problem;
  file.value = pasted.value = "";
  const said = document.createElement("div");
  said.className = "problems";
  said.setAttribute("role", "alert");
  said.append(document.createElement("p"));
  said.firstChild.textContent = problem;
  form.prepend(said);
  return problem;
}
let inspected;
document.addEventListener("submit", async (e) => {
  const form = e.target;
  if (!form.elements.pem || form === inspected) return;
  e.preventDefault();
  const problem = await problemWith(form);
  await new Promise((then) => setTimeout(then)); // a form does not submit while its submit event goes on
  if (problem) return;
  inspected = form;
  form.requestSubmit(e.submitter); // the button says what to do
  inspected = undefined;
});

// A page is not replaced under somebody's hands, nor asked for while nobody looks.
const typed = (e) => e.type === "checkbox" ? e.checked !== e.defaultChecked : e.type !== "hidden" && e.value !== e.defaultValue;
function busy(live) {
  const at = document.activeElement, marked = getSelection();
  return document.querySelector("dialog[open]") || live.contains(at) && at.matches("input, select, textarea, summary, [open] *") || live.querySelector("details[open]")
    || !marked.isCollapsed && live.contains(marked.anchorNode) || [...live.querySelectorAll("input, textarea")].some(typed);
}
const renews = (e) => e.detail.requestConfig.elt.id === "live"; // others ask for what somebody typed
document.addEventListener("htmx:beforeRequest", (e) => {
  if (!renews(e)) return;
  const live = document.getElementById("live");
  if (document.hidden || live && busy(live)) e.preventDefault();
});

// Nor does it take the keyboard from where it is: what has the focus, has it again. Tables
// that are wider than the screen stay where they were moved to.
let focused = "", moved = [];
const likeness = (e) => e.matches(".scroll") ? e.ariaLabel : [e.tagName, e.getAttribute("href"), e.form && e.form.action, e.name, e.value, e.textContent.trim()].join("\n");
document.addEventListener("htmx:beforeSwap", (e) => {
  if (!renews(e)) return;
  const live = document.getElementById("live");
  focused = live && live.contains(document.activeElement) ? likeness(document.activeElement) : "";
  moved = [...document.querySelectorAll("#live .scroll")].map((e) => e.scrollLeft);
});
document.addEventListener("htmx:afterSwap", (e) => {
  if (!renews(e)) return;
  document.querySelectorAll("#live .scroll").forEach((e, n) => { e.scrollLeft = moved[n] || 0; });
  // What was asked for has happened: that it was asked for is no news any more.
  if (!document.querySelector("#live[hx-get]")) document.querySelector(".said")?.remove();
});
document.addEventListener("htmx:afterSettle", (e) => {
  if (!renews(e) || !focused || document.activeElement !== document.body) return;
  for (const e of document.querySelectorAll("#live a, #live button, #live .scroll")) {
    if (likeness(e) === focused) return e.focus({ preventScroll: true });
  }
});
