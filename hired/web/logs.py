"""One JSON object per line: who asked for what, how it ended, how long it took.

Questions, answers and images are never logged; of a client only a mark that changes with every
start of the server.
"""

import hashlib
import json
import logging
import secrets
import sys
from datetime import UTC, datetime
from typing import Any

_SALT = secrets.token_bytes(16)
LEVELS = ("debug", "info", "warning", "error")


class JsonLines(logging.Formatter):
    """A record as one line of JSON; what was passed as `extra={"facts": …}` becomes its keys."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        facts: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            facts["trace"] = self.formatException(record.exc_info)
        return json.dumps(facts, default=str)


class _StandardError(logging.StreamHandler):
    """Standard error as it is when something is logged; who embeds the app may exchange it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self.stream = sys.stderr
        super().emit(record)


def set_up(level: str = "info") -> None:
    """Send everything this package logs to standard error as JSON lines; safe to call twice."""
    log = logging.getLogger("hired")
    if not any(isinstance(handler.formatter, JsonLines) for handler in log.handlers):
        handler = _StandardError()
        handler.setFormatter(JsonLines())
        log.addHandler(handler)
    log.setLevel(level.upper())
    log.propagate = False


def mark(client: str) -> str:
    """A client's address as a mark that cannot be turned back."""
    return hashlib.blake2b(client.encode(), key=_SALT, digest_size=4).hexdigest()
