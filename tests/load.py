"""Many clients at once against a served page: `python tests/load.py URL`, or `load()` in a test.

Every request carries an image of its own size, so that an answer that belongs to another image is
seen. A request is answered, or told at once that the queue is full; anything else is lost.
"""

import argparse
import asyncio
import json
import sys
from dataclasses import dataclass, field
from time import perf_counter

import httpx
from conftest import make_image
from serving import SELECT, encoded

TIMEOUT_S = 3600


@dataclass
class Outcome:
    """What became of all requests; seconds from asking to the last word."""

    answered_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)  # told that the queue is full
    lost: list[str] = field(default_factory=list)
    mixed_up: int = 0
    turns: list[tuple[int, float]] = field(default_factory=list)  # (place in line, when served)
    page_s: list[float] = field(default_factory=list)

    def report(self) -> dict[str, float | int]:
        """Counts and waiting times."""
        return {
            "answered": len(self.answered_s),
            "told the queue is full": len(self.refused_s),
            "lost": len(self.lost),
            "mixed up": self.mixed_up,
            "p50_s": _share(self.answered_s, 0.5),
            "p95_s": _share(self.answered_s, 0.95),
            "refused_p95_s": _share(self.refused_s, 0.95),
            "page_p95_s": _share(self.page_s, 0.95),
        }

    @property
    def fair(self) -> bool:
        """Was everyone served in the order they asked?"""
        served = [when for _, when in sorted(self.turns)]
        return served == sorted(served)


def _share(waits: list[float], share: float) -> float:
    """The wait that `share` of all waits do not exceed."""
    found = sorted(waits) or [0.0]
    return round(found[int(share * (len(found) - 1))], 3)


async def _client(
    http: httpx.AsyncClient, number: int, requests: int, tokens: int, out: Outcome
) -> None:
    height, width = 100 + 2 * number, 400 - 3 * number  # of no other client
    files = {"files": (f"{number}.png", encoded(make_image(height, width, seed=number)))}
    path = (await http.post("upload", files=files)).json()[0]
    image = {"path": path, "meta": {"_type": "gradio.FileData"}}
    body = {"data": [image, "what is in the picture ?", *SELECT, tokens]}
    for _ in range(requests):
        begin = perf_counter()
        try:
            asked = await http.post("call/compare", json=body)
            if asked.status_code == 429 and "may wait" in asked.text:
                out.refused_s.append(perf_counter() - begin)
                continue
            asked.raise_for_status()
            place = perf_counter()
            text = (await http.get(f"call/compare/{asked.json()['event_id']}")).text
            last = [part for part in text.split("\n\n") if part.strip()][-1]
            assert last.startswith("event: complete"), last[:200]
            details = json.loads(last.split("data: ", 1)[1])[2]
        except (httpx.HTTPError, AssertionError, KeyError, ValueError) as error:
            out.lost.append(f"{type(error).__name__}: {error}"[:200])
            continue
        out.answered_s.append(perf_counter() - begin)
        out.turns.append((place, perf_counter()))
        seen = (details["image"]["height"], details["image"]["width"])
        out.mixed_up += seen != (height, width)


async def _watch(http: httpx.AsyncClient, root: str, out: Outcome) -> None:
    """Does the page itself still answer?"""
    while True:
        begin = perf_counter()
        await http.get(root)
        out.page_s.append(perf_counter() - begin)
        await asyncio.sleep(0.5)


async def load(url: str, clients: int = 50, requests: int = 4, tokens: int = 8) -> Outcome:
    """Ask with `clients` at once, each `requests` times in a row."""
    out = Outcome()
    # A connection of its own each: one that rested may be closed by the server as it is used again.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(
        base_url=f"{url}gradio_api/", timeout=TIMEOUT_S, limits=limits
    ) as http:
        watcher = asyncio.create_task(_watch(http, url, out))
        await asyncio.sleep(0)
        await asyncio.gather(
            *(_client(http, number, requests, tokens, out) for number in range(clients))
        )
        watcher.cancel()
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="such as http://127.0.0.1:7860/")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--requests", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=8)
    options = parser.parse_args()
    outcome = asyncio.run(load(options.url, options.clients, options.requests, options.tokens))
    print(json.dumps(outcome.report(), indent=2), f"\nserved in order: {outcome.fair}")
    sys.exit(bool(outcome.lost or outcome.mixed_up))
