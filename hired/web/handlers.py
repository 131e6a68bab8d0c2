"""Handlers of clicks: thin functions between gradio and `runs`, errors as plain sentences."""

import logging
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import gradio as gr
from PIL import Image

from hired.comparison.evidence import ENOUGH
from hired.errors import HiredError, InputError
from hired.inputs import check_question
from hired.selectors import ByHand
from hired.web import examples, export, form, permalink, pictures, render
from hired.web.blocks import Values, plain_errors
from hired.web.engine import Engine
from hired.web.examples import Greeting
from hired.web.export import Record
from hired.web.markup import escape, fill
from hired.web.pane_state import Case, PaneState, budget_of, name_lanes, name_views
from hired.web.permalink import arrive
from hired.web.pictures import readout
from hired.web.remote import plain_picture
from hired.web.runs import run
from hired.web.settings import MOST, Settings
from hired.web.uploads import is_same, read_image, result_folder
from hired.web.verdict import may_measure, verdict
from hired.web.visitors import Stops

log = logging.getLogger(__name__)
NO_IMAGE = "Upload, paste or choose an image to see which tokens stay."


def idle_views(**fields: Any) -> list[PaneState]:
    """Panes of which nothing is known yet, as the form has them."""
    try:
        settings = form.read(**fields)
    except HiredError:
        settings = Settings()
    return [PaneState(text) for text in settings.texts]


class Handlers:
    """The page's handlers around one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.greeting = Greeting(engine)
        self._first_lock = threading.Lock()

    def open(self, request: gr.Request) -> Values:
        """Fill a new visitor's page: settings of the link, the example it names or the first."""
        query = permalink.read_query(request)
        with plain_errors():
            preview = self.engine.get().preview
        link = arrive(query, self.greeting, preview.layers, preview.heads)
        if link.told:
            gr.Info(escape(link.told))
        settings, example = link.settings, link.example
        return {
            "methods": self.describe_methods(),
            **self.fit_form(settings),
            "path": example.image if example else None,
            "question": link.question,
            "known": link.known,
            "note": examples.note(example) if example and link.known else "",
            "brought": "",
            **self.fit_examples(),
            "mode": gr.update(visible=self.engine.servers is None),  # servers leave no choice
            **self._greet(settings, asked=bool(query)),
            "wanted": self._wants_first(asked=bool(query)),
        }

    def _greet(self, settings: Settings, asked: bool) -> Values:
        """Panes before anything ran: the first example's answers if they are there already."""
        kept = None if asked else self.greeting.run()
        if kept is None:
            return {**self.draw([PaneState(text) for text in settings.texts]), **self.keep(None)}
        return self._again(kept)

    def _again(self, kept: Record) -> Values:
        """The first example's run of before, labelled with date and device."""
        first = self.greeting.example()
        known = kept.known or (first.answer if first else "")
        case = Case(known, about=kept.about)
        return {**self.draw(kept.views, case), **self.keep(kept)}

    def _wants_first(self, asked: bool) -> bool:
        """Tell whether to answer the first example; the embedded model does so once."""
        greeting = self.greeting
        return greeting.embedded and not (asked or greeting.run()) and bool(greeting.example())

    def first(self) -> Iterator[Values]:
        """Answer the first example once per server; visitors who waited see that run."""
        greeting = self.greeting
        example = greeting.example()
        assert example is not None  # `_wants_first` asked for it
        with plain_errors(), self._first_lock:
            if (kept := greeting.run()) is None:
                loaded, limits = self.engine.start(), self.engine.limits
                image = read_image(example.image)
                settings = greeting.settings
                case = greeting.case(example.image, image, example.answer)
                views: list[PaneState] = []
                for views in run(loaded, image, example.question, settings, Stops(), limits):
                    yield self.draw(views, case)
                kept = greeting.record(example.question, example.image, image, settings, views)
                greeting.keep(kept, example.image, image)
                yield {**self.draw(views, case), **self.keep(kept)}
                return
        yield self._again(kept)

    def fit_examples(self) -> Values:
        """Show the examples that suit the model: of its own world for the embedded one."""
        toy = self.greeting.embedded
        return {"own": gr.update(visible=toy), "real": gr.update(visible=not toy)}

    def fit_form(self, settings: Settings) -> Values:
        """The form's values for these settings, with the layers and heads this model has."""
        preview = self.engine.get().preview
        lanes = [form.fit_lane(lane, preview.layers, preview.heads) for lane in settings.lanes]
        settings = replace(settings, lanes=tuple(lanes))
        most = self.engine.limits.new_tokens
        tokens = gr.update(maximum=most, value=min(settings.max_new_tokens, most))
        return form.write(settings) | {"max_new_tokens": tokens}

    def describe_methods(self) -> str:
        """Data from which the browser makes the rows of the panes on this model."""
        loaded = self.engine.get()
        seen = loaded.preview
        feature = seen.feature_tap if loaded.servers is None else None
        told = form.describe_methods(seen.layers, seen.heads, feature)
        return fill("page", "methods", told=told)

    def preview(self, path: str | None, mode: str, **fields: Any) -> Values:
        """Picture, read-out and small pictures of the current image and settings; errors stand in
        the picture's place.
        """
        if not path:
            return {
                "picture": fill("pictures", "nothing", words=NO_IMAGE),
                "readout": "",
                "small": "",
            }
        with plain_errors():
            try:
                settings, image = form.read(**fields), read_image(path)
                return self._preview(image, mode, settings, fields["panes"])
            except HiredError as error:
                told = pictures.offer_restart(str(error), fields["panes"])
                return {"picture": told, "readout": "", "small": ""}

    def _preview(self, image: Image.Image, mode: str, settings: Settings, panes: str) -> Values:
        loaded = self.engine.get()
        self.engine.limits.check_image(image)
        if loaded.servers is not None:
            return {"picture": plain_picture(image), "readout": "", "small": ""}
        kept, names = pictures.select(loaded, image, settings), name_lanes(settings.texts)
        seen, dropping = form.seen_of(panes), pictures.dropping(settings)
        lane = settings.lanes[seen]
        if mode == pictures.DIFFERENCE and len(dropping) > 1:
            pair = pictures.pair_of(dropping, seen)
            both = (kept[pair[0]], kept[pair[1]]), (names[pair[0]], names[pair[1]])
            picture = pictures.difference(image, *both)
        elif mode == pictures.KEPT and isinstance(lane, ByHand):
            picture = pictures.edit(loaded, image, settings.lanes, form.start_of(panes))
        else:
            shown = pictures.KEPT if mode == pictures.DIFFERENCE else mode
            picture = pictures.preview(loaded, image, lane, kept[seen], shown, names[seen])
        others = [(names[i], one) for i, one in enumerate(kept) if i != seen]
        told = readout(kept[seen], budget_of(lane), names[seen], others)
        return {"picture": picture, "readout": told, "small": pictures.draw_small(image, kept)}

    def begin(self, request: gr.Request, path: str | None, question: str, **fields: Any) -> Values:
        """Prepare a run that will queue: refuse what cannot run, empty the panes, offer Stop."""
        with plain_errors():
            settings = form.read(**fields)
            if not path:
                raise InputError("There is no image yet. Upload one or choose an example.")
            image = self.engine.limits.check_image(read_image(path))
            self.engine.limits.check_asked(check_question(question), settings.max_new_tokens)
            case = self.greeting.case(path, image, "")
            self.engine.expect(request.session_hash)
        views = [PaneState(text, "queued") for text in settings.texts]
        return {**self.draw(views, case), **self.keep(None), **self.buttons(running=len(views))}

    def refuse(self, request: gr.Request, last: Record | None, **fields: Any) -> Values:
        """Put the panes back after a run that did not get as far as the queue; what they say of
        another run stays.
        """
        answers = last is not None or self.engine.busy(request.session_hash)
        return {} if answers else self.draw(idle_views(**fields))

    def run(
        self,
        request: gr.Request,
        path: str | None,
        question: str,
        known: dict[str, str],
        **fields: Any,
    ) -> Iterator[Values]:
        """Stream one comparison; the last frame carries its record.

        `known` holds right answers by their questions: another may have been typed meanwhile.
        """
        with plain_errors():
            path = path or ""
            settings, image = form.read(**fields), read_image(path)
            loaded, limits = self.engine.start(), self.engine.limits
            case = self.greeting.case(path, image, known.get(question, ""))
            views: list[PaneState] = []
            with (
                self.engine.stopping(request.session_hash) as stops,
                closing(run(loaded, image, question, settings, stops, limits)) as frames,
            ):
                for views in frames:
                    yield self.draw(views, case)
            kept = self.greeting.record(question, path, image, settings, views)
            self.greeting.keep(kept, path, image)
            yield {**self.draw(views, case), **self.keep(kept)}

    def measure(self, request: gr.Request, **asked: Any) -> Iterator[Values]:
        """Run as often as it takes to show a difference of times."""
        yield from self.run(request, **asked | {"repeats": max(ENOUGH, asked["repeats"])})

    def end(self) -> Values:
        """Put the buttons back after a run, stopped or not."""
        return self.buttons(running=0)

    def fail(self, request: gr.Request, **fields: Any) -> Values:
        """Put panes and buttons back after a run that was refused."""
        self.engine.forget(request.session_hash)
        return {**self.draw(idle_views(**fields)), **self.keep(None), **self.buttons(running=0)}

    def stop(self, request: gr.Request) -> None:
        """Stop all lanes within one token; their text so far stays."""
        self.engine.stop(request.session_hash)

    def stop_lane(self, lane: int, request: gr.Request) -> None:
        """Stop one lane within one token."""
        self.engine.stop(request.session_hash, lane)

    def keep(self, kept: Record | None) -> Values:
        """The last run and its files, which are never of another; None for no run."""
        return {"last": kept, **self.files(kept)}

    def files(self, kept: Record | None) -> Values:
        """A run as files to download."""
        files: Values = {name: gr.update(interactive=False) for name in export.FILES}
        if kept:
            try:
                folder = result_folder("comparison")
                for name, (suffix, write) in export.FILES.items():
                    file = folder / f"comparison.{suffix}"
                    file.write_text(write(kept), encoding="utf-8")
                    files[name] = gr.update(value=str(file), interactive=True)
            except OSError as error:  # the run itself is not lost
                log.error("files of a run were not written", exc_info=error)
        return files

    def shows(self, path: str | None, kept: Record | None) -> bool:
        """Tell whether `path` is the picture of a run, and its model is in this process."""
        if kept is None or self.engine.servers is not None:
            return False
        return kept.about.get("model") == self.engine.model and is_same(kept.image, path)

    def draw(self, views: list[PaneState], case: Case | None = None) -> Values:
        """Values of the panes, the verdict, the timeline and the live region."""
        views = name_views(views)
        shown = render.side_by_side(views, case)
        shown += [render.no_pane(index) for index in range(len(shown), MOST)]
        return {
            **{f"pane_{index}": html for index, html in enumerate(shown)},
            "verdict": verdict(views, case),
            "timeline": render.timeline(views),
            "live": render.announcement(views),
            "measure": gr.update(visible=may_measure(views)),
        }

    def buttons(self, running: int) -> Values:
        """All buttons, and the clock of the queue, while `running` lanes run."""
        return {
            "start": gr.update(interactive=not running),
            "stop": gr.update(interactive=bool(running)),
            **{f"halt_{index}": gr.update(visible=index < running) for index in range(MOST)},
            **{
                f"example_{index}": gr.update(interactive=not running)
                for index in range(len(self.greeting.every))
            },
            "another": gr.update(interactive=not running),
            "clock": gr.update(active=bool(running)),
        }
