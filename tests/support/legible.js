// What cannot be read: text and marks without contrast, text that is cut without saying the whole, and what is wider than the window.
() => {
  const breaches = [];
  const shown = (node) => !!node.getClientRects().length && getComputedStyle(node).visibility !== "hidden";
  const say = (rule, node, more) => breaches.push(`${rule}: ${more} ${node.outerHTML.replace(/\s+/g, " ").slice(0, 140)}`);
  const channels = (colour) => { const [red = 0, green = 0, blue = 0, alpha = 1] = (colour.match(/[\d.]+/g) || []).map(Number); return [red, green, blue, alpha]; };
  const over = (top, below) => top.slice(0, 3).map((value, at) => value * top[3] + below[at] * (1 - top[3])).concat(1);
  const light = (colour) => colour.slice(0, 3).map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const contrast = (a, b) => { const [x, y] = [light(a), light(b)]; return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05); };
  const behind = (node) => {
    const layers = [];
    for (let up = node; up; up = up.parentElement) {
      layers.unshift(channels(getComputedStyle(up).backgroundColor));
      if (layers[0][3] === 1) break;
    }
    return layers.reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const opacity = (node) => { let whole = 1; for (let up = node; up; up = up.parentElement) whole *= Number(getComputedStyle(up).opacity); return whole; };

  for (const node of document.querySelectorAll("body *")) {
    if (!shown(node) || node.closest(".hidden, .skip, .stale, :disabled")) continue;
    const style = getComputedStyle(node);
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.nodeValue.trim());
    const below = behind(node);
    if (own || node.matches("input, select, textarea")) {
      const text = channels(style.color);
      text[3] *= opacity(node);
      const least = node.matches(".sign") ? 3 : 4.5;
      const found = contrast(over(text, below), below);
      if (found < least) say("faint text", node, found.toFixed(2));
    }
    if (node.matches("input, textarea")) {
      const hint = contrast(over(channels(getComputedStyle(node, "::placeholder").color), below), below);
      if (node.placeholder && hint < 4.5) say("faint hint", node, hint.toFixed(2));
    }
    if (node.matches("input, select, textarea, button:not(.plain, .main, [aria-pressed=true], [role=tab])")) {
      const edge = contrast(channels(style.borderTopColor), behind(node.parentElement));
      if (edge < 3) say("faint edge", node, edge.toFixed(2));
    }
    const mark = getComputedStyle(node, "::before");
    if (node.matches(".mark") && contrast(channels(mark.color), below) < 3) say("faint mark", node, mark.color);

    const cuts = /hidden|clip/.test(style.overflowX) && node.scrollWidth > node.clientWidth + 1 && node.clientWidth > 0;
    if (cuts && own && !node.closest("[title]")?.title) say("cut without a title", node, `${node.scrollWidth} of ${node.clientWidth}`);
    const low = /hidden|clip/.test(style.overflowY) && own && node.scrollHeight > node.clientHeight + 2;
    if (low && !node.closest("[title]")?.title) say("cut below", node, `${node.scrollHeight} of ${node.clientHeight}`);
    const { left, right } = node.getBoundingClientRect();
    const scroller = node.parentElement?.closest(".table, .grid, pre, code, .uplot, .search ul");
    if (!scroller && (right > innerWidth + 1 || left < -1)) say("sticks out", node, `${Math.round(left)} to ${Math.round(right)}`);
  }
  const wide = document.documentElement.scrollWidth - innerWidth;
  if (wide > 0) breaches.push(`wider than the window: by ${wide} px`);
  return breaches;
}
