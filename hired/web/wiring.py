"""Queues and visibility that several parts of the page share."""

from typing import Any

GPU: dict[str, Any] = {"concurrency_id": "gpu", "concurrency_limit": 1}
# One at a time: two changes within milliseconds are both on their way, and the last has to win.
LOOK: dict[str, Any] = {"concurrency_id": "preview", "concurrency_limit": 1}
NOTE: dict[str, Any] = {"concurrency_id": "note", "concurrency_limit": 1}
OPEN: dict[str, Any] = {"concurrency_id": "open", "concurrency_limit": 8}  # a visitor arrives
LOOKS = 200  # previews that may wait beside the comparisons
# For handlers that may refuse: outside the queue gradio keeps the reason to itself.
FREE: dict[str, Any] = {"concurrency_limit": None}
QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
