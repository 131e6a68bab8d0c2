"""What a training does, written down before it starts; torch-free."""

from dataclasses import dataclass


@dataclass(frozen=True)
class VisionSchedule:
    """The vision stage: `steps` batches of `size` tiles, `documents` of them from documents, and
    the learning rate's `peak`.
    """

    steps: int
    size: int = 16
    documents: int = 0
    peak: float = 5e-4
