// What the browser itself does for the dashboard: cells of tables, ages that keep counting, and rows that open pages.
"use strict";

window.fieldfare = (() => {
  let looks = {};
  let skewMs = 0; // the server's clock minus this browser's
  const grids = new Set();

  const escaped = (text) => String(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

  function number(value) {
    const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
    return value.toLocaleString("en", { maximumFractionDigits: digits }).replace(/,/g, "\u202f");
  }

  function ageOf(epochMs) {
    const seconds = Math.max(0, Math.round((Date.now() + skewMs - epochMs) / 1000));
    if (seconds < 2) return "now";
    if (seconds < 60) return `${seconds} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
    return local(epochMs, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  }

  // In the reader's own time zone.
  const local = (epochMs, form) => new Date(epochMs).toLocaleString("en-GB", form);

  function exactly(epochMs) {
    const here = local(epochMs, { dateStyle: "medium", timeStyle: "long" });
    return `${here}, which is ${new Date(epochMs).toISOString().replace("T", " ").slice(0, 19)} UTC`;
  }

  function showAge(element) {
    const at = Number(element.dataset.at);
    const text = ageOf(at);
    if (element.textContent !== text) element.textContent = text;
    if (!element.dataset.told) {
      element.title = exactly(at);
      element.dataset.told = "yes";
    }
  }

  const meter = (value, unit, share) =>
    `<span class="ff-meter" style="--share:${Math.min(100, Math.max(0, share))}%">${escaped(number(value))}<i>${unit}</i></span>`;
  const dash = '<span class="ff-dash">–</span>';
  const orDash = (draw) => (params) => (params.value === null || params.value === undefined || params.value === "" ? dash : draw(params));

  // Each returns markup for one cell; all text from devices passes `escaped`.
  const cells = {
    badge: orDash(({ value, data }) => {
      const look = looks[value] ?? { icon: "help", tone: "quiet", meaning: "", word: value };
      const hint = (data.status === value && data.reason) || look.meaning;
      return `<span class="ff-badge ff-${look.tone}" title="${escaped(hint)}"><i class="material-icons" aria-hidden="true">${look.icon}</i>${escaped(look.word)}</span>`;
    }),
    phase: orDash((params) => {
      const share = params.data.progress;
      const progress = params.value === "fetching" && share !== null ? `<span class="ff-progress-text">${Math.floor(share * 100)} %</span>` : "";
      if (params.value === "committed") return `<span class="ff-dash">${looks.committed.word}</span>`; // the usual case stays calm
      return cells.badge(params) + progress;
    }),
    progress: orDash(({ value }) => `<span class="ff-bar" role="img" aria-label="${Math.floor(value * 100)} percent"><b style="width:${value * 100}%"></b></span><span class="ff-progress-text">${Math.floor(value * 100)} %</span>`),
    link: orDash(({ value, context }) => `<a href="${context.openUnder}${encodeURIComponent(value)}">${escaped(value)}</a>`),
    meter: orDash(({ value }) => meter(Math.round(value), " %", value)),
    celsius: orDash(({ value }) => meter(Math.round(value), " °C", value)),
    number: orDash(({ value }) => escaped(number(value))),
    ago: ({ value }) => (value === null || value === undefined ? "never" : `<span title="${exactly(value)}">${ageOf(value)}</span>`),
  };

  function open(path, event) {
    if (event?.ctrlKey || event?.metaKey) window.open(path, "_blank", "noopener");
    else window.location.assign(path);
  }

  function openRow({ context, data, event }) {
    const isText = window.getSelection()?.toString();
    if (context.openUnder && !isText && !event.target.closest("a, input, .ag-selection-checkbox")) open(context.openUnder + encodeURIComponent(data.id), event);
  }

  function openRowByKey({ context, data, event }) {
    if (context.openUnder && event.key === "Enter") open(context.openUnder + encodeURIComponent(data.id), event);
  }

  function fitColumns({ api, clientWidth }) {
    const columns = api.getColumns() ?? [];
    const from = (column) => column.getColDef().context?.from ?? 0;
    const shown = columns.filter((column) => from(column) <= clientWidth);
    const hidden = columns.filter((column) => from(column) > clientWidth);
    if (shown.some((column) => !column.isVisible())) api.setColumnsVisible(shown, true);
    if (hidden.some((column) => column.isVisible())) api.setColumnsVisible(hidden, false);
  }

  function keepAgesFresh({ api }) {
    grids.add(api);
  }

  function countAges() {
    if (document.hidden) return;
    for (const element of document.querySelectorAll(".ff-ago")) showAge(element);
    for (const api of grids) {
      if (api.isDestroyed()) grids.delete(api);
      else {
        const columns = api.getColumns()?.filter((column) => column.getColDef().cellRenderer === cells.ago) ?? [];
        if (columns.length) api.refreshCells({ columns, force: true, suppressFlash: true });
      }
    }
  }

  setInterval(countAges, 1000);
  // New parts of a page must not wait a second for their ages.
  new MutationObserver((changes) => {
    if (changes.some((change) => change.addedNodes.length)) {
      for (const element of document.querySelectorAll(".ff-ago:empty")) showAge(element);
    }
  }).observe(document.documentElement, { childList: true, subtree: true });

  return {
    cells, number, openRow, openRowByKey, fitColumns, keepAgesFresh,
    setLooks(found) {
      looks = found;
    },
    setServerTime(epochMs) {
      skewMs = epochMs - Date.now();
    },
  };
})();
