/* What the page does by itself: takes what the server sends into its place, tells times as "12 s", counts what is
   selected, and lets machines be dragged to places. Everything else works without it. */
"use strict";
(() => {
  const HIDDEN = 60_000; // milliseconds after which a page that nobody sees lets go of its stream
  const parser = document.createElement("template");
  const all = (what, root = document) => [...root.querySelectorAll(what)];

  // What is equal stays as it is, with its focus, its tick and its scroll position; what somebody types into stays too.
  function settle(old, now) {
    if (old.isEqualNode(now) || (old === document.activeElement && old.matches("input, select, textarea"))) return;
    if (old.nodeName !== now.nodeName || old.nodeType !== Node.ELEMENT_NODE) {
      old.replaceWith(now);
      return;
    }
    for (const { name } of [...old.attributes])
      if (!now.hasAttribute(name) && name !== "open") old.removeAttribute(name);
    for (const { name, value } of now.attributes) old.setAttribute(name, value);
    const [mine, theirs] = [[...old.childNodes], [...now.childNodes]];
    if (theirs.some((child) => child.id)) order(old, now);
    else if (mine.length === theirs.length) mine.forEach((child, at) => settle(child, theirs[at]));
    else old.replaceChildren(...theirs);
  }

  function order(old, now) {
    const known = new Map([...old.children].map((child) => [child.id, child]));
    let at = old.firstElementChild;
    for (const child of [...now.children]) {
      const mine = child.id && known.get(child.id);
      if (!mine) {
        old.insertBefore(child, at);
        continue;
      }
      if (mine === at) at = at.nextElementSibling;
      else old.insertBefore(mine, at);
      settle(mine, child);
    }
    while (at) {
      const gone = at;
      at = at.nextElementSibling;
      gone.remove();
    }
  }

  function take({ blocks, parts }) {
    const here = all("[data-block]").map((each) => each.id);
    if (blocks && (blocks.length !== here.length || blocks.some((id) => !here.includes(id)))) return again();
    for (const html of parts) {
      parser.innerHTML = html;
      const now = parser.content.firstElementChild;
      const old = document.getElementById(now.id);
      if (!old) continue;
      settle(old, now);
      if (now.id.startsWith("n-")) continue;
      htmx.process(document.getElementById(now.id));
    }
    tell();
  }

  function again() {
    htmx.ajax("GET", location.pathname + location.search, { target: "#main", select: "#main", swap: "outerHTML" });
  }

  // The clock of this machine may be wrong: times are told by the server's.
  const ahead = Date.now() / 1000 - Number(document.body.dataset.now);

  function ago(seconds) {
    for (const [unit, size, most] of [["s", 1, 120], ["min", 60, 120], ["h", 3600, 48]])
      if (seconds < size * most) return `${Math.round(seconds / size)} ${unit}`;
    return `${Math.round(seconds / 86400)} d`;
  }

  function tell() {
    const now = Date.now() / 1000 - ahead;
    for (const each of all("time[data-at]")) {
      const text = ago(Math.max(0, now - Number(each.dataset.at)));
      if (each.textContent !== text) each.textContent = text;
    }
  }

  function count() {
    const chosen = new Set(all("input[name=node]:checked").map((box) => box.value)).size;
    for (const each of all("#chosen")) each.textContent = chosen ? `${chosen} selected` : "";
  }

  let last = null;
  function choose(event) {
    const box = event.target;
    if (!box.matches?.("input[type=checkbox]")) return;
    if (box.matches("[data-all]"))
      for (const each of all("input[name=node]", box.closest("tbody"))) each.checked = box.checked;
    count();
  }

  function span(event) {
    const box = event.target;
    if (!box.matches?.("input[name=node]")) return;
    if (event.shiftKey && last?.isConnected) {
      const boxes = all("input[name=node]");
      const [first, end] = [boxes.indexOf(last), boxes.indexOf(box)].sort((a, b) => a - b);
      for (const each of boxes.slice(first, end + 1)) each.checked = box.checked;
      count();
    }
    last = box;
  }

  function drag(event) {
    const row = event.target.closest?.("tr[data-mac]");
    if (!row) return;
    event.dataTransfer.setData("text/plain", row.id);
    event.dataTransfer.effectAllowed = "move";
  }

  function over(event) {
    const place = event.target.closest?.("[data-place]");
    for (const each of all(".over")) if (each !== place) each.classList.remove("over");
    if (!place) return;
    event.preventDefault();
    place.classList.add("over");
  }

  function drop(event) {
    const place = event.target.closest?.("[data-place]");
    const row = document.getElementById(event.dataTransfer.getData("text/plain"));
    if (!place || !row) return;
    event.preventDefault();
    row.querySelector("input").value = place.dataset.place;
    row.querySelector("button").click();
  }

  function key(event) {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea")) return;
    const field = document.getElementById("filter");
    if (!field) return;
    event.preventDefault();
    field.focus();
  }

  // A browser has six connections to a server, and each page that is open holds one of them.
  let source = null;
  let timer = null;
  function seen() {
    clearTimeout(timer);
    const live = document.getElementById("live");
    if (document.hidden) timer = setTimeout(() => source?.close(), HIDDEN);
    else if (live && source?.readyState === EventSource.CLOSED) {
      const fresh = live.cloneNode(true);
      live.replaceWith(fresh);
      htmx.process(fresh);
    }
  }

  function connected(yes) {
    document.body.classList.toggle("cut", !yes);
    for (const each of all("#connection")) each.textContent = yes ? "" : "Connection lost, trying again";
  }

  const on = (name, act) => document.addEventListener(name, act);
  on("htmx:sseBeforeMessage", (event) => {
    event.preventDefault();
    if (event.detail.type === "gone") location.reload();
    else take(JSON.parse(event.detail.data));
  });
  on("htmx:sseOpen", (event) => {
    source = event.detail.source;
    connected(true);
  });
  on("htmx:sseError", () => connected(false));
  on("htmx:afterSwap", () => (tell(), count()));
  on("change", choose);
  on("click", span);
  on("dragstart", drag);
  on("dragover", over);
  on("drop", drop);
  on("keydown", key);
  on("visibilitychange", seen);
  setInterval(tell, 5000);
  tell();
  count();
})();
