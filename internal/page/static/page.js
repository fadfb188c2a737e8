// Keeps the page that the server has made up to date: it has all that is shown, this fetches it anew
// when something else is answered, and puts what differs in its place. Without it all works by links
// and forms.
"use strict";
(() => {
  document.documentElement.classList.add("scripted");
  const live = document.getElementById("live");
  const past = document.getElementById("main").hasAttribute("data-past");
  const gap = 500; // ms between two updates, after the first
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
    const now = Date.now() / 1000 + skew;
    for (const e of document.querySelectorAll("time[data-since]")) set(e, span(now - e.dataset.since));
    for (const e of document.querySelectorAll("time[data-until]")) set(e, e.dataset.until > now ? "in " + span(e.dataset.until - now) : "now");
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
      const old = new Set([...to.querySelectorAll("tbody tr, li.trouble")].map(e => e.textContent));
      to.replaceChildren(...document.importNode(from, true).childNodes);
      for (const id of open) { const d = document.getElementById(id); if (d) d.open = true; }
      if (active) { const e = find(to, active); if (e) e.focus({ preventScroll: true }); }
      if (was !== undefined && old.size) for (const e of to.querySelectorAll("tbody tr, li.trouble")) if (!old.has(e.textContent)) e.classList.add("changed");
    }
    const said = next.querySelector("#at");
    const slider = document.getElementById("at");
    if (said && slider && !past && document.activeElement !== slider) { slider.max = said.max; slider.value = said.max; }
    tick();
  };
  const path = (root, e) => { const p = []; for (; e !== root; e = e.parentNode) p.unshift([...e.parentNode.children].indexOf(e)); return p; };
  const find = (e, p) => { for (const i of p) { if (!e.children[i]) return null; e = e.children[i]; } return e; };

  let busy = false, again = false, last = 0, timer = 0;
  const refresh = async () => {
    timer = 0;
    if (busy) { again = true; return; }
    busy = true; last = performance.now();
    try {
      const r = await fetch(location.pathname + location.search, { headers: { Accept: "text/html" } });
      if (r.ok) place(await r.text());
    } catch { /* the stream says that the server is gone */ }
    busy = false;
    if (again) { again = false; soon(); }
  };
  const soon = () => { if (!timer) timer = setTimeout(refresh, Math.max(0, last + gap - performance.now())); };

  for (const e of document.querySelectorAll("[data-live]")) shown.set(e.id, e.innerHTML);

  if (!past) {
    setInterval(tick, 1000);
    let missed = false, first = true, latest = "";
    const stream = new EventSource("/api/v1/stream");
    stream.addEventListener("moment", e => {
      const { serial, publication } = JSON.parse(e.data), now = serial + "/" + publication;
      set(live, "live");
      live.classList.remove("off");
      if (!first && now !== latest || missed) document.hidden ? missed = true : (missed = false, soon());
      if (first) soon(); // what has changed since the page was made
      first = false; latest = now;
    });
    stream.addEventListener("event", () => document.hidden ? missed = true : soon());
    stream.addEventListener("error", () => {
      if (!live.classList.contains("off")) set(live, "not live since " + new Date().toISOString().slice(11, 19) + " UTC: the server can't be reached");
      live.classList.add("off");
    });
    document.addEventListener("visibilitychange", () => { if (!document.hidden) { tick(); if (missed) { missed = false; soon(); } } });
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
