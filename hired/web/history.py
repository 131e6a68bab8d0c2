"""The last runs, kept by the browser for all its tabs.

A tab reads what is stored at the moment it writes, so no tab undoes another's.
"""

from typing import Any

import gradio as gr

HISTORY = 12  # runs kept in the browser
_STORE = """
  const key = 'hired-runs';
  const stored = () => {
    try {
      const found = JSON.parse(localStorage.getItem(key) ?? '[]');
      return Array.isArray(found) ? found.filter((kept) => kept?.run && kept.id) : [];
    } catch { return []; }  // not ours, or storage is forbidden
  };
  const listed = (kept) => kept.map(({id, run: {date, question, settings}}) => (
    {id, date, question, lanes: settings?.lanes, budget: settings?.budget}));
"""
LIST = f"() => {{{_STORE} return [listed(stored())]; }}"
PICK = f"(_, id) => {{{_STORE} return [stored().find((kept) => kept.id === id)?.run, id]; }}"
# Pictures may fill the storage before there are as many runs: the oldest go.
REMEMBER = f"""(run) => {{{_STORE}
  let runs = stored();
  if (run) runs.unshift({{id: `${{Date.now()}}-${{Math.random()}}`, run}});
  for (runs = runs.slice(0, {HISTORY}); runs.length; runs.pop()) {{
    try {{ localStorage.setItem(key, JSON.stringify(runs)); break; }} catch {{ }}
  }}
  return [listed(runs)];
}}"""


def titles(runs: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(what a run was, its name in the browser's history) for a list to choose from."""
    shown = []
    for kept in runs:
        when = str(kept.get("date", ""))[:16].replace("T", " ")
        words = str(kept.get("question", ""))[:60]
        lanes = kept.get("lanes")
        told = " | ".join(map(str, lanes)) if lanes else f"budget {kept.get('budget')}"
        shown.append((f"{when} · {words} · {told}", str(kept.get("id"))))
    return shown


def choices(runs: list[dict[str, Any]] | None) -> Any:
    """The list of `runs` as the browser told of them."""
    return gr.update(choices=titles(runs or []), value=None)
