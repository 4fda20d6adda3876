"""A clip under edits: what is reported, that it is right, that hooks go, and that threads do not mix."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from freud import audio
from freud.corpus import Clip, Corpus
from freud.editing import Probe, edit, neuron, train_probe
from freud.editing.words import changed_words, differences, word_errors
from freud.errors import DamagedFileError, FreudError
from freud.models import AudioModel
from freud.saes import SAE

SITE = "encoder.blocks.2"


def hooks_left(model: Any) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.network.modules())


def strong(sae: SAE, busiest: list[int]) -> list[Any]:
    return [sae[index].scale(-3.0) for index in busiest]


@pytest.mark.numeric
def test_three_transcripts_are_those_of_transcribe(
    nano: AudioModel, sae: SAE, samples: np.ndarray, busiest: list[int]
) -> None:
    edits = strong(sae, busiest)
    told = edit(nano, samples, edits)
    assert told.plain is not None
    assert told.reconstruction is not None
    assert told.edited is not None
    assert told.plain.text == nano.transcribe(samples).text
    assert told.edited.text == nano.transcribe(samples, edits=edits).text
    unchanged = [sae[0].scale(1.0)]
    assert told.reconstruction.text == nano.transcribe(samples, edits=unchanged, substitute=True).text
    assert told.edited.text != told.plain.text
    assert told.wer == word_errors(told.differences) / len(told.plain.words)
    assert 0 < told.cer < 2
    assert [w for each in told.differences for w in each.before] == told.plain.text.split()
    assert [w for each in told.differences for w in each.after] == told.edited.text.split()
    assert told.edited.text == nano.transcribe(samples, edits=edits).text  # and again


@pytest.mark.numeric
def test_log_probabilities_are_those_of_the_decoder(
    nano: Any, sae: SAE, samples: np.ndarray, busiest: list[int]
) -> None:
    edits = strong(sae, busiest)
    told = edit(nano, samples, edits)
    assert told.plain is not None
    assert told.edited is not None
    mel = nano.log_mel([samples])
    (encoded,) = nano.run_variants(mel, [{}])
    (hearing,) = nano.hear(encoded)
    prompt = nano.steering.prompt("<|en|>", "transcribe")
    logits = nano.logits(mel, torch.tensor([hearing.tokens]))[0, len(prompt) - 1 :].log_softmax(-1)
    wanted = [*hearing.tokens[len(prompt) :], nano.steering.end]
    each = [float(logits[number, token]) for number, token in enumerate(wanted)]
    assert told.plain.text == hearing.text
    assert told.plain.log_probability == pytest.approx(sum(each), abs=1e-3)
    assert sum(word.plain for word in told.plain.words) == pytest.approx(sum(each[:-1]), abs=1e-3)
    for word in (*told.plain.words, *told.edited.words):
        assert word.change == word.edited - word.plain
        assert word.plain <= 1e-6
    assert sum(w.change for w in told.plain.words) < 0 < sum(w.change for w in told.edited.words)


def test_traces_and_changes_are_the_activations(
    nano: AudioModel, sae: SAE, samples: np.ndarray, busiest: list[int]
) -> None:
    told = edit(nano, samples, [sae[busiest[0]].scale(-1.0), neuron("encoder.blocks.1.mlp.1", 5).set(3.0)])
    frames = audio.valid_frames(len(samples))
    by_site = {trace.site: trace for trace in told.traces}
    x = nano.activations(nano.log_mel([samples]), ["encoder.blocks.1.mlp.1"])["encoder.blocks.1.mlp.1"]
    np.testing.assert_array_equal(by_site["encoder.blocks.1.mlp.1"].before, x[0, :frames, 5].numpy())
    assert set(by_site["encoder.blocks.1.mlp.1"].after) == {3.0}
    np.testing.assert_array_equal(by_site[SITE].after, -by_site[SITE].before)
    assert by_site[SITE].before.max() > 0
    change = {each.site: each for each in told.changes}
    moved = float(np.abs(2 * by_site[SITE].before).sum())  # decoder rows have norm 1
    assert change[SITE].total == pytest.approx(moved, rel=1e-3)
    assert change[SITE].frames == (by_site[SITE].before > 0).sum()
    assert len(told.output.cosine) == len(told.output.norm) == frames
    assert told.output.cosine.min() < 1
    assert told.output.norm.max() > 0


def test_one_json(nano: AudioModel, sae: SAE, samples: np.ndarray, busiest: list[int]) -> None:
    told = json.loads(json.dumps(edit(nano, samples, [sae[busiest[0]].scale(-1)]).as_json(), allow_nan=False))
    assert (
        told["edits"][0] | {"site": SITE, "basis": "latents", "operation": "scale", "value": -1.0} == told["edits"][0]
    )
    assert {"plain", "reconstruction", "edited", "differences", "traces", "changes", "output", "seconds"} <= told.keys()
    assert told["language"] == "en"
    assert len(told["traces"][0]["before"]) == audio.valid_frames(len(samples))


@pytest.mark.numeric
@pytest.mark.parametrize("substitute", [False, True])
def test_factor_one_is_no_edit(
    nano: AudioModel, sae: SAE, identity: SAE, samples: np.ndarray, substitute: bool
) -> None:
    told = edit(nano, samples, [(identity if substitute else sae)[5].scale(1.0)], substitute=substitute)
    assert told.edited == told.plain
    assert told.plain is not None
    assert told.plain.text
    assert all(word.change == 0.0 for word in told.plain.words)
    assert told.changes[0].total == 0.0
    assert told.output.norm.max() == 0.0


def test_decoded_together_as_decoded_alone(nano: Any, sae: SAE, demo: Corpus, busiest: list[int]) -> None:
    """The baseline beside edits is what `transcribe` says, on many clips."""
    spoken = [clip for clip in demo if clip.transcript][::6]
    for clip in spoken:
        told = edit(nano, demo.audio_path(clip), strong(sae, busiest))
        assert told.plain is not None
        assert told.plain.text == nano.transcribe(demo.audio_path(clip)).text


@pytest.mark.numeric
def test_shared_prefix_is_bit_for_bit_a_plain_run(nano: Any, samples: np.ndarray) -> None:
    mel = nano.log_mel([samples])
    sets: list[dict[str, Any]] = [
        {},
        {"encoder.blocks.1": lambda x: 0.5 * x},
        {"encoder.blocks.2.mlp.1": lambda x: x.clone().fill_(0.1), "encoder.blocks.3": lambda x: -x},
        {"encoder.blocks.0.attn.query": lambda x: x + 1},
        {"encoder.ln_post": lambda x: 2 * x},
    ]
    for some in (sets, sets[:2], sets[:1], sets[2:3], sets[4:]):
        for variant, output in zip(some, nano.run_variants(mel, some), strict=True):
            with torch.inference_mode(), nano.hooked(write=variant):
                assert torch.equal(output, nano.run(mel)), list(variant)
    assert hooks_left(nano) == 0


def test_decoder_sites_and_several_sites(nano: AudioModel, sae: SAE, samples: np.ndarray, busiest: list[int]) -> None:
    edits = [neuron("decoder.blocks.0.mlp", n).set(3.0) for n in range(40)] + [sae[busiest[0]].scale(-1)]
    told = edit(nano, samples, edits)
    assert told.plain is not None
    assert told.edited is not None
    assert told.plain.text == nano.transcribe(samples).text
    assert told.edited.text == nano.transcribe(samples, edits=edits).text
    assert told.edited.text != told.plain.text
    trace = next(trace for trace in told.traces if trace.site.startswith("decoder"))
    assert trace.frames_per_second is None
    assert set(trace.after) == {3.0}
    beams = edit(nano, samples, edits, num_beams=3, max_new_tokens=20)
    assert beams.edited is not None
    assert beams.edited.text == nano.transcribe(samples, edits=edits, num_beams=3, max_new_tokens=20).text
    cross = edit(nano, samples, [neuron("decoder.blocks.0.cross_attn.value", n).set(4.0) for n in range(60)])
    assert cross.edited != cross.plain
    assert len(cross.traces[0].before) == audio.valid_frames(len(samples))


def test_long_clips_go_window_by_window(nano: AudioModel, sae: SAE, few: Corpus, busiest: list[int]) -> None:
    path = few.audio_path(few.clips[-1])  # 24 s: three windows
    edits = [edit.during((11.0, 24.0)) for edit in strong(sae, busiest)]
    told = edit(nano, path, edits)
    assert told.plain is not None
    assert told.edited is not None
    assert told.plain.text == nano.transcribe(path).text
    assert told.edited.text == nano.transcribe(path, edits=edits).text
    first = nano.transcribe(path).segments[0].text
    assert told.edited.text.startswith(first)
    assert told.edited.text != told.plain.text
    assert len(told.traces[0].before) == audio.valid_frames(round(16000 * told.duration))
    before, after = told.traces[0].before, told.traces[0].after
    assert (before[: 50 * 11] == after[: 50 * 11]).all()


def test_pad_frames_only_when_asked(nano: AudioModel, samples: np.ndarray) -> None:
    edits = [neuron(SITE, n).set(5.0) for n in range(20)]
    frames = audio.valid_frames(len(samples))
    with nano.edited(edits, samples=len(samples)):
        x = nano.activations(nano.log_mel([samples]), [SITE])[SITE][0]
    assert bool((x[:frames, :20] == 5).all())
    assert not bool((x[frames:, :20] == 5).any())
    told = edit(nano, samples, edits, pad_frames=True)
    assert len(told.traces[0].before) == nano.frames_per_window


def test_hooks_go_after_exceptions_and_locks_too(nano: AudioModel, sae: SAE, samples: np.ndarray) -> None:
    def fail() -> None:
        with nano.edited([sae[3].scale(0)]):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert hooks_left(nano) == 0
    with ThreadPoolExecutor(1) as pool:  # another thread can use the model
        assert pool.submit(nano.transcribe, samples).result(60).text == nano.transcribe(samples).text


def test_threads_get_what_they_would_get_alone(
    nano: AudioModel, sae: SAE, demo: Corpus, samples: np.ndarray, busiest: list[int]
) -> None:
    other = audio.load(demo.audio_path(demo.clips[3]))
    jobs = [(samples, [sae[busiest[0]].scale(-5.0)]), (other, strong(sae, busiest)), (samples, [sae[1].scale(1.0)])]

    def run(job: tuple[np.ndarray, list[Any]]) -> tuple[Any, ...]:
        told = edit(nano, *job)
        read = nano.activations(nano.log_mel([job[0]]), ["encoder.ln_post"])["encoder.ln_post"]
        return told.plain, told.edited, told.reconstruction, float(read.double().sum())

    alone = [run(job) for job in jobs]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(run, jobs * 3)) == alone * 3
    assert hooks_left(nano) == 0


def test_labels_need_their_clip(nano: AudioModel, sae: SAE, demo: Corpus, clip: Clip, busiest: list[int]) -> None:
    segments = demo.segments(clip.id)
    phone = next(s for s in segments if s.tier == "phones" and s.label != "pau")
    edits = [each.at("phones", phone.label) for each in strong(sae, busiest)]
    told = edit(nano, demo.audio_path(clip), edits, segments=segments)
    inside = np.zeros(len(told.traces[0].before), bool)
    for s in segments:
        if (s.tier, s.label) == ("phones", phone.label):
            times = (np.arange(len(inside)) + 0.5) / 50
            inside |= (times >= s.start) & (times < s.end)
    for trace in told.traces:
        assert (trace.before == trace.after)[~inside].all()
    assert any((trace.before != trace.after).any() for trace in told.traces)


def test_silence_and_nothing_to_edit(nano: AudioModel, sae: SAE) -> None:
    told = edit(nano, np.zeros(16000, np.float32), [sae[3].set(50.0)])
    assert told.changes[0].frames == 50
    json.dumps(told.as_json(), allow_nan=False)
    with pytest.raises(FreudError, match="no edit"):
        edit(nano, np.zeros(16000, np.float32), [])


@pytest.fixture(scope="module")
def probe(nano: AudioModel, samples: np.ndarray) -> Probe:
    """Tells loud from quiet frames of the clip."""
    frames = audio.valid_frames(len(samples))
    x = nano.activations(nano.log_mel([samples]), ["encoder.ln_post"])["encoder.ln_post"][0, :frames]
    power = np.pad(samples, (0, frames * 320 - len(samples))).reshape(frames, 320).std(1)
    return train_probe(nano, x, ["loud" if each > np.median(power) else "quiet" for each in power])


def test_a_probe_reports_and_round_trips(
    nano: AudioModel, sae: SAE, samples: np.ndarray, busiest: list[int], probe: Probe, tmp_path: Any
) -> None:
    probe.save(tmp_path / "probe.safetensors")
    again = Probe.load(tmp_path / "probe.safetensors")
    assert (again.classes, again.model, again.model_fingerprint) == (("loud", "quiet"), "nano", nano.fingerprint)
    told = edit(nano, samples, strong(sae, busiest), probe=again)
    assert told.probe is not None
    frames = audio.valid_frames(len(samples))
    assert sum(each.plain for each in told.probe) == sum(each.edited for each in told.probe) == frames
    assert next(each for each in told.probe if each.label == "loud").plain == pytest.approx(frames / 2, abs=frames / 8)
    assert any(each.log_probability != 0 for each in told.probe)


def test_bad_probes_are_one_line(nano: AudioModel, probe: Probe, tmp_path: Any, sae: SAE) -> None:
    with pytest.raises(FreudError, match="no such file"):
        Probe.load(tmp_path / "absent")
    (tmp_path / "text").write_text("not a probe")
    with pytest.raises(DamagedFileError, match="not a probe"):
        Probe.load(tmp_path / "text")
    Probe(probe.weight, probe.bias, ("one",), "nano", "x").save(tmp_path / "short")
    with pytest.raises(DamagedFileError, match="1 classes"):
        Probe.load(tmp_path / "short")
    other = Probe(probe.weight, probe.bias, probe.classes, "tiny", "0" * 16)
    with pytest.raises(FreudError, match="probe of model tiny"):
        edit(nano, np.zeros(1600, np.float32), [sae[3].ablate()], probe=other)


def test_differences_are_both_transcripts() -> None:
    before, after = ["a", "b", "c", "d"], ["a", "x", "c", "d", "e"]
    found = differences(before, after)
    assert [(each.kind, each.before, each.after) for each in found] == [
        ("equal", ("a",), ("a",)),
        ("substitute", ("b",), ("x",)),
        ("equal", ("c", "d"), ("c", "d")),
        ("insert", (), ("e",)),
    ]
    assert word_errors(found) == 2
    assert changed_words(found) == {1, 4}
    assert differences([], []) == ()
    assert [each.kind for each in differences([], ["a"])] == ["insert"]
    assert [each.kind for each in differences(["a"], [])] == ["delete"]
    assert math.isclose(word_errors(differences(["a"], [])), 1)


@pytest.mark.shared
def test_an_encoder_without_a_decoder(shared: Any) -> None:
    import freud.models

    model = freud.models.load(str(shared / "models" / "whisper-base-encoder"))
    told = edit(model, shared / "data" / "real-audio" / "jfk.flac", [neuron("encoder.blocks.3.mlp.1", 5).set(9.0)])
    assert told.plain is None
    assert told.edited is None
    assert told.wer is None
    assert len(told.output.cosine) == 550
    assert 0 < told.output.norm.mean() < 1
    json.dumps(told.as_json(), allow_nan=False)
    with pytest.raises(FreudError, match="has only an encoder and cannot transcribe"):
        model.transcribe(shared / "data" / "real-audio" / "jfk.flac", edits=[neuron("encoder.blocks.3", 5).set(9.0)])
