"""The phases of a run in their order, with their words for people.

Steps, stopwatches, metrics, panes, the terminal, tables and figures take names and words from here.
"""

from dataclasses import dataclass

WAITING = "waiting"  # a step's phase before the first
FINAL = ("done", "stopped", "failed")  # one of these ends a lane


@dataclass(frozen=True)
class Phase:
    """One phase of a run.

    Attributes:
        name: the field's term, in steps and stopwatches, in heads of tables and figures.
        state: what a lane is doing, in a word.
        story: what happens meanwhile, in a sentence.
    """

    name: str
    state: str
    story: str

    @property
    def metric(self) -> str:
        """The metric that holds its seconds."""
        return f"{self.name}_s"


PREPROCESS = Phase("preprocess", "preparing", "Cutting the image into tiles …")
VISION = Phase("vision", "looking", "The vision tower looks at the tiles …")
SELECT = Phase("select", "selecting", "Choosing which patches stay …")
PREFILL = Phase("prefill", "reading", "The language model reads image and question …")
DECODE = Phase("decode", "answering", "The language model writes …")
PHASES = (PREPROCESS, VISION, SELECT, PREFILL, DECODE)
TO_FIRST_TOKEN = PHASES[:-1]  # together the time to the first token
OF_MODEL = TO_FIRST_TOKEN[1:]  # what of it is the model's own
BY_NAME = {phase.name: phase for phase in PHASES}
