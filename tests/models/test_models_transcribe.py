"""Transcription against openai-whisper's greedy decoding with the same weights; windows, languages, errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import whisper.decoding
from twin import to_transformers

import freud
from freud.discovery import demo_folder
from freud.errors import DamagedFileError, FreudError, UnknownNameError
from freud.models import whisper_decoding, whisper_tokens, whisper_vocabulary

MULTILINGUAL, ENGLISH, LARGE_V3 = 51865, 51864, 51866


@pytest.fixture(scope="session", params=[MULTILINGUAL, ENGLISH, LARGE_V3])
def pair(request: pytest.FixtureRequest, make_openai: Callable[..., tuple[Any, Path]]) -> tuple[Any, Any]:
    """openai-whisper's model and ours, with the same weights, for each of OpenAI's vocabularies."""
    reference, path = make_openai(n_vocab=request.param)
    return reference, freud.models.load(str(path))


@pytest.fixture(scope="session")
def multilingual(make_openai: Callable[..., tuple[Any, Path]]) -> Any:
    return freud.models.load(str(make_openai(n_vocab=MULTILINGUAL)[1]))


def noise(seconds: float, seed: int = 7) -> np.ndarray:
    samples = np.random.default_rng(seed).normal(size=round(16000 * seconds))
    return (0.1 * samples * np.sin(np.arange(len(samples)) / 3000)).astype(np.float32)


def words_only(steering: Any, tokens: Sequence[int]) -> list[int]:
    """Tokens without those that steer, and without OpenAI's 1501 timestamps."""
    last = steering.no_timestamps
    control = {steering.start, steering.end, *(steering.languages or {}).values(), *(steering.tasks or {}).values()}
    return [token for token in tokens if token not in control and not last <= token <= last + 1501]


def greedy(model: Any, mel: torch.Tensor, language: str | None, **options: Any) -> list[list[int]]:
    prompt = model.steering.prompt(language, "transcribe")
    search = whisper_decoding.Search(**{"max_new_tokens": 20, **options})
    with torch.inference_mode():
        found = whisper_decoding.decode(model.decoder, model.run(mel), prompt, model.steering, search)
    return [words_only(model.steering, text.tokens) for text in found]


def test_greedy_tokens_are_those_of_openai_whisper(pair: tuple[Any, Any]) -> None:
    reference, model = pair
    mel = torch.randn(3, 80, 200, generator=torch.Generator().manual_seed(8)) / 2
    multilingual = reference.is_multilingual
    options = whisper.decoding.DecodingOptions(
        language="de" if multilingual else "en", without_timestamps=True, sample_len=20, fp16=False
    )
    theirs = [result.tokens for result in whisper.decoding.decode(reference, mel, options)]
    ours = greedy(model, mel, "<|de|>" if multilingual else None)
    assert ours == theirs
    assert len({tuple(tokens) for tokens in ours}) > 1, "the windows sound the same, so this test proves nothing"


def test_text_and_language_are_those_of_openai_whisper(pair: tuple[Any, Any]) -> None:
    reference, model = pair
    samples = noise(1.5)
    ours = model.transcribe(samples, max_new_tokens=20)
    mel = model.log_mel([samples])
    given = None if reference.is_multilingual else "en"
    options = whisper.decoding.DecodingOptions(language=given, without_timestamps=True, sample_len=20, fp16=False)
    theirs = whisper.decoding.decode(reference, mel, options)[0]
    assert ours.text == theirs.text.strip()
    assert ours.text
    assert ours.language == (theirs.language if reference.is_multilingual else None)


def test_long_audio_goes_window_by_window(multilingual: Any, tmp_path: Path) -> None:
    samples = noise(9 * 2 + 0.7)  # windows of two seconds, in more than one batch
    samples = np.clip(samples, -1, 1)
    soundfile.write(tmp_path / "long.wav", samples, 16000, subtype="FLOAT")
    whole = multilingual.transcribe(tmp_path / "long.wav", language="german", max_new_tokens=6)
    assert [(s.start, s.end) for s in whole.segments][:2] == [(0.0, 2.0), (2.0, 4.0)]
    assert (whole.segments[-1].start, whole.segments[-1].end) == (18.0, 18.7)
    assert whole.text == " ".join(segment.text for segment in whole.segments)
    assert whole.language == "de"
    part = multilingual.transcribe(samples[4 * 16000 : 6 * 16000], language="de", max_new_tokens=6)
    assert part.segments[0].text == whole.segments[2].text
    assert whole == multilingual.transcribe(samples, language="de", max_new_tokens=6)


def test_the_default_length_fits_the_decoder(multilingual: Any) -> None:
    assert multilingual.transcribe(noise(1), language="en").text


def test_beam_search_and_translation_run(multilingual: Any) -> None:
    plain = multilingual.transcribe(noise(1), language="en", max_new_tokens=8)
    beams = multilingual.transcribe(noise(1), language="en", max_new_tokens=8, num_beams=3)
    translated = multilingual.transcribe(noise(1), language="en", max_new_tokens=8, task="translate")
    assert plain.text
    assert translated.text != plain.text
    assert beams.text


def test_a_write_is_heard_in_the_transcript(multilingual: Any) -> None:
    def transcribe() -> str:
        return multilingual.transcribe(noise(1), language="en", max_new_tokens=8).text

    before = transcribe()
    with multilingual.hooked(write={"encoder.blocks.1": torch.zeros_like}):
        assert transcribe() != before
    with multilingual.hooked(write={"encoder.blocks.1": lambda x: x, "decoder.blocks.0.cross_attn.key": lambda x: x}):
        assert transcribe() == before
    assert transcribe() == before


def test_unknown_languages_and_tasks(pair: tuple[Any, Any]) -> None:
    reference, model = pair
    for options in ({"language": "klingon"}, {"task": "sing"}):
        with pytest.raises(FreudError) as caught:
            model.transcribe(noise(0.5), **options)
        assert "\n" not in str(caught.value)
        if reference.is_multilingual:
            assert isinstance(caught.value, UnknownNameError)
            assert next(iter(options.values())) in str(caught.value)
        else:
            assert "only transcribes English" in str(caught.value)


def test_bad_audio_is_one_line(multilingual: Any, tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("not audio")
    for audio in (tmp_path / "text.wav", tmp_path / "absent.wav", np.array([0.0, np.nan]), np.zeros(0)):
        with pytest.raises(FreudError) as caught:
            multilingual.transcribe(audio)
        assert "\n" not in str(caught.value)


def test_log_mel_pads_and_refuses_to_cut(multilingual: Any) -> None:
    samples = noise(1)
    mel = multilingual.log_mel([samples, np.pad(samples, (0, 16000))])
    assert mel.shape == (2, 80, 200)
    assert torch.equal(mel[0], mel[1])
    with pytest.raises(FreudError, match="32001 samples do not fit a window of 32000"):
        multilingual.log_mel([np.zeros(32001, np.float32)])


def small_vocabulary_folder(theirs: Any, folder: Path) -> Path:
    """A folder with its own tokenizer of one token a letter, and its own steering tokens."""
    from tokenizers import Tokenizer, decoders, models

    theirs.save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({chr(97 + i % 26) * (1 + i // 26): i for i in range(490)}, unk_token="a"))
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([f"<|{i}|>" for i in range(490, 500)])
    tokenizer.save(str(folder / "tokenizer.json"))
    steering = {"decoder_start_token_id": 491, "eos_token_id": 490, "pad_token_id": 490, "max_length": 400}
    (folder / "generation_config.json").write_text(json.dumps(steering))
    return folder


def test_a_folder_with_a_vocabulary_of_its_own(theirs: Any, tmp_path: Path) -> None:
    mine = freud.models.load(str(small_vocabulary_folder(theirs, tmp_path / "own")))
    heard = mine.transcribe(noise(1))
    assert heard.text.replace(" ", "").isalpha()
    assert heard.language is None


def test_what_transcription_lacks_is_named(theirs: Any, tmp_path: Path) -> None:
    folder = small_vocabulary_folder(theirs, tmp_path / "own")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(DamagedFileError, match="not a tokenizer"):
        freud.models.load(str(folder)).transcribe(noise(1))
    (folder / "tokenizer.json").unlink()
    with pytest.raises(FreudError, match=r"has no tokenizer\.json, which transcription needs"):
        freud.models.load(str(folder)).transcribe(noise(1))


def test_openai_file_without_the_package_or_network(
    multilingual: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FreudError, match="cannot download openai/whisper-tiny from"):
        whisper_vocabulary.text_decoder(multilingual.checkpoint)


@pytest.mark.parametrize("size", [MULTILINGUAL, ENGLISH, LARGE_V3])
def test_steering_tokens_of_openai_vocabularies(size: int) -> None:
    tokenizer = whisper.tokenizer.get_tokenizer(
        size != ENGLISH, num_languages=100 if size == LARGE_V3 else 99, language="en", task="transcribe"
    )
    ours = whisper_tokens._openai_steering(size, 448)
    assert ours.start == tokenizer.sot
    assert ours.end == tokenizer.eot
    assert ours.no_timestamps == tokenizer.no_timestamps
    special = {
        tokenizer.transcribe,
        tokenizer.translate,
        tokenizer.sot,
        tokenizer.sot_prev,
        tokenizer.sot_lm,
        tokenizer.no_speech,
    }
    assert set(ours.suppress) == {*tokenizer.non_speech_tokens, *special}
    assert ours.suppress_first == (*tokenizer.encode(" "), tokenizer.eot)
    if size != ENGLISH:
        assert ours.tasks == {"transcribe": tokenizer.transcribe, "translate": tokenizer.translate}
        codes = zip(tokenizer.all_language_codes, tokenizer.all_language_tokens, strict=True)
        assert ours.languages == {f"<|{code}|>": token for code, token in codes}


def test_what_steers_decoding_is_checked(theirs: Any, tmp_path: Path) -> None:
    folder = small_vocabulary_folder(theirs, tmp_path / "own")
    steering = json.loads((folder / "generation_config.json").read_text())
    for name, value in (("eos_token_id", 500), ("eos_token_id", "end"), ("suppress_tokens", [3, -1])):
        (folder / "generation_config.json").write_text(json.dumps({**steering, name: value}))
        with pytest.raises(DamagedFileError, match=rf"generation_config\.json has {name} = "):
            freud.models.load(str(folder)).transcribe(noise(1))


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"num_beams": 4, "max_new_tokens": 35}])
def test_tokens_are_those_of_transformers(multilingual: Any, options: dict[str, int]) -> None:
    from transformers.generation.configuration_utils import GenerationConfig

    steering = multilingual.steering
    mel = torch.randn(3, 80, 200, generator=torch.Generator().manual_seed(8)) / 2
    config = GenerationConfig(
        decoder_start_token_id=steering.start,
        bos_token_id=steering.end,
        eos_token_id=steering.end,
        pad_token_id=steering.end,
        no_timestamps_token_id=steering.no_timestamps,
        is_multilingual=True,
        lang_to_id=steering.languages,
        task_to_id=steering.tasks,
        suppress_tokens=list(steering.suppress),
        begin_suppress_tokens=list(steering.suppress_first),
        max_length=64,
    )
    chosen = {"max_new_tokens": 20, **options}
    with torch.inference_mode():
        found = to_transformers(multilingual).generate(
            mel, generation_config=config, language="de", task="transcribe", do_sample=False, **chosen
        )
    theirs = [words_only(steering, row) for row in found.tolist()]
    assert greedy(multilingual, mel, "<|de|>", **options) == theirs


def test_rows_decoded_together_are_rows_decoded_alone(multilingual: Any) -> None:
    mel = torch.randn(3, 80, 200, generator=torch.Generator().manual_seed(8)) / 2
    for options in ({}, {"num_beams": 3}, {"temperature": 1.0, "seed": 5}):
        together = greedy(multilingual, mel, "<|de|>", **options)
        assert together == [greedy(multilingual, mel[row : row + 1], "<|de|>", **options)[0] for row in range(3)]


def test_the_draw_is_by_seed(multilingual: Any) -> None:
    mel = torch.randn(1, 80, 200, generator=torch.Generator().manual_seed(8)) / 2
    draws = [greedy(multilingual, mel, "<|de|>", temperature=1.5, seed=seed) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    with pytest.raises(FreudError, match="temperature or several beams"):
        multilingual.transcribe(noise(1), temperature=1.0, num_beams=2)
    for wrong in ({"temperature": float("nan")}, {"num_beams": 0}, {"max_new_tokens": 0}):
        with pytest.raises(FreudError, match=next(iter(wrong))):
            multilingual.transcribe(noise(1), **wrong)


def test_scores_of_a_text_are_the_probabilities_it_was_decoded_with(multilingual: Any) -> None:
    mel = torch.randn(2, 80, 200, generator=torch.Generator().manual_seed(8)) / 2
    steering, decoder = multilingual.steering, multilingual.decoder
    prompt = steering.prompt("<|de|>", "transcribe")
    search = whisper_decoding.Search(max_new_tokens=12)
    with torch.inference_mode():
        encoded = multilingual.run(mel)
        cache = whisper_decoding.Cache()
        texts = whisper_decoding.decode(decoder, encoded, prompt, steering, search, cache)
        for row, text in enumerate(texts):
            scores = whisper_decoding.score(decoder, encoded, prompt, text, steering, cache)
            wanted = [*text.tokens, *([steering.end] if text.ended else [])]
            assert scores.shape == (2, len(wanted))
            for number, token in enumerate(wanted):  # one token at a time, without a cache
                given = torch.tensor([[*prompt, *wanted[:number]]])
                logits = decoder.logits(decoder(given, encoded[row : row + 1])[0, -1])
                for banned in (steering.suppress, steering.suppress_first if number == 0 else ()):
                    logits[list(banned)] = -torch.inf
                expected = logits.log_softmax(-1)
                torch.testing.assert_close(scores[row, number], expected[token], rtol=1e-4, atol=1e-4)
                assert int(expected.argmax()) == token


def test_a_check_of_the_first_rows_text_gives_what_decoding_gives(multilingual: Any) -> None:
    generator = torch.Generator().manual_seed(8)
    mel = torch.randn(3, 80, 200, generator=generator) / 2  # those of the test above, which differ, and one alike
    mel = torch.cat([mel, mel[:1] + 1e-4])
    steering, decoder = multilingual.steering, multilingual.decoder
    for tokens in (1, 2, 20):
        search = whisper_decoding.Search(max_new_tokens=tokens)
        prompt = steering.prompt("<|de|>", "transcribe")
        with torch.inference_mode():
            encoded = multilingual.run(mel)
            alone = whisper_decoding.decode(decoder, encoded, prompt, steering, search)
            checked = whisper_decoding.decode(decoder, encoded, prompt, steering, search, alike=True)
        assert checked == alone
    assert len(set(alone)) > 1


def test_a_row_that_says_something_else_tries_what_the_first_row_says_later(
    nano: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clip whose noise changes a word or two, the texts are those of decoding token by token, in fewer passes."""
    corpus = freud.corpus.read(demo_folder())
    spoken = [clip for clip in corpus if clip.transcript and clip.split == "test"]
    prompt = nano.steering.prompt("<|en|>", "transcribe")
    passes: list[int] = []
    forward = type(nano.decoder).forward

    def counted(self: Any, tokens: torch.Tensor, *rest: Any) -> torch.Tensor:
        passes.append(tokens.shape[1])
        return forward(self, tokens, *rest)

    monkeypatch.setattr(type(nano.decoder), "forward", counted)
    differing = needed = made = 0
    for clip in spoken[::3]:
        mel = nano.log_mel([freud.audio.load(corpus.audio_path(clip))])
        with torch.inference_mode():
            heard = nano.run(mel)
            encoded = torch.cat(
                [heard, heard + torch.randn(heard.shape, generator=torch.Generator().manual_seed(1)) / 2]
            )
            passes.clear()
            alone = whisper_decoding.decode(nano.decoder, encoded, prompt, nano.steering)
            passes.clear()
            tried = whisper_decoding.decode(nano.decoder, encoded, prompt, nano.steering, alike=True)
        assert tried == alone
        if alone[0] != alone[1]:
            differing += 1
            first, second = (text.tokens for text in alone)
            same = next(i for i, (a, b) in enumerate(zip((*first, -1), (*second, -1), strict=False)) if a != b)
            needed += len(second) + 1 - same - 1  # tokens and the end, but for the one that differs in the check
            made += len(passes) - (len(first) + 1) - 1  # without the first row's own and the check of its text
    assert differing > 3, "the rows hear the same, so this test proves nothing"
    assert 2 * made < needed, "where a row differs, every token was a pass of its own"


def test_several_tokens_after_some_in_the_cache_are_read_as_one_by_one(multilingual: Any) -> None:
    encoded = multilingual.run(torch.randn(2, 80, 200, generator=torch.Generator().manual_seed(3)) / 2)
    tokens = torch.randint(0, 1000, (2, 9), generator=torch.Generator().manual_seed(4))
    whole = multilingual.decoder(tokens, encoded)
    cache = whisper_decoding.Cache()
    parts = [multilingual.decoder(part, encoded, cache) for part in tokens.split([3, 4, 2], 1)]
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-5)
    cache.forget(5)
    again = multilingual.decoder(tokens[:, 5:], encoded, cache)
    torch.testing.assert_close(again, whole[:, 5:], rtol=1e-4, atol=1e-5)
