"""The demo: `python app.py`, `gradio app.py`, or a Gradio Space. Flags: `python app.py --help`."""

import gc
import os
import sys
from functools import partial
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
# Its own folder for uploads: what is too much there is deleted, and Gradio's is every app's.
os.environ.setdefault("GRADIO_TEMP_DIR", str(Path.home() / ".cache" / "hired-side-by-side"))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # see hired/threads.py

try:  # ZeroGPU patches torch and must come first; the package exists only there
    gc.disable()  # half a second: what follows makes 400,000 objects and hardly any garbage
    import spaces  # noqa: F401
except ImportError:
    pass

from hired.web.engine import Engine
from hired.web.flags import parse
from hired.web.page import build
from hired.web.serve import serve

gc.enable()
engine = Engine()
demo = build(engine)


def main(arguments: list[str] | None = None) -> int:
    """Load the model, serve the page until it is told to end; errors are one sentence."""
    return serve(demo, parse(arguments), say=partial(print, flush=True))


if __name__ == "__main__":
    sys.exit(main())
