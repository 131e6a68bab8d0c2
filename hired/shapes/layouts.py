"""The layout of each kind of document: receipts, price lists, departure boards, charts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from hired.shapes.documents import CONTENT, KINDS, Bar, Document, Row, look_for, text_patches
from hired.shapes.lexicon import CITIES, DAYS, GOODS, SHOPS, WORDS
from hired.shapes.scenes import STREAMS, poster_size
from hired.shapes.sheet import Sheet


def _some(rng: np.random.Generator, words: tuple[str, ...], count: int) -> list[str]:
    """Distinct words in random order."""
    return [words[i] for i in rng.permutation(len(words))[:count]]


def _price(rng: np.random.Generator) -> str:
    """A price: mostly below ten, often with a round last digit."""
    cents = int(rng.integers(15, 1000 if rng.random() < 0.85 else 2000))
    return f"{(cents - cents % 5 if rng.random() < 0.4 else cents) / 100:.2f}"


def _finish(
    rng: np.random.Generator,
    sheet: Sheet,
    kind: str,
    rows: list[Row],
    least: int = 3,
    **more: object,
) -> Document | None:
    """The finished page; None where too few rows found room."""
    if len(rows) < least:
        return None
    extra: dict = {name: value for name, value in more.items()}
    return Document(kind, sheet.width, sheet.height, sheet.look, tuple(sheet.words),
                    int(rng.integers(2**31)), tuple(rows), **extra)  # fmt: skip


def _pitch(rng: np.random.Generator, sheet: Sheet) -> int:
    """Px from line to line."""
    return round(sheet.look.size * rng.uniform(*sheet.pitch))


def _case(rng: np.random.Generator) -> Callable[[str], str]:
    """The case of a page's words: with a capital or without."""
    return str.capitalize if rng.random() < 0.6 else str.lower


def _right(sheet: Sheet, text: str, edge: int) -> tuple[str, int]:
    """A cell that ends at `edge`."""
    return text, edge - sheet.breadth(text)


def _title(rng: np.random.Generator, sheet: Sheet, texts: list[str]) -> int:
    """Put a heading on the page and return the height below it."""
    y = int(rng.integers(4, 14))
    for text in texts:
        x = int(rng.integers(6, max(7, sheet.width - sheet.breadth(text) - 8)))
        top = sheet.put(y, [(text, x)])
        y = (y if top is None else top) + sheet.look.size + int(rng.integers(3, 10))
    return y


def receipt(rng: np.random.Generator, sheet: Sheet) -> Document | None:
    """A shop receipt: goods with prices, a rule, the total."""
    case, pitch = _case(rng), _pitch(rng, sheet)
    heading = [SHOPS[rng.integers(len(SHOPS))].capitalize()]
    heading += [DAYS[rng.integers(7)].capitalize()] if rng.random() < 0.4 else []
    y = _title(rng, sheet, heading)
    margin, edge = int(rng.integers(5, 12)), sheet.width - int(rng.integers(6, 12))
    foot = sheet.height - 3 * pitch
    rows: list[Row] = []
    for name in _some(rng, GOODS, int(rng.integers(3, 22))):
        cost = _price(rng)
        if y > foot:
            break
        top = sheet.put(y, [(case(name), margin), _right(sheet, cost, edge)])
        if top is None:
            return None
        rows.append(Row(name, (cost,)))
        y = top + pitch
    total = f"{sum(round(float(row.numbers[0]) * 100) for row in rows) / 100:.2f}"
    rule = y + 1
    top = sheet.put(y + 5, [("Total", margin), _right(sheet, total, edge)])
    if top is None or float(total) >= 100:
        return None
    if rng.random() < 0.3:
        sheet.put(top + pitch, [("Thanks", margin + 10)])
    return _finish(rng, sheet, "receipt", rows, total=total, rules=(rule,))


def prices(rng: np.random.Generator, sheet: Sheet) -> Document | None:
    """A price list: goods with prices, on wide pages sometimes in two blocks."""
    case, pitch = _case(rng), _pitch(rng, sheet)
    y = _title(rng, sheet, ["Prices"] if rng.random() < 0.7 else [])
    blocks = 2 if sheet.width >= 300 and rng.random() < 0.6 else 1
    names = _some(rng, GOODS, int(rng.integers(4, 16)) * blocks)
    span = sheet.width // blocks
    rows: list[Row] = []
    while names and y < sheet.height - sheet.look.size - 4:
        line, cells = [], []
        for block in range(min(blocks, len(names))):
            row = Row(names.pop(), (_price(rng),))
            line.append(row)
            left = block * span + 8
            cells += [(case(row.name), left), _right(sheet, row.numbers[0], (block + 1) * span - 9)]
        top = sheet.put(y, cells)
        if top is None:
            break
        rows += line
        y = top + pitch
    return _finish(rng, sheet, "prices", rows, rules=(y,) if rng.random() < 0.5 else ())


def board(rng: np.random.Generator, sheet: Sheet) -> Document | None:
    """A departure board: city, time and platform, in the order of time."""
    return _trains(rng, sheet, city_first=True)


def timetable(rng: np.random.Generator, sheet: Sheet) -> Document | None:
    """A departure board that begins its lines with the time, for the tower alone."""
    return _trains(rng, sheet, city_first=False)


def _trains(rng: np.random.Generator, sheet: Sheet, city_first: bool) -> Document | None:
    pitch = _pitch(rng, sheet)
    y = _title(rng, sheet, ["Departures"] if rng.random() < 0.8 else [])
    margin, edge = int(rng.integers(4, 9)), sheet.width - int(rng.integers(5, 10))
    firsts = [city.capitalize() for city in CITIES] if city_first else ["00:00"]
    second = margin + max(map(sheet.breadth, firsts)) + int(rng.integers(7, 9 + sheet.width // 12))
    city_at, time_at = (margin, second) if city_first else (second, margin)
    if rng.random() < 0.4:
        heads = [("Time", time_at), ("To", city_at), _right(sheet, "Platform", edge)]
        y = (sheet.put(y, heads) or y) + pitch
    rule = y - 2
    count = int(rng.integers(3, 22))
    minutes = np.sort(rng.permutation(24 * 60 - 300)[:count]) + 300
    rows: list[Row] = []
    for minute, city in zip(minutes, _some(rng, CITIES, count), strict=True):
        time, platform = f"{minute // 60:02}:{minute % 60:02}", str(rng.integers(1, 25))
        cells = [(time, time_at), (city.capitalize(), city_at), _right(sheet, platform, edge)]
        top = sheet.put(y, cells)
        if top is None:
            break
        rows.append(Row(city, (time, platform)))
        y = top + pitch
    return _finish(rng, sheet, "board", rows, rules=(rule,))


def chart(rng: np.random.Generator, sheet: Sheet) -> Document | None:
    """A bar chart with written values, whose bars lie."""
    return _bars(rng, sheet, standing=False)


def columns(rng: np.random.Generator, sheet: Sheet) -> Document | None:
    """A bar chart whose bars stand where the names find room, for the tower alone."""
    return _bars(rng, sheet, standing=True)


def _bars(rng: np.random.Generator, sheet: Sheet, standing: bool) -> Document | None:
    case = _case(rng)
    words = (DAYS, GOODS, CITIES)[rng.integers(3)]
    names = _some(rng, words, int(rng.integers(3, 8)))
    percent = "%" if rng.random() < 0.4 else ""
    values = [f"{value}{percent}" for value in rng.permutation(np.arange(4, 100))[: len(names)]]
    y = _title(rng, sheet, ["Sales"] if rng.random() < 0.7 else [])
    widest = max(sheet.breadth(case(name)) for name in names)
    if standing and sheet.width >= len(names) * (widest + 8) + 10 and rng.random() < 0.7:
        return _standing(rng, sheet, case, names, values, y)
    return _lying(rng, sheet, case, names, values, y)


def _lying(rng: np.random.Generator, sheet: Sheet, case: Callable[[str], str], names: list[str],
           values: list[str], y: int) -> Document | None:  # fmt: skip
    """Bars from left to right: name, bar, value at the bar's end."""
    pitch = round(sheet.look.size * rng.uniform(max(1.3, sheet.pitch[0]), 2.2))
    start = 8 + max(sheet.breadth(case(name)) for name in names) + 5
    room = sheet.width - start - sheet.breadth("100%") - 14
    if room < 12:
        return None
    rows, bars = [], []
    for name, value in zip(names, values, strict=True):
        end = start + 3 + round(room * int(value.rstrip("%")) / 100)
        top = sheet.put(y, [(case(name), 7), (value, end + 4)])
        if top is None:
            break
        rows.append(Row(name, (value,)))
        label, number = sheet.words[-2:]
        # A border of crops may have moved the name or the value onto the bar.
        if label.x + label.width + 2 > start or number.x < end + 2:
            return None
        bars.append(Bar(start, top + 1, end, top + sheet.look.size - 1))
        y = top + pitch
    return _finish(rng, sheet, "chart", rows, bars=tuple(bars))


def _standing(rng: np.random.Generator, sheet: Sheet, case: Callable[[str], str],
              names: list[str], values: list[str], y: int) -> Document | None:  # fmt: skip
    """Bars from bottom to top: the name below, the value above the bar."""
    size, step = sheet.look.size, (sheet.width - 10) // len(names)
    middles = [5 + step * n + step // 2 for n in range(len(names))]
    cells = [
        (case(n), m - sheet.breadth(case(n)) // 2) for n, m in zip(names, middles, strict=True)
    ]
    foot = None
    for top in range(sheet.height - size - 8, y + 40, -3):
        if (foot := sheet.put(top, cells, slack=0)) is not None:
            break
    if foot is None:
        return None
    bars = []
    room = foot - y - size - 10
    for middle, value in zip(middles, values, strict=True):
        head = foot - 4 - round(room * int(value.rstrip("%")) / 100)
        at = middle - sheet.breadth(value) // 2
        # Where a border of crops is in the way, the value stands higher above its bar.
        heights = range(head - size - 3, max(0, y - size), -3)
        if not any(sheet.put(top, [(value, at)], slack=0) is not None for top in heights):
            return None
        bars.append(Bar(middle - step // 5, head, middle + step // 5, foot - 3))
    rows = [Row(name, (value,)) for name, value in zip(names, values, strict=True)]
    return _finish(rng, sheet, "chart", rows, bars=tuple(bars))


def soup(rng: np.random.Generator, sheet: Sheet) -> Document | None:
    """A page of words and numbers without order, as dense as lines can be, for the tower alone."""
    case = _case(rng)
    pitch = max(sheet.look.size + 1, round(sheet.look.size * rng.uniform(1, 1.6)))
    y = int(rng.integers(1, 12))
    while y < sheet.height - sheet.look.size:
        cells, x = [], int(rng.integers(2, 30))
        while True:
            text = _any(rng, case)
            if x + sheet.breadth(text) > sheet.width - 3:
                break
            cells.append((text, x))
            x += sheet.breadth(text) + int(rng.integers(6, 30))
        sheet.put(y, cells, slack=3)
        y += pitch
    return _finish(rng, sheet, "soup", [], least=0)


def _any(rng: np.random.Generator, case: Callable[[str], str]) -> str:
    """A word or a number of any form."""
    draw = rng.random()
    if draw < 0.5:
        return case(WORDS[rng.integers(len(WORDS))])
    if draw < 0.7:
        return f"{rng.integers(10, 2500) / 100:.2f}"
    if draw < 0.84:
        return f"{rng.integers(24):02}:{rng.integers(60):02}"
    return f"{rng.integers(100)}{'%' if draw > 0.92 else ''}"


Layout = Callable[[np.random.Generator, Sheet], Document | None]


@dataclass(frozen=True)
class Style:
    """The look of pages: a layout for each kind, degrees they are `turn`ed by at most, either
    way, and least and most `pitch` of lines, in heights of a line.
    """

    layouts: Mapping[str, Layout]
    turn: float
    pitch: tuple[float, float]

    def sheet(self, rng: np.random.Generator, width: int, height: int, whole: bool = True) -> Sheet:
        """An empty page in a random look."""
        return Sheet(width, height, look_for(rng, self.turn), self.pitch, whole=whole)


ASKED = Style({"receipt": receipt, "prices": prices, "board": board, "chart": chart},
              turn=0.5, pitch=(1.4, 2.0))  # fmt: skip
"""Pages that questions are about. Visual tokens hear only what stands before them, so a name comes
before its numbers; and they know their row of patches, so lines keep apart and nearly level: on
closer and steeper ones a price hears the name of the line beside it.
"""
SEEN = Style({**ASKED.layouts, "board": timetable, "chart": columns}, turn=1.6, pitch=(1.15, 1.9))
"""Pages that the tower learns to read on: more than is asked about."""


def draw_document(rng: np.random.Generator, kind: str, style: Style = ASKED) -> Document:
    """A page of the kind; drawn again until its text fits and fills `CONTENT` of its patches."""
    while True:
        page = style.layouts[kind](rng, style.sheet(rng, *poster_size(rng)))
        if page is not None and CONTENT[0] <= text_patches(page).mean() <= CONTENT[1]:
            return page


def document_for(stream: str, kind: str, seed: int, index: int) -> Document:
    """Page number `index` of a stream: the same arguments always give the same page."""
    return draw_document(np.random.default_rng([STREAMS[stream], KINDS[kind], seed, index]), kind)
