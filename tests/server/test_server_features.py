"""The API's answers about features, against the index they come from."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
import soundfile
import torch
from served import COORDINATES, LATENTS, NEURONS, RESIDUAL, floats, picture
from starlette.testclient import TestClient

from freud import audio
from freud.corpus import Corpus
from freud.features import FeatureIndex, browse
from freud.models import AudioModel
from freud.saes import load as load_sae


@pytest.fixture(scope="module")
def busiest(latents: FeatureIndex) -> int:
    """The latent with the most events."""
    return latents.sql("SELECT feature FROM features ORDER BY events DESC, feature LIMIT 1")[0][0]


def test_what_is_served(client: TestClient, latents: FeatureIndex, nano: AudioModel):
    status = client.get("/api/status").json()
    assert (status["model"], status["model_state"], status["can_edit"]) == ("nano", "ready", True)
    assert status["limits"]["upload_bytes"] == 25_000_000
    assert client.get("/api/models").json()[0]["n_mels"] == nano.n_mels
    sites = {(site["site"], site["basis"]): site for site in client.get("/api/sites").json()}
    assert set(sites) == {(RESIDUAL, "latents"), (RESIDUAL, "neurons"), (NEURONS, "neurons")}
    there = sites[RESIDUAL, "latents"]
    assert (there["features"], there["clips"], there["dead"]) == (latents.features, 5, latents.count_dead())
    assert there["sae"]["k"] == 4
    assert sites[NEURONS, "neurons"]["sae"] is None
    (corpus,) = client.get("/api/corpora").json()
    assert corpus["clips"] == 5
    assert {"phones", "words"} <= set(corpus["tiers"])


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"min": 0.2},
        {"max": 0.5, "min": -1},
        {"absolute": True},
        {"absolute": True, "max": 0},
        {"n": 2, "offset": 1},
    ],
)
def test_search_is_that_of_the_index(client: TestClient, neurons: FeatureIndex, parameters: dict):
    got = client.get(f"/api/sites/{NEURONS}/neurons/features/7/clips", params=parameters).json()
    limits = {name: value for name, value in parameters.items() if name != "n"}
    expected = neurons.top(7, parameters.get("n", 10), **limits)
    names = ("rank", "clip", "name", "value", "frame", "time", "transcript", "tiers")
    assert [[hit[name] for name in names] for hit in got["hits"]] == [
        [getattr(hit, name) for name in names] for hit in expected
    ]
    assert got["total"] == len(neurons.top(7, 1000, **{k: v for k, v in limits.items() if k != "offset"}))
    assert all(hit["trace"] is None for hit in got["hits"])


def test_search_with_traces(client: TestClient, latents: FeatureIndex, busiest: int, corpus: Corpus):
    hits = client.get(f"{LATENTS}/features/{busiest}/clips", params={"traces": True}).json()["hits"]
    assert hits
    for hit in hits:
        trace = floats(hit["trace"])
        np.testing.assert_array_equal(trace, latents.trace(busiest, hit["clip"]))
        assert trace[hit["frame"]] == trace.max() == np.float32(hit["value"])
        assert hit["duration"] == corpus[hit["clip"]].duration


def test_the_table_of_features(client: TestClient, latents: FeatureIndex):
    rows = {row["feature"]: row for row in latents.table(dead=True)}

    def page(**parameters) -> tuple[int, list[dict]]:
        got = client.get(f"{LATENTS}/features", params=parameters).json()
        return got["total"], got["features"]

    total, first = page(n=7)
    assert total == latents.features - latents.count_dead()
    seen = [row["feature"] for offset in range(0, total, 7) for row in page(n=7, offset=offset)[1]]
    assert seen == [row["feature"] for row in latents.table()]
    assert first[0]["density"] == rows[seen[0]]["density"]
    numbers = [row["feature"] for row in page(sort="feature", ascending=True, n=200, dead="include")[1]]
    assert numbers == sorted(rows)[:200]
    downwards = [row["feature"] for row in page(sort="feature", n=2, dead="include")[1]]
    assert downwards == sorted(rows)[:-3:-1]
    maxima = [row["max"] for row in page(sort="max", ascending=True, n=200)[1]]
    assert maxima == sorted(maxima)
    middle = float(np.median([row["density"] for row in rows.values()]))
    expected = {f for f, row in rows.items() if row["density"] >= middle and not row["dead"]}
    assert page(min_density=middle)[0] == len(expected)
    assert page(dead="only")[0] == latents.count_dead()
    assert [row["feature"] for row in page(query="#12", dead="include")[1]] == [12]
    assert page(query="no such name") == (0, [])


def test_the_plot_of_all_features(client: TestClient, latents: FeatureIndex):
    got = client.get(f"{LATENTS}/overview").json()
    expected = {row["feature"]: (row["density"], row["max"]) for row in latents.table()}
    assert dict(zip(got["feature"], zip(got["density"], got["max"], strict=True), strict=True)) == expected


def test_one_feature(client: TestClient, latents: FeatureIndex, neurons: FeatureIndex, busiest: int):
    got = client.get(f"{LATENTS}/features/{busiest}").json()
    statistics = latents.statistics(busiest)
    assert got["values"]["counts"] == statistics["histogram"]
    assert sum(got["peaks"]["counts"]) == got["clips"] == statistics["clips"]
    assert (got["threshold_low"], got["threshold_high"]) == (None, 0)
    peaks = browse.clip_peaks(latents, busiest)
    assert (got["peaks"]["low"], got["peaks"]["high"]) == pytest.approx((peaks.min(), peaks.max()))
    neuron = client.get(f"/api/sites/{NEURONS}/neurons/features/7").json()
    assert neuron["threshold_low"] < neuron["threshold_high"]
    assert neuron["magnitudes"]["low"] == pytest.approx(browse.clip_peaks(neurons, 7, absolute=True).min())
    assert client.get(f"{LATENTS}/features/{latents.features}").status_code == 404


def test_a_dead_feature_says_so(client: TestClient, latents: FeatureIndex):
    dead = latents.sql("SELECT feature FROM features WHERE dead LIMIT 1")
    if not dead:
        pytest.skip("the SAE of the fixture has no dead latent")
    got = client.get(f"{LATENTS}/features/{dead[0][0]}").json()
    assert got["dead"]
    assert client.get(f"{LATENTS}/features/{dead[0][0]}/clips").json() == {"total": 0, "hits": []}
    assert client.get(f"{LATENTS}/features/{dead[0][0]}/events").json()["events"] == []
    answer = client.get(f"{LATENTS}/features/{dead[0][0]}/average")
    assert answer.status_code == 422
    assert "no events" in answer.json()["detail"]


def test_events(client: TestClient, latents: FeatureIndex, busiest: int):
    for band in ("top", "bottom", "4"):
        got = client.get(f"{LATENTS}/features/{busiest}/events", params={"band": band, "n": 3}).json()
        expected = browse.event_band(latents, busiest, band, 3)  # type: ignore[arg-type]
        assert [event["peak"] for event in got["events"]] == [event.peak for event in expected.events]
        assert (got["total"], got["low"], got["high"]) == (expected.total, expected.low, expected.high)
    first = client.get(f"{LATENTS}/features/{busiest}/events?n=1").json()["events"][0]
    hit = latents.top(busiest, 1)[0]
    assert (first["clip"], first["peak_time"], first["tiers"]) == (hit.clip, hit.time, hit.tiers)


def test_neighbours(client: TestClient, result, latents: FeatureIndex, busiest: int):
    got = client.get(f"{LATENTS}/features/{busiest}/neighbours?n=4").json()
    decoder = torch.nn.functional.normalize(load_sae(result / "saes" / RESIDUAL).W_dec, dim=1)
    cosine = decoder @ decoder[busiest]
    cosine[busiest] = -2
    assert [each["feature"] for each in got["decoder"]] == cosine.topk(4).indices.tolist()
    assert got["decoder"][0]["cosine"] == pytest.approx(float(cosine.max()), abs=1e-5)
    assert got["together"][0]["feature"] == browse.companions(latents, busiest, 1)[1][0].feature
    assert client.get(f"{COORDINATES}/features/3/neighbours").json()["decoder"] == []


def test_the_average_is_the_mean_of_the_models_input(
    client: TestClient, latents: FeatureIndex, busiest: int, corpus: Corpus, nano: AudioModel
):
    values, header = picture(client.get(f"{LATENTS}/features/{busiest}/average?n=5").content)
    assert values.shape == (80, nano.n_mels)
    assert (header["start"], header["step"]) == pytest.approx((-0.4, 0.01))
    columns: list[list[np.ndarray]] = [[] for _ in range(80)]
    for event in browse.event_band(latents, busiest, "top", 5).events:
        samples = audio.load(corpus.audio_path(corpus[event.clip]))
        mel = nano.log_mel([samples])[0].T.numpy()[: -(-len(samples) // 160)]
        for column in range(80):
            place = round(event.peak_time * 100) - 40 + column
            if 0 <= place < len(mel):
                columns[column].append(mel[place])
    expected = [np.mean(column, axis=0) for column in columns if column]
    there = [bool(column) for column in columns]
    np.testing.assert_allclose(values[there], expected, atol=(header["high"] - header["low"]) / 255)


def test_the_montage_plays_the_events(client: TestClient, latents: FeatureIndex, busiest: int, corpus: Corpus):
    one = client.get(f"{LATENTS}/features/{busiest}/montage?n=1&margin=0").content
    lengths = [
        min(event.offset, corpus[event.clip].duration) - event.onset
        for event in browse.event_band(latents, busiest, "top", 3).events
    ]
    samples, rate = soundfile.read(io.BytesIO(one))
    assert rate == 16000
    assert len(samples) / rate == pytest.approx(lengths[0], abs=0.001)
    three, _ = soundfile.read(io.BytesIO(client.get(f"{LATENTS}/features/{busiest}/montage?n=3&margin=0").content))
    assert len(three) / rate == pytest.approx(sum(lengths) + 2 * 0.25, abs=0.01)


def test_export_of_a_search(client: TestClient, neurons: FeatureIndex):
    url = f"/api/sites/{NEURONS}/neurons/features/7/export"
    answer = client.get(url, params={"max": 0, "absolute": True})
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    expected = neurons.top(7, 100, max=0, absolute=True)
    assert [(row["clip"], float(row["value"])) for row in rows] == [(hit.clip, hit.value) for hit in expected]
    document = client.get(url, params={"format": "json", "what": "events"}).json()
    assert document["events"][0]["peak"] == browse.event_band(neurons, 7).events[0].peak


def test_a_name_of_ones_own(make_client, latents: FeatureIndex):
    client = make_client()
    got = client.put(f"{LATENTS}/features/3/name", json={"name": "  hiss  "}).json()
    assert (got["name"], got["naming"][0]["user_name"]) == ("hiss", "hiss")
    found = client.get(f"{LATENTS}/features", params={"query": "HIS", "dead": "include"}).json()
    assert [row["feature"] for row in found["features"]] == [3]
    assert {site["basis"]: site["named"] for site in client.get("/api/sites").json() if site["site"] == RESIDUAL} == {
        "latents": 1,
        "neurons": 0,
    }
    assert client.put(f"{LATENTS}/features/3/name", json={"name": "two\nlines"}).status_code == 422
    assert client.put(f"{LATENTS}/features/3/name", json={"name": None}).json()["name"] is None
    assert client.put(f"{LATENTS}/features/99999/name", json={"name": "x"}).status_code == 404


def test_labels_before_there_are_names(client: TestClient):
    assert client.get("/api/labels").json() == []
    assert client.get(f"{LATENTS}/features/3/scores").json() == []
    answer = client.get("/api/label?label=m")
    assert answer.status_code == 404
    assert "freud name" in answer.json()["detail"]
    assert "freud name" in client.get(f"{LATENTS}/../latents/matrix").json()["detail"]


def test_a_site_that_is_not_there(client: TestClient):
    answer = client.get("/api/sites/encoder.blocks.9/neurons/features")
    assert answer.status_code == 404
    assert f"latents of {RESIDUAL}" in answer.json()["detail"]
    assert answer.headers["content-type"] == "application/problem+json"
