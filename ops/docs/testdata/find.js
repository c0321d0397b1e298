// find marks the control of a kind that the page calls so, as somebody finds it who reads
// the page: by the text that is visible on it or beside it. What is in brackets or behind a
// colon, and dim remarks, may be left out.
(kind, label) => {
  const words = (text) => text.trim().replace(/\s+/g, " ");
  const called = (e) => {
    const bare = e.cloneNode(true);
    bare.querySelectorAll(".dim, .hidden, svg").forEach((remark) => remark.remove());
    return [e.innerText, bare.textContent].map(words).some((text) => text === label || text.startsWith(label + " (") || text.startsWith(label + ":"));
  };
  const visible = (e) => e.checkVisibility({ visibilityProperty: true }) && e.getClientRects().length > 0;
  const place = document.querySelector("dialog[open]") || document;
  const within = {
    entry: ["header nav a, header .menu a, header .menu button"],
    control: ["main a, main button, main summary, header summary, header [open] a, header [open] button, dialog button"],
    field: ["label", "input:not([type=checkbox], [type=radio], [type=file], [type=hidden]), textarea"],
    select: ["label", "select"],
    box: ["label", "input[type=checkbox], input[type=radio]"],
    file: ["label", "input[type=file]"],
  }[kind];
  let all = [...place.querySelectorAll(within[0])].filter(visible).filter(called);
  if (within[1]) all = all.map((e) => e.control).filter((e) => e && e.matches(within[1]) && visible(e));
  const same = all.length > 1 && all.every((e) => e.href && e.href === all[0].href); // it does not matter which one
  if (all.length !== 1 && !same) return { Problem: `the page has ${all.length || "no"} ${kind}${all.length ? "s" : ""} called "${label}"` };
  const e = all[0];
  document.querySelectorAll("[data-step]").forEach((old) => old.removeAttribute("data-step"));
  e.setAttribute("data-step", "");
  window.left = true; // the next page does not have it
  const inDialog = e.closest("dialog"), form = e.form;
  const leads = e.matches("select") ? e.hasAttribute("data-submit")
    : inDialog ? e.textContent !== "Cancel"
    : e.matches("a") ? !e.hasAttribute("download")
    : e.matches("button") && form !== null && e.type === "submit" && !form.hasAttribute("data-ask");
  return { Problem: "", Leads: leads, Typed: !/^(date|time|datetime-local)$/.test(e.type) };
}
