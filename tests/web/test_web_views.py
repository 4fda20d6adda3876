"""The other views: features, your audio, edit, labels, notes; and what is said when things go wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import numpy as np
import pytest
from playwright.sync_api import Page, Route, expect
from strips import drag, query, strip, x_of

SITE = "encoder.blocks.2"
FEATURES = f"sites/{SITE}/latents/features"
REPOSITORY = Path(__file__).parents[2]
DEMO = REPOSITORY / "src" / "freud" / "bundled" / "demo"
AXE = REPOSITORY / "web" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture
def clip(api: Callable[[str], Any]) -> dict[str, Any]:
    """A clip of speech."""
    return api("clips?query=slt-14")["clips"][0]


# ---- features


def numbers(page: Page, column: int = 1) -> list[str]:
    """A column of the rows that are in the document, from the top."""
    return page.locator(f".table-space .table-row > :nth-child({column})").all_inner_texts()


def test_the_table_sorts_and_filters(page: Page, api: Callable[[str], Any]) -> None:
    page.goto("?view=features")
    table = page.get_by_role("table", name="Features")
    for column, sort in (("Max", "max"), ("Events", "events"), ("Density", "density")):
        table.get_by_role("button", name=column).click()
        best = api(f"{FEATURES}?sort={sort}&n=1")["features"][0]["feature"]
        expect(page.locator(".table-space a").first).to_have_text(str(best))
    table.get_by_role("button", name="Feature").click()
    page.get_by_label("Max ≥").fill("12")
    page.keyboard.press("Enter")
    page.get_by_label("Density ≤").fill("0.01")
    page.keyboard.press("Enter")
    found = api(f"{FEATURES}?sort=feature&ascending=true&min_max=12&max_density=0.01")
    expect(page.locator(".table-foot")).to_have_text(f"{found['total']:,} features")
    if found["features"]:
        expect(page.locator(".table-space a").first).to_have_text(str(found["features"][0]["feature"]))
    assert query(page) | {"mmin": "12", "dmax": "0.01", "sort": "feature", "up": "1"} == query(page)
    page.get_by_role("button", name="Clear").click()
    page.get_by_label("Dead").select_option("only")
    dead = api("sites")[0]["dead"]
    expect(page.locator(".table-foot")).to_have_text(f"{dead:,} features")
    page.get_by_role("button", name="Clear").click()
    largest = str(api(f"{FEATURES}?sort=max&n=1")["features"][0]["feature"])
    page.get_by_label("Name or number").fill(largest)
    expect(page.locator(".table-foot")).to_have_text("1 feature")
    page.locator(".table-space .table-row").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(largest)


def test_only_the_rows_on_the_screen_are_in_the_document(page: Page, api: Callable[[str], Any]) -> None:
    page.goto("?view=features&sort=feature&up=1&dead=include")
    expect(page.locator(".table-space a").first).to_have_text("0")
    body = page.locator(".table-body")
    assert page.locator(".table-space .table-row").count() < 80
    body.evaluate("b => b.scrollTo(0, 27 * 2000)")
    page.get_by_role("link", name="2000", exact=True).wait_for()
    assert page.locator(".table-space .table-row").count() < 80
    body.evaluate("b => b.scrollTo(0, b.scrollHeight)")
    page.get_by_role("link", name="3071", exact=True).wait_for()


def test_the_overview_filters_by_a_box_and_opens_a_point(page: Page) -> None:
    page.goto("?view=features")
    over = page.locator(".u-over")
    box = over.bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.8 * box["height"], steps=4)
    page.mouse.up()
    page.wait_for_url("**dmin=**")
    assert {"dmin", "dmax", "mmin", "mmax"} <= query(page).keys()
    # the mouse finds a point somewhere along the middle of the plot, and a click opens it
    for share in range(20, 95, 3):
        page.mouse.move(box["x"] + share / 100 * box["width"], box["y"] + 0.6 * box["height"])
        note = page.locator(".chart-note")
        if note.is_visible() and ":" in note.inner_text():  # it comes a moment before its text
            break
    wanted = note.inner_text().split(":")[0].split()[0]
    page.mouse.down()
    page.mouse.up()
    expect(page.get_by_role("heading", level=1)).to_have_text(wanted)


def test_names_have_their_scores_beside_them(page: Page, api: Callable[[str], Any]) -> None:
    page.goto("?view=features")
    page.get_by_role("table", name="Features").get_by_role("button", name="Score").click()
    best = api(f"{FEATURES}?sort=score&n=1")["features"][0]
    expect(page.locator(".table-space a").first).to_have_text(str(best["feature"]))
    label = best["name"].split(" · ")[0]
    assert page.locator(".table-space .table-row > *").all_inner_texts()[1:5] == [
        label, *(f"{best[score]:.2f}" for score in ("score", "auc", "null"))
    ]  # fmt: skip
    page.get_by_label("Name or number").fill(label)
    page.wait_for_url("**q=**")
    expect(page.locator(".table-foot")).to_have_text(f"{api(f'{FEATURES}?query={quote(label)}')['total']} features")
    page.locator(".table-space a").first.click()
    expect(page.locator("button.name")).to_have_text(label)
    expect(page.locator(".evidence")).to_contain_text(f"AUC {best['auc']:.2f}")


# ---- your audio


def test_a_file_is_ranked_as_its_clip_is(page: Page, api: Callable[[str], Any], clip: dict[str, Any]) -> None:
    page.goto(f"?view=audio&site={SITE}&basis=latents")
    page.locator("input[type=file]").set_input_files(DEMO / clip["name"])
    page.wait_for_url("**clip=**")
    assert query(page)["clip"] != clip["id"]
    wanted = api(f"clips/{clip['id']}/features?site={SITE}&basis=latents&rank=unusual&n=10")["features"]
    expect(page.locator(".feature-link b").first).to_have_text(str(wanted[0]["feature"]))
    heard = [link.split()[0] for link in page.locator(".feature-link").all_inner_texts()]
    assert heard == [str(row["feature"]) for row in wanted]
    heard_text = api(f"clips/{clip['id']}/transcript")["heard"]
    expect(page.locator(".heard-said")).to_contain_text(heard_text)
    page.get_by_label("largest").check()
    largest = api(f"clips/{clip['id']}/features?site={SITE}&basis=latents&rank=max&n=1")["features"][0]
    expect(page.locator(".feature-link b").first).to_have_text(str(largest["feature"]))


def test_a_dropped_file(page: Page, clip: dict[str, Any]) -> None:
    page.goto("?view=audio")
    data = list((DEMO / clip["name"]).read_bytes())
    transfer = page.evaluate_handle(
        """([data, name]) => { const t = new DataTransfer();
            t.items.add(new File([new Uint8Array(data)], name)); return t; }""",
        [data, clip["name"]],
    )
    page.locator(".drop").dispatch_event("drop", {"dataTransfer": transfer})
    page.wait_for_url("**clip=**")
    expect(page.get_by_role("heading", level=1)).to_have_text(clip["name"])


def test_a_file_that_is_no_audio(page: Page) -> None:
    page.expected_problems = 1  # type: ignore[attr-defined]  # the browser logs the refusal
    page.goto("?view=audio")
    page.locator("input[type=file]").set_input_files(
        {"name": "a.wav", "mimeType": "audio/wav", "buffer": b"no sound" * 50}
    )
    expect(page.locator(".sources").get_by_role("alert")).not_to_be_empty()


def test_the_microphone_is_recorded_and_released(page: Page) -> None:
    page.goto(f"?view=audio&site={SITE}&basis=latents")
    page.evaluate("""() => { const media = navigator.mediaDevices, ask = media.getUserMedia.bind(media);
        media.getUserMedia = async (c) => { window.asked = c; return window.stream = await ask(c); }; }""")
    page.get_by_role("button", name="Record from the microphone").click()
    page.locator(".record.on").wait_for()
    page.wait_for_timeout(1500)
    page.locator(".record.on").click()
    page.wait_for_url("**clip=**")
    assert page.evaluate("stream.getTracks().every(track => track.readyState === 'ended')")
    audio = page.evaluate("asked.audio")
    assert not any(audio[process] for process in ("echoCancellation", "noiseSuppression", "autoGainControl"))
    strip(page)
    expect(page.locator(".feature-link").first).to_be_visible()
    # it is the beeps of Chromium's fake microphone, not silence
    level = page.evaluate("""async () => { const id = new URLSearchParams(location.search).get('clip');
        const bytes = await (await fetch(`/api/clips/${id}/audio`)).arrayBuffer();
        const sound = await new OfflineAudioContext(1, 1, 16000).decodeAudioData(bytes);
        return [sound.duration, Math.max(...sound.getChannelData(0).map(Math.abs))]; }""")
    assert level[0] > 0.8
    assert level[1] > 0.02


def test_leaving_the_view_releases_the_microphone(page: Page) -> None:
    page.goto("?view=audio")
    page.evaluate("""() => { const media = navigator.mediaDevices, ask = media.getUserMedia.bind(media);
        media.getUserMedia = async (c) => window.stream = await ask(c); }""")
    page.get_by_role("button", name="Record from the microphone").click()
    page.locator(".record.on").wait_for()
    page.get_by_role("link", name="Notes").click()
    page.wait_for_function("() => stream.getTracks().every(track => track.readyState === 'ended')")


def test_a_frame_and_a_span_are_ranked(page: Page, api: Callable[[str], Any], clip: dict[str, Any]) -> None:
    page.goto(f"?view=audio&site={SITE}&basis=latents")
    page.get_by_label("Search clips").fill(clip["name"].removesuffix(".flac"))
    page.locator(".clip-picker").get_by_role("button", name=clip["name"]).click()
    canvas = strip(page)
    features = f"clips/{clip['id']}/features?site={SITE}&basis=latents&rank=unusual&n=10"
    canvas.click(position={"x": x_of(canvas, 0.813, clip["duration"]), "y": 50})
    page.wait_for_url("**start=0.800&end=0.820**")
    frame = api(f"{features}&start=0.8&end=0.82")["features"]
    expect(page.locator(".feature-link b").first).to_have_text(str(frame[0]["feature"]))
    drag(page, canvas, x_of(canvas, 1.0, clip["duration"]), x_of(canvas, 1.5, clip["duration"]))
    page.wait_for_function("() => +new URLSearchParams(location.search).get('end') > 1.4")
    span = api(f"{features}&start={query(page)['start']}&end={query(page)['end']}")["features"]
    expect(page.locator(".feature-link b").first).to_have_text(str(span[0]["feature"]))
    page.get_by_role("button", name="Whole sound").click()
    assert "start" not in query(page)
    page.get_by_label("features", exact=True).fill("3")
    page.keyboard.press("Enter")
    expect(page.locator(".feature-link")).to_have_count(3)


def test_of_a_long_clip_the_span_that_is_looked_at_is_transcribed(page: Page, clip: dict[str, Any]) -> None:
    whole = {**page.request.get(f"/api/clips/{clip['id']}").json(), "duration": 1800.0}
    page.route(f"**/api/clips/{clip['id']}", lambda route: route.fulfill(json=whole))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"?view=audio&site={SITE}&basis=latents&clip={clip['id']}")
    canvas = strip(page)
    expect(page.locator(".heard-said")).to_contain_text("drag over up to two minutes")
    assert not any("/transcript" in url for url in asked)
    with page.expect_request(lambda request: "/transcript" in request.url) as request:
        drag(page, canvas, x_of(canvas, 0, 1800), x_of(canvas, 40, 1800))
    assert {"start", "end"} <= parse_qs(urlsplit(request.value.url).query).keys()


# ---- edit


def until_edited(page: Page) -> None:
    """Until the result of an edit is shown, not only the place for it."""
    expect(page.locator(".heard-variants[aria-busy=false] .heard-edited .transcript")).not_to_be_empty()


def test_an_example_is_edited_and_the_slider_runs_it_again(page: Page) -> None:
    page.goto("?view=edit")
    page.locator(".examples button").first.click()
    until_edited(page)
    expect(page.locator(".heard-reconstruction .transcript")).not_to_be_empty()
    assert query(page)["ops"].endswith("scale~-1")
    before = page.locator(".heard-model .transcript").inner_text()
    with page.expect_response(lambda response: response.url.endswith("/api/edits")) as answer:
        page.get_by_label("Factor", exact=True).first.evaluate(
            "r => { r.value = 1; r.dispatchEvent(new Event('input', { bubbles: true })); }"
        )
    assert answer.value.json()["edited"]["text"] == before  # times one changes nothing
    expect(page.locator(".heard-edited .count")).to_have_text("unchanged")
    page.go_back()  # dragging the slider is no step of the history
    page.wait_for_function("() => !location.search.includes('ops=')")


def test_a_sound_is_turned_around_with_the_bundled_sae(page: Page, api: Callable[[str], Any]) -> None:
    wanted = next(example for example in api("examples") if example["request"]["bundled_sae"])
    page.goto("?view=edit")
    with page.expect_response(lambda response: response.url.endswith("/api/edits")) as answer:
        page.locator(".sounds").get_by_role("button", name=wanted["title"], exact=True).click()
    found = answer.value.json()
    assert answer.value.request.post_data_json == wanted["request"]
    assert query(page)["bundled"] == "1"
    expect(page.locator(".heard-model .transcript")).to_have_text(found["plain"]["text"])
    # its name is on the strip, and what was above zero is now below
    expect(page.locator(".result-head").first).to_contain_text(wanted["title"].split()[0])
    expect(page.locator(".extremes").first).to_contain_text("min −")
    assert page.get_by_label("latents of the bundled SAE").is_checked()
    with page.expect_response(lambda response: response.url.endswith("/api/edits")) as answer:
        page.get_by_label("Operation").first.select_option("add")
    assert answer.value.ok


def test_the_diff_and_the_traces_are_the_servers(page: Page, api: Callable[[str], Any], clip: dict[str, Any]) -> None:
    site = next(row for row in api("sites") if row["basis"] == "latents")["site"]
    strongest = api(f"clips/{clip['id']}/features?site={site}&basis=latents&n=1")["features"][0]["feature"]
    with page.expect_response(lambda response: response.url.endswith("/api/edits")) as answer:
        page.goto(f"?view=edit&clip={clip['id']}&ops={site}~latents~{strongest}~scale~-3")
    found = answer.value.json()
    diff = page.locator(".heard-edited .transcript")
    expect(diff).not_to_be_empty()
    steps = [step for step in found["differences"] if step["kind"] != "equal"]
    assert diff.locator("ins").all_inner_texts() == [" ".join(s["after"]) for s in steps if s["after"]]
    assert diff.locator("del").all_inner_texts() == [" ".join(s["before"]) for s in steps if s["before"]]
    strip(page)
    expect(page.locator(".extremes")).to_contain_text("min −")  # the trace after: turned around


@pytest.mark.parametrize(
    ("operation", "wanted"),
    [
        ("set", {"value": 0, "unit": "raw"}),
        ("add", {"value": 1, "unit": "p99"}),
        ("ablate", {}),
        ("clamp", {"min": 0, "max": 1}),
    ],
)
def test_operations(
    page: Page, api: Callable[[str], Any], clip: dict[str, Any], operation: str, wanted: dict[str, Any]
) -> None:
    active = api(f"clips/{clip['id']}/features?site={SITE}&basis=latents&n=1")["features"][0]["feature"]
    page.goto(f"?view=edit&clip={clip['id']}&ops={SITE}~latents~{active}~scale~-1")
    with page.expect_request(
        lambda request: request.url.endswith("/api/edits") and f'"{operation}"' in (request.post_data or "")
    ) as request:
        page.get_by_label("Operation").select_option(operation)
    (edit,) = request.value.post_data_json["edits"]
    assert edit | wanted == edit
    until_edited(page)


def test_span_label_and_options_of_an_edit(page: Page, clip: dict[str, Any]) -> None:
    page.goto(f"?view=edit&clip={clip['id']}&ops={SITE}~latents~30~scale~-1")
    until_edited(page)
    canvas = strip(page)

    def sent(act: Callable[[], Any]) -> dict[str, Any]:
        with page.expect_request(lambda request: request.url.endswith("/api/edits")) as request:
            act()
        return request.value.post_data_json

    body = sent(lambda: drag(page, canvas, x_of(canvas, 0.5, clip["duration"]), x_of(canvas, 1.0, clip["duration"])))
    assert body["edits"][0]["start"] == pytest.approx(0.5, abs=0.01)
    assert body["edits"][0]["end"] == pytest.approx(1.0, abs=0.01)
    assert sent(page.get_by_role("button", name="Whole clip", exact=True).click)["edits"][0]["start"] is None
    assert sent(page.get_by_label("active frames only").check)["edits"][0]["active_only"]
    assert sent(page.get_by_label("substitute the reconstruction").check)["substitute"]
    assert len(sent(page.get_by_role("button", name="Add an edit").click)["edits"]) == 2
    assert len(sent(page.get_by_role("button", name="Remove edit 2").click)["edits"]) == 1
    page.get_by_label("Only during a label of").select_option("phones")
    page.get_by_label("Label", exact=True).fill("aa")
    edit = sent(lambda: page.keyboard.press("Enter"))["edits"][0]
    assert (edit["tier"], edit["label"]) == ("phones", "aa")


def test_nothing_moves_when_the_result_of_an_edit_arrives(page: Page, clip: dict[str, Any]) -> None:
    held: list[Route] = []
    page.route("**/api/edits", lambda route: held.append(route))
    page.goto(f"?view=edit&clip={clip['id']}&ops={SITE}~latents~30~scale~-1;{SITE}~latents~31~ablate")
    for at in (1, 0):
        strip(page, at)
    page.wait_for_function("() => !document.querySelector('.examples:empty')")
    watched = (".heard-edited", ".result >> nth=0", "canvas.strip >> nth=0", "canvas.strip >> nth=1", ".effect")
    places = [page.locator(one).bounding_box() for one in (*watched, ".operations", ".clip-picker")]
    held[-1].continue_()
    until_edited(page)
    page.wait_for_timeout(100)  # a frame or two
    assert [page.locator(one).bounding_box() for one in (*watched, ".operations", ".clip-picker")] == places


def test_a_stale_edit_is_cancelled(page: Page, clip: dict[str, Any]) -> None:
    page.expected_problems = 1  # type: ignore[attr-defined]
    held: list[Route] = []
    page.route("**/api/edits", lambda route: held.append(route))
    page.goto(f"?view=edit&clip={clip['id']}&ops={SITE}~latents~30~scale~-1")
    page.wait_for_function("() => performance.now() > 0")
    with page.expect_event("requestfailed", lambda request: request.url.endswith("/api/edits")):
        page.wait_for_timeout(400)
        page.get_by_label("Factor", exact=True).last.fill("2")
        page.keyboard.press("Enter")
    assert held


def test_the_effect_curve(page: Page, clip: dict[str, Any]) -> None:
    page.goto(f"?view=edit&clip={clip['id']}&ops={SITE}~latents~30~ablate")
    until_edited(page)
    page.get_by_label("Effect curve: feature 30").check()
    runs = page.get_by_label("Transcripts by factor").get_by_role("listitem")
    runs.first.wait_for()
    assert "curve" in query(page)
    runs.first.get_by_role("button").click()
    page.wait_for_url("**scale~**")


# ---- notes


def test_bookmarks_and_notes(page: Page) -> None:
    page.goto(f"?site={SITE}&basis=latents&feature=77&abs=1")
    page.get_by_role("button", name="Bookmark").click()
    expect(page.get_by_role("button", name="Remove the bookmark")).to_be_visible()
    page.get_by_role("button", name="Add a note").click()
    page.get_by_label("Note", exact=True).fill("nasal?")
    page.get_by_role("button", name="Keep").click()
    note = page.locator(".note", has_text="nasal?")
    note.get_by_role("button", name="Edit").click()
    page.locator(".note textarea").fill("nasal, surely")
    page.locator(".note").get_by_role("button", name="Keep").click()
    expect(page.locator(".note", has_text="nasal, surely")).to_have_count(1)
    page.locator(".note", has_text="★").get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("77")
    assert query(page)["abs"] == "1"
    expect(page.get_by_role("button", name="Remove the bookmark")).to_be_visible()
    page.keyboard.press("b")
    expect(page.get_by_role("button", name="Bookmark", exact=True)).to_be_visible()
    page.get_by_role("link", name="Notes").click()
    page.get_by_role("button", name="Throw away").click()
    expect(page.get_by_text("Nothing kept yet")).to_be_visible()


# ---- all views


def test_labels_say_how_to_get_them(page: Page) -> None:
    page.route("**/api/labels", lambda route: route.fulfill(json=[]))
    page.goto("?view=labels")
    expect(page.get_by_text("freud name RESULT")).to_be_visible()


def test_a_label_shows_its_features_and_a_feature_its_label(page: Page, api: Callable[[str], Any]) -> None:
    page.goto("?view=labels")
    label = max((row for row in api("labels") if row["kind"] == "phone"), key=lambda row: row["clips"])
    page.locator(".label-list").get_by_role("link", name=label["text"], exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(label["text"])
    best = api(f"label?label={label['label']}")["features"][0]
    cells = page.locator(".scores tbody tr").first.get_by_role("cell")
    expect(cells.first).to_have_text(str(best["feature"]))
    assert f"{best['f1']:.3f}" in cells.all_inner_texts()
    assert f"{best['null']:.3f}" in cells.all_inner_texts()
    page.locator(".scores tbody a").first.click()
    expect(page.locator(".feature-head h1")).to_have_text(str(best["feature"]))


def test_the_matrix_of_phones(page: Page, api: Callable[[str], Any]) -> None:
    page.goto("?view=labels")
    canvas = page.locator("canvas.matrix")
    found = api(f"sites/{SITE}/latents/matrix")
    canvas.wait_for()
    edge, columns = 46, len(found["features"])
    cell = (canvas.evaluate("c => c.clientWidth") - edge) / columns
    row = int(np.argmax([max(rates) for rates in found["rates"]]))
    column = 2
    canvas.hover(position={"x": edge + (column + 0.5) * cell, "y": edge + (row + 0.5) * cell})
    feature = found["features"][column]
    said = f"feature {feature['feature']}, the best for {feature['text']}, is active on"
    expect(page.get_by_text(said)).to_contain_text(f"% of {found['texts'][row]}")
    pixel = "(c, [x, y]) => c.getContext('2d').getImageData(x, y, 1, 1).data[0]"
    rates, shades = [], []
    for place in range(columns):
        rates.append(found["rates"][row][place])
        shades.append(canvas.evaluate(pixel, [round(edge + (place + 0.5) * cell), round(edge + (row + 0.5) * cell)]))
    assert shades[rates.index(max(rates))] == min(shades)  # gray: the more often, the darker
    canvas.click(position={"x": edge + (column + 0.5) * cell, "y": edge + (row + 0.5) * cell})
    expect(page.locator(".feature-head h1")).to_have_text(str(feature["feature"]))


def test_when_the_server_is_gone_the_page_says_so_and_recovers(page: Page) -> None:
    page.expected_problems = 1  # type: ignore[attr-defined]
    page.route("**/api/**", lambda route: route.abort())
    page.goto("?feature=3")
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
    page.unroute("**/api/**")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("3")


def test_nothing_comes_from_elsewhere(page: Page, served: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("?site=encoder.blocks.2.mlp.1&basis=neurons&feature=30")
    strip(page)
    assert asked
    assert all(url.startswith((served, "data:", "blob:")) for url in asked)


@pytest.mark.parametrize("width", [820, 1280])
def test_nothing_is_cut_off(page: Page, clip: dict[str, Any], width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    edit = f"?view=edit&clip={clip['id']}&ops={SITE}~latents~30~scale~-1"
    for address in ("?", f"?site={SITE}&basis=latents&feature=30&n=2", f"?view=audio&clip={clip['id']}&n=2", edit,
                    "?view=labels", "?view=notes", "?view=features&sort=score&named=1"):  # fmt: skip
        page.goto(address)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), address
        if page.locator(".clip-picker").count() and width == 820:
            assert page.locator(".clip-picker ul").bounding_box()["height"] <= 140
    name = page.locator(".table-space .table-row > :nth-child(2)").first
    name.wait_for()
    assert name.evaluate("n => n.scrollWidth <= n.clientWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "address",
    [
        "?",
        "?site=encoder.blocks.2.mlp.1&basis=neurons&feature=30&n=3",
        "?view=features",
        "?view=audio&clip=CLIP&n=2",
        "?view=edit&clip=CLIP&ops=encoder.blocks.2~latents~30~scale~-1",
        "?view=labels",
        "?view=notes",
    ],
)
def test_no_serious_accessibility_issue(page: Page, clip: dict[str, Any], address: str, scheme: str) -> None:
    if not AXE.is_file():
        pytest.skip("`make web` installs axe-core")
    page.emulate_media(color_scheme=scheme)
    page.goto(address.replace("CLIP", clip["id"]))
    page.wait_for_load_state("networkidle")
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    serious = [
        (issue["id"], issue["help"], [node["html"][:200] for node in issue["nodes"][:3]])
        for issue in found["violations"]
        if issue["impact"] in ("serious", "critical")
    ]
    assert serious == []
