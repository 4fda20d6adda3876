"""The API's answers about clips: sound, pictures, traces, top features, labels."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from served import LATENTS, NEURONS, RESIDUAL, floats, picture, wav_bytes
from starlette.testclient import TestClient

from freud import discovery
from freud.corpus import Clip, Corpus
from freud.corpus.tiers import read_textgrid
from freud.features import FeatureIndex, browse
from freud.models import AudioModel
from freud.server import activity, sounds


def test_the_list_of_clips(client: TestClient, corpus: Corpus, clip: Clip):
    everything = client.get("/api/clips").json()
    assert [row["id"] for row in everything["clips"]] == [each.id for each in corpus]
    assert client.get("/api/clips", params={"n": 2, "offset": 3}).json()["clips"] == everything["clips"][3:5]
    word = clip.transcript.split()[0]
    found = client.get("/api/clips", params={"query": word.upper()}).json()
    assert clip.id in {row["id"] for row in found["clips"]}
    assert all(word in (row["transcript"] + row["name"]).lower() for row in found["clips"])
    same = client.get("/api/clips", params={"speaker": clip.speaker, "query": word}).json()
    assert {row["speaker"] for row in same["clips"]} <= {clip.speaker}
    assert client.get("/api/clips", params={"label": "none such"}).json()["total"] == 0


def test_one_clip(client: TestClient, corpus: Corpus, clip: Clip):
    got = client.get(f"/api/clips/{clip.id}").json()
    assert (got["name"], got["transcript"], got["source"]) == (clip.name, clip.transcript, "corpus")
    tiers = {tier["name"]: tier["intervals"] for tier in got["tiers"]}
    for name, intervals in tiers.items():
        expected = [(s.start, s.end, s.label) for s in corpus.segments(clip.id, name)]
        assert [(i["start"], i["end"], i["label"]) for i in intervals] == expected
    assert set(tiers) == {"phones", "words"}
    assert got["original"] == "audio/flac"


def test_sound_is_what_the_model_hears(client: TestClient, clip: Clip, samples: np.ndarray):
    answer = client.get(f"/api/clips/{clip.id}/audio")
    assert answer.headers["content-type"] == "audio/wav"
    assert "content-encoding" not in answer.headers
    heard, rate = soundfile.read(io.BytesIO(answer.content), dtype="int16")
    assert rate == 16000
    np.testing.assert_array_equal(heard, np.clip((samples * 32768).round(), -32768, 32767).astype(np.int16))


def test_the_original_file(client: TestClient, corpus: Corpus, clip: Clip):
    content = corpus.audio_path(clip).read_bytes()
    url = f"/api/clips/{clip.id}/audio?format=original"
    answer = client.get(url)
    assert (answer.content, answer.headers["content-type"]) == (content, "audio/flac")
    part = client.get(url, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, content[100:200])
    assert client.get(url + "&start=0.5").status_code == 422


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("0-", 0, None),
        ("0-0", 0, 1),
        ("5-9", 5, 10),
        ("10-99999999", 10, None),
        ("-7", -7, None),
        ("-99999999", 0, None),
    ],
)
def test_ranges(client: TestClient, clip: Clip, asked: str, first: int, last: int | None):
    url = f"/api/clips/{clip.id}/audio"
    whole = client.get(url).content
    answer = client.get(url, headers={"Range": f"bytes={asked}"})
    assert answer.status_code == 206
    assert answer.content == whole[first:last]
    start, end = answer.headers["content-range"].removeprefix("bytes ").split("/")[0].split("-")
    assert whole[int(start) : int(end) + 1] == answer.content
    assert answer.headers["content-range"].endswith(f"/{len(whole)}")


@pytest.mark.parametrize(
    "asked", ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-2", "lines=1-2", "bytes=0-1,4-5"]
)
def test_ranges_that_make_no_sense_give_all(client: TestClient, clip: Clip, asked: str):
    answer = client.get(f"/api/clips/{clip.id}/audio", headers={"Range": asked})
    assert answer.status_code == 200
    assert answer.headers["accept-ranges"] == "bytes"


def test_a_range_beyond_the_end(client: TestClient, clip: Clip):
    answer = client.get(f"/api/clips/{clip.id}/audio", headers={"Range": "bytes=99999999-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"].startswith("bytes */")


def test_sound_of_a_span(client: TestClient, clip: Clip, samples: np.ndarray):
    url = f"/api/clips/{clip.id}/audio"
    answer = client.get(url, params={"start": 0.5, "end": 0.75, "download": True})
    heard, _ = soundfile.read(io.BytesIO(answer.content), dtype="float32")
    np.testing.assert_allclose(heard, samples[8000:12000], atol=1 / 32768)
    assert "0.50-0.75s.wav" in answer.headers["content-disposition"]
    assert client.get(url, params={"start": 2, "end": 1}).status_code == 422
    assert "the clip has" in client.get(url, params={"start": 999}).json()["detail"]
    assert client.get(url, params={"start": "NaN"}).status_code == 422


def test_the_mel_is_the_models_input(client: TestClient, clip: Clip, samples: np.ndarray, nano: AudioModel):
    values, header = picture(client.get(f"/api/clips/{clip.id}/mel").content)
    windows = [samples[i : i + nano.window_samples] for i in range(0, len(samples), nano.window_samples)]
    mels = [nano.log_mel([w])[0].T.numpy()[: -(-len(w) // 160)] for w in windows]
    expected = np.concatenate(mels)
    np.testing.assert_allclose(values, expected, atol=(header["high"] - header["low"]) / 255)
    assert (header["step"], header["start"], header["top"]) == pytest.approx((0.01, 0, -8000))


@pytest.mark.parametrize("kind", ["mel", "spectrogram"])
def test_a_part_of_a_picture(client: TestClient, clip: Clip, kind: str):
    url = f"/api/clips/{clip.id}/{kind}"
    whole, header = picture(client.get(url).content)
    first, last = round(0.5 / header["step"]), round(0.9 / header["step"])
    part, where = picture(client.get(url, params={"start": 0.5, "end": 0.9}).content)
    np.testing.assert_array_equal(part, whole[first:last])
    assert where == pytest.approx({**header, "start": 0.5})
    # fewer columns: each is the mean of several, the last of those that are left
    few, coarse = picture(client.get(url, params={"columns": 50}).content)
    joined = -(-len(whole) // 50)
    assert coarse["step"] == pytest.approx(joined * header["step"])
    unit = (header["high"] - header["low"]) / 255
    means = [whole[i : i + joined].mean(0) for i in range(0, len(whole), joined)]
    np.testing.assert_allclose(few, means, atol=1.01 * unit)
    assert client.get(url, params={"start": 500}).status_code == 422


@pytest.mark.parametrize("hertz", [300, 1000, 5000])
def test_the_spectrogram_shows_a_tone_where_it_is(client: TestClient, hertz: int):
    tone = 0.3 * np.sin(2 * np.pi * hertz * np.arange(16000) / 16000)
    tone[:8000] = 0
    upload = client.post("/api/uploads?name=tone.wav", content=wav_bytes(tone)).json()
    values, header = picture(client.get(f"/api/clips/{upload['id']}/spectrogram").content)
    assert len(values) == 200
    row = int(values[150].argmax())
    assert (row + 0.5) / values.shape[1] * header["top"] == pytest.approx(hertz, abs=130)
    assert values[:90].max() < header["high"] - 40
    mel, _ = picture(client.get(f"/api/clips/{upload['id']}/mel").content)
    assert mel[75].argmax() > mel[40].argmax() or mel[:45].max() < mel[75].max()


def test_traces(client: TestClient, clip: Clip, latents: FeatureIndex):
    feature = latents.clip_features(clip.id, 2)
    numbers = [each.feature for each in feature]
    got = client.get(
        f"/api/clips/{clip.id}/traces", params={"site": RESIDUAL, "basis": "latents", "feature": numbers}
    ).json()
    assert [trace["feature"] for trace in got["traces"]] == numbers
    for trace in got["traces"]:
        np.testing.assert_array_equal(floats(trace["values"]), latents.trace(trace["feature"], clip.id))
    assert got["frames"] == len(floats(got["traces"][0]["values"]))


@pytest.mark.parametrize(("site", "basis"), [(RESIDUAL, "latents"), (NEURONS, "neurons")])
@pytest.mark.parametrize("span", [{}, {"start": 0.3, "end": 0.8}, {"start": 1.0}])
def test_top_features_are_those_of_the_index(
    client: TestClient, result: Path, clip: Clip, site: str, basis: str, span: dict
):
    from freud.results import open_index

    parameters = {"site": site, "basis": basis, "n": 8, **span}
    got = client.get(f"/api/clips/{clip.id}/features", params=parameters).json()
    index = open_index(result, site, basis)  # type: ignore[arg-type]
    expected = index.clip_features(clip.id, 8, **span)
    np.testing.assert_allclose([f["value"] for f in got["features"]], [f.value for f in expected], rtol=1e-3, atol=1e-3)
    assert got["features"][0]["feature"] == expected[0].feature
    assert got["features"][0]["time"] == expected[0].time


@pytest.mark.parametrize(("site", "basis"), [(RESIDUAL, "latents"), (NEURONS, "neurons")])
def test_long_spans_are_ranked_a_block_at_a_time(
    client: TestClient, clip: Clip, site: str, basis: str, monkeypatch: pytest.MonkeyPatch
):
    parameters = {"site": site, "basis": basis, "n": 50, "start": 0.1, "end": 1.3}
    whole = client.get(f"/api/clips/{clip.id}/features", params=parameters).json()["features"]
    monkeypatch.setattr(activity, "BLOCK", 7)
    parts = client.get(f"/api/clips/{clip.id}/features", params=parameters).json()["features"]
    assert [(each["feature"], each["frame"]) for each in parts] == [(each["feature"], each["frame"]) for each in whole]
    assert [each["value"] for each in parts] == pytest.approx([each["value"] for each in whole], rel=1e-4)


def test_unusual_features_come_first(client: TestClient, clip: Clip, neurons: FeatureIndex):
    parameters = {"site": NEURONS, "basis": "neurons", "n": 200, "rank": "unusual", "traces": True}
    got = client.get(f"/api/clips/{clip.id}/features", params=parameters).json()["features"]
    for one, other in pairwise(got):
        same = (
            abs(one["share"] - other["share"]) <= 1.5 * browse.SAME
        )  # they count as equal, as other rounding could swap them
        assert one["unusual"] > other["unusual"] or (
            one["unusual"] == other["unusual"] and (same or one["share"] > other["share"])
        )
    first = got[0]
    peaks = np.abs(browse.clip_peaks(neurons, first["feature"], absolute=True))
    assert first["unusual"] == pytest.approx((peaks < abs(np.float32(first["value"]))).mean())
    assert floats(first["trace"])[first["frame"]] == np.float32(first["value"])
    by_size = client.get(f"/api/clips/{clip.id}/features", params={**parameters, "rank": "max"}).json()["features"]
    assert [abs(each["value"]) for each in by_size] == sorted((abs(each["value"]) for each in by_size), reverse=True)


def test_latents_can_be_ranked_without_the_stored_activations(
    make_client, result: Path, tmp_path: Path, clip: Clip, latents: FeatureIndex
):
    import shutil

    shutil.copytree(result / "features" / RESIDUAL / "latents", tmp_path / "index")
    client = make_client(path=tmp_path / "index")
    manifest = json.loads((tmp_path / "index" / "manifest.json").read_text())
    assert Path(manifest["store"]["path"]).is_dir()  # it is found where it was
    got = client.get(
        f"/api/clips/{clip.id}/features", params={"site": RESIDUAL, "basis": "latents", "start": 0.2, "end": 0.9}
    ).json()
    expected = latents.clip_features(clip.id, 10, start=0.2, end=0.9)
    assert [f["feature"] for f in got["features"]] == [f.feature for f in expected]
    assert client.get("/api/sites").json()[0]["editable"] is False


@pytest.mark.parametrize("span", [{"start": 5, "end": 2}, {"start": 999}])
def test_an_empty_span(client: TestClient, clip: Clip, span: dict):
    answer = client.get(f"/api/clips/{clip.id}/features", params={"site": RESIDUAL, "basis": "latents", **span})
    assert answer.status_code == 422
    assert "expected a span within" in answer.json()["detail"]


def test_labels_as_a_textgrid(client: TestClient, clip: Clip, corpus: Corpus, latents: FeatureIndex, tmp_path: Path):
    feature = latents.clip_features(clip.id, 1)[0].feature
    parameters = {"format": "textgrid", "site": RESIDUAL, "basis": "latents", "feature": feature}
    answer = client.get(f"/api/clips/{clip.id}/export", params=parameters)
    path = tmp_path / "a.TextGrid"
    path.write_bytes(answer.content)
    found: dict[str, list] = {}
    for interval in read_textgrid(path).intervals:
        found.setdefault(interval.tier, []).append(interval)
    assert [i.label for i in found["phones"]] == [s.label for s in corpus.segments(clip.id, "phones") if s.label]
    events = latents.sql(
        'SELECT onset, "offset" FROM events JOIN clips USING (clip) WHERE feature = ? AND id = ? ORDER BY onset',
        [feature, clip.id],
    )
    assert [(round(i.start * 50), round(i.end * 50)) for i in found[f"latent {feature}"]] == [
        (on, off) if off < clip.duration * 50 else (on, round(clip.duration * 50)) for on, off in events
    ]


@pytest.mark.parametrize("format", ["audacity", "csv", "json"])
def test_labels_in_other_formats(client: TestClient, clip: Clip, corpus: Corpus, format: str):
    answer = client.get(f"/api/clips/{clip.id}/export", params={"format": format})
    assert answer.status_code == 200
    words = [s.label for s in corpus.segments(clip.id, "words")]
    assert all(word in answer.text for word in words)
    assert "attachment" in answer.headers["content-disposition"]


def test_emphasis_dims_all_but_the_events(client: TestClient, clip: Clip, latents: FeatureIndex, samples: np.ndarray):
    rare = latents.sql(
        'SELECT feature, min(onset), max("offset") FROM events JOIN clips USING (clip) WHERE id = ? GROUP BY feature'
        ' HAVING min(onset) > 30 AND max("offset") < frames_left LIMIT 1'.replace(
            "frames_left", "any_value(frames) - 30"
        ),
        [clip.id],
    )
    if not rare:
        pytest.skip("every latent of the fixture is active near both ends")
    feature, onset, _ = rare[0]
    got = client.get(
        f"/api/clips/{clip.id}/emphasis",
        params={"site": RESIDUAL, "basis": "latents", "feature": feature, "dim": 0.25},
    )
    heard, _ = soundfile.read(io.BytesIO(got.content), dtype="float32")
    quiet = slice(0, (onset - 10) * 320)
    np.testing.assert_allclose(heard[quiet], 0.25 * samples[quiet], atol=2 / 32768)
    event = slice(onset * 320, (onset + 1) * 320)
    np.testing.assert_allclose(heard[event], samples[event], atol=2 / 32768)
    some = client.get(
        f"/api/clips/{clip.id}/emphasis",
        params={"site": RESIDUAL, "basis": "latents", "feature": feature, "dim": 0.25, "start": 0.25, "end": 1.0},
    )
    part, _ = soundfile.read(io.BytesIO(some.content), dtype="float32")
    np.testing.assert_array_equal(part, heard[4000:16000])


def test_the_envelope_of_emphasis():
    level = sounds.envelope(16000, [(0.25, 0.5), (0.9, 2.0)], 0.1)
    assert level[:3500] == pytest.approx(0.1)
    assert level[4400:7600] == pytest.approx(1.0)
    assert level[15000:] == pytest.approx(1.0)
    assert np.abs(np.diff(level)).max() < 0.01  # no clicks


def test_what_the_model_hears(client: TestClient, clip: Clip, nano: AudioModel, corpus: Corpus):
    got = client.get(f"/api/clips/{clip.id}/transcript").json()
    assert got["said"] == clip.transcript
    assert got["heard"] == nano.transcribe(corpus.audio_path(clip)).text


def test_what_the_model_hears_in_a_span(client: TestClient, clip: Clip, nano: AudioModel, samples: np.ndarray):
    got = client.get(f"/api/clips/{clip.id}/transcript", params={"start": 0.5, "end": 1.5}).json()
    heard = nano.transcribe(samples[8000:24000])
    assert got["heard"] == heard.text
    times = [time for each in got["segments"] for time in (each["start"], each["end"])]
    assert times == pytest.approx([0.5 + time for each in heard.segments for time in (each.start, each.end)])
    assert client.get(f"/api/clips/{clip.id}/transcript?start=900").status_code == 422


@pytest.mark.parametrize(
    "route", ["", "/audio", "/mel", "/spectrogram", "/transcript", f"/traces?site={RESIDUAL}&basis=latents&feature=1"]
)
def test_a_clip_that_is_not_there(client: TestClient, route: str):
    for name in ("nothing", "u-nothing"):
        answer = client.get(f"/api/clips/{name}{route}")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


def test_events_page_of_latents_is_cheap_to_repeat(client: TestClient):
    first = client.get(f"{LATENTS}/features/1/events?band=random&seed=3").json()
    assert client.get(f"{LATENTS}/features/1/events?band=random&seed=3").json() == first


def test_the_original_of_a_part_or_a_channel_is_not_given(
    make_client: Callable[..., TestClient], corpus: Corpus, result: Path, tmp_path: Path
):
    """A part from the start of a file, as a table lists it, and one channel of another: there is no file of them."""
    lists = tmp_path / "lists"
    lists.mkdir()
    path = corpus.audio_path(next(iter(corpus)))
    samples, rate = soundfile.read(path)
    for name, channels in (("part", 1), ("whole", 1), ("call", 2)):
        soundfile.write(lists / f"{name}.wav", np.stack([samples] * channels, 1), rate)
    rows = ["path,offset,duration,channel", "part.wav,0,0.5,", "whole.wav,0,,", "call.wav,0,,1"]
    (lists / "manifest.csv").write_text("\n".join(rows))
    discovered = discovery.discover(lists, "nano", ["encoder.blocks.0.mlp.1"], tmp_path / "result", progress=False)
    client = make_client(path=discovered.path)
    clips = {row["name"]: row for row in client.get("/api/clips").json()["clips"]}
    assert {name: row["channel"] for name, row in clips.items()} == {
        "call.wav channel 1": 1, "part.wav": None, "whole.wav": None,
    }  # fmt: skip
    for name, status in {"part.wav": 422, "whole.wav": 200, "call.wav channel 1": 422}.items():
        clip = clips[name]["id"]
        assert client.get(f"/api/clips/{clip}/audio?format=original").status_code == status
        assert (client.get(f"/api/clips/{clip}").json()["original"] is not None) == (status == 200)
        content = client.get(f"/api/clips/{clip}/audio").content
        assert soundfile.info(io.BytesIO(content)).duration == pytest.approx(clips[name]["duration"], abs=1e-3)
