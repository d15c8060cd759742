// A browser starts no worker for a page that is opened from a disk. There the search runs in a hidden frame instead.
// (MkDocs Material would load such a script from elsewhere, unless the config names one of this name.)
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      (document.body ?? document.documentElement).append(frame);
      const inner = frame.contentWindow;
      inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      inner.importScripts = () => {}; // further languages of the search, of which there are none
      const script = inner.document.createElement("script");
      this.inner = new Promise((ready) => script.addEventListener("load", () => ready(inner)));
      script.src = url;
      inner.document.head.append(script);
    }

    postMessage(data) {
      this.inner.then((inner) => inner.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {}
  };
}
