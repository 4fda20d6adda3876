"""Collecting: exactly the valid frames of every readable clip, whatever interrupts it."""

from __future__ import annotations

import importlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from freud import audio
from freud.activations import Activations, collect, read
from freud.corpus import Corpus
from freud.corpus import read as read_corpus
from freud.errors import DamagedFileError, FreudError, UnknownNameError
from freud.models import AudioModel

collecting = importlib.import_module("freud.activations.collect")
RESIDUAL, NEURONS = "encoder.blocks.2", "encoder.blocks.2.mlp.1"
SITES = [NEURONS, RESIDUAL]  # in the order of the model
ROW_BYTES = (192 + 768) * 2  # of both sites of nano, in float16


def one_line(error: pytest.ExceptionInfo[FreudError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def direct(model: AudioModel, path: Path, site: str) -> torch.Tensor:
    """Valid frames of one file, window by window, without any of the code under test."""
    samples = audio.load(path)
    parts = []
    for start in range(0, len(samples), model.window_samples):
        window = samples[start : start + model.window_samples]
        frames = model.activations(model.log_mel([window]), [site])[site]
        parts.append(frames[0, : -(-len(window) // 320)])
    return torch.cat(parts)


def folder_bytes(path: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in path.iterdir()}


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Running the model is an error."""

    def run(*_: object, **__: object) -> Any:
        raise AssertionError("the model ran")

    monkeypatch.setattr(AudioModel, "activations", run)


@pytest.fixture
def broken(few: Corpus, tmp_path: Path) -> Corpus:
    """A corpus some of whose files went bad after the import: cut, gone, and not finite in the third window."""
    folder = tmp_path / "broken"
    shutil.copytree(few.root, folder)
    samples = audio.load(folder / "zz long.wav")
    soundfile.write(folder / "mm long.wav", samples, 16000, subtype="FLOAT")
    corpus = read_corpus(folder)
    flacs = sorted(folder.glob("*.flac"))
    flacs[1].write_bytes(flacs[1].read_bytes()[:-3000])
    flacs[2].unlink()
    samples[22 * 16000] = np.nan
    soundfile.write(folder / "mm long.wav", samples, 16000, subtype="FLOAT")
    return corpus


# ---- what is stored


@pytest.mark.numeric
def test_stored_frames_are_those_of_the_model_clip_by_clip(nano: AudioModel, few: Corpus, store: Activations) -> None:
    assert store.sites == SITES
    assert store.clip_ids == [clip.id for clip in few]
    total = 0
    for clip in few:
        samples = len(audio.load(few.audio_path(clip)))
        for site in SITES:
            frames = store[site].clip(clip.id)
            assert len(frames) == sum(-(-min(160_000, samples - s) // 320) for s in range(0, samples, 160_000))
            torch.testing.assert_close(frames, direct(nano, few.audio_path(clip), site), rtol=1e-4, atol=1e-4)
        total += len(frames)
    assert store.frames == store[RESIDUAL].frames == total == store.manifest["frames"]
    assert store.manifest["clips"] == len(few) == 8
    assert store.manifest["problems"] == []


@pytest.mark.numeric
def test_a_clip_that_is_a_part_of_a_file(nano: AudioModel, few: Corpus, tmp_path: Path) -> None:
    table = tmp_path / "clips.csv"
    table.write_text(f"path,offset,duration\n{few.root / 'zz long.wav'},3.5,2.01\n")
    corpus = read_corpus(table)
    frames = collect(nano, corpus, [RESIDUAL], tmp_path / "acts", dtype="float32")[RESIDUAL].clip(corpus.clips[0].id)
    samples = audio.load(few.root / "zz long.wav")[56_000 : 56_000 + 32_160]
    expected = nano.activations(nano.log_mel([samples]), [RESIDUAL])[RESIDUAL][0, :101]
    torch.testing.assert_close(frames, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.numeric
@pytest.mark.parametrize(("dtype", "relative"), [("float16", 2**-11), ("bfloat16", 2**-8)])
def test_narrow_dtypes_store_the_same_frames_rounded(
    nano: AudioModel, few: Corpus, store: Activations, tmp_path: Path, dtype: str, relative: float
) -> None:
    acts = collect(nano, few, SITES, tmp_path / "acts", dtype=dtype)
    for site in SITES:
        assert acts[site].shard(0).dtype == getattr(torch, dtype)
        torch.testing.assert_close(acts[site].shard(0).float(), store[site].shard(0), rtol=relative, atol=1e-6)


def test_shards_join_up(
    nano: AudioModel, few: Corpus, store: Activations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "SHARD_BYTES", 400 * ROW_BYTES)
    acts = collect(nano, few, SITES, tmp_path / "acts", batch_size=2)
    assert len(acts.shards) >= 3
    for site in SITES:
        rows = torch.cat([acts[site].shard(i) for i in range(len(acts.shards))]).float()
        torch.testing.assert_close(rows, store[site].shard(0), rtol=1e-3, atol=1e-3)
        for clip in few:
            torch.testing.assert_close(acts[site].clip(clip.id), store[site].clip(clip.id), rtol=1e-3, atol=1e-3)
    assert [len(pieces) for _, pieces, _ in acts[RESIDUAL].blocks()] == list(np.bincount(acts.pieces.shard))
    assert sum(len(rows) for _, _, rows in acts[RESIDUAL].blocks()) == acts.frames


def test_pieces_tile_the_store_and_know_where_they_are_in_the_clip(
    nano: AudioModel, few: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "SHARD_BYTES", ROW_BYTES)  # a shard a batch
    acts = collect(nano, few, SITES, tmp_path / "acts", batch_size=3)
    pieces = acts.pieces
    next_row: dict[int, int] = {}
    next_frame: dict[int, int] = {}
    for clip, shard, first_row, rows, first_frame in zip(
        pieces.clip, pieces.shard, pieces.first_row, pieces.rows, pieces.first_frame, strict=True
    ):
        assert first_row == next_row.get(shard, 0)
        assert first_frame == next_frame.get(clip, 0)  # the windows of these clips are whole, but for the last
        next_row[shard], next_frame[clip] = first_row + rows, first_frame + rows
    assert next_row == {i: len(acts[RESIDUAL].shard(i)) for i in range(len(acts.shards))}
    assert next_frame[len(few) - 1] == 24 * 50
    assert (pieces.clip == len(few) - 1).sum() >= 2  # the long clip crosses a shard boundary


def test_sample_is_spread_over_the_store(
    nano: AudioModel, few: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "SHARD_BYTES", 300 * ROW_BYTES)
    acts = collect(nano, few, SITES, tmp_path / "acts", batch_size=1)[RESIDUAL]
    rows = torch.cat([rows for _, _, rows in acts.blocks()]).float()
    for count in (1, 7, 100, len(rows), 10 * len(rows)):
        stride = max(1, -(-len(rows) // count))
        torch.testing.assert_close(acts.sample(count), rows[::stride], rtol=0, atol=0)
        assert len(acts.sample(count)) <= count


# ---- norms and massive activations


@pytest.mark.numeric
def test_norms_and_massive_activations(nano: AudioModel, few: Corpus, tmp_path: Path) -> None:
    def plant(x: torch.Tensor) -> torch.Tensor:
        x = x.clone()
        x[:, :, 7] = 0.0
        x[:, 10, 7] = 1e5  # of every window one frame and one coordinate
        x[:, 20] *= 40.0  # a frame whose norm is large, spread over all coordinates
        return x

    with nano.hooked(write={RESIDUAL: plant}):
        acts = collect(nano, few, SITES, tmp_path / "acts", dtype="float32")
    rows = acts[RESIDUAL].shard(0).double()
    norms = rows.norm(dim=1).numpy()
    absmax = rows.abs().amax(0).numpy()
    found = acts[RESIDUAL].norm
    median = np.median(norms)
    assert found["median"] == pytest.approx(median, rel=0.011)
    assert found["rms"] == pytest.approx(np.sqrt(np.mean(norms**2)), rel=1e-5)
    assert found["max"] == pytest.approx(norms.max(), rel=1e-5)
    assert found["massive_frames"] == (norms > 10 * median).sum() == 2 * 10  # ten windows
    assert {c["coordinate"] for c in found["massive_coordinates"]} == {
        int(i) for i in np.flatnonzero(absmax > 10 * np.median(absmax))
    }
    assert {"coordinate": 7, "absmax": 1e5} in found["massive_coordinates"]


def test_statistics_do_not_depend_on_shards(
    nano: AudioModel, few: Corpus, store: Activations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "SHARD_BYTES", ROW_BYTES)
    acts = collect(nano, few, SITES, tmp_path / "acts", dtype="float32")
    assert len(acts.shards) > 1
    for site in SITES:
        found, expected = dict(acts[site].norm), dict(store[site].norm)
        assert found.pop("rms") == pytest.approx(expected.pop("rms"), rel=1e-12)  # a sum, in another order
        assert found == expected


# ---- interruption


def interrupt(after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C right after shard number `after` is written."""
    write = collecting._Writer.write

    def interrupted(self: Any, after_window: tuple[int, int]) -> None:
        write(self, after_window)
        if len(self.shards) == after:
            raise KeyboardInterrupt

    monkeypatch.setattr(collecting._Writer, "write", lambda self, after: interrupted(self, after))


@pytest.mark.parametrize("shards", [1, 2, 3, 4])
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    nano: AudioModel, broken: Corpus, tmp_path: Path, shards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "SHARD_BYTES", 100 * ROW_BYTES)
    whole = collect(nano, broken, SITES, tmp_path / "whole", batch_size=3)
    assert len(whole.shards) == 4
    with monkeypatch.context() as patch:
        interrupt(shards, patch)
        with pytest.raises(KeyboardInterrupt):
            collect(nano, broken, SITES, tmp_path / "parts", batch_size=3)
    with pytest.raises(FreudError, match="unfinished"):
        read(tmp_path / "parts")
    windows: list[int] = []
    real = AudioModel.activations
    monkeypatch.setattr(
        AudioModel, "activations", lambda self, mel, sites: windows.append(len(mel)) or real(self, mel, sites)
    )
    parts = collect(nano, broken, SITES, tmp_path / "parts", batch_size=3)
    assert sum(windows) == 10 - 3 * shards if shards < 4 else not windows  # nothing is done twice
    assert folder_bytes(parts.path) == folder_bytes(whole.path)
    assert len(whole.manifest["problems"]) == 3


@pytest.mark.parametrize("slow", ["reader", "model"])
def test_which_thread_is_faster_makes_no_difference(
    nano: AudioModel, broken: Corpus, tmp_path: Path, slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "SHARD_BYTES", 100 * ROW_BYTES)
    whole = collect(nano, broken, SITES, tmp_path / "whole", batch_size=2)
    assert len(whole.shards) > 2

    def slowed(function: Callable[..., Any]) -> Callable[..., Any]:
        def wait(*args: Any) -> Any:
            time.sleep(0.1)
            return function(*args)

        return wait

    if slow == "reader":
        monkeypatch.setattr(collecting, "_assemble", slowed(collecting._assemble))
    else:
        monkeypatch.setattr(AudioModel, "activations", slowed(AudioModel.activations))
    again = collect(nano, broken, SITES, tmp_path / "again", batch_size=2)
    assert folder_bytes(again.path) == folder_bytes(whole.path)


def test_a_damaged_shard_of_an_unfinished_run_is_named_and_can_be_deleted(
    nano: AudioModel, few: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "SHARD_BYTES", 100 * ROW_BYTES)
    whole = collect(nano, few, SITES, tmp_path / "whole", batch_size=3)
    with monkeypatch.context() as patch:
        interrupt(3, patch)
        with pytest.raises(KeyboardInterrupt):
            collect(nano, few, SITES, tmp_path / "parts", batch_size=3)
    second = tmp_path / "parts" / "frames-00001.safetensors"
    second.write_bytes(second.read_bytes()[:-9])
    with pytest.raises(DamagedFileError, match=r"frames-00001.safetensors: damaged .*; delete it and run the same"):
        collect(nano, few, SITES, tmp_path / "parts", batch_size=3)
    second.unlink()
    assert folder_bytes(collect(nano, few, SITES, tmp_path / "parts", batch_size=3).path) == folder_bytes(whole.path)


def test_a_finished_folder_is_returned_without_running_the_model(
    nano: AudioModel, few: Corpus, store: Activations, no_model: None
) -> None:
    again = collect(nano, few, SITES, store.path, dtype="float32")
    assert again.manifest == store.manifest
    assert collect(nano, few, SITES[::-1], store.path, dtype="float32").manifest == store.manifest
    for settings, named in (({}, "dtype"), ({"dtype": "float32", "batch_size": 4}, "batch_size")):
        with pytest.raises(FreudError, match=rf"other settings \({named}\)"):
            collect(nano, few, SITES, store.path, **settings)
    with pytest.raises(FreudError, match=r"other settings \(sites\)"):
        collect(nano, few, SITES[:1], store.path, dtype="float32")


def test_a_full_disk_leaves_a_folder_that_can_be_resumed(
    nano: AudioModel, few: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "SHARD_BYTES", 100 * ROW_BYTES)
    whole = collect(nano, few, SITES, tmp_path / "whole", batch_size=3)
    real = collecting.save_file
    with monkeypatch.context() as patch:

        def full(tensors: Any, path: Path, metadata: Any) -> None:
            if "00001" in path.name:
                path.write_bytes(b"half")
                raise OSError(28, "No space left on device")
            real(tensors, path, metadata)

        patch.setattr(collecting, "save_file", full)
        with pytest.raises(FreudError, match=r"frames-00001.safetensors: cannot write: No space left") as error:
            collect(nano, few, SITES, tmp_path / "acts", batch_size=3)
        one_line(error)
    assert sorted(folder_bytes(tmp_path / "acts")) == ["frames-00000.safetensors", "unfinished.json"]
    assert folder_bytes(collect(nano, few, SITES, tmp_path / "acts", batch_size=3).path) == folder_bytes(whole.path)


# ---- bad input


def test_clips_that_cannot_be_read_are_skipped_and_listed(
    nano: AudioModel, broken: Corpus, store: Activations, tmp_path: Path
) -> None:
    acts = collect(nano, broken, SITES, tmp_path / "acts", dtype="float32")
    bad = {p["clip"]: p["reason"] for p in acts.manifest["problems"]}
    flacs = sorted(p.name for p in broken.root.iterdir() if p.suffix == ".flac")
    clips = broken.clips
    cut, gone = clips[1].path, clips[2].path
    assert list(bad) == [cut, gone, "mm long.wav"]
    assert gone not in flacs
    assert bad["mm long.wav"].endswith("(its first 2 windows are kept)")
    assert "not finite" in bad["mm long.wav"]
    assert not any("\n" in reason for reason in bad.values())
    for clip in clips:
        if clip.path in {cut, gone}:
            with pytest.raises(UnknownNameError, match=f"has no frames of clip '{clip.id}'"):
                acts[RESIDUAL].clip(clip.id)
        elif clip.path == "mm long.wav":
            kept = acts[RESIDUAL].clip(clip.id)
            torch.testing.assert_close(kept, acts[RESIDUAL].clip(clips[-1].id)[:1000], rtol=1e-3, atol=1e-3)
        else:
            same = store.clip_ids[[c.path for c in clips if c.path != "mm long.wav"].index(clip.path)]
            torch.testing.assert_close(acts[RESIDUAL].clip(clip.id), store[RESIDUAL].clip(same), rtol=1e-4, atol=1e-4)
    assert acts.manifest["clips"] == len(clips) - 2


def test_no_clip_that_can_be_read_is_an_error(nano: AudioModel, broken: Corpus, tmp_path: Path) -> None:
    for path in broken.root.iterdir():
        path.write_bytes(b"")
    with pytest.raises(FreudError, match=r"none of its 9 clips could be read") as error:
        collect(nano, broken, SITES, tmp_path / "acts")
    assert len(one_line(error)) < 1000
    with pytest.raises(FreudError, match=r"none of its 9 clips could be read"):
        collect(nano, broken, SITES, tmp_path / "acts")


def test_a_value_too_large_for_float16_is_an_error_that_names_bfloat16(
    nano: AudioModel, few: Corpus, tmp_path: Path
) -> None:
    third = few.clips[2]
    length = -(-round(third.duration * 16000) // 320)

    def plant(x: torch.Tensor) -> torch.Tensor:
        if len(x) == 8:  # the first batch
            x = x.clone()
            x[2, length - 1, 5] = 70_000.0  # the last valid frame of the third clip
            x[2, length, 6] = 90_000.0  # a pad frame, which is nobody's business
        return x

    with nano.hooked(write={RESIDUAL: plant}):
        with pytest.raises(FreudError) as error:
            collect(nano, few, SITES, tmp_path / "acts")
        message = one_line(error)
        assert message.startswith(f"{RESIDUAL}: a value of 7e+04 on {third.name} is too large for float16")
        assert "--store-dtype bfloat16" in message
        acts = collect(
            nano, few, SITES, tmp_path / "acts", dtype="bfloat16"
        )  # as the message says, into the same folder
    assert acts[RESIDUAL].clip(third.id)[-1, 5] == torch.tensor(70_000.0).bfloat16()
    assert acts[RESIDUAL].norm["max"] < 90_000


def test_a_model_that_gives_nan_is_blamed_itself(nano: AudioModel, few: Corpus, tmp_path: Path) -> None:
    with (
        nano.hooked(write={RESIDUAL: lambda x: x * torch.nan}),
        pytest.raises(FreudError, match=rf"not finite on {few.clips[0].name}; check its weights"),
    ):
        collect(nano, few, SITES, tmp_path / "acts")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sites": ["decoder.blocks.0"]}, "decoder.blocks.0: a decoder site has one frame a text token"),
        ({"sites": ["encoder.blocks.*.attn.pattern"]}, "attn.pattern: attention patterns are never stored"),
        ({"sites": ["encoder.blocks.9"]}, "unknown site 'encoder.blocks.9'"),
        ({"sites": SITES, "dtype": "float8"}, "dtype 'float8': expected one of float16, bfloat16, float32"),
        ({"sites": SITES, "batch_size": 0}, "batch_size 0: expected at least 1"),
    ],
)
def test_what_cannot_be_collected_is_refused_in_one_line(
    nano: AudioModel, few: Corpus, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(FreudError) as error:
        collect(nano, few, out=tmp_path / "acts", **arguments)
    assert message in one_line(error)
    assert not (tmp_path / "acts").exists()


def test_no_sites_is_refused(nano: AudioModel, few: Corpus, tmp_path: Path) -> None:
    with pytest.raises(FreudError, match="sites: expected at least one"):
        collect(nano, few, [], tmp_path / "acts")


# ---- reading


def test_a_store_names_what_it_holds(store: Activations, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=rf"has no site 'x'; it holds {NEURONS}, {RESIDUAL}"):
        store["x"]
    with pytest.raises(UnknownNameError, match="has no frames of clip 'x'"):
        store[RESIDUAL].clip("x")
    with pytest.raises(FreudError, match="no such folder"):
        read(tmp_path / "absent")
    assert store[NEURONS].privileged
    assert not store[RESIDUAL].privileged
    assert store[RESIDUAL].frames_per_second == 50


@pytest.mark.parametrize("name", ["frames-00000.safetensors", "clips.parquet", "clip_ids.parquet"])
def test_a_flipped_byte_is_found_before_it_is_read(store: Activations, tmp_path: Path, name: str) -> None:
    shutil.copytree(store.path, tmp_path / "copy")
    path = tmp_path / "copy" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    acts = read(tmp_path / "copy")
    with pytest.raises(DamagedFileError, match=rf"{name}: its content has changed.*`freud collect` again"):
        acts[RESIDUAL].clip(acts.clip_ids[0])


def test_shards_are_memory_mapped(store: Activations) -> None:
    def mapped() -> Iterator[str]:
        for line in Path("/proc/self/maps").read_text().splitlines():
            if "frames-00000.safetensors" in line and str(store.path) in line:
                yield line

    if not Path("/proc/self/maps").exists():
        pytest.skip("no /proc")
    rows = store[RESIDUAL].shard(0)
    assert list(mapped())
    assert rows.dtype == torch.float32
