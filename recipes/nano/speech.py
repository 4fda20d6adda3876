"""Speech synthesis with exact timing, through the C libraries of flite and espeak-ng.

Both return the samples and, for every word and phone, when it starts and ends. Phones carry flite's names
(the CMU set, `ax` for schwa and `pau` for silence); espeak-ng's are mapped to them.
"""

import ctypes
import random
import re
from ctypes import POINTER, byref, c_char, c_char_p, c_float, c_int, c_short, c_uint, c_void_p
from dataclasses import dataclass
from functools import cache

import numpy as np
import soxr

SAMPLE_RATE = 16_000
FLITE_VOICES = ("slt", "rms", "awb", "kal16")
ESPEAK_ACCENTS = ("en-us", "en-us", "en-us-nyc", "en-gb-x-rp", "en-gb-scotland")
ESPEAK_VARIANTS = (
    "", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "klatt", "klatt2",
    "klatt3", "Andy", "Annie", "Alicia", "adam", "Denis", "Diogo", "edward", "Gene", "Henrique", "Hugo",
    "Jacky", "john", "Lee", "Linda", "Marco", "Mario", "max", "Michael", "Mike", "Paul", "Pedro", "Quincy",
    "rob", "robert", "sandro", "shelby", "steph", "travis", "victor", "Zac",
)  # fmt: skip
Interval = tuple[float, float, str]


@dataclass(frozen=True)
class Utterance:
    """One synthesized sentence: float32 samples at 16 kHz, and tiers in seconds.

    A word's label keeps its comma. Where espeak-ng runs two words together ("of the") they share one
    interval.
    """

    samples: np.ndarray
    words: list[Interval]
    phones: list[Interval]
    speaker: str


class _FliteWave(ctypes.Structure):
    _fields_ = (
        ("type", c_char_p),
        ("sample_rate", c_int),
        ("num_samples", c_int),
        ("num_channels", c_int),
        ("samples", POINTER(c_short)),
    )


class Flite:
    """The four voices of flite, each loaded once."""

    def __init__(self) -> None:
        load = ctypes.CDLL
        self.lib = lib = load("libflite.so.1", mode=ctypes.RTLD_GLOBAL)
        load("libflite_usenglish.so.1", mode=ctypes.RTLD_GLOBAL)
        load("libflite_cmulex.so.1", mode=ctypes.RTLD_GLOBAL)
        for name in (
            "flite_synth_text",
            "utt_wave",
            "utt_relation",
            "relation_head",
            "item_next",
            "item_daughter",
            "item_as",
        ):
            getattr(lib, name).restype = c_void_p
        lib.item_feat_float.restype = c_float
        lib.item_feat_string.restype = c_char_p
        lib.flite_init()
        self.voices = {}
        for voice in FLITE_VOICES:
            register = getattr(load(f"libflite_cmu_us_{voice}.so.1"), f"register_cmu_us_{voice}")
            register.restype = c_void_p
            self.voices[voice] = c_void_p(register(None))

    def _items(self, item: int | None):
        while item:
            yield item
            item = self.lib.item_next(c_void_p(item))

    def _daughters(self, item: int):
        return self._items(self.lib.item_daughter(c_void_p(item)))

    def speak(self, text: str, voice: str, stretch: float = 1.0, pitch: float | None = None) -> Utterance:
        """Speak `text`; `stretch` scales durations, `pitch` is the mean fundamental in Hz."""
        lib, pointer = self.lib, self.voices[voice]
        features = c_void_p(ctypes.cast(pointer, POINTER(c_void_p))[1])  # the voice's second field
        lib.feat_set_float(features, b"duration_stretch", c_float(stretch))
        if pitch is not None:
            lib.feat_set_float(features, b"int_f0_target_mean", c_float(pitch))
        utterance = c_void_p(lib.flite_synth_text(text.encode(), pointer))
        wave = ctypes.cast(c_void_p(lib.utt_wave(utterance)), POINTER(_FliteWave)).contents
        samples = np.ctypeslib.as_array(wave.samples, (wave.num_samples,)).astype(np.float32) / 32768

        def relation(name: bytes):
            return self._items(lib.relation_head(c_void_p(lib.utt_relation(utterance, name))))

        def end(segment: int) -> float:
            return lib.item_feat_float(c_void_p(lib.item_as(c_void_p(segment), b"Segment")), b"end")

        def name(item: int) -> str:
            return lib.item_feat_string(c_void_p(item), b"name").decode()

        phones, start, duration = [], 0.0, len(samples) / SAMPLE_RATE
        for segment in relation(b"Segment"):
            phones.append((start, end(segment), name(segment)))
            start = phones[-1][1]
        start_of = {stop: begin for begin, stop, _ in phones}
        words = []
        for word in relation(b"Word"):
            syllables = self._daughters(lib.item_as(c_void_p(word), b"SylStructure"))
            ends = [end(segment) for syllable in syllables for segment in self._daughters(syllable)]
            words.append((start_of[ends[0]], ends[-1], name(word)))
        lib.delete_utterance(utterance)
        labels = text.split()
        if [w.rstrip(",") for w in labels] != [label for _, _, label in words]:
            raise ValueError(f"flite's words do not match the text: {text!r}")
        words = [(a, min(b, duration), label) for (a, b, _), label in zip(words, labels, strict=True)]
        phones = [(a, min(b, duration), p) for a, b, p in phones if a < duration]  # kal16 cuts the last pause
        return Utterance(samples, words, phones, voice)


class _EspeakEvent(ctypes.Structure):
    _fields_ = (
        ("type", c_int),
        ("unique_identifier", c_uint),
        ("text_position", c_int),
        ("length", c_int),
        ("audio_position", c_int),
        ("sample", c_int),
        ("user_data", c_void_p),
        ("string", c_char * 8),
    )


_CALLBACK = ctypes.CFUNCTYPE(c_int, POINTER(c_short), c_int, POINTER(_EspeakEvent))
_WORD, _PHONEME = 1, 7  # espeak_EVENT_TYPE
_RATE, _PITCH, _RANGE = 1, 3, 4  # espeak_PARAMETER

# espeak-ng's mnemonics, without stress and variant marks, in flite's phones; two phones share the time.
ESPEAK_PHONES = {
    mnemonic: names.split("+")
    for mnemonic, names in re.findall(
        r"(\S+)=(\S+)",
        """
    a=ae aa=ae A=aa A:=aa A@=aa+r 0=aa O=ao O2=ao O:=ao O@=ao+r o@=ao+r E=eh e=eh e@=eh+r I=ih I2=ih
    i=iy i:=iy i@=iy+ax i@3=iy+r U=uh U@=uh+r u:=uw u=uw V=ah @=ax @2=ax @5=ax @L=ax+l 3=er 3:=er eI=ey
    aI=ay OI=oy oU=ow aU=aw aI@=ay+ax aI3=ay+er aU@=aw+ax I#=ih tS=ch dZ=jh T=th D=dh S=sh Z=zh N=ng
    h=hh j=y r=r l=l m=m n=n p=p b=b t=t d=d k=k g=g f=f v=v s=s z=z w=w ?=t *=t t2=t n-=n l#=l r-=r x=k
    R=r L=l
    """,
    )
}


def flite_phones(mnemonic: str) -> list[str]:
    """flite's names for an espeak-ng phoneme; an empty list for marks such as palatalisation."""
    if mnemonic.startswith("_"):
        return ["pau"]
    bare = re.sub(r"[',%=|]", "", mnemonic)
    for candidate in (bare, bare.rstrip("23#-"), bare[:1]):
        if candidate in ESPEAK_PHONES:
            return ESPEAK_PHONES[candidate]
    return []


class Espeak:
    """espeak-ng, one voice at a time."""

    def __init__(self) -> None:
        self.lib = ctypes.CDLL("libespeak-ng.so.1")
        self.sample_rate = self.lib.espeak_Initialize(2, 0, None, 1 | 0x8000)  # synchronous, phoneme events
        self.chunks: list[np.ndarray] = []
        self.events: list[tuple[int, int, int, str]] = []
        self.callback = _CALLBACK(self._receive)
        self.lib.espeak_SetSynthCallback(self.callback)

    def _receive(self, samples, count: int, events) -> int:
        if count:
            self.chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        i = 0
        while events[i].type:
            event = events[i]
            if event.type in (_WORD, _PHONEME):
                label = event.string.decode("utf-8", "replace") if event.type == _PHONEME else ""
                self.events.append((event.type, event.text_position, event.sample, label))
            i += 1
        return 0

    def speak(self, text: str, voice: str, rate: int = 160, pitch: int = 50, pitch_range: int = 50) -> Utterance:
        """Speak `text`; `voice` is an accent and a variant ("en-us+f3"), `rate` is in words a minute."""
        lib = self.lib
        if lib.espeak_SetVoiceByName(voice.rstrip("+").encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_RANGE, pitch_range)):
            lib.espeak_SetParameter(parameter, value, 0)
        self.chunks.clear()
        self.events.clear()
        encoded = text.encode()
        lib.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, 1, byref(c_uint()), None)
        samples = np.concatenate(self.chunks).astype(np.float32) / 32768
        duration = len(samples) / self.sample_rate
        phones = self._phones(duration)
        return Utterance(
            soxr.resample(samples, self.sample_rate, SAMPLE_RATE),
            self._words(text, phones),
            phones,
            f"espeak {voice}",
        )

    def _phones(self, duration: float) -> list[Interval]:
        marks = [(n / self.sample_rate, flite_phones(s)) for kind, _, n, s in self.events if kind == _PHONEME]
        marks = [(0.0, ["pau"]), *((t, p) for t, p in marks if p)]
        phones = []
        for (start, names), stop in zip(marks, [*(t for t, _ in marks[1:]), duration], strict=True):
            step = (stop - start) / len(names)
            if step > 0:
                phones += [(start + i * step, start + (i + 1) * step, name) for i, name in enumerate(names)]
        return phones

    def _words(self, text: str, phones: list[Interval]) -> list[Interval]:
        """Words from their events; a word without an event joins the one before it."""
        offsets = [m.start() for m in re.finditer(r"\S+", text)]
        onset = {position - 1: n / self.sample_rate for kind, position, n, _ in self.events if kind == _WORD}
        units: list[tuple[float, str]] = []
        for offset, label in zip(offsets, text.split(), strict=True):
            if offset in onset:
                units.append((onset[offset], label))
            elif units:
                units[-1] = (units[-1][0], f"{units[-1][1]} {label}")
            else:
                raise ValueError(f"espeak-ng gave no time for the first word of {text!r}")
        words = []
        for (start, label), limit in zip(units, [*(t for t, _ in units[1:]), float("inf")], strict=True):
            inside = [(a, b) for a, b, p in phones if p != "pau" and start - 0.005 <= a < limit - 0.005]
            if not inside:
                raise ValueError(f"espeak-ng gave no phones for {label!r}")
            words.append((inside[0][0], inside[-1][1], label))
        return words


@cache
def flite() -> Flite:
    return Flite()


@cache
def espeak() -> Espeak:
    return Espeak()


def speak_randomly(text: str, rng: random.Random) -> Utterance:
    """`text` in a random voice, rate and pitch: six tenths flite, the rest espeak-ng."""
    if rng.random() < 0.6:
        voice = rng.choice(FLITE_VOICES)
        natural = {"slt": 170, "rms": 100, "awb": 120, "kal16": 105}[voice]
        return flite().speak(text, voice, rng.uniform(0.8, 1.2), natural * rng.uniform(0.85, 1.2))
    voice = f"{rng.choice(ESPEAK_ACCENTS)}+{rng.choice(ESPEAK_VARIANTS)}"
    return espeak().speak(text, voice, rng.randint(130, 190), rng.randint(25, 75), rng.randint(30, 70))
