"""The plan of a training, written down before it starts; torch-free.

One seed and one `Schedule` make the model: nothing is changed by hand on the way.
"""

from dataclasses import dataclass


def rate(step: int, steps: int, peak: float, fall: float = 0.35) -> float:
    """Learning rate: at most 200 steps of warm-up, flat, then a linear fall over the last steps, a
    share `fall` of them.
    """
    left = min(1.0, (steps - step) / (fall * steps))
    warm = max(1, min(200, steps // 20))
    return peak * min(1.0, (step + 1) / warm) * max(0.02, left)


@dataclass(frozen=True)
class VisionSchedule:
    """The vision stage: `steps` batches of `size` tiles, `documents` of them from documents, each
    batch learnt from twice, `apart` steps apart, and the learning rate's `peak`. Batches drawn from
    step `harder` on have documents in smaller print, with less contrast and tinted grounds.

    Then come `closing` steps that gather the CLS attention on content: half of each batch drawn
    from then on at most from documents, the rate falling from `closing_peak` to nothing, and
    `noise` on what the attention fetches (`closing.Noisy`), growing over the first third of them.
    What results is averaged with the weights before these steps, which count for `kept`.
    """

    steps: int = 20_000
    size: int = 16
    documents: int = 12
    apart: int = 64
    peak: float = 1.5e-3
    harder: int = 9_984
    closing: int = 2_000
    closing_peak: float = 1e-3
    noise: float = 0.5
    kept: float = 0.25

    @property
    def length(self) -> int:
        """Steps in all."""
        return self.steps + self.closing

    def rate(self, step: int) -> float:
        """Learning rate of a step; that of the closing ones falls from the first on."""
        if step < self.steps:
            return rate(step, self.steps, self.peak)
        done = step - self.steps
        return self.closing_peak * min(1.0, (done + 1) / 50) * (1 - done / self.closing)

    def noise_at(self, step: int) -> float:
        """Noise of a closing step."""
        return self.noise * min(1.0, 3 * (step + 1 - self.steps) / self.closing)


@dataclass(frozen=True)
class Course:
    """`steps` batches of `size` pictures with `many` questions each, the rate's `peak` and its
    `fall`, a share of the steps, what is `told` by visual tokens weighs beside the answers, and how
    many times as often as usual it `counts`.
    """

    steps: int
    size: int = 8
    many: int = 16
    peak: float = 5e-4
    fall: float = 0.35
    told: float = 0.5
    counts: float = 1.0


POSTERS = ("alike", "sparse", "sparse", "large", "alike", "sparse", "dense", "alike")
MIXTURE = ("alike", "receipt", "board", "sparse", "prices", "chart", "large", "receipt", "alike",
           "board", "prices", "dense", "chart", "sparse", "alike", "board")  # fmt: skip
"""Splits of consecutive training pictures, over and over; `POSTERS` is a world without documents.
"""


@dataclass(frozen=True)
class LanguageSchedule:
    """The language stage, in the order of what it does.

    Attributes:
        align: steps of the projector onto the words under a patch, of 16 tiles each.
        lesson: on pictures of one tile.
        whole: on whole pictures.
        again: on these and as many new ones, as what was learnt by heart does not carry over.
        pictures: different training pictures of `whole`.
        held_out: validation pictures of the curves.
        mixture: splits of consecutive pictures, over and over.
    """

    align: int = 400
    lesson: Course = Course(1000, size=16, peak=1e-3)
    whole: Course = Course(9_700, fall=0.77)
    again: Course = Course(8_000, peak=3e-4, fall=0.9, counts=3.0)
    pictures: int = 20_000
    held_out: int = 96
    mixture: tuple[str, ...] = MIXTURE

    @property
    def reads(self) -> bool:
        """Tell whether there are documents among the pictures."""
        return self.mixture != POSTERS


@dataclass(frozen=True)
class Schedule:
    """A whole training: the tower first, then projector and language model on the frozen tower."""

    vision: VisionSchedule = VisionSchedule()
    language: LanguageSchedule = LanguageSchedule()
