// Keeps the page that the server has made up to date: it has all that is shown, and sends it anew when
// something else is answered; this puts what differs in its place. Without it all works by links and forms.
"use strict";
(() => {
  document.documentElement.classList.add("scripted");
  const live = document.getElementById("live");
  const past = !!new URLSearchParams(location.search).get("at");
  const shown = new Map(); // id of a section -> its text as the server made it

  // Spans of time go on by themselves.
  const span = s => {
    s = Math.max(0, Math.round(s));
    const d = Math.floor(s / 86400), h = Math.floor(s % 86400 / 3600), m = Math.floor(s % 3600 / 60);
    if (d) return d + "d" + (h ? h + "h" : "");
    if (h) return h + "h" + (m ? m + "m" : "");
    if (m) return m + "m" + (s % 60 ? s % 60 + "s" : "");
    return s + "s";
  };
  const set = (e, text) => { if (e.textContent !== text) e.textContent = text; };
  let skew = 0; // of the server's clock before ours, in seconds
  const tick = () => {
    if (past || document.hidden) return;
    const is = now();
    for (const e of document.querySelectorAll("time[data-since]")) set(e, span(is - e.dataset.since));
    for (const e of document.querySelectorAll("time[data-until]")) set(e, e.dataset.until > is ? "in " + span(e.dataset.until - is) : "now");
  };

  // What differs is put in its place; what has the focus, and what is unfolded, stays so.
  const place = text => {
    const next = new DOMParser().parseFromString(text, "text/html");
    for (const to of document.querySelectorAll("[data-live]")) if (!next.getElementById(to.id)) to.remove();
    for (const from of next.querySelectorAll("[data-live]")) {
      const to = document.getElementById(from.id), was = shown.get(from.id), is = from.innerHTML;
      shown.set(from.id, is);
      if (!to) { location.reload(); return; }
      if (was === is) continue;
      const open = [...to.querySelectorAll("details[open]")].map(d => d.id);
      const active = to.contains(document.activeElement) ? path(to, document.activeElement) : null;
      const old = new Set([...to.querySelectorAll("tbody tr, li.trouble")].map(words));
      to.replaceChildren(...document.importNode(from, true).childNodes);
      for (const id of open) { const d = document.getElementById(id); if (d) d.open = true; }
      if (active) { const e = find(to, active); if (e) e.focus({ preventScroll: true }); }
      if (was !== undefined && old.size) for (const e of to.querySelectorAll("tbody tr, li.trouble")) if (!old.has(words(e))) e.classList.add("changed");
    }
    const said = next.querySelector("#at");
    const slider = document.getElementById("at");
    if (said && slider && !past && document.activeElement !== slider) { slider.max = said.max; slider.value = said.max; }
    tick();
  };
  const words = e => { const c = e.cloneNode(true); for (const t of c.querySelectorAll("time")) t.remove(); return c.textContent; };
  const path = (root, e) => { const p = []; for (; e !== root; e = e.parentNode) p.unshift([...e.parentNode.children].indexOf(e)); return p; };
  const find = (e, p) => { for (const i of p) { if (!e.children[i]) return null; e = e.children[i]; } return e; };

  // The server sends the page whole, and then what differs. What is hidden isn't followed: a browser has six connections
  // to a server, and a page that was left keeps its own for a minute unless it gives it back.
  const now = () => Date.now() / 1000 + skew;
  let stream = null, lines = null, heard = 0, again = 0, gone = 0;
  const lost = () => { // a server that takes another configuration is back before this is worth a word
    const since = new Date(now() * 1000).toISOString().slice(11, 19);
    gone ||= setTimeout(() => { set(live, "not live since " + since + " UTC: the server can't be reached"); live.classList.add("off"); }, 2000);
  };
  const leave = () => { clearTimeout(again); if (stream) stream.close(); stream = null; };
  const follow = () => {
    leave();
    if (past || document.hidden) return;
    const s = stream = new EventSource("/live?page=" + encodeURIComponent(location.pathname + location.search));
    lines = null; heard = performance.now();
    const on = (kind, f) => s.addEventListener(kind, e => { if (s === stream) { heard = performance.now(); f(e); } });
    on("clock", e => { skew = e.data - Date.now() / 1000; });
    on("page", e => {
      const { text, parts } = JSON.parse(e.data);
      if (parts) lines = parts.flatMap(p => typeof p === "string" ? p.split("\n") : lines.slice(p[0], p[0] + p[1]));
      else lines = text.split("\n");
      clearTimeout(gone); gone = 0;
      set(live, "live");
      live.classList.remove("off");
      place(lines.join("\n"));
    });
    on("error", () => {
      lost();
      if (s.readyState === EventSource.CLOSED) again = setTimeout(follow, 1000 + 2000 * Math.random()); // it was told something else: a proxy's fault, or that it may not
    });
  };
  const quiet = 40e3; // ms without a word: two and a half of the server's pulses
  const refresh = async () => {
    if (!past) return follow();
    const r = await fetch(location.pathname + location.search, { headers: { Accept: "text/html" } });
    if (r.ok) place(await r.text());
  };

  for (const e of document.querySelectorAll("[data-live]")) shown.set(e.id, e.innerHTML);

  if (!past) {
    setInterval(() => { if (stream && performance.now() - heard > quiet) { lost(); follow(); } tick(); }, 1000);
    document.addEventListener("visibilitychange", () => { if (document.hidden) leave(); else { tick(); follow(); } });
    addEventListener("pagehide", leave);
    addEventListener("pageshow", e => { if (e.persisted) follow(); });
    follow();
  }

  // A filter works as it is typed; the address is that of what is shown.
  for (const form of document.querySelectorAll("form[data-filter]")) {
    let wait = 0;
    const go = () => {
      const v = new URLSearchParams();
      for (const [k, x] of new FormData(form)) if (x) v.set(k, x);
      history.replaceState(null, "", location.pathname + (v.size ? "?" + v : ""));
      refresh();
    };
    form.addEventListener("input", () => { clearTimeout(wait); wait = setTimeout(go, 150); });
    form.addEventListener("submit", e => { e.preventDefault(); clearTimeout(wait); go(); });
  }

  // The slider shows a moment when it is let go.
  const slider = document.getElementById("at");
  if (slider) {
    const says = document.getElementById("shown"), clock = s => new Date(s * 1000).toISOString().slice(0, 19).replace("T", " ") + " UTC";
    slider.addEventListener("input", () => set(says, clock(slider.value)));
    slider.addEventListener("change", () => { if (+slider.value >= +slider.max) { const v = new URLSearchParams(location.search); v.delete("at"); location.search = v; } else slider.form.requestSubmit(); });
  }

  // Names are proposed as they are typed.
  const name = document.getElementById("name"), names = document.getElementById("names");
  if (name && names) {
    let wait = 0;
    name.addEventListener("input", () => {
      clearTimeout(wait);
      wait = setTimeout(async () => {
        const r = await fetch("/api/v1/services?limit=50&text=" + encodeURIComponent(name.value.replace(/^(service|ingress|host)\//, "")));
        if (!r.ok) return;
        const kinds = { svc: "service", ing: "ingress", host: "host" };
        names.replaceChildren(...(await r.json()).services.map(s => { const o = document.createElement("option"); o.value = kinds[s.kind] + "/" + s.namespace + "/" + s.name; return o; }));
      }, 150);
    });
  }
  for (const b of document.querySelectorAll("button[data-copy]")) {
    if (!navigator.clipboard) continue;
    b.hidden = false;
    b.addEventListener("click", async () => { await navigator.clipboard.writeText(document.querySelector(b.dataset.copy).textContent); set(b, "Copied"); });
  }
})();
