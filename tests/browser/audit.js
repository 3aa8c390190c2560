// What an audit finds wrong with the page, by the rules of WCAG 2.2 that a program can tell; [] when nothing is.
() => {
  const found = [];
  const visible = (node) => node.checkVisibility({ visibilityProperty: true }) && node.getBoundingClientRect().width > 1;
  const nameOf = (node) => `${node.tagName.toLowerCase()}${node.id ? `#${node.id}` : ""}.${node.className}: ${node.textContent.trim().slice(0, 30)}`;

  // 1.4.3: text against what lies behind it.
  const rgba = (text) => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const over = (front, back) => Object.fromEntries(["r", "g", "b"].map((c) => [c, front[c] * front.a + back[c] * (1 - front.a)]));
  const behind = (node) => {
    const layers = [];
    for (let each = node; each; each = each.parentElement) layers.unshift(rgba(getComputedStyle(each).backgroundColor));
    const canvas = matchMedia("(prefers-color-scheme: dark)").matches ? { r: 18, g: 18, b: 18 } : { r: 255, g: 255, b: 255 };
    return layers.reduce((back, layer) => over(layer, back), canvas);
  };
  const light = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const contrast = (one, other) => {
    const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  const check = (node, colour, least, what) => {
    const back = behind(node);
    const ratio = contrast(over(rgba(colour), back), back);
    if (ratio < least) found.push(`${what} has a contrast of ${ratio.toFixed(2)}: ${nameOf(node)}`);
  };
  let checked = 0;
  for (const node of document.querySelectorAll("body *")) {
    if (!visible(node)) continue;
    const hasText = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (hasText || node.matches("input, select")) {
      check(node, getComputedStyle(node).color, 4.5, "text");
      checked += 1;
    }
    if (node.placeholder) check(node, getComputedStyle(node, "::placeholder").color, 4.5, "a placeholder");
    // 1.4.11: the edge of what can be written into, against what lies around it.
    if (node.matches("input, select")) check(node.parentElement, getComputedStyle(node).borderTopColor, 3, "an edge");
  }
  if (checked < 30) found.push(`only ${checked} texts were looked at`);

  // 1.3.1, 3.3.2, 4.1.2: names, headings, tables, landmarks.
  for (const node of document.querySelectorAll("input, select, textarea")) {
    if (visible(node) && !node.labels.length && !node.ariaLabel) found.push(`no label: ${nameOf(node)}`);
  }
  for (const node of document.querySelectorAll("button, a, summary")) {
    if (visible(node) && !(node.ariaLabel || node.textContent).trim()) found.push(`no name: ${nameOf(node)}`);
    // 2.5.3: what is said aloud to choose it is what can be read.
    if (node.ariaLabel && !node.ariaLabel.includes(node.textContent.trim())) found.push(`name without its text: ${nameOf(node)}`);
    // 2.5.8: 24 pixels, or as much between it and the next.
    if (visible(node) && node.matches("button, summary") && node.getBoundingClientRect().height < 20) found.push(`too small: ${nameOf(node)}`);
  }
  const levels = [...document.querySelectorAll("h1, h2, h3, h4")].filter(visible).map((node) => Number(node.tagName[1]));
  if (levels[0] !== 1 || levels.filter((level) => level === 1).length !== 1) found.push("not one heading of the first level");
  if (levels.some((level, place) => place && level > levels[place - 1] + 1)) found.push("a level of headings is left out");
  for (const table of document.querySelectorAll("table")) {
    if (!table.ariaLabel && !table.caption) found.push(`no name: ${nameOf(table)}`);
    if ([...table.tHead.rows[0].cells].some((cell) => cell.scope !== "col")) found.push(`a heading without scope: ${nameOf(table)}`);
    for (const row of table.tBodies[0].rows) if (row.cells[0].scope !== "row") found.push(`a row without a heading: ${nameOf(row)}`);
  }
  for (const node of document.querySelectorAll("section")) {
    if (!document.getElementById(node.getAttribute("aria-labelledby"))) found.push(`a section without a name: ${nameOf(node)}`);
  }
  if (document.querySelectorAll("main").length !== 1 || !document.querySelector("header")) found.push("landmarks");
  if (!document.documentElement.lang || !document.title) found.push("no language or title");

  // 4.1.1: ids, and what refers to them.
  const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
  if (new Set(ids).size !== ids.length) found.push("an id is there twice");
  for (const node of document.querySelectorAll("[aria-describedby], label[for], [list]")) {
    for (const attribute of ["aria-describedby", "for", "list"]) {
      const id = node.getAttribute(attribute);
      if (id && !ids.includes(id)) found.push(`${attribute}=${id} leads nowhere`);
    }
  }
  // 1.4.10: nothing to scroll sideways for.
  if (document.documentElement.scrollWidth > innerWidth) found.push(`${document.documentElement.scrollWidth} pixels wide`);
  return [...new Set(found)];
}
