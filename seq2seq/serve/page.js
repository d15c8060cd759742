// The page of `seq2seq serve`: asks the API, shows the cards of attention.js, and draws how sure the models were.
// All text goes into the page as text, never as markup.
"use strict";
{
  const { make, card } = attentionCards;
  const data = JSON.parse(document.getElementById("page-data").textContent);
  const at = (id) => document.getElementById(id);
  const text = at("text"), status = at("status"), beam = at("beam"), alternatives = at("alternatives");
  const chosen = new Map(data.models.map((model) => [model.name, { map: -1 }]));
  const numberOf = (name) => data.models.findIndex((model) => model.name === name); // of its colour, dashes and shape
  const { examples, between } = data.models.find((model) => model.examples.length) ?? { examples: [], between: " " };
  const BLIND = {
    nothing: "There is nothing to look at: this model sees nothing of the source.",
    vector: "There is nothing to look at: all that this model knew of the source came through one vector.",
  };
  const LONG = 200; // characters of a translation, from which on its alternatives are folded up
  let asking = null; // what stops the request that is under way
  let example = -1; // the place of the last one that was taken
  let shown = []; // the answers of the models on the page
  let growth = []; // { source, points }: each text that began with the one before, and what each model made of it

  const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;
  const mean = (probabilities) => Math.exp(probabilities.reduce((sum, p) => sum + Math.log(Math.max(p, 1e-4)), 0) / probabilities.length);
  const figure = (value) => (value === null ? "–" : value.toFixed(3).replace("-", "−"));
  const scores = (each) => `score\u00a0${figure(each.score)}, log-probability\u00a0${figure(each.log_probability)}`;

  function prepare() {
    const { source, target } = data.models[0];
    at("text-label").textContent = source && target ? `A sentence (${source} to ${target})` : "A sentence";
    at("hint").textContent = `Enter or Ctrl+Enter translates, Shift+Enter begins a line. At most ${data.limits.characters} characters.`;
    text.maxLength = data.limits.characters;
    beam.max = alternatives.max = data.limits.beam;
    beam.value = Math.min(Math.max(...data.models.map((model) => model.beam)), data.limits.beam);
    alternatives.value = Math.min(beam.value, 5);
    for (const { name } of data.models) {
      at("models").append(make("label", {}, make("input", { type: "checkbox", value: name, checked: true }), name));
    }
    at("example").hidden = !examples.length;
    next();
  }

  // The next example that is not in the text yet; without any, the empty text.
  function next() {
    for (let tried = 0; tried < examples.length; tried++) {
      example = (example + 1) % examples.length;
      if (!text.value.includes(examples[example])) break;
    }
    return examples[example] ?? "";
  }

  function say(message, wrong = false) {
    status.textContent = message;
    status.classList.toggle("wrong", wrong);
  }

  async function answer(response) {
    const told = await response.json().catch(() => ({}));
    if (response.ok) return told;
    const wait = response.headers.get("retry-after");
    throw new Error(`${told.error ?? `the server answered ${response.status}`}${wait ? ` (${wait} s)` : ""}`);
  }

  async function translate() {
    const models = [...at("models").querySelectorAll("input:checked")].map((box) => box.value);
    if (!models.length) return say("Choose at least one model.", true);
    if (!text.value.trim()) return say("Type a sentence.", true);
    if (!at("ask").reportValidity()) return undefined;
    asking?.abort();
    const mine = (asking = new AbortController());
    say("Translating …");
    const source = text.value.trim();
    const width = Number(beam.value), listed = Math.min(Number(alternatives.value), width);
    const asked = { text: source, models, beam: width, alternatives: listed, attention: true, probabilities: true };
    try {
      const headers = { "content-type": "application/json" };
      const response = await fetch("api/translate", { method: "POST", headers, body: JSON.stringify(asked), signal: mine.signal });
      const told = await answer(response);
      if (mine === asking) show(source, told);
    } catch (error) {
      if (mine === asking && error.name !== "AbortError") say(error instanceof TypeError ? "The server does not answer." : `Not translated: ${error.message}.`, true);
    }
    return undefined;
  }

  function show(source, told) {
    shown = told.models.map(({ model, translations: [best] }) => ({ name: model, best }));
    at("cards").replaceChildren(...shown.map(cardOf));
    at("answers").hidden = false;
    const spoken = shown.map(({ name, best }) => `${name}: ${best.text || "(nothing)"}`).join(" "); // it stands in the cards
    say(`Translated in ${told.seconds.toFixed(2)} s.`);
    status.append(make("span", { className: "unseen", textContent: ` ${spoken}` }));
    remember(source);
    draw();
  }

  function cardOf({ name, best }) {
    const { attention } = best, model = data.models[numberOf(name)];
    const box = card({
      name,
      score: scores(best),
      colour: numberOf(name),
      words: best.words,
      source: best.source_words,
      units: best.units,
      maps: attention ? attention.maps.slice(1) : [],
      chosen: chosen.get(name),
      weights: attention && ((map, t) => (attention.weights[map + 1] ?? attention.weights[0])[t]),
      blind: BLIND[model.sees] ?? "There is nothing to look at.",
    });
    const items = best.alternatives.map((each) =>
      make("li", {}, make("span", { dir: "auto", textContent: each.text || "(nothing)" }),
        make("span", { className: "score", textContent: scores(each) })));
    box.append(make("details", { className: "beam", open: best.text.length < LONG }, make("summary", { textContent: "Alternatives of the beam" }), make("ol", {}, ...items)));
    return box;
  }

  function remember(source) {
    const last = growth.at(-1)?.source;
    if (last !== undefined && source !== last && !source.startsWith(last)) growth = [];
    if (source === growth.at(-1)?.source) growth.pop();
    const points = shown.filter(({ best }) => best.probabilities.length)
      .map(({ name, best }) => ({ name, x: best.source_words.length, y: mean(best.probabilities) }));
    growth.push({ source, points });
  }

  function draw() {
    const sure = shown.map(({ name, best }) => ({ name, points: best.probabilities.map((y, n) => ({ x: n + 1, y, told: best.tokens[n] })) }));
    at("sureness").hidden = false;
    chart("sureness", sure, "position of the token");
    const rows = sure.flatMap(({ name, points }) => points.map(({ x, y, told }) => [name, x, told, percent(y)]));
    table("sureness", ["model", "position", "token", "probability"], rows);
    const points = growth.flatMap((text) => text.points);
    const grown = data.models.map(({ name }) => ({ name, points: points.filter((point) => point.name === name) })).filter((line) => line.points.length);
    at("growth").hidden = growth.length < 2;
    if (growth.length < 2) return;
    const { units: [unit] } = shown[0].best;
    chart("growth", grown, `source ${unit}`);
    table("growth", ["model", `source ${unit}`, "mean probability"], grown.flatMap((line) => line.points.map(({ x, y }) => [line.name, x, percent(y)])));
  }

  function svg(tag, attributes, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  // Lines of values between 0 and 1, drawn in the pixels that there are.
  function chart(id, lines, title) {
    const box = at(`${id}-chart`), width = Math.max(box.clientWidth, 240), height = 230;
    const left = 44, right = width - 12, top = 10, bottom = height - 40;
    const all = lines.flatMap((line) => line.points.map(({ x }) => x));
    const first = Math.min(...all), span = Math.max(...all) - first || 1;
    const px = (x) => left + 8 + ((right - left - 16) * (x - first)) / span, py = (y) => bottom - (bottom - top) * y;
    const drawing = [];
    for (const y of [0, 0.25, 0.5, 0.75, 1]) {
      drawing.push(svg("path", { d: `M${left} ${py(y)}H${right}`, stroke: "var(--grid)" }), svg("text", { x: left - 6, y: py(y) + 4, "text-anchor": "end" }, `${100 * y} %`));
    }
    const step = [1, 2, 5, 10, 20, 50, 100, 200].find((each) => (span / each) * 44 <= right - left) ?? 500;
    for (let x = Math.ceil(first / step) * step; x <= first + span && all.includes(first); x += step) {
      drawing.push(svg("text", { x: px(x), y: bottom + 18, "text-anchor": "middle" }, `${x}`));
    }
    drawing.push(svg("text", { x: (left + right) / 2, y: height - 4, "text-anchor": "middle" }, title));
    const size = Math.min(4.5, Math.max(2, ((right - left) / (span + 1)) * 0.4)); // of a point
    for (const { name, points } of lines) {
      const number = numberOf(name), colour = `var(--c${number})`;
      drawing.push(svg("path", { d: points.map(({ x, y }, n) => `${n ? "L" : "M"}${px(x)} ${py(y)}`).join(""), fill: "none", stroke: colour, "stroke-width": 2.2, "stroke-linejoin": "round", "stroke-dasharray": data.dashes[number].join(" ") }));
      for (const { x, y, told } of points) {
        const point = svg("path", { d: data.shapes[number], transform: `translate(${px(x)} ${py(y)}) scale(${size})`, fill: colour, stroke: "var(--paper)", "stroke-width": 0.2 });
        point.append(svg("title", {}, `${name}, ${told ?? `${x}`}: ${percent(y)}`));
        drawing.push(point);
      }
    }
    const label = `${title}: ${lines.map(({ name, points }) => `${name} from ${percent(points[0]?.y ?? 0)} to ${percent(points.at(-1)?.y ?? 0)}`).join("; ")}`;
    box.replaceChildren(svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, ...drawing));
    at(`${id}-legend`).replaceChildren(...lines.map(({ name }) => {
      const number = numberOf(name), colour = `var(--c${number})`;
      const key = svg("svg", { viewBox: "-16 -6 32 12", width: 32, height: 12, "aria-hidden": "true" },
        svg("path", { d: "M-15 0H15", stroke: colour, "stroke-width": 2.4, "stroke-dasharray": data.dashes[number].join(" ") }),
        svg("path", { d: data.shapes[number], transform: "scale(5)", fill: colour }));
      return make("li", {}, key, name);
    }));
  }

  function table(id, columns, rows) {
    const head = make("tr", {}, ...columns.map((column) => make("th", { scope: "col", textContent: column })));
    const body = rows.map((row) => make("tr", {}, ...row.map((cell) => make("td", { dir: "auto", textContent: cell }))));
    at(`${id}-table`).replaceChildren(make("thead", {}, head), make("tbody", {}, ...body));
  }

  at("ask").addEventListener("submit", (event) => { event.preventDefault(); translate(); });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); translate(); }
  });
  at("example").addEventListener("click", () => { text.value = next(); translate(); });
  at("join").addEventListener("click", () => {
    const before = text.value.trim(), first = growth[0]?.source;
    const again = first && before.startsWith(first) ? first : before; // without examples, the typed one once more
    const joined = (before + between + (next() || again)).trim();
    if (joined.length > data.limits.characters) return say(`The text would have more than ${data.limits.characters} characters.`, true);
    text.value = joined;
    return translate();
  });
  let drawnAt = innerWidth;
  addEventListener("resize", () => {
    if (shown.length && innerWidth !== drawnAt) draw();
    drawnAt = innerWidth;
  });
  prepare();
  text.value = examples[example] ?? "";
  text.focus();
}
