// What a page must keep to be read, heard and used by everyone. Written from WCAG 2.2 and the names of axe-core's rules,
// which are given with each; returns one line for each breach.
() => {
  const breaches = [];
  const shown = (node) => !!node.getClientRects().length && getComputedStyle(node).visibility !== "hidden";
  const brief = (node) => node.outerHTML.replace(/\s+/g, " ").slice(0, 140);
  const say = (rule, node, more = "") => breaches.push(`${rule}: ${more ? `${more} ` : ""}${node ? brief(node) : ""}`);
  const all = (selector) => [...document.querySelectorAll(selector)].filter(shown);
  const byIds = (text) => (text || "").split(/\s+/).filter(Boolean).map((id) => document.getElementById(id));
  const nameOf = (node) => (node.getAttribute("aria-label") || byIds(node.getAttribute("aria-labelledby")).map((one) => one?.textContent).join(" ")
    || [...(node.labels || [])].map((one) => one.textContent).join(" ") || (node.matches("input, select, textarea, canvas, section, nav, main, dialog") ? "" : node.textContent)
    || node.getAttribute("title") || node.getAttribute("alt") || "").trim();
  const INTERACTIVE = "a[href], button, input, select, textarea, summary, [tabindex]:not([tabindex='-1'])";

  // Names: button-name, link-name, select-name, label, role-img-alt, aria-dialog-name, summary-name, scope of tables.
  for (const node of all(`${INTERACTIVE}, [role=img], [role=tab], [role=tabpanel], [role=listbox], [role=application], dialog`)) if (!nameOf(node) && !node.matches("main, [role=tabpanel]")) say("name", node);
  for (const node of all("canvas")) if (!node.matches("[role=img], [role=presentation]") && !node.closest("[role=application], [role=img], .uplot")) say("canvas without a role", node);
  for (const node of all("label")) if (!node.control) say("label of nothing", node);

  // Roles: aria-roles, aria-valid-attr, aria-valid-attr-value, aria-required-children, aria-required-parent, nested-interactive.
  const ROLES = /^(alert|status|img|presentation|group|tablist|tab|tabpanel|listbox|option|combobox|checkbox|application|dialog|region|log|note|list|listitem)$/;
  const ATTRIBUTES = /^aria-(label|labelledby|describedby|controls|expanded|selected|pressed|current|live|busy|hidden|haspopup|sort|activedescendant|checked|disabled|modal|valuenow|valuemin|valuemax|valuetext)$/;
  const TRUTH = /^aria-(expanded|selected|pressed|busy|hidden|checked|disabled|modal)$/;
  for (const node of document.querySelectorAll("body *")) {
    const role = node.getAttribute("role");
    if (role !== null && !ROLES.test(role)) say("no such role", node);
    for (const { name, value } of node.attributes) {
      if (!name.startsWith("aria-")) continue;
      if (!ATTRIBUTES.test(name)) say("no such attribute", node, name);
      if (TRUTH.test(name) && !/^(true|false)$/.test(value)) say("value", node, `${name}=${value}`);
      if (/^aria-(controls|describedby|labelledby|activedescendant)$/.test(name) && value && byIds(value).includes(null)) say("id that is not there", node, `${name}=${value}`);
    }
  }
  for (const [parent, child] of [["tablist", "tab"], ["listbox", "option"]]) {
    for (const node of all(`[role=${parent}]`)) if (!node.querySelector(`[role=${child}], .empty`)) say("required child", node);
    for (const node of all(`[role=${child}]`)) if (!node.closest(`[role=${parent}]`)) say("required parent", node);
  }
  for (const node of all("[role=tablist]")) if (node.querySelectorAll("[aria-selected=true]").length !== 1) say("one tab is selected", node);
  for (const node of all("a[href], button, summary")) if (node.querySelector(INTERACTIVE)) say("nested interactive", node);
  for (const node of all("[aria-hidden=true]")) if (node.matches(INTERACTIVE) || node.querySelector(INTERACTIVE)) say("focus in what is hidden", node);
  const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) say("duplicate id", null, id);

  // Order: tabindex, heading-order, page-has-heading-one, empty-heading.
  for (const node of all("[tabindex]")) if (node.tabIndex > 0) say("tabindex", node);
  let level = 0;
  const headings = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].filter((node) => shown(node) && !node.closest("dialog"));
  for (const node of headings) {
    const own = Number(node.tagName[1]);
    if (own > level + 1) say("heading order", node, `h${level} to h${own}`);
    if (!node.textContent.trim()) say("empty heading", node);
    level = own;
  }
  if (headings.filter(({ tagName }) => tagName === "H1").length !== 1) say("one h1", null, String(headings.length));

  // Landmarks: landmark-one-main, landmark-banner-is-top-level, landmark-unique, region, bypass.
  if (all("main").length !== 1) say("one main", null);
  if (all("body > header").length !== 1) say("one banner", null);
  const landmarks = all("main, nav, body > header, section[aria-label], aside, footer").map((node) => `${node.tagName} ${nameOf(node)}`);
  for (const one of landmarks) if (landmarks.indexOf(one) !== landmarks.lastIndexOf(one)) say("landmarks alike", null, one);
  for (const node of all("nav")) if (!nameOf(node)) say("nav without a name", node);
  for (const node of document.body.children) if (!node.matches("main, nav, header, dialog, .skip, [role=status], script, noscript") && shown(node)) say("outside of landmarks", node);
  if (!document.querySelector("a.skip[href='#main']") || !document.querySelector("main#main[tabindex='-1']")) say("bypass", null);

  // Live regions: what changes by itself is said.
  if (!document.querySelector("#message[role=status]")) say("messages are not said", null);
  for (const node of all(".problem")) if (!node.closest("[role=status], [role=alert]") && !node.matches("[role=alert]") && !node.closest("main > section > .body")) say("problem is not said", node);
  for (const node of all(".banner")) if (!node.matches("[role=alert]")) say("banner is not said", node);
  for (const node of all(".verdict")) if (!node.matches("[role=status]")) say("verdict is not said", node);

  // Structure: list, listitem, definition-list, dlitem, th-has-data-cells, td-headers, table caption.
  for (const node of all("ul, ol")) for (const child of node.children) if (child.tagName !== "LI") say("list", child);
  for (const node of all("li")) if (!node.parentElement.matches("ul, ol")) say("listitem", node);
  for (const node of all("dl")) for (const child of node.children) if (!child.matches("dt, dd, div")) say("definition list", child);
  for (const node of all("table")) {
    if (!node.caption?.textContent.trim()) say("caption", node);
    for (const cell of node.querySelectorAll("thead th")) if (cell.getAttribute("scope") !== "col" || !cell.textContent.trim()) say("column header", cell);
    for (const row of node.querySelectorAll("tbody tr")) if (!row.querySelector("th[scope=row]")) say("row header", row);
  }

  // Document: html-has-lang, document-title, meta-viewport.
  if (!document.documentElement.lang || !document.title.includes("Latigo")) say("title and language", null);
  if (/maximum-scale|user-scalable/.test(document.querySelector("meta[name=viewport]")?.content || "")) say("zoom is refused", null);

  // Size and scrolling: target-size (24 px), scrollable-region-focusable.
  for (const node of all("button, select, input, nav a, a.tile")) {
    const { width, height } = node.getBoundingClientRect();
    if (Math.min(width, height) < 23.5 && !node.matches("[type=checkbox], [type=radio], thead button")) say("small target", node, `${Math.round(width)}x${Math.round(height)}`);
  }
  for (const node of all("body *")) {
    const { overflowX, overflowY } = getComputedStyle(node);
    const scrolls = (/auto|scroll/.test(overflowX) && node.scrollWidth > node.clientWidth + 1) || (/auto|scroll/.test(overflowY) && node.scrollHeight > node.clientHeight + 1);
    if (scrolls && node.tabIndex < 0 && !node.querySelector("a[href], button, input, select")) say("cannot be scrolled by keys", node);
  }
  return breaches;
}
