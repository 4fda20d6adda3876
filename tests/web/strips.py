"""How the tests read what a strip draws: its pixels, and where a time lies on it."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import numpy as np
from playwright.sync_api import Locator, Page

LEFT, RIGHT = 44, 8  # pixels beside the picture
PICTURE = 112


def strip(page: Page, at: int = 0) -> Locator:
    """A strip of the page, once its spectrogram is drawn."""
    place = page.locator(".player").nth(at)
    place.scroll_into_view_if_needed()  # it is made when it comes near the screen
    found = place.locator("canvas.strip")
    page.wait_for_function("canvas => canvas.dataset.drawn", arg=found.element_handle())
    page.wait_for_timeout(50)  # a frame or two
    return found


def x_of(canvas: Locator, time: float, duration: float) -> float:
    """Horizontal pixel of a time, while the whole clip is shown."""
    width = canvas.evaluate("c => c.clientWidth") - LEFT - RIGHT
    return LEFT + time / duration * width


def column(canvas: Locator, x: float, top: int = 0, height: int = PICTURE) -> np.ndarray:
    """Colors [height, 3] of the pixels at x."""
    pixels = canvas.evaluate(
        "(c, [x, y, h]) => [...c.getContext('2d').getImageData(x, y, 1, h).data]", [round(x), top, height]
    )
    return np.array(pixels, float).reshape(-1, 4)[:, :3]


def greenness(canvas: Locator, x: float) -> float:
    """How much greener than red a column of the picture is, on average; below zero: redder."""
    red, green, _ = column(canvas, x).mean(0)
    return float(green - red)


def drag(page: Page, canvas: Locator, start: float, end: float, y: float = 60) -> None:
    """Drag from one pixel of a canvas to another."""
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + start, box["y"] + y)
    page.mouse.down()
    page.mouse.move(box["x"] + (start + end) / 2, box["y"] + y, steps=3)
    page.mouse.move(box["x"] + end, box["y"] + y, steps=3)
    page.mouse.up()


def query(page: Page) -> dict[str, str]:
    """The state in the address."""
    return {key: values[0] for key, values in parse_qs(urlsplit(page.url).query).items()}
