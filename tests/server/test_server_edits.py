"""Edits over the API, against `freud.editing` itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from served import LATENTS, NEURONS, RESIDUAL, floats, wav_bytes
from starlette.testclient import TestClient

from freud import audio, editing
from freud.corpus import Clip, Corpus
from freud.features import FeatureIndex
from freud.models import AudioModel
from freud.saes import load as load_sae
from freud.server import Options, bundled
from freud.server.serving import Serving


@pytest.fixture(scope="module")
def active(latents: FeatureIndex, clip: Clip) -> int:
    """The latent that is strongest on it."""
    return latents.clip_features(clip.id, 1)[0].feature


def operation(feature: int, **changes) -> dict:
    return {"site": RESIDUAL, "basis": "latents", "feature": feature, "operation": "scale", "value": -1.0, **changes}


def test_an_edit_is_that_of_the_package(
    client: TestClient, result, clip: Clip, active: int, nano: AudioModel, corpus: Corpus
):
    got = client.post("/api/edits", json={"clip": clip.id, "edits": [operation(active, value=-4.0)]}).json()
    sae = load_sae(result / "saes" / RESIDUAL)
    expected = editing.edit(nano, audio.load(corpus.audio_path(clip)), [editing.latent(sae, active).scale(-4.0)])
    assert expected.plain is not None
    assert expected.edited is not None
    assert (got["said"], got["plain"]["text"]) == (clip.transcript, expected.plain.text)
    assert got["edited"]["text"] == expected.edited.text
    assert [d["kind"] for d in got["differences"]] == [d.kind for d in expected.differences]
    assert (got["wer"], got["cer"]) == (expected.wer, expected.cer)
    np.testing.assert_allclose(floats(got["traces"][0]["after"]), expected.traces[0].after, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(floats(got["output_cosine"]), expected.output.cosine, atol=1e-4)
    assert got["changes"][0]["frames"] == expected.changes[0].frames > 0


def test_spans_labels_and_many_edits_at_once(client: TestClient, clip: Clip, active: int, corpus: Corpus):
    word = corpus.segments(clip.id, "words")[1]
    edits = [
        operation(active, operation="ablate", start=0.2, end=0.6),
        operation(active + 1, operation="set", value=5.0, tier="words", label=word.label),
        {"site": NEURONS, "basis": "neurons", "feature": 7, "operation": "add", "value": 1.0, "unit": "p99"},
    ]
    got = client.post("/api/edits", json={"clip": clip.id, "edits": edits}).json()
    traces = {(trace["site"], trace["feature"]): trace for trace in got["traces"]}
    before, after = (floats(traces[RESIDUAL, active][key]) for key in ("before", "after"))
    assert not after[10:30].any()
    np.testing.assert_array_equal(np.delete(after, np.s_[10:30]), np.delete(before, np.s_[10:30]))
    put = floats(traces[RESIDUAL, active + 1]["after"])
    frames = np.flatnonzero(put == 5.0)
    assert word.start * 50 - 1 <= frames.min() <= frames.max() <= word.end * 50
    assert (floats(traces[NEURONS, 7]["after"]) > floats(traces[NEURONS, 7]["before"])).all()


def test_an_upload_can_be_edited(client: TestClient, clip: Clip, active: int, corpus: Corpus):
    samples = audio.load(corpus.audio_path(clip))
    upload = client.post("/api/uploads", content=wav_bytes(samples, subtype="FLOAT")).json()
    texts = [
        client.post("/api/edits", json={"clip": name, "edits": [operation(active)]}).json()["edited"]["text"]
        for name in (upload["id"], clip.id)
    ]
    assert texts[0] == texts[1]


def test_the_effect_curve(client: TestClient, clip: Clip, active: int):
    body = {
        "clip": clip.id,
        "site": RESIDUAL,
        "basis": "latents",
        "feature": active,
        "factors": [-2, 1, 3],
        "controls": 1,
    }
    got = client.post("/api/curves", json=body).json()
    own = [point for point in got["points"] if not point["control"]]
    assert [point["factor"] for point in own] == [-2, 1, 3]
    assert own[1]["text"] == got["plain"]
    assert own[1]["wer"] == 0
    assert {point["factor"] for point in got["points"] if point["control"]} == {-2, 1, 3}


def test_examples_can_be_run(client: TestClient):
    examples = client.get("/api/examples").json()
    assert examples
    assert client.post("/api/edits", json=examples[0]["request"]).status_code == 200


def test_sounds_of_the_bundled_sae(nano: AudioModel, latents: FeatureIndex, corpus: Corpus):
    """The latents of a phone are those with the best F1, counted here frame by frame; the clip has most of it."""
    sae = bundled.bundled_sae()
    assert bundled.site_for(nano.fingerprint) == sae.metadata["site"]
    assert bundled.site_for("another") is None
    activations = latents.activations  # of another site, which makes the counts no less exact
    found = bundled.sounds(sae, activations, corpus)
    assert [sound.f1[0] for sound in found] == sorted((sound.f1[0] for sound in found), reverse=True)
    assert len({sound.label for sound in found}) == len(found) > 3
    active = {clip.id: (sae.encode(activations.clip(clip.id).float()) > 0).numpy() for clip in corpus}
    for sound in found[:3]:
        heard = {}
        for clip in corpus:
            time = (np.arange(len(active[clip.id])) + 0.5) / 50
            heard[clip.id] = np.zeros(len(time), bool)
            for segment in corpus.segments(clip.id, "phones") if clip.transcript else []:
                if segment.label.rstrip("012").lower() == sound.label:
                    heard[clip.id] |= (time >= segment.start) & (time < segment.end)
        phone, on = (np.concatenate(list(parts.values())) for parts in (heard, active))
        scores = 2 * (on & phone[:, None]).sum(0) / (on.sum(0) + phone.sum())
        assert scores[list(sound.latents)].tolist() == pytest.approx(sound.f1)
        wanted = np.sort(scores[scores >= scores.max() / 2])[::-1][: len(sound.f1)]
        assert wanted.tolist() == pytest.approx(sound.f1)
        assert len(sound.f1) == min(4, (scores >= scores.max() / 2).sum())
        assert heard[sound.clip].sum() == max(frames.sum() for frames in heard.values())


def test_the_sounds_are_found_once(result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Also where requests ask while the thread that gets the server ready has begun."""
    monkeypatch.setattr(bundled, "site_for", lambda fingerprint: RESIDUAL)
    find, calls = bundled.sounds, []

    def counted(*args):
        calls.append(args)
        return find(*args)

    monkeypatch.setattr(bundled, "sounds", counted)
    here = Serving(result, Options(notes=tmp_path / "notes.sqlite"))
    with ThreadPoolExecutor(4) as threads:
        found = [future.result() for future in [threads.submit(lambda: here.sounds) for _ in range(4)]]
    here.close()
    assert len(calls) == 1
    assert found[0]
    assert all(each is found[0] for each in found)


def test_an_edit_of_the_bundled_sae(client: TestClient, clip: Clip):
    """Its site need not be indexed, and an unknown latent has no name."""
    site = client.get("/api/status").json()["bundled_site"]
    edits = [operation(0, site=site)]
    got = client.post("/api/edits", json={"clip": clip.id, "edits": edits, "bundled_sae": True}).json()
    assert got["traces"][0]["name"] is None
    assert got["reconstruction"] is not None
    added = [operation(0, site=site, operation="add", unit="p99")]
    answer = client.post("/api/edits", json={"clip": clip.id, "edits": added, "bundled_sae": True})
    assert "not of the bundled SAE" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"feature": 10**6}, 422, "the SAE has latents 0 to"),
        ({"site": "encoder.blocks.9"}, 404, "no latents of 'encoder.blocks.9'"),
        ({"start": 900.0, "end": 901.0}, 422, "clip"),
        ({"start": 0.6, "end": 0.2}, 422, "expected 0 <= start < end"),
        ({"tier": "words"}, 422, "tier and label: give both"),
        ({"tier": "words", "label": "no such word"}, 404, "no such word"),
        ({"operation": "clamp"}, 422, "minimum"),
        ({"operation": "explode"}, 422, "operation"),
        ({"value": "NaN"}, 422, "value"),
    ],
)
def test_edits_that_make_no_sense(client: TestClient, clip: Clip, active: int, change: dict, status: int, says: str):
    answer = client.post("/api/edits", json={"clip": clip.id, "edits": [{**operation(active), **change}]})
    assert answer.status_code == status, answer.text
    assert says in answer.json()["detail"]


def test_edits_of_nothing(client: TestClient, clip: Clip, active: int):
    assert client.post("/api/edits", json={"clip": clip.id, "edits": []}).status_code == 422
    assert client.post("/api/edits", json={"clip": "nothing", "edits": [operation(active)]}).status_code == 404


def test_a_model_that_has_changed_is_not_used(client: TestClient, clip: Clip, active: int, monkeypatch):
    serving = client.app.app.app.state.serving  # type: ignore[attr-defined]
    monkeypatch.setattr(serving.model, "fingerprint", "0123456789abcdef")
    answer = client.post("/api/edits", json={"clip": clip.id, "edits": [operation(active)]})
    assert answer.status_code == 422
    assert "has changed since this result was made" in answer.json()["detail"]
    status = client.get("/api/status").json()
    assert status["can_edit"] is False
    assert "has changed" in status["problem"]
    assert client.get(f"{LATENTS}/features/1/clips").status_code == 200
