// The attention explorer: sentences to choose from, translations side by side, and where each word's model looked.
// All text goes into the page as text, never as markup.
"use strict";
{
  const data = JSON.parse(document.getElementById("explorer-data").textContent);
  const [list, view, order] = ["sentences", "view", "order"].map((name) => document.getElementById(`explorer-${name}`));
  const chosenMap = data.models.map(() => -1); // -1: the mean of all maps
  let latest = 0; // the choice that was made last, since unpacking takes a moment

  const lengthOf = (sentence) => sentence.length; // as the buckets count it
  const lossOf = (sentence) => Math.max(...sentence.outputs.map((output) => output.nll ?? 0));
  const spreadOf = (sentence) => {
    const scores = sentence.outputs.map((output) => output.chrf ?? 0);
    return Math.max(...scores) - Math.min(...scores);
  };
  const ORDERS = {
    given: { of: () => 0, label: (s) => `${lengthOf(s)} ${data.units[0]}` },
    length: { of: lengthOf, label: (s) => `${lengthOf(s)} ${data.units[0]}` },
    loss: { of: lossOf, label: (s) => `loss ${lossOf(s).toFixed(2)}` },
    difference: { of: spreadOf, label: (s) => `${spreadOf(s).toFixed(0)} chrF apart` },
  };

  function make(tag, properties = {}, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  // Words, or what stands for them on the page, with spaces between; none before closing punctuation, and none between
  // characters, except Latin words and numbers.
  function spaced(words, unit, elements = words) {
    const apart = unit === "words"
      ? (n) => !/^[.,;:!?)\]»”…%]+$/.test(words[n])
      : (n) => /^[A-Za-z0-9]/.test(words[n]) && /[A-Za-z0-9]$/.test(words[n - 1]);
    return words.flatMap((_, n) => (n && apart(n) ? [" ", elements[n]] : [elements[n]]));
  }

  async function unpack(packed) {
    if (!packed) return new Uint8Array();
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  // The weights of target word t over the source, 0 to 1, in one map or in the mean of all.
  function weights(matrices, map, t) {
    const { bytes, start, maps, height, width } = matrices;
    const used = map < 0 ? Array.from({ length: maps }, (_, n) => n) : [map];
    const row = (n) => start + (n * height + t) * width;
    return Array.from({ length: width }, (_, s) => used.reduce((sum, n) => sum + bytes[row(n) + s], 0) / used.length / 255);
  }

  function arrow(key, words, at) {
    const step = getComputedStyle(words[at].parentElement).direction === "rtl" ? -1 : 1;
    const to = { ArrowRight: at + step, ArrowLeft: at - step, ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: words.length - 1 }[key];
    return to === undefined ? undefined : words[Math.min(Math.max(to, 0), words.length - 1)];
  }

  function card(model, sentence, output, matrices) {
    const score = `chrF ${output.chrf?.toFixed(1) ?? "–"}, loss ${output.nll?.toFixed(2) ?? "–"}`;
    const head = make("header", {}, make("h3", { textContent: data.models[model] }), make("span", { className: "score", textContent: score }));
    const box = make("article", { className: "card" }, head);
    box.style.setProperty("--model", `var(--c${model % 8})`);
    const translation = make("p", { className: "translation", dir: "auto" });
    box.append(translation);
    if (!output.words.length) translation.append(make("em", { textContent: "(nothing)" }));
    if (!matrices) {
      translation.append(...spaced(output.words, data.units[1]));
      box.append(make("p", { className: "blind", textContent: "There is nothing to look at: all that this model knew of the source came through one vector." }));
      return box;
    }
    const source = sentence.src.map((word) => make("span", { className: "source", textContent: word }));
    const told = make("p", { className: "told", ariaLive: "polite" });
    let current = 0;

    function look(t) {
      words[current].tabIndex = -1;
      words[current].removeAttribute("aria-current");
      current = t;
      words[t].tabIndex = 0;
      words[t].setAttribute("aria-current", "true");
      const row = weights(matrices, chosenMap[model], t);
      source.forEach((word, s) => word.style.setProperty("--weight", Math.sqrt(row[s]).toFixed(3)));
      const top = row.map((weight, s) => [weight, s]).sort((a, b) => b[0] - a[0]).slice(0, 3);
      const parts = top.flatMap(([weight, s], n) => [n ? ", " : "", make("bdi", { textContent: sentence.src[s] }), ` ${Math.round(100 * weight)}\u00a0%`]);
      told.replaceChildren(make("bdi", { className: "word", textContent: output.words[t] }), " looked at: ", ...parts);
    }

    const words = output.words.map((word, t) => make("span", { className: "target", textContent: word, tabIndex: -1, role: "button" }));
    translation.append(...spaced(output.words, data.units[1], words));
    words.forEach((word, t) => {
      for (const event of ["pointerenter", "focus", "click"]) word.addEventListener(event, () => look(t));
      word.addEventListener("keydown", (event) => {
        const to = arrow(event.key, words, t);
        if (to) { event.preventDefault(); to.focus(); }
      });
    });
    if (data.maps[model].length > 1) {
      const names = ["mean of all", ...data.maps[model]];
      const select = make("select", {}, ...names.map((name, n) => make("option", { value: n - 1, textContent: name })));
      select.value = chosenMap[model];
      select.addEventListener("change", () => { chosenMap[model] = Number(select.value); if (words.length) look(current); });
      head.append(make("label", { className: "map" }, "map ", select));
    }
    box.append(make("p", { className: "looked", dir: "auto" }, ...spaced(sentence.src, data.units[0], source)), told);
    if (words.length) look(0);
    return box;
  }

  async function show(sentence) {
    const mine = ++latest;
    const bytes = await unpack(sentence.attention);
    if (mine !== latest) return;
    let start = 0;
    const cards = sentence.outputs.map((output, model) => {
      const maps = data.maps[model].length, height = output.words.length, width = sentence.src.length;
      const matrices = output.attends ? { bytes, start, maps, height, width } : null;
      if (matrices) start += maps * height * width;
      return card(model, sentence, output, matrices);
    });
    const line = (name, text) => make("p", { className: "line" }, make("b", { textContent: name }), make("span", { dir: "auto" }, ...text));
    view.replaceChildren(
      line("Source", spaced(sentence.src, data.units[0])),
      line("Reference", [sentence.reference]),
      make("div", { className: "cards" }, ...cards),
    );
  }

  function fill() {
    const { of, label } = ORDERS[order.value];
    const sorted = [...data.sentences].sort((a, b) => of(b) - of(a));
    const buttons = sorted.map((sentence) => {
      const text = make("span", { className: "text", dir: "auto", textContent: spaced(sentence.src, data.units[0]).join("") });
      const button = make("button", { type: "button" }, text, make("span", { className: "key", textContent: label(sentence) }));
      button.addEventListener("click", () => {
        buttons.forEach((other) => other.removeAttribute("aria-current"));
        button.setAttribute("aria-current", "true");
        show(sentence);
      });
      button.addEventListener("keydown", (event) => {
        const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        const to = step && buttons[buttons.indexOf(button) + step];
        if (to) { event.preventDefault(); to.focus(); }
      });
      return button;
    });
    list.replaceChildren(...buttons.map((button) => make("li", {}, button)));
    buttons[0]?.click();
  }

  order.addEventListener("change", fill);
  if ("DecompressionStream" in globalThis) fill();
  else view.textContent = "This browser is too old to unpack the attention: any of 2023 or later can.";
}
