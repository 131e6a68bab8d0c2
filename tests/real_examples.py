"""Draws the examples for models that read documents: `python tests/real_examples.py [FOLDER]`.

Everything on them is invented, so that they are the project's own and their answers are known.
"""

import io
import json
import sys
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFilter, ImageFont

FOLDER = Path(__file__).parents[1] / "assets" / "examples" / "real"
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
INK, GREY = "#1d2430", "#6b7280"
GOODS = (
    ("Rye bread", 1, 3.20), ("Olive oil 0.5 l", 1, 8.95), ("Tomatoes 1 kg", 2, 2.75),
    ("Goat cheese", 1, 4.60), ("Coffee beans", 1, 7.40), ("Paper towels", 3, 1.15),
)  # fmt: skip
RAIN = {
    "January": 52, "February": 44, "March": 49, "April": 61, "May": 73, "June": 90, "July": 84,
    "August": 118, "September": 76, "October": 67, "November": 71, "December": 58,
}  # fmt: skip
STOPS = (
    "Harbour", "Old Bridge", "Mill Lane", "Town Hall", "Library", "Station", "Museum", "Park Gate",
    "Hospital", "Stadium", "Fairground", "Hill Top",
)  # fmt: skip
LINES = (3, 7, 11, 14, 18, 22, 25, 31)
EXAMPLES = [
    {
        "file": "receipt.png",
        "question": "What is the total on the receipt?",
        "answer": "33.10",
        "title": "A receipt",
        "note": "A narrow page, much white: small print that must survive.",
    },
    {
        "file": "chart.png",
        "question": "Which month had the most rain?",
        "answer": "August",
        "title": "A bar chart",
        "note": "Big marks and small labels; the answer needs both.",
    },
    {
        "file": "timetable.png",
        "question": "At what time does line 14 stop at Mill Lane?",
        "answer": "9:18",
        "title": "A dense timetable",
        "note": "Content everywhere: here a small budget hurts.",
    },
    {
        "file": "street.png",
        "question": "What does the sign above the red door say?",
        "answer": "Bakery",
        "title": "A street, wide",
        "note": "A panorama: bars above and below, which never cost budget.",
    },
]


def font(size: int, name: str = "DejaVuSans") -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONTS / f"{name}.ttf", size)


def draw_receipt() -> Image.Image:
    """A till receipt on a table, 720 × 960."""
    page = Image.new("RGB", (720, 960), "#8a7560")
    draw = ImageDraw.Draw(page)
    draw.rectangle((150, 40, 570, 920), "#fbfaf6")
    mono, bold = font(19, "DejaVuSansMono"), font(24, "DejaVuSansMono-Bold")
    draw.text((360, 84), "CORNER GROCER", INK, bold, anchor="mm")
    for row, line in enumerate(("4 Elm Street", "14 March, 17:42", "Till 2 - Receipt 00831")):
        draw.text((360, 126 + 28 * row), line, GREY, mono, anchor="mm")
    y = 230
    for name, count, price in GOODS:
        draw.text((180, y), name, INK, mono)
        draw.text((540, y), f"{count * price:.2f}", INK, mono, anchor="ra")
        if count > 1:
            y += 26
            draw.text((204, y), f"{count} x {price:.2f}", GREY, mono)
        y += 44
    total = sum(count * price for _, count, price in GOODS)
    draw.line((180, y, 540, y), INK, 2)
    draw.text((180, y + 18), "TOTAL EUR", INK, bold)
    draw.text((540, y + 18), f"{total:.2f}", INK, bold, anchor="ra")
    for row, (name, value) in enumerate((("Cash", 40.0), ("Change", 40.0 - total))):
        draw.text((180, y + 70 + 34 * row), name, GREY, mono)
        draw.text((540, y + 70 + 34 * row), f"{value:.2f}", GREY, mono, anchor="ra")
    for bar in range(60):
        left = 200 + bar * 5 + bar % 3
        draw.rectangle((left, 800, left + 1 + (bar * 7) % 3, 866), INK)
    draw.text((360, 892), "Thank you!", GREY, mono, anchor="mm")
    return page


def draw_chart() -> Image.Image:
    """Monthly rain as bars, 960 × 640."""
    figure = Figure(figsize=(9.6, 6.4), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.barh(list(RAIN)[::-1], list(RAIN.values())[::-1], color="#3b6fb6")
    axes.set_title("Rain in Northport, 2025", fontsize=20)
    axes.set_xlabel("mm", fontsize=14)
    axes.tick_params(labelsize=14)
    axes.grid(axis="x", alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def leaves(line: int, stop: int) -> str:
    """When a line stops somewhere."""
    minutes = 8 * 60 + LINES.index(line) * 23 + stop * 4 + (line * (stop + 3)) % 3
    return f"{minutes // 60}:{minutes % 60:02d}"


def draw_timetable() -> Image.Image:
    """Every line at every stop, 960 × 960."""
    page = Image.new("RGB", (960, 960), "#ffffff")
    draw = ImageDraw.Draw(page)
    draw.text((40, 44), "Buses on weekdays", INK, font(34, "DejaVuSans-Bold"))
    plain, bold = font(20), font(20, "DejaVuSans-Bold")
    draw.text((40, 128), "Stop", INK, bold)
    for column, line in enumerate(LINES):
        draw.text((290 + 84 * column, 128), f"Line {line}", INK, font(17, "DejaVuSans-Bold"), "mt")
    for row, stop in enumerate(STOPS):
        y = 176 + 56 * row
        if row % 2 == 0:
            draw.rectangle((28, y - 14, 932, y + 36), "#eef2f8")
        draw.text((40, y), stop, INK, bold)
        for column, line in enumerate(LINES):
            draw.text((290 + 84 * column, y), leaves(line, row), INK, plain, anchor="mt")
    draw.text((40, 880), "No service on 1 January. Dogs travel free.", GREY, font(18))
    return page


def draw_street() -> Image.Image:
    """Three houses, a tree, a car and a bicycle, 1200 × 480."""
    page = Image.new("RGB", (1200, 480))
    draw = ImageDraw.Draw(page)
    for y in range(480):
        draw.line((0, y, 1200, y), (150 + y // 6, 190 + y // 9, 235))
    draw.rectangle((0, 400, 1200, 480), "#55585f")
    draw.rectangle((0, 380, 1200, 404), "#b9b4aa")
    for left in range(20, 1200, 120):
        draw.rectangle((left, 440, left + 60, 446), "#e8e3c8")
    houses = (
        (60, "#d9a66c", "#2f5d8a", "BOOKS"), (400, "#c7cfb4", "#b3261e", "BAKERY"),
        (780, "#b48a92", "#2d6a4f", "CYCLES"),
    )  # fmt: skip
    for left, wall, door, sign in houses:
        draw.rectangle((left, 110, left + 290, 382), wall)
        draw.polygon(((left - 14, 112), (left + 145, 40), (left + 304, 112)), "#7a4a3a")
        for column in range(3):
            box = (left + 30 + 88 * column, 140, left + 84 + 88 * column, 200)
            draw.rectangle(box, "#dfeaf2", outline="#4b5563", width=4)
        draw.rectangle((left + 110, 270, left + 176, 382), door)
        draw.ellipse((left + 162, 324, left + 170, 332), "#f2d16b")
        draw.rectangle((left + 66, 224, left + 220, 260), "#fffdf5", outline=INK, width=2)
        draw.text((left + 143, 242), sign, INK, font(24, "DejaVuSans-Bold"), anchor="mm")
    draw.rectangle((718, 280, 736, 390), "#6b4a2f")
    for x, y, radius in ((727, 230, 58), (690, 262, 36), (764, 262, 36)):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), "#4d7c3f")
    page = page.filter(ImageFilter.GaussianBlur(0.6))
    draw = ImageDraw.Draw(page)
    draw.rounded_rectangle((150, 386, 350, 440), 16, "#e0b52d")
    draw.polygon(((190, 388), (214, 352), (300, 352), (326, 388)), "#bcd3e3", outline="#e0b52d")
    for x in (196, 306, 940, 1030):
        draw.ellipse((x - 24, 416, x + 24, 464), outline="#14171d", width=6)
    draw.line((940, 440, 975, 396, 1016, 396, 1030, 440), "#9c2b2b", 6)
    return page


DRAWN = {
    "receipt.png": draw_receipt,
    "chart.png": draw_chart,
    "timetable.png": draw_timetable,
    "street.png": draw_street,
}


def main(folder: Path = FOLDER) -> None:
    """Draw them all and write their questions."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in DRAWN.items():
        draw().quantize(128, dither=Image.Dither.NONE).save(folder / name, optimize=True)
    (folder / "examples.json").write_text(json.dumps(EXAMPLES, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
