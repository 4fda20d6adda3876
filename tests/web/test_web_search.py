"""The search view, control by control."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
import soundfile
from playwright.sync_api import Page, Route, expect
from strips import drag, query, strip

SITE, BASIS = "encoder.blocks.2", "latents"
FEATURES = f"sites/{SITE}/{BASIS}/features"
NEURON = "?site=encoder.blocks.2.mlp.1&basis=neurons&feature=30"
NEURONS = "sites/encoder.blocks.2.mlp.1/neurons/features/30"


@pytest.fixture
def strongest(api: Callable[[str], Any]) -> int:
    """The latent with the largest maximum."""
    return api(f"{FEATURES}?sort=max&n=1")["features"][0]["feature"]


def ranked(page: Page) -> list[str]:
    """The clips that are listed, in their order, once the list stands still."""
    page.wait_for_selector(".results[aria-busy=false]")
    return page.locator(".player").evaluate_all("all => all.map(p => p.dataset.clip)")


def listed(page: Page, wanted: list[str]) -> None:
    """Wait until exactly these clips are listed."""
    page.wait_for_function(
        "w => JSON.stringify([...document.querySelectorAll('.player')].map(p => p.dataset.clip)) === JSON.stringify(w)",
        arg=wanted,
    )


def clips_of(hits: dict[str, Any]) -> list[str]:
    return [hit["clip"] for hit in hits["hits"]]


def test_a_feature_is_found_by_its_number(page: Page, api: Callable[[str], Any], strongest: int) -> None:
    page.goto(f"?site={SITE}&basis={BASIS}")
    expect(page.get_by_role("heading", level=1)).to_have_text("What has nano learned?")
    page.get_by_label("Latent", exact=True).fill(str(strongest))
    page.keyboard.press("Enter")
    hits = api(f"{FEATURES}/{strongest}/clips?n=10")
    listed(page, clips_of(hits))
    assert query(page)["feature"] == str(strongest)
    first, hit = page.locator(".result").first, hits["hits"][0]
    expect(first).to_contain_text(hit["name"])
    expect(first).to_contain_text(hit["transcript"])
    expect(first).to_contain_text(hit["speaker"])
    expect(first).to_contain_text(f"at {hit['time']:.2f} s")
    expect(first.locator(".heard")).to_contain_text(f"/{hit['tiers']['phones']}/")
    facts = api(f"{FEATURES}/{strongest}")
    expect(page.locator(".facts")).to_contain_text(f"{facts['events']:,}")


def test_limits_number_and_absolute_value(page: Page, api: Callable[[str], Any]) -> None:
    page.goto(NEURON)
    page.get_by_label("Max", exact=True).fill("0.6")
    page.get_by_label("Min", exact=True).fill("0.3")
    page.get_by_label("Results", exact=True).fill("4")
    page.get_by_role("button", name="Update").click()
    listed(page, clips_of(api(f"{NEURONS}/clips?n=4&min=0.3&max=0.6")))
    assert query(page) | {"min": "0.3", "max": "0.6", "n": "4"} == query(page)
    page.get_by_label("Use absolute value").check()
    page.get_by_label("Max", exact=True).fill("0")
    page.get_by_label("Min", exact=True).fill("")
    page.keyboard.press("Enter")
    found = api(f"{NEURONS}/clips?n=4&max=0&absolute=true")
    assert found["total"] > 0
    listed(page, clips_of(found))
    expect(page.locator(".result .peak b").first).to_have_class("negative")
    # limits that nothing meets
    page.get_by_label("Min", exact=True).fill("-0.00001")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No clip within these limits")).to_be_visible()
    page.get_by_role("button", name="Remove the limits").click()
    listed(page, clips_of(api(f"{NEURONS}/clips?n=4&absolute=true")))


def test_dragging_over_the_histogram_sets_the_limits(page: Page, api: Callable[[str], Any]) -> None:
    page.goto(NEURON)
    over = page.locator(".rail .u-over").first
    box = over.bounding_box()
    drag(page, over, 0.4 * box["width"], 0.7 * box["width"], y=40)
    page.wait_for_url("**min=**")
    low, high = float(query(page)["min"]), float(query(page)["max"])
    histogram = api(NEURONS)["peaks"]
    width = histogram["high"] - histogram["low"]
    assert low == pytest.approx(histogram["low"] + 0.4 * width, abs=0.03 * width)
    assert high == pytest.approx(histogram["low"] + 0.7 * width, abs=0.03 * width)
    listed(page, clips_of(api(f"{NEURONS}/clips?n=10&min={low}&max={high}")))


def test_next_previous_and_random(page: Page) -> None:
    page.goto(NEURON)
    for name, wanted in (("Next feature", "31"), ("Previous feature", "30")):
        page.get_by_role("button", name=name).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(wanted)
    page.keyboard.press("]")
    expect(page.get_by_role("heading", level=1)).to_have_text("31")
    page.keyboard.press("[")
    expect(page.get_by_role("heading", level=1)).to_have_text("30")
    page.get_by_role("button", name="Random feature").click()
    page.wait_for_function("() => !location.search.includes('feature=30')")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("30")


def test_site_and_basis(page: Page) -> None:
    page.goto(NEURON)
    page.get_by_label("Site and basis").select_option(label="encoder.blocks.2 · 192 neurons")
    assert query(page) | {"site": SITE, "basis": "neurons"} == query(page)
    expect(page.get_by_label("Neuron", exact=True)).to_be_visible()


def test_jump_by_number_and_by_name(page: Page, api: Callable[[str], Any]) -> None:
    unnamed = api(f"{FEATURES}?sort=max&named=false&n=1")["features"][0]["feature"]
    page.goto(f"?site={SITE}&basis={BASIS}&feature={unnamed}")
    page.get_by_role("button", name="no name yet").click()
    page.get_by_label("Name of this feature").fill("a vowel, I think")
    page.get_by_role("button", name="Keep").click()
    expect(page.locator("button.name")).to_contain_text("a vowel, I think")
    page.keyboard.press("/")
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("7")
    page.keyboard.press("/")
    page.keyboard.type("VOWEL")
    expect(page.locator("#jump-list").get_by_role("option")).to_contain_text(str(unnamed))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(str(unnamed))
    page.locator("button.name").click()
    page.get_by_label("Name of this feature").fill("")
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_role("button", name="no name yet")).to_be_visible()


def test_a_dead_feature_says_so(page: Page, api: Callable[[str], Any]) -> None:
    dead = api(f"{FEATURES}?dead=only&n=1&sort=feature")["features"][0]["feature"]
    page.goto(f"?site={SITE}&basis={BASIS}&feature={dead}")
    expect(page.get_by_text("A dead feature")).to_be_visible()


def test_a_feature_that_does_not_exist(page: Page) -> None:
    page.expected_problems = 1  # type: ignore[attr-defined]  # the browser logs the 404
    page.goto(f"?site={SITE}&basis=neurons&feature=192")
    expect(page.get_by_role("alert").first).to_contain_text("neurons 0 to 191")


def test_events_by_interval(page: Page, api: Callable[[str], Any]) -> None:
    page.goto(NEURON)
    ranked(page)
    for tab, band in (("Top", "top"), ("1", "0"), ("10", "9"), ("Bottom", "bottom")):
        page.get_by_role("tablist").get_by_text(tab, exact=True).click()
        found = api(f"{NEURONS}/events?band={band}&n=10")
        listed(page, [event["clip"] for event in found["events"]])
        expect(page.locator(".summary").first).to_contain_text(f"{found['total']:,} events")
        event = found["events"][0]
        expect(page.locator(".readout").first).to_contain_text(f"{event['onset']:.2f} s – {event['offset']:.2f} s")
    page.get_by_role("tablist").get_by_text("Random").click()
    draws = [[event["clip"] for event in api(f"{NEURONS}/events?band=random&seed={seed}")["events"]] for seed in (0, 1)]
    assert draws[0] != draws[1]
    listed(page, draws[0])
    page.get_by_role("button", name="draw again").click()
    listed(page, draws[1])


def test_the_montage_plays_the_events(page: Page) -> None:
    page.goto(f"{NEURON}&band=top")
    page.get_by_role("button", name="Play them back to back").click()
    page.wait_for_function("() => document.querySelector('#sound').currentTime > 0.02")
    source = page.evaluate("document.querySelector('#sound').src")
    samples, rate = soundfile.read(io.BytesIO(page.request.get(source).body()))
    assert len(samples) / rate > 10 * 0.2
    page.get_by_role("button", name="Stop").click()
    assert page.evaluate("document.querySelector('#sound').paused")


def test_the_average_is_the_servers(page: Page) -> None:
    with page.expect_response(lambda response: "/average?band=top" in response.url) as answer:
        page.goto(NEURON)
    rows, columns = (int.from_bytes(answer.value.body()[i : i + 4], "little") for i in (4, 8))
    assert (rows, columns) == (80, 80)
    canvas = page.locator(".average canvas")
    page.wait_for_timeout(150)
    spread = canvas.evaluate("""c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        const v = [...d].filter((_, i) => i % 4 === 0); return Math.max(...v) - Math.min(...v); }""")
    assert spread > 120
    page.get_by_text("From the largest tenth").click()
    expect(page.locator(".average.small")).to_have_count(10)


def test_what_stands_beside_the_results_is_asked_for_after_the_first_strips(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.split("?")[0].rsplit("/", 1)[-1]))
    held: list[Route] = []
    page.route("**/features/30/clips?**", lambda route: held.append(route))
    page.goto(NEURON)
    expect(page.locator(".feature-head h1")).to_have_text("30")  # its statistics are there
    page.wait_for_timeout(400)  # longer than any delay of what waits
    assert not {"average", "neighbours", "notes", "mel"} & set(asked)
    assert page.locator(".chart canvas").count() == 0
    held[0].continue_()
    page.locator(".neighbors a").first.wait_for()
    strip(page)
    for beside in ("average", "neighbours", "notes"):
        assert asked.index("mel") < asked.index(beside)
    expect(page.locator(".chart canvas")).to_have_count(1)


def test_neighbors_are_links(page: Page, api: Callable[[str], Any], strongest: int) -> None:
    near = api(f"{FEATURES}/{strongest}/neighbours?n=6")["decoder"][0]["feature"]
    page.goto(f"?site={SITE}&basis={BASIS}&feature={strongest}")
    page.locator(".neighbors a").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(str(near))


def test_more_results(page: Page, strongest: int) -> None:
    page.goto(f"?site={SITE}&basis={BASIS}&feature={strongest}")
    strip(page)
    page.get_by_role("button", name="Show more").click()
    expect(page.locator(".result")).to_have_count(20)
    assert query(page)["n"] == "20"


def test_the_address_is_the_state(page: Page, strongest: int) -> None:
    address = f"?site={SITE}&basis={BASIS}&feature={strongest}&n=3&min=0.5&abs=1&band=2&emphasis=1"
    page.goto(address)
    expect(page.locator(".result")).to_have_count(3)
    assert page.get_by_label("Min", exact=True).input_value() == "0.5"
    assert page.get_by_label("Use absolute value").is_checked()
    assert page.get_by_label("emphasize events").is_checked()
    expect(page.get_by_role("tab", selected=True)).to_have_text("3")
    page.get_by_role("button", name="Copy a link").click()
    expect(page.get_by_text("Link copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    page.get_by_role("link", name="Features").click()
    page.wait_for_url("**view=features**")
    page.go_back()
    expect(page.get_by_role("tab", selected=True)).to_have_text("3")
    page.goto("?view=notes")
    page.goto(link)
    expect(page.locator(".result")).to_have_count(3)
    assert query(page) == query_of(address)


def query_of(address: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in address[1:].split("&"))


def test_help_lists_the_keys(page: Page) -> None:
    page.goto(NEURON)
    strip(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("previous or next feature")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Help").click()
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_listening_test(page: Page, api: Callable[[str], Any]) -> None:
    row = next(row for row in api(f"{FEATURES}?sort=score&n=20&named=true")["features"] if row["events"] > 40)
    feature = row["feature"]
    page.goto(f"?site={SITE}&basis={BASIS}&feature={feature}")
    page.get_by_role("button", name="Listening test").click()
    page.wait_for_url("**test=**")
    page.goto(f"?site={SITE}&basis={BASIS}&feature={feature}&test=5")
    asked = api(f"{FEATURES}/{feature}/questions?n=20&seed=5")
    test = page.get_by_role("region", name="Listening test")
    expect(test).to_contain_text(f"Does {row['name'].split(' · ')[0]} fire here?")
    expect(test.get_by_text(f"1 of {len(asked)}")).to_be_visible()
    assert page.locator("canvas.strip").count() == 0  # it is heard, not seen
    for button, span in (("Play", ("start", "end")), ("The mark alone", ("mark_start", "mark_end"))):
        test.get_by_role("button", name=button).click()
        page.wait_for_function("() => document.querySelector('#sound').currentTime > 0.01")
        samples, rate = soundfile.read(io.BytesIO(page.request.get(page.evaluate("sound.src")).body()))
        assert len(samples) / rate == pytest.approx(asked[0][span[1]] - asked[0][span[0]], abs=0.001)
    answers = [at % 3 == 0 for at in range(len(asked))]
    for at, fires in enumerate(answers):
        expect(test.get_by_text(f"{at + 1} of {len(asked)}")).to_be_visible()
        if at % 2:
            page.keyboard.press("y" if fires else "n")
        else:
            test.get_by_role("button", name="It fires" if fires else "It is silent").click()
    scored = page.request.post(
        f"/api/{FEATURES}/{feature}/answers", data={"n": 20, "seed": 5, "answers": answers}
    ).json()
    right = round(scored["accuracy"] * scored["n"])
    expect(test.locator(".verdict")).to_contain_text(f"{right} of {len(asked)} right")
    assert test.locator("tbody tr").count() == len(asked)
    assert test.locator("tbody tr.missed").count() == len(asked) - right
    test.get_by_role("button", name="Back to the clips").click()
    expect(page.locator(".results")).to_be_visible()
    assert "test" not in query(page)
