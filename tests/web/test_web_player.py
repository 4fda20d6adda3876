"""The player strip: what it draws, what it plays, and what mouse and keys do to it."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Page, expect
from strips import column, drag, greenness, query, strip, x_of

NEURON = "?site=encoder.blocks.2.mlp.1&basis=neurons&feature=30"
NEURONS = "sites/encoder.blocks.2.mlp.1/neurons/features/30"


@pytest.fixture
def hit(api: Callable[[str], Any]) -> dict[str, Any]:
    """The first result of the search that these tests look at."""
    return api(f"{NEURONS}/clips?n=1&traces=true")["hits"][0]


@pytest.fixture
def tiers(api: Callable[[str], Any], hit: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The intervals of each tier of that clip."""
    return {tier["name"]: tier["intervals"] for tier in api(f"clips/{hit['clip']}")["tiers"]}


def trace(hit: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(hit["trace"]), "<f4")


def sound(page: Page) -> dict[str, Any]:
    """The one sound of the page."""
    return page.evaluate("""() => { const s = document.querySelector('#sound');
        return { time: s.currentTime, paused: s.paused, rate: s.playbackRate, loop: s.loop, src: s.src,
                 pitch: s.preservesPitch }; }""")


def until_heard(page: Page, seconds: float) -> None:
    page.wait_for_function("t => document.querySelector('#sound').currentTime > t", arg=seconds)


def played(page: Page) -> tuple[np.ndarray, int]:
    """What was served for the sound that plays: samples and rate."""
    data = page.request.get(sound(page)["src"]).body()
    return soundfile.read(io.BytesIO(data))


def controls(page: Page, name: str):
    return page.locator(".player").first.get_by_role("button", name=name, exact=True)


def test_frames_above_zero_are_green_and_below_red(page: Page, hit: dict[str, Any]) -> None:
    page.goto(NEURON)
    canvas = strip(page)
    values = trace(hit)
    assert values.min() < 0 < values.max()
    # away from the peak, where the cursor's line is
    green = [f for f in np.argsort(-values)[:8] if abs((f + 0.5) / 50 - hit["time"]) > 0.03][:3]
    red = [f for f in np.argsort(values)[:3] if abs((f + 0.5) / 50 - hit["time"]) > 0.03]
    for frames, sign in ((green, 1), (red, -1)):
        assert frames
        for frame in frames:
            x = x_of(canvas, (frame + 0.5) / 50, hit["duration"])
            assert sign * greenness(canvas, x) > 5, (frame, values[frame])


def test_silent_frames_of_a_latent_are_gray_and_strong_ones_green(page: Page, api: Callable[[str], Any]) -> None:
    latents = "sites/encoder.blocks.2/latents"
    for row in api(f"{latents}/features?sort=max&n=50")["features"]:  # one with a strong frame beside the cursor's
        feature = row["feature"]
        hit = api(f"{latents}/features/{feature}/clips?n=1&traces=true")["hits"][0]
        values = trace(hit)
        away = np.abs((np.arange(len(values)) + 0.5) / 50 - hit["time"]) > 0.03
        strong = int(np.argmax(values * away))
        if values[strong] > 0.5 * hit["value"]:
            break
    page.goto(f"?site=encoder.blocks.2&basis=latents&feature={feature}")
    canvas = strip(page)
    for frame in np.flatnonzero((values == 0) & (np.roll(values, 1) == 0) & (np.roll(values, -1) == 0))[:3]:
        pixels = column(canvas, x_of(canvas, (frame + 0.5) / 50, hit["duration"]))
        assert np.ptp(pixels, axis=1).max() < 12  # gray, a little warm
    assert greenness(canvas, x_of(canvas, (strong + 0.5) / 50, hit["duration"])) > 10


def test_phones_on_which_the_feature_fires_are_tinted(page: Page, api: Callable[[str], Any]) -> None:
    """Green the more the feature fires on them, read beside the letters; apart from the phone under the cursor."""
    latents = "sites/encoder.blocks.2/latents"
    rows = api(f"{latents}/features?sort=score&n=50&named=true")["features"]
    feature = next(row["feature"] for row in rows if row["name"].startswith("/"))
    page.goto(f"?site=encoder.blocks.2&basis=latents&feature={feature}&n=6")
    loud, silent = [], []
    for at, hit in enumerate(api(f"{latents}/features/{feature}/clips?n=6&traces=true")["hits"]):
        canvas = strip(page, at)
        expect(canvas).to_have_css("height", "223px")  # with its two tiers
        page.wait_for_timeout(200)
        values = trace(hit)
        middles = (np.arange(len(values)) + 0.5) / 50
        (phones,) = (tier for tier in api(f"clips/{hit['clip']}")["tiers"] if tier["name"] == "phones")
        for phone in phones["intervals"]:
            here = values[(middles >= phone["start"]) & (middles < phone["end"])]
            if phone["end"] - phone["start"] < 0.06 or phone["start"] <= hit["time"] < phone["end"]:
                continue
            x = x_of(canvas, phone["start"] + 0.012, hit["duration"])
            red, green, _ = column(canvas, x, 112 + 5 + 46 + 5 + 3, 2).mean(0)
            (loud if here.max() > 0.4 * hit["value"] else silent if here.max() == 0 else []).append(green - red)
    assert loud
    assert silent
    assert min(loud) > max(silent) + 8


def test_the_spectrogram_is_the_servers_mel(page: Page, hit: dict[str, Any]) -> None:
    page.goto(f"?view=audio&clip={hit['clip']}")  # the first strip there has no activations over it
    canvas = strip(page)
    data = page.request.get(f"/api/clips/{hit['clip']}/mel").body()
    rows, columns = np.frombuffer(data[4:12], "<u4")
    mel = np.frombuffer(data[32:], np.uint8).reshape(columns, rows).astype(float)
    drawn = np.array(
        [column(canvas, x_of(canvas, (c + 0.5) / 100, hit["duration"])).mean() for c in range(5, columns, 9)]
    )
    assert np.corrcoef(drawn, mel[5::9].mean(1))[0, 1] < -0.95  # on paper energy is dark


def test_a_weak_clip_looks_weak_unless_each_has_its_own_scale(page: Page, api: Callable[[str], Any]) -> None:
    hits = api(f"{NEURONS}/clips?n=60&traces=true")["hits"]
    page.goto(f"{NEURON}&n=60")
    canvas = strip(page, 59)
    last = hits[59]
    assert last["value"] < hits[0]["value"] / 2
    frame = int(np.argmax(trace(last))) + 1  # beside the peak, where no line is
    x = x_of(canvas, (last["frame"] + 0.5) / 50, last["duration"]) + 3
    shared = greenness(canvas, x)
    page.get_by_label("scale each clip").check()
    page.wait_for_timeout(200)
    assert greenness(canvas, x) > shared + 5, frame


@pytest.mark.parametrize("colors", ["viridis", "cividis", "magma"])
def test_color_maps(page: Page, hit: dict[str, Any], colors: str) -> None:
    page.goto(f"?view=audio&clip={hit['clip']}")
    canvas = strip(page)
    gray = column(canvas, 200)
    page.get_by_label("Color map").select_option(colors)
    for _ in range(50):  # until the picture is there
        page.wait_for_timeout(100)
        if np.abs(column(canvas, 200) - gray).max() > 40:
            break
    assert np.abs(column(canvas, 200) - gray).max() > 40
    page.reload()
    assert page.get_by_label("Color map").input_value() == colors  # kept


def test_blue_and_orange_in_place_of_green_and_red(page: Page, hit: dict[str, Any]) -> None:
    page.goto(NEURON)
    canvas = strip(page)
    page.get_by_label("Colors above and below zero").select_option("blue-orange")
    page.wait_for_timeout(150)
    values = trace(hit)
    for frame, sign in ((int(values.argmax()), 1), (int(values.argmin()), -1)):
        red, _, blue = column(canvas, x_of(canvas, (frame + 0.2) / 50, hit["duration"])).mean(0)
        assert sign * (blue - red) > 5


def test_wide_band(page: Page, hit: dict[str, Any]) -> None:
    page.goto(f"?view=audio&clip={hit['clip']}")
    canvas = strip(page)
    mel = column(canvas, 300)
    with page.expect_response(lambda response: "/spectrogram?" in response.url):
        page.get_by_label("Spectrogram").select_option("wide")
    page.wait_for_timeout(150)
    assert np.abs(column(canvas, 300) - mel).max() > 40


def test_play_pause_and_resume(page: Page) -> None:
    page.goto(NEURON)
    strip(page)
    controls(page, "Play").click()
    until_heard(page, 0.05)
    controls(page, "Pause").click()
    stopped = sound(page)
    assert stopped["paused"]
    assert stopped["time"] > 0
    controls(page, "Play").click()
    until_heard(page, stopped["time"] + 0.02)
    controls(page, "Pause").click()


def test_speed_keeps_the_pitch(page: Page) -> None:
    page.goto(NEURON)
    strip(page)
    speed = page.locator(".player").first.get_by_label("Speed")
    for rate in ("0.75", "0.5", "0.25"):
        speed.select_option(rate)
        assert sound(page)["rate"] == float(rate)
    controls(page, "Play").click()
    until_heard(page, 0.02)
    assert sound(page)["rate"] == 0.25
    assert sound(page)["pitch"]


def test_clicking_a_phone_selects_and_plays_it_to_the_sample(
    page: Page, hit: dict[str, Any], tiers: dict[str, list[dict[str, Any]]]
) -> None:
    page.goto(NEURON)
    canvas = strip(page)
    phone = max(tiers["phones"], key=lambda interval: interval["end"] - interval["start"])
    controls(page, "Loop").click()  # so that it is still there when looked at
    canvas.click(
        position={"x": x_of(canvas, (phone["start"] + phone["end"]) / 2, hit["duration"]), "y": 112 + 5 + 46 + 5 + 9}
    )
    until_heard(page, 0.01)
    samples, rate = played(page)
    assert len(samples) == pytest.approx((phone["end"] - phone["start"]) * rate, abs=2)
    whole, _ = soundfile.read(io.BytesIO(page.request.get(f"/api/clips/{hit['clip']}/audio").body()))
    start = round(phone["start"] * rate)
    assert np.abs(whole[start : start + len(samples)] - samples).max() < 1e-3
    expect(page.locator(".readout").first).to_contain_text(f"{phone['end'] - phone['start']:.3f} s")
    assert sound(page)["loop"]
    page.wait_for_timeout(int(1000 * (phone["end"] - phone["start"])) + 200)
    assert not sound(page)["paused"]  # it loops
    controls(page, "Pause").click()


def test_the_active_span_is_played_around_the_peak(page: Page, hit: dict[str, Any]) -> None:
    page.goto(NEURON)
    strip(page)
    controls(page, "Loop").click()
    controls(page, "Play the active span").click()
    until_heard(page, 0.01)
    samples, rate = played(page)
    values = trace(hit)
    on = np.abs(values) > 0.1 * abs(hit["value"])
    first = last = hit["frame"]
    while first > 0 and on[first - 1]:
        first -= 1
    while last + 1 < len(on) and on[last + 1]:
        last += 1
    start, end = max(0, first / 50 - 0.05), min(hit["duration"], (last + 1) / 50 + 0.05)
    assert len(samples) / rate == pytest.approx(end - start, abs=0.001)


def test_emphasis_plays_the_dimmed_clip(page: Page) -> None:
    page.goto(NEURON)
    strip(page)
    page.get_by_label("emphasize events").check()
    assert query(page)["emphasis"] == "1"
    controls(page, "Play").click()
    until_heard(page, 0.01)
    assert "/emphasis?" in sound(page)["src"]


def test_emphasis_of_a_span_ends_with_the_span(page: Page) -> None:
    page.goto(f"{NEURON}&emphasis=1")
    strip(page)
    controls(page, "Loop").click()
    controls(page, "Play the active span").click()
    until_heard(page, 0.01)
    assert "/emphasis?" in sound(page)["src"]
    samples, rate = played(page)
    shown = page.locator(".readout").first.inner_text()
    assert len(samples) / rate == pytest.approx(float(shown.rsplit("(", 1)[1].split()[0]), abs=0.002)


def test_dragging_selects_and_zoom_goes_there(page: Page, hit: dict[str, Any]) -> None:
    page.goto(NEURON)
    canvas = strip(page)
    readout = page.locator(".readout").first
    width = hit["duration"]
    drag(page, canvas, x_of(canvas, 0.5, width), x_of(canvas, 1.0, width))
    expect(readout).to_contain_text("0.50 s – 1.00 s")
    page.mouse.move(5, 5)
    full = column(canvas, 400).copy()
    for _ in range(3):
        controls(page, "Zoom in").click()
    page.wait_for_timeout(100)
    assert np.abs(column(canvas, 400) - full).max() > 30
    controls(page, "Zoom out").click()
    controls(page, "Show the whole clip").click()
    page.wait_for_timeout(100)
    assert np.abs(column(canvas, 400) - full).max() < 3
    # the wheel with Ctrl zooms around the mouse; dragging the axis pans
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 400, box["y"] + 50)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -400)
    page.keyboard.up("Control")
    page.wait_for_timeout(100)
    zoomed = column(canvas, 600).copy()
    drag(page, canvas, 500, 300, y=box["height"] - 6)
    page.wait_for_timeout(100)
    assert np.abs(column(canvas, 600) - zoomed).max() > 10


def test_keys(page: Page, hit: dict[str, Any]) -> None:
    page.goto(NEURON)
    canvas = strip(page)
    canvas.focus()
    at = float(canvas.get_attribute("aria-valuenow"))
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(60)
    assert float(canvas.get_attribute("aria-valuenow")) == pytest.approx(at + 0.02, abs=1e-3)
    value = trace(hit)[hit["frame"] + 1]
    assert f"{value:.3g}".replace("-", "−") in canvas.get_attribute("aria-valuetext")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator(".readout").first).to_contain_text("(0.040 s)")
    page.keyboard.press("Escape")
    page.keyboard.press(" ")
    until_heard(page, 0.01)
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement === document.querySelectorAll('canvas.strip')[1]")
    page.keyboard.press("a")
    page.wait_for_function("() => document.querySelector('#sound').src.includes('start=')")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement === document.querySelectorAll('canvas.strip')[0]")


def test_downloads(page: Page, hit: dict[str, Any], tiers: dict[str, list[dict[str, Any]]]) -> None:
    page.goto(NEURON)
    canvas = strip(page)
    drag(page, canvas, x_of(canvas, 0.2, hit["duration"]), x_of(canvas, 0.6, hit["duration"]))

    def get(link: str) -> bytes:
        controls(page, "Download").click()
        with page.expect_download() as download:
            page.get_by_label("Download", exact=True).locator("a, button").filter(has_text=link).click()
        return download.value.path().read_bytes()

    assert len(soundfile.read(io.BytesIO(get("Selected sound")))[0]) == pytest.approx(0.4 * 16000, abs=60)
    assert len(soundfile.read(io.BytesIO(get("Whole sound")))[0]) == pytest.approx(hit["duration"] * 16000, abs=2)
    grid = get("TextGrid").decode()
    assert all(f'"{interval["label"]}"' in grid for interval in tiers["words"])
    assert get("This picture").startswith(b"\x89PNG")


def test_a_strip_is_at_most_sixty_nodes(page: Page) -> None:
    page.goto(NEURON)
    strip(page)
    assert page.evaluate("document.querySelector('.result').querySelectorAll('*').length + 1") <= 60


def test_reload_keeps_the_preferred_theme(page: Page) -> None:
    page.goto(NEURON)
    canvas = strip(page)
    paper = column(canvas, 60).max()
    button = page.get_by_role("button", name="Theme")
    button.click()
    button.click()
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert column(canvas, 60).mean() < paper
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
