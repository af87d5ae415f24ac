// Appended to a copy of the page: what a browser has made of it, as JSON.
const box = (element) => { const { left, right, top, bottom } = element.getBoundingClientRect(); return { left, right, top, bottom }; };
const all = (what) => [...document.querySelectorAll(what)];
const luminance = (colour) => {
  const [r, g, b] = colour.match(/[\d.]+/g).slice(0, 3).map((part) => part / 255).map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const canvas = document.createElement("div");
canvas.style.color = "Canvas";
document.body.append(canvas);
const ground = luminance(getComputedStyle(canvas).color);
canvas.remove();
const contrast = (element, of) => {
  const ink = luminance(getComputedStyle(element)[of]);
  return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
};
const measured = {
  width: innerWidth,
  scrolls: document.documentElement.scrollWidth,
  dark_mode: ground < 0.5,
  fetched: performance.getEntriesByType("resource").map((entry) => entry.name),
  points: all("[src], [href], [data], [action], link, img, iframe, object, embed").length,
  elements: [...new Set(all("*").map((element) => element.localName))].sort(),
  drawing: all("svg").map(box),
  dots: all("svg circle").map((dot) => ({ ...box(dot), says: dot.textContent })),
  ticks: all("svg text[text-anchor]").map(box),
  texts: all("svg text").map(box),
  rows: all("tbody tr").map((row) => ({ ...box(row), says: [...row.cells].map((cell) => cell.textContent) })),
  cut: all("td, dd, h1, p").filter((element) => element.scrollWidth > element.clientWidth + 1).length,
  contrasts: [
    ...all("h1, strong, dd, td").map((element) => contrast(element, "color")),
    ...all("svg text").map((element) => contrast(element, "fill")),
  ],
  dotContrasts: all("svg circle").map((element) => contrast(element, "fill")),
};
const output = document.createElement("script");
output.type = "application/json";
output.id = "measured";
output.textContent = JSON.stringify(measured);
document.body.append(output);
