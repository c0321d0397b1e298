"use strict";
// Copies code, and searches the sections of all pages, which come with the site.
const top_ = document.body.dataset.top;

for (const pre of document.querySelectorAll("pre")) {
  const box = document.createElement("div"), button = document.createElement("button");
  box.className = "code";
  pre.tabIndex = 0;
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(pre.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  pre.replaceWith(box);
  box.append(pre, button);
}
for (const table of document.querySelectorAll("table")) {
  const box = document.createElement("div");
  box.className = "table";
  box.tabIndex = 0;
  box.role = "region";
  box.ariaLabel = "Table";
  table.replaceWith(box);
  box.append(table);
}

// On a narrow screen the list of pages is closed until it is wanted.
const narrow = matchMedia("(width <= 56rem)"), fold = () => { document.querySelector("nav details").open = !narrow.matches; };
narrow.addEventListener("change", fold);
fold();

const field = document.querySelector("#q"), found = document.querySelector("#found"), article = document.querySelector("article");
document.querySelector(".search").hidden = false;
let loading;
const load = () => loading ??= new Promise((done, failed) => {
  const script = document.createElement("script");
  script.src = top_ + "sections.js";
  script.onload = done;
  script.onerror = failed;
  document.head.append(script);
});

// rank is how well a section fits the words; 0 if one is missing.
const rank = (s, words) => {
  const title = s.t.toLowerCase(), page = (s.p || "").toLowerCase(), text = s.x.toLowerCase();
  let sum = 0;
  for (const w of words) {
    if (title.includes(w)) sum += title === w ? 30 : 10;
    else if (page.includes(w)) sum += 4;
    else if (text.includes(w)) sum += 1;
    else return 0;
  }
  return sum;
};

// excerpt is the text around the first of the words, which are marked.
const excerpt = (s, words) => {
  const text = s.x, at = Math.max(0, Math.min(...words.map((w) => text.toLowerCase().indexOf(w)).filter((n) => n >= 0), text.length) - 60);
  const p = document.createElement("p"), shown = (at > 0 && at < text.length ? "… " : "") + text.slice(at < text.length ? at : 0).slice(0, 220) + (text.length > at + 220 ? " …" : "");
  const marks = new RegExp("(" + words.map((w) => w.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|") + ")", "gi");
  shown.split(marks).forEach((part, n) => {
    if (n % 2 === 0) return p.append(part);
    const mark = document.createElement("mark");
    mark.textContent = part;
    p.append(mark);
  });
  return p;
};

const search = async () => {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  found.hidden = words.length === 0;
  article.hidden = !found.hidden;
  if (found.hidden) return;
  await load();
  const all = sections.map((s) => [rank(s, words), s]).filter(([n]) => n > 0).sort(([a], [b]) => b - a).slice(0, 20);
  const title = document.createElement("h1"), list = document.createElement("ol");
  title.textContent = all.length ? `Found for “${field.value.trim()}”` : `Nothing has all of “${field.value.trim()}”`;
  for (const [, s] of all) {
    const item = document.createElement("li"), link = document.createElement("a");
    link.href = top_ + s.u;
    link.textContent = s.p && s.p !== s.t ? `${s.p}: ${s.t}` : s.t;
    link.addEventListener("click", () => { field.value = ""; search(); });
    item.append(link, excerpt(s, words));
    list.append(item);
  }
  found.replaceChildren(title, list);
};
field.addEventListener("focus", load);
field.addEventListener("input", search);
addEventListener("keydown", (e) => {
  if (e.key === "/" && !/input|textarea/i.test(document.activeElement.tagName)) { e.preventDefault(); field.focus(); }
});
