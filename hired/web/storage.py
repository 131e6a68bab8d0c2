"""What the browser stores: the form of each tab over a reload, and the last runs for all tabs.

Gradio reloads the page when a connection was cut; the server stops a run whose visitor is gone.
A tab reads what is stored at the moment it writes, so no tab undoes another's.
"""

from collections.abc import Callable
from typing import Any

import gradio as gr

from hired.web import examples, form
from hired.web.blocks import Values, listen, pick
from hired.web.handlers import Handlers
from hired.web.queues import OPEN, QUIET

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


LOST = (
    "The connection was cut while your question was answered, so that answer is lost. Image, "
    "question and settings are as they were: press Run."
)
KEEP = """(...values) => {
  sessionStorage.setItem('hired-form', JSON.stringify({at: location.search, values}));
}"""
# `hiredKept` is what page.js found there before this page began to write.
BACK = """(...inputs) => {
  const kept = window.hiredKept, again = window.hiredAgain;
  if (!again || !kept || kept.at !== location.search) return inputs;
  if (kept.values.length + 1 !== inputs.length) return inputs;  // of a form of before
  return [kept.ran, ...kept.values];
}"""
BEGUN = "() => { sessionStorage.setItem('hired-running', '1'); }"
ENDED = "() => { sessionStorage.removeItem('hired-running'); }"
STANDS = """() => requestAnimationFrame(() => {
  document.documentElement.classList.add('ready');
  const asked = new URLSearchParams(location.search).get('run') === '1';
  if (asked && !window.hiredAgain) document.querySelector('#run')?.click();
})"""


def keep_form(handlers: Handlers, asked: Any, opened: Any) -> None:
    """Keep what is asked at every change; put it back after `opened`, then show the page."""
    kept = pick(asked.parts, "path", "question", *form.FIELDS)
    ran = gr.Checkbox(visible=False)
    changes = [asked.image.change, asked.question.change]
    changes += [part.change for part in asked.form.all]
    gr.on(changes, None, list(kept.values()), None, js=KEEP, **QUIET)
    back = listen(
        opened.then, restorer(handlers), {"ran": ran, **kept}, asked.parts, js=BACK, **OPEN, **QUIET
    )
    back.then(None, None, None, js=STANDS, **QUIET)


def note_run(begun: Any, ended: Any) -> None:
    """Remember in the browser that a run is under way, until it has ended."""
    begun.success(None, None, None, js=BEGUN, **QUIET)
    ended.then(None, None, None, js=ENDED, **QUIET)


def restorer(handlers: Handlers) -> Callable[..., Values]:
    """The handler that puts a form back: what the browser kept, else what there is."""

    # No `gr.skip`: gradio would make the image anew, without what compare_tab changed in it.
    def restore(ran: bool | None, path: str | None, question: str, **fields: Any) -> Values:
        if ran:
            gr.Warning(LOST)
        example = handlers.greeting.shown(path) if path else None
        own = example if example and example.question == question else None
        known, note = (own.known, examples.note(own)) if own and own.known else ({}, "")
        return {"path": path, "question": question, "known": known, "note": note, "brought": "",
                **fields}  # fmt: skip

    return restore
