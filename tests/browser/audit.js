// What is wrong with this page for people who see it badly or not at all, and for those who do not
// read the other language. Gives sentences; none is good.
(language, names) => {
  const faults = [];
  const say = (what, element) =>
    faults.push(element ? `${what}: ${element.outerHTML.replace(/\s+/g, " ").slice(0, 140)}` : what);
  const shown = (element) => element.checkVisibility({ visibilityProperty: true });
  const words = (element) => {
    const ids = element.getAttribute("aria-labelledby");
    if (ids) return ids.split(/\s+/).map((id) => document.getElementById(id)?.textContent ?? "").join(" ").trim();
    const own = element.getAttribute("aria-label") ?? "";
    const inner = [...element.querySelectorAll("[aria-label]")].map((e) => e.getAttribute("aria-label"));
    return (own || element.textContent || "").trim() || inner.join(" ").trim();
  };

  if (document.documentElement.lang !== language) say(`lang is ${document.documentElement.lang}`);
  const [title] = document.title.split(" · ");
  if (!title?.trim()) say(`the title says nothing: "${document.title}"`);
  if (document.querySelectorAll("h1").length !== 1) say("not exactly one h1");
  if (document.querySelectorAll("main").length !== 1) say("not exactly one main");
  if (!document.querySelector("meta[name=viewport]")) say("no viewport");

  const ids = new Set();
  for (const element of document.querySelectorAll("[id]")) {
    if (ids.has(element.id)) say(`id twice: ${element.id}`);
    ids.add(element.id);
  }
  for (const name of ["for", "aria-labelledby", "aria-describedby", "aria-controls"]) {
    for (const element of document.querySelectorAll(`[${name}]`)) {
      for (const id of element.getAttribute(name).trim().split(/\s+/)) {
        if (!ids.has(id)) say(`${name} leads nowhere`, element);
      }
    }
  }
  for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    const labels = [...field.labels].map((label) => label.textContent.trim()).filter(Boolean);
    if (!labels.length && !words(field)) say("field without a label", field);
  }
  for (const control of document.querySelectorAll("button, a[href], summary, dialog, [role=img], [role=region]")) {
    if (!words(control)) say("nothing names it", control);
  }
  for (const picture of document.querySelectorAll("img:not([alt])")) say("no alt", picture);
  for (const table of document.querySelectorAll("table")) {
    for (const head of table.querySelectorAll("th:not([scope])")) say("head without scope", head);
  }
  for (const element of document.querySelectorAll("[tabindex]")) {
    if (element.tabIndex > 0) say("breaks the order of Tab", element);
  }
  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
    const its = Number(heading.tagName[1]);
    if (its > level + 1) say("skips a level", heading);
    level = its;
  }

  // Text in the other language, and text that is hard to read.
  const channel = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const mixed = new Map(); // reading a canvas is dear, and a page has few colours
  const solid = (colors) => {
    const key = colors.join();
    if (!mixed.has(key)) mixed.set(key, mix(colors));
    return mixed.get(key);
  };
  const mix = (colors) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const color of colors) {
      canvas.fillStyle = color;
      canvas.fillRect(0, 0, 1, 1);
    }
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) =>
    0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
  const known = new Map();
  const behind = (element) => {
    if (!element) return ["white"];
    if (!known.has(element)) {
      const look = getComputedStyle(element);
      const further = behind(element.parentElement);
      const layers = look.backgroundColor.endsWith(", 0)") ? further : further && [...further, look.backgroundColor];
      known.set(element, look.backgroundImage === "none" ? layers : null);
    }
    return known.get(element);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const told = new Set();
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !shown(element) || element.closest("script, style, [aria-hidden=true], .visually-hidden, .skip-link")) continue;
    const its = element.closest("[lang]").lang.slice(0, 2);
    // people's data are in no language: by name, or masked
    const plain = names.reduce((rest, name) => rest.replaceAll(name, ""), text.replace(/[\u4e00-\u9fff]+\*+/g, ""));
    if (its === "zh" && /[A-Za-z]{2,} [A-Za-z]{2,} [A-Za-z]{2,}/.test(plain)) say(`English in Chinese: "${text}"`);
    if (its === "en" && /[\u4e00-\u9fff]/.test(plain)) say(`Chinese in English: "${text}"`);
    if (element.closest("[aria-disabled=true], :disabled, option")) continue;
    const layers = behind(element);
    if (!layers) continue;
    const look = getComputedStyle(element);
    const [one, other] = [light(solid([...layers, look.color])), light(solid(layers))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    const large = parseFloat(look.fontSize) >= 24 || (parseFloat(look.fontSize) >= 18.6 && Number(look.fontWeight) >= 700);
    const what = `${element.className} ${look.color}`;
    if (ratio < (large ? 3 : 4.5) && !told.has(what)) {
      told.add(what);
      say(`contrast ${ratio.toFixed(2)} of "${text.slice(0, 30)}"`, element);
    }
  }
  return faults;
}
