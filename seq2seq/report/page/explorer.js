// The attention explorer: sentences to choose from, translations side by side, and where each word's model looked, drawn
// by attention.js.
"use strict";
{
  const { make, spaced, card } = attentionCards;
  const data = JSON.parse(document.getElementById("explorer-data").textContent);
  const [list, view, order] = ["sentences", "view", "order"].map((name) => document.getElementById(`explorer-${name}`));
  const chosen = data.models.map(() => ({ map: -1 })); // for each model; -1: the mean of all maps
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

  async function show(sentence) {
    const mine = ++latest;
    const bytes = await unpack(sentence.attention);
    if (mine !== latest) return;
    let start = 0;
    const cards = sentence.outputs.map((output, model) => {
      const maps = data.maps[model].length, height = output.words.length, width = sentence.src.length;
      const matrices = { bytes, start, maps, height, width };
      if (output.attends) start += maps * height * width;
      return card({
        name: data.models[model],
        score: `chrF ${output.chrf?.toFixed(1) ?? "–"}, loss ${output.nll?.toFixed(2) ?? "–"}`,
        colour: model,
        words: output.words,
        source: sentence.src,
        units: data.units,
        maps: data.maps[model],
        chosen: chosen[model],
        weights: output.attends ? (map, t) => weights(matrices, map, t) : null,
        blind: "There is nothing to look at: all that this model knew of the source came through one vector.",
      });
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
