"""The bundled model, with its real weights: it must hear what is said."""

from __future__ import annotations

import jiwer

from freud.corpus import Corpus
from freud.models import AudioModel


def test_it_transcribes_sentences_it_was_not_trained_on(nano: AudioModel, demo: Corpus) -> None:
    spoken = [clip for clip in demo if clip.transcript and clip.split == "test"]
    said = [clip.transcript.replace(",", "") for clip in spoken if clip.transcript]
    heard = [nano.transcribe(demo.audio_path(clip)).text.replace(",", "") for clip in spoken]
    assert jiwer.wer(said, heard) <= 0.10
    assert jiwer.cer(said, heard) <= 0.04


def test_it_hears_no_words_in_sounds(nano: AudioModel, demo: Corpus) -> None:
    sounds = [clip for clip in demo if clip.label]
    heard = [nano.transcribe(demo.audio_path(clip)).text for clip in sounds]
    assert sum(text != "" for text in heard) <= len(sounds) // 6
