"""Fixtures that any test may use."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, not whether the code is right. In CI examples are the same in
# every run, so that what fails is what was changed; elsewhere each run tries new ones.
settings.register_profile(
    "any machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("any machine")

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: threads that wait for each other crawl on a busy machine
if os.environ.get("ATEN_CPU_CAPABILITY") in {"default", "avx2"}:
    # oneDNN asks the processor itself; half lowered, torch stops at an attention in bfloat16 (no pack_vnni2)
    os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")
    os.environ.setdefault("MKL_ENABLE_INSTRUCTIONS", "AVX2")

if TYPE_CHECKING:
    from freud.activations import Activations
    from freud.corpus import Corpus
    from freud.models import AudioModel


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real audio and models, in a folder beside the repository; tests that need it are skipped without it."""
    path = Path(__file__).parents[2] / "shared"
    if not path.is_dir():
        pytest.skip(f"{path} is absent")
    return path


@pytest.fixture(scope="session")
def nano() -> AudioModel:
    """The bundled model, with its trained weights."""
    import freud.models

    return freud.models.load("nano")


@pytest.fixture(scope="session")
def demo() -> Corpus:
    """The bundled corpus: 90 short clips with phones and words."""
    import freud
    from freud.corpus import read

    return read(Path(freud.__file__).parent / "bundled" / "demo")


@pytest.fixture(scope="session")
def few(demo: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Seven clips of the demo, and a last one of 24 s: three windows of nano."""
    from freud import audio
    from freud.corpus import read

    folder = tmp_path_factory.mktemp("few")
    for clip in demo.clips[::13]:
        shutil.copy(demo.audio_path(clip), folder)
    samples = np.concatenate([audio.load(demo.audio_path(clip)) for clip in demo.clips[:20]])
    soundfile.write(folder / "zz long.wav", samples[: 24 * 16000], 16000, subtype="PCM_16")
    return read(folder)


@pytest.fixture(scope="session")
def store(nano: AudioModel, few: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Activations:
    """Activations of nano on `few` at two sites, a residual stream and a layer of neurons, in float32."""
    from freud.activations import collect

    sites = ["encoder.blocks.2", "encoder.blocks.2.mlp.1"]
    return collect(nano, few, sites, tmp_path_factory.mktemp("store") / "acts", dtype="float32", progress=False)


@pytest.fixture(scope="session")
def speech(demo: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of five short demo clips with their label files."""
    folder = tmp_path_factory.mktemp("speech") / "clips"
    folder.mkdir()
    for clip in demo.clips[:10:2]:
        path = demo.audio_path(clip)
        for file in path.parent.glob(f"{path.stem}.*"):
            shutil.copy(file, folder)
    return folder


@pytest.fixture(scope="session")
def result(nano: AudioModel, speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `freud discover` makes of `speech`: a residual stream and a layer of neurons of nano. Not to be changed."""
    import freud
    from freud.saes import Options, TopK

    out = tmp_path_factory.mktemp("result") / "discovered"
    architecture, options = TopK(k=4, expansion=2), Options(steps=12, batch_size=64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(freud.models, "load", lambda name, **options: nano)
        sites = ["encoder.blocks.0", "encoder.blocks.0.mlp.1"]
        freud.discover(speech, "nano", sites, out, architecture=architecture, options=options, progress=False)
    return out
