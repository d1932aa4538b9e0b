// Fits DVC's plots to the window and to its colours, by day and by night, and lists them at the top of the page.

const GAP = 30; // px between two panels, and for the numbers of an axis
const plots = [];

// DVC calls this as the page is read, a plot each; what to draw is known when all of it is.
window.vegaEmbed = (place, spec) => plots.push({place: document.querySelector(place), spec});

// A line of a title has at most so many letters.
const lines = (text, most) => text.replace(new RegExp(`(.{1,${most}})( |$)`, "g"), "$1\n").trim();

function fitted({place, spec}) {
  const style = getComputedStyle(place);
  const room = place.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  spec = structuredClone(spec);
  const title = lines(place.dataset.title, Math.floor((room - 90) / 8));
  if (spec.params) spec.params[0].value = title;
  else spec.title.text = title.split("\n");
  if (!spec.facet) return {...spec, width: room, autosize: {type: "fit-x", contains: "padding"}};

  const {width, height} = spec.spec;
  const panels = new Set(spec.data.values.map((row) => row[spec.facet.field])).size;
  spec.columns = Math.max(1, Math.min(panels, Math.floor((room - GAP) / (width + GAP))));
  spec.spec.width = Math.floor(Math.min((room - GAP) / spec.columns - GAP, 1.4 * width));
  if (height === width) spec.spec.height = spec.spec.width;
  return spec;
}

function draw() {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const [text, line] = [colour("--text"), colour("--line")];
  const config = {
    background: colour("--back"),
    aria: false,
    text: {color: text},
    title: {color: text, fontSize: 13},
    axis: {labelColor: text, titleColor: text, gridColor: line, domainColor: line, tickColor: line,
           titleFontWeight: "normal", labelLimit: 110},
    header: {labelColor: text, labelFontWeight: "bold", labelFontSize: 11},
    legend: {labelColor: text, orient: "bottom", title: null, labelLimit: 260,
             columns: innerWidth < 600 ? 2 : 4, layout: {bottom: {direction: "vertical", anchor: "middle"}}},
    view: {stroke: line},
  };
  for (const plot of plots) drawPlot(plot.place, fitted(plot), config);
}

addEventListener("DOMContentLoaded", () => {
  for (const {place, spec} of plots) place.dataset.title = (spec.params ? spec.params[0].value : spec.title.text);
  for (const image of document.querySelectorAll(".dvc img")) {
    const place = image.closest(".dvc > div");
    const revision = image.previousElementSibling.textContent;
    place.dataset.title = place.firstElementChild.textContent;
    image.alt = `${place.dataset.title}, ${revision}`;
    image.parentElement.tabIndex = 0; // it scrolls on a telephone
  }
  for (const place of document.querySelectorAll(".dvc > div")) {
    const link = document.createElement("a");
    link.href = `#${place.id}`;
    link.textContent = place.dataset.title;
    document.querySelector("nav ul").appendChild(document.createElement("li")).append(link);
  }
  draw();
});

// Redrawn when the window becomes narrower or wider, or dark.
let width = innerWidth;
addEventListener("resize", () => {
  if (width !== innerWidth) draw();
  width = innerWidth;
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
