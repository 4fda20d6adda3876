"""Pull and push, against a hub on this machine that speaks as much of the real one's interface as that takes."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import torch

from freud import artifacts
from freud.cli import main
from freud.errors import DamagedFileError, FreudError, UnknownNameError
from freud.saes import export_sae, import_sae, load
from freud.saes.formats import hub as formats_hub
from freud.saes.formats import save
from freud.saes.l1 import StandardSAE
from freud.saes.topk import TopKSAE

COMMIT = "a" * 40
X = torch.randn(30, 6, generator=torch.Generator().manual_seed(0))


class Hub(BaseHTTPRequestHandler):
    """Repositories are folders `owner/name` below `root`."""

    root: Path
    asked: list[str]  # paths of the files that were downloaded
    token: str | None = None  # what uploads must come with

    def do_GET(self) -> None:
        self.fetch(body=True)

    def do_HEAD(self) -> None:
        self.fetch(body=False)

    def fetch(self, body: bool) -> None:
        path = unquote(self.path.split("?")[0])
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/[^/]+|/tree/.*)?", path):
            folder = self.root / found[1]
            if not folder.is_dir():
                return self.refuse(404, "RepoNotFound")
            files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
            told: Any = {"id": found[1], "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
            if found[2] and found[2].startswith("/tree/"):
                sizes = {name: (folder / name).stat().st_size for name in files}
                told = [{"type": "file", "path": name, "size": sizes[name], "oid": name} for name in files]
            elif found[2] and found[2].removeprefix("/revision/") not in {"main", COMMIT}:
                return self.refuse(404, "RevisionNotFound")
            return self.reply(told, body)
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
            file = self.root / found[1] / found[2]
            if body:
                self.asked.append(found[2])
            return self.reply(file.read_bytes(), body, {"ETag": f'"{found[2]}"', "X-Repo-Commit": COMMIT})
        return self.refuse(404, "RepoNotFound")

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/validate-yaml":
            return self.reply({"errors": [], "warnings": []})
        if self.token is None or self.headers.get("Authorization") != f"Bearer {self.token}":
            return self.refuse(401, "Unauthorized")
        if self.path == "/api/repos/create":
            asked = json.loads(data)
            name = f"{asked['organization']}/{asked['name']}"
            (self.root / name).mkdir(parents=True, exist_ok=True)
            return self.reply({"url": f"http://127.0.0.1:{self.server.server_port}/{name}", "id": name})
        found = re.match(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/main", self.path)
        assert found, self.path
        if found[2] == "preupload":
            files = [file["path"] for file in json.loads(data)["files"]]
            return self.reply(
                {"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in files]}
            )
        for line in map(json.loads, data.decode().splitlines()):
            if line["key"] == "file":
                assert line["value"]["encoding"] == "base64"
                file = self.root / found[1] / line["value"]["path"]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(base64.b64decode(line["value"]["content"]))
        address = f"http://127.0.0.1:{self.server.server_port}/{found[1]}"
        return self.reply({"success": True, "commitUrl": f"{address}/commit/{COMMIT}", "commitOid": COMMIT})

    def reply(self, value: Any, body: bool = True, headers: dict[str, str] | None = None) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(200)
        kind = "application/octet-stream" if isinstance(value, bytes) else "application/json"
        for name, text in {"Content-Type": kind, "Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, text)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    class Here(Hub):
        root = tmp_path / "hub"
        asked: list[str] = []  # noqa: RUF012

    Here.root.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), Here) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listening.server_port}")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_TOKEN", "secret")
        yield Here
        listening.shutdown()


def topk(site: str | None = "encoder.blocks.2") -> TopKSAE:
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(*shape, generator=generator) for shape in ((6, 20), (20,), (20, 6), (6,))]
    return TopKSAE(*weights, k=4, metadata={"model": "tiny", "site": site} if site else {})


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A folder as `freud sae import` writes it."""
    (tmp_path / "plain").mkdir()
    save(topk(), tmp_path / "plain")
    import_sae(tmp_path / "plain", tmp_path / "ours")
    return tmp_path / "ours"


def test_push_and_pull(server: type[Hub], ours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.token = "secret"
    main(["sae", "push", str(ours), "someone/an-sae", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["address"].endswith("/someone/an-sae")
    there = server.root / "someone" / "an-sae"
    assert {file.name for file in there.iterdir()} == {
        "README.md", "cfg.json", "sae_weights.safetensors", "manifest.json"
    }  # fmt: skip
    assert "| site | encoder.blocks.2 |" in (there / "README.md").read_text()
    main(["sae", "pull", "someone/an-sae", "--out", str(tmp_path / "pulled")])
    assert "encoder.blocks.2" in capsys.readouterr().out
    pulled = load(tmp_path / "pulled")
    assert torch.equal(pulled(X), topk()(X))
    assert pulled.metadata["model"] == "tiny"
    source = artifacts.read(tmp_path / "pulled", "import").manifest["parameters"]["source"]
    assert source == f"someone/an-sae@{COMMIT}:."
    formats_hub.pull("someone/an-sae", tmp_path / "pulled")  # the same again finds it there
    assert server.asked.count("sae_weights.safetensors") == 1


def test_pull_of_one_of_many_downloads_no_other(server: type[Hub], tmp_path: Path) -> None:
    for number in (1, 2, 10):
        folder = server.root / "someone" / "many" / f"encoder.blocks.{number}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        export_sae(topk(None), folder, "sparsify")
    with pytest.raises(UnknownNameError, match=r"give --folder; it has encoder\.blocks\.1, .*2, .*10$"):
        formats_hub.pull("someone/many", tmp_path / "out")
    with pytest.raises(UnknownNameError, match=r"has no SAE 'encoder\.blocks\.3'; it has"):
        formats_hub.pull("someone/many", tmp_path / "out", folder="encoder.blocks.3")
    sae = formats_hub.pull("someone/many", tmp_path / "out", folder="encoder.blocks.10/", model="base")
    assert torch.allclose(sae(X), topk()(X), atol=1e-6)
    assert (sae.metadata["site"], sae.metadata["model"]) == ("encoder.blocks.10", "base")
    assert sorted(server.asked) == ["encoder.blocks.10/cfg.json", "encoder.blocks.10/sae.safetensors"]


def test_pull_of_the_originals_file(server: type[Hub], tmp_path: Path) -> None:
    folder = server.root / "someone" / "original" / "checkpoints"
    folder.mkdir(parents=True)
    state = {"decoder.weight": torch.randn(6, 20), "encoder_bias": torch.randn(20)}
    hparams = {"autoencoder_variant": "l1", "whisper_config": {"model": "tiny", "layer_name": "encoder.blocks.2"}}
    torch.save({"model": state, "hparams": hparams}, folder / "bestval.pth")
    sae = formats_hub.pull("someone/original", tmp_path / "out")
    assert isinstance(sae, StandardSAE)
    assert sae.metadata["site"] == "encoder.blocks.2"


def test_what_cannot_be_pulled_is_one_line(server: type[Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def message(repo: str, **options: Any) -> str:
        with pytest.raises(FreudError) as caught:
            formats_hub.pull(repo, tmp_path / "never", **options)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "never").exists()
        return str(caught.value)

    assert "has no such public repository" in message("someone/absent")
    assert "not an id of the hub" in message("a/b/c")
    (server.root / "someone" / "text").mkdir(parents=True)
    (server.root / "someone" / "text" / "README.md").write_text("hello")
    assert "holds no SAE in a known layout" in message("someone/text")
    save(topk(None), server.root / "someone" / "text")
    assert "does not say which site it is of" in message("someone/text")
    assert "has no such revision" in message("someone/text", revision="v9", site="encoder.blocks.1")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "cannot reach http://127.0.0.1:9" in message("someone/other")


def test_what_cannot_be_pushed(server: type[Hub], ours: Path, tmp_path: Path) -> None:
    with pytest.raises(FreudError, match=r"someone/an-sae: .* (401|answers)"):
        formats_hub.push(ours, "someone/an-sae")  # nobody may
    server.token = "secret"
    export_sae(topk(), tmp_path / "sparse", "sparsify")
    with pytest.raises(FreudError, match="is in another tool's layout; run `freud sae import` first"):
        formats_hub.push(tmp_path / "sparse", "someone/an-sae")
    data = bytearray((ours / "cfg.json").read_bytes())
    data[-20] ^= 1
    (ours / "cfg.json").write_bytes(data)
    with pytest.raises(DamagedFileError):
        formats_hub.push(ours, "someone/an-sae")
    assert not (server.root / "someone").exists()
