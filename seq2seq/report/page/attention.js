// A translation whose words say where their model looked: one card for each model. The explorer of a report and the page
// of `seq2seq serve` share it. All text goes into the page as text, never as markup.
"use strict";
const attentionCards = (() => {
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

  function arrow(key, words, at) {
    const step = getComputedStyle(words[at].parentElement).direction === "rtl" ? -1 : 1;
    const to = { ArrowRight: at + step, ArrowLeft: at - step, ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: words.length - 1 }[key];
    return to === undefined ? undefined : words[Math.min(Math.max(to, 0), words.length - 1)];
  }

  // The card of a translation.
  //   name, score, colour: of the model: two texts, and the number of its hue
  //   words, source, units: the words of both sides, and what the elements of [source, target] are
  //   maps, chosen: names of the attention maps, and { map }, the chosen one, which outlives the card; -1: their mean
  //   weights: from a map and a target word to the weights of the source words, 0 to 1; null where there is no attention
  //   blind: what is said in that case
  function card({ name, score, colour, words: target, source: read, units, maps, chosen, weights, blind }) {
    const head = make("header", {}, make("h3", { textContent: name }), make("span", { className: "score", textContent: score }));
    const box = make("article", { className: "card" }, head);
    box.style.setProperty("--model", `var(--c${colour % 8})`);
    const translation = make("p", { className: "translation", dir: "auto" });
    box.append(translation);
    if (!target.length) translation.append(make("em", { textContent: "(nothing)" }));
    if (!weights) {
      translation.append(...spaced(target, units[1]));
      box.append(make("p", { className: "blind", textContent: blind }));
      return box;
    }
    const source = read.map((word) => make("span", { className: "source", textContent: word }));
    const told = make("p", { className: "told", ariaLive: "polite" });
    let current = 0;

    function look(t) {
      words[current].tabIndex = -1;
      words[current].removeAttribute("aria-current");
      current = t;
      words[t].tabIndex = 0;
      words[t].setAttribute("aria-current", "true");
      const row = weights(chosen.map, t);
      source.forEach((word, s) => word.style.setProperty("--weight", Math.sqrt(row[s]).toFixed(3)));
      const top = row.map((weight, s) => [weight, s]).sort((a, b) => b[0] - a[0]).slice(0, 3);
      const parts = top.flatMap(([weight, s], n) => [n ? ", " : "", make("bdi", { textContent: read[s] }), ` ${Math.round(100 * weight)}\u00a0%`]);
      told.replaceChildren(make("bdi", { className: "word", textContent: target[t] }), " looked at: ", ...parts);
    }

    const words = target.map((word) => make("span", { className: "target", textContent: word, tabIndex: -1, role: "button" }));
    translation.append(...spaced(target, units[1], words));
    words.forEach((word, t) => {
      for (const event of ["pointerenter", "focus", "click"]) word.addEventListener(event, () => look(t));
      word.addEventListener("keydown", (event) => {
        const to = arrow(event.key, words, t);
        if (to) { event.preventDefault(); to.focus(); }
      });
    });
    if (maps.length > 1) {
      const names = ["mean of all", ...maps];
      const select = make("select", {}, ...names.map((each, n) => make("option", { value: n - 1, textContent: each })));
      select.value = chosen.map;
      select.addEventListener("change", () => { chosen.map = Number(select.value); if (words.length) look(current); });
      head.append(make("label", { className: "map" }, "map ", select));
    }
    box.append(make("p", { className: "looked", dir: "auto" }, ...spaced(read, units[0], source)), told);
    if (words.length) look(0);
    return box;
  }

  return { make, spaced, card };
})();
