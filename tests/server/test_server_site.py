"""`freud export site` and `freud serve`, as commands."""

from __future__ import annotations

import io
import json
import re
import signal
import socket
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import av
import httpx
import numpy as np
import pytest
import soundfile
from served import NEURONS, RESIDUAL, picture
from starlette.testclient import TestClient

import freud.cli
import freud.models
from freud import FreudError, audio
from freud.corpus import Corpus
from freud.features import FeatureIndex
from freud.models import AudioModel
from freud.server import export_site

FREUD = [sys.executable, "-c", "from freud.cli import main; main()"]


class Links(HTMLParser):
    """Everything that a page refers to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in {"src", "href"} and value]


@pytest.fixture(scope="module")
def exported(result: Path, nano: AudioModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of three neurons, written by the command."""
    out = tmp_path_factory.mktemp("site") / "pages"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(freud.models, "load", lambda name, **options: nano)
        arguments = ["export", "site", str(result), "--site", NEURONS, "--features", "7", "3", "5", "--clips", "2"]
        freud.cli.main([*arguments, "--title", "a <b> & c", "--out", str(out), "--json"])
    return out


def test_every_link_is_relative_and_leads_somewhere(exported: Path):
    pages = sorted(exported.glob("*.html"))
    assert [page.name for page in pages] == ["feature-3.html", "feature-5.html", "feature-7.html", "index.html"]
    for page in pages:
        links = Links(page).found
        assert links
        for link in links:
            assert not re.match(r"[a-z]+:|/", link), link
            assert (page.parent / unquote(link)).is_file(), link
        assert "a &lt;b&gt; &amp; c" in page.read_text()


def test_pages_show_what_the_search_finds(exported: Path, neurons: FeatureIndex, corpus: Corpus):
    page = (exported / "feature-7.html").read_text()
    for hit in neurons.top(7, 2):
        assert hit.name in page
        assert f"{hit.value:.4g} at {hit.time:.2f} s" in page
        heard, rate = soundfile.read(exported / "audio" / f"{hit.clip}.flac", dtype="float32")
        assert rate == 16000
        np.testing.assert_allclose(heard, audio.load(corpus.audio_path(corpus[hit.clip])), atol=1 / 32768)
    assert page.count("<section") == 2


def test_pictures_are_those_of_the_app(exported: Path, client: TestClient, neurons: FeatureIndex):
    clip = neurons.top(7, 1)[0].clip
    values, header = picture(client.get(f"/api/clips/{clip}/mel").content)
    with av.open(io.BytesIO((exported / "images" / f"{clip}.png").read_bytes())) as image:
        frame = next(image.decode(video=0))
    assert (frame.width, frame.height) == values.shape
    light = frame.to_ndarray(format="gray").astype(float)[::-1].T  # the palette grows lighter with the value
    scaled = (values - header["low"]) / (header["high"] - header["low"])
    assert np.corrcoef(light.ravel(), scaled.ravel())[0, 1] > 0.97


def test_a_finished_site_is_left_as_it_is(exported: Path, result: Path, nano: AudioModel, monkeypatch, capsys):
    monkeypatch.setattr(freud.models, "load", lambda name, **options: nano)
    before = {file: file.stat().st_mtime_ns for file in exported.rglob("*")}
    export_site(result, [7, 3, 5], exported, site=NEURONS, clips=2, title="a <b> & c", progress=False)
    assert {file: file.stat().st_mtime_ns for file in exported.rglob("*")} == before
    with pytest.raises(FreudError, match=r"was written with other settings \(clips\)"):
        export_site(result, [7, 3, 5], exported, site=NEURONS, clips=3, title="a <b> & c", progress=False)


@pytest.mark.parametrize(
    ("features", "arguments", "says"),
    [
        ([], {}, "features: expected at least one"),
        ([10**6], {"site": NEURONS}, "has neurons 0 to"),
        ([1], {}, "give one --site"),
        ([1], {"site": "encoder.blocks.9"}, "give one --site"),
        ([1], {"site": NEURONS, "clips": 0}, "clips 0: expected at least 1"),
    ],
)
def test_sites_that_cannot_be(result: Path, tmp_path: Path, features: list, arguments: dict, says: str):
    arguments = {"site": NEURONS, **arguments} if not features else arguments
    with pytest.raises(FreudError, match=says):
        export_site(result, features, tmp_path / "out", progress=False, **arguments)
    assert not (tmp_path / "out").exists()


# ---- freud serve


def test_serve_answers_until_control_c(result: Path, tmp_path: Path):
    command = [*FREUD, "serve", str(result), "--port", "0", "--no-browser", "--notes", str(tmp_path / "n.sqlite")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        link = next(found[0] for line in process.stdout if (found := re.search(r"http://\S+", line)))
        assert link.startswith("http://127.0.0.1:")
        sites = httpx.get(f"{link}api/sites", timeout=60).json()
        assert {site["site"] for site in sites} == {RESIDUAL, NEURONS}
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors


def test_serve_with_a_token_prints_a_link_with_it(result: Path, monkeypatch, capsys):
    import uvicorn

    ran = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: ran.append(sockets[0].close()))
    freud.cli.main(["serve", str(result), "--host", "0.0.0.0", "--port", "0", "--no-browser"])
    first = capsys.readouterr().out
    assert re.search(r"http://\S+:\d+/\?token=[\w-]{20,}", first)
    assert "not encrypted" in first
    freud.cli.main(["serve", str(result), "--token", "a-token-of-my-own-12", "--port", "0", "--no-browser"])
    assert "?token=a-token-of-my-own-12" in capsys.readouterr().out
    assert len(ran) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--token", "short"], "--token: expected at least 16"),
        (["--port", "99999"], "--port 99999: expected"),
        (["--upload-mb", "0"], "--upload-mb"),
        (["--host", "no.such.host.invalid", "--port", "0"], "cannot listen there"),
    ],
)
def test_serve_with_settings_that_make_no_sense(result: Path, arguments: list[str], says: str, capsys):
    with pytest.raises(SystemExit) as stop:
        freud.cli.main(["serve", str(result), "--no-browser", *arguments])
    assert stop.value.code == 1
    assert says in capsys.readouterr().err


def test_a_port_that_is_taken(result: Path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit):
        freud.cli.main(["serve", str(result), "--no-browser", "--port", str(taken.getsockname()[1])])
    assert "give another --port" in capsys.readouterr().err


def test_serve_what_is_no_result(tmp_path: Path, capsys):
    with pytest.raises(SystemExit):
        freud.cli.main(["serve", str(tmp_path), "--no-browser"])
    assert "expected a folder written by `freud index`" in capsys.readouterr().err
    (tmp_path / "features").mkdir()
    with pytest.raises(SystemExit):
        freud.cli.main(["serve", str(tmp_path), "--no-browser"])
    assert "run the same `freud discover` command again" in capsys.readouterr().err


def test_the_parameters_of_a_site_are_kept(exported: Path):
    manifest = json.loads((exported / "manifest.json").read_text())
    assert manifest["kind"] == "export"
    assert manifest["parameters"]["features"] == [7, 3, 5]
