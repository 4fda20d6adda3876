"""Explanations of a feature by a language model: optional, off unless called, and scored like any other name.

Any endpoint that speaks OpenAI's chat protocol will do; its address, model and key come from the environment. `preview`
shows what would be sent and about how many tokens it is; nothing leaves the machine before `explain`. Answers are kept
by a hash of the request, so the same question is paid for once.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile

from freud import artifacts, audio
from freud.corpus import Corpus
from freud.errors import FreudError
from freud.features import FeatureIndex
from freud.naming.detection import Detection, Item, items, score
from freud.naming.query import Names, Side

URL, MODEL, KEY = "FREUD_LLM_URL", "FREUD_LLM_MODEL", "FREUD_LLM_KEY"
ATTEMPTS = 4
EXAMPLES = 12  # events shown
CHARACTERS_A_TOKEN = 4  # of English text, about; a second of sound is about 25 tokens
SOUND_TOKENS = 25
_SYSTEM = (
    "You study single features of a speech model. You see excerpts of transcripts; the moments at which one feature is "
    "active are marked <<like this>>, among the phones too where those are known. Statistics of labels follow. Answer "
    'with JSON only: {"explanation": "at most 12 words that say what the feature responds to"}.'
)
_JUDGE = (
    "You know only a description of a feature of a speech model. For each numbered excerpt say whether the feature is "
    'active in the part marked <<like this>>. Answer with JSON only: {"active": [true, false, ...]}, one for each.'
)


@dataclass(frozen=True)
class Endpoint:
    """Where to ask.

    Attributes:
        url: base URL, such as http://localhost:8000/v1.
        model: name of the model.
        key: sent as a bearer token, if any; never written anywhere.
        hears: whether short WAVs may be sent along.
        timeout: seconds to wait for an answer.
    """

    url: str
    model: str
    key: str | None = None
    hears: bool = False
    timeout: float = 60.0

    def __repr__(self) -> str:
        return f"Endpoint({self.url!r}, {self.model!r}, key={'set' if self.key else None})"


def endpoint(*, hears: bool = False) -> Endpoint:
    """The endpoint that FREUD_LLM_URL, FREUD_LLM_MODEL and FREUD_LLM_KEY name.

    Raises:
        FreudError: the first two are not both set, or the URL is not of http or https.
    """
    url, model = os.environ.get(URL), os.environ.get(MODEL)
    if not url or not model:
        raise FreudError(f"set {URL} (such as http://localhost:8000/v1) and {MODEL}, and {KEY} if it needs a key")
    if not url.startswith(("http://", "https://")):
        raise FreudError(f"{URL} {url!r}: expected a URL that begins with http:// or https://")
    return Endpoint(url.rstrip("/"), model, os.environ.get(KEY) or None, hears)


@dataclass(frozen=True)
class Preview:
    """What would be sent: the messages, about how many tokens they are, and how many clips of sound."""

    messages: list[dict[str, Any]]
    tokens: int
    sounds: int
    cached: bool


@dataclass(frozen=True)
class Explanation:
    """What the model said, and how well its words alone tell the feature's events from look-alikes."""

    feature: int
    side: str
    text: str
    model: str
    tokens: int
    detection: Detection | None


def preview(
    index: FeatureIndex, names: Names, feature: int, corpus: Corpus, to: Endpoint, *, side: Side = "+", cache: Path
) -> Preview:
    """What `explain` would send about a feature; sends nothing.

    Raises:
        UnknownNameError: no such feature. FreudError: it has too few events.
    """
    messages = _question(index, names, feature, corpus, to, side)
    sounds = sum(part["type"] == "input_audio" for part in messages[1]["content"])
    return Preview(_shown(messages), _tokens(messages), sounds, _cache_file(cache, to, messages).is_file())


def explain(
    index: FeatureIndex,
    names: Names,
    feature: int,
    corpus: Corpus,
    to: Endpoint,
    *,
    side: Side = "+",
    cache: Path,
    questions: int = 20,
) -> Explanation:
    """Ask what a feature responds to, then let the answer be judged by detection on held-out clips.

    Args:
        index: the features.
        names: their names, for the split and the statistics of labels.
        feature: which.
        corpus: for the transcripts and, if the model hears, the sound.
        to: where to ask.
        side: of the feature.
        cache: folder of answers.
        questions: of the detection; 0 leaves it out.

    Raises:
        UnknownNameError: no such feature.
        FreudError: it has too few events, the endpoint does not answer, or its answer makes no sense.
    """
    messages = _question(index, names, feature, corpus, to, side)
    answer = _ask(to, messages, cache)
    text = answer.get("explanation")
    if not isinstance(text, str) or not text.strip():
        raise FreudError(f"{to.model}: expected JSON with an explanation, got {_short(answer)}; try another model")
    text = " ".join(text.split())[:200]
    tokens = _tokens(messages)
    judged = None
    if questions:
        asked = items(index, names, feature, questions, side=side)
        request = _judging(text, asked)
        tokens += _tokens(request)
        said = _ask(to, request, cache).get("active")
        if not isinstance(said, list) or len(said) != len(asked) or not all(isinstance(a, bool) for a in said):
            raise FreudError(
                f"{to.model}: expected {len(asked)} answers of true or false, got {_short(said)}; try another model"
            )
        judged = score([item.fires for item in asked], said)
    return Explanation(feature, side, text, to.model, tokens, judged)


def _question(
    index: FeatureIndex, names: Names, feature: int, corpus: Corpus, to: Endpoint, side: Side
) -> list[dict[str, Any]]:
    events = [item for item in items(index, names, feature, 2 * EXAMPLES, side=side, seed=1) if item.fires]
    lines = [f"{i}. {_excerpt(item)}" for i, item in enumerate(events, 1)]
    facts = [
        f"- {row['text']}: agreement {row['agreement']:.2f}, F1 {row['f1'] or 0:.2f}, lift {row['lift'] or 0:.1f}"
        for row in names.scores(feature)
        if row["side"] == side and row["agreement"] is not None
    ]
    text = "Excerpts:\n" + "\n".join(lines) + "\n\nLabels that agree with it best:\n" + "\n".join(facts[:5])
    content: list[dict[str, Any]] = [{"type": "text", "text": text}]
    if to.hears:
        content += [_sound(corpus, item) for item in events[:4]]
    return [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": content}]


def _judging(explanation: str, asked: Sequence[Item]) -> list[dict[str, Any]]:
    lines = "\n".join(f"{i}. {_excerpt(item)}" for i, item in enumerate(asked, 1))
    text = f"Description: {explanation}\n\nExcerpts:\n{lines}"
    return [{"role": "system", "content": _JUDGE}, {"role": "user", "content": [{"type": "text", "text": text}]}]


def _excerpt(item: Item) -> str:
    heard = "; ".join(f"{tier}: {labels}" for tier, labels in sorted(item.marked.items())) or "<<no label>>"
    return f"{heard} ({item.mark_end - item.mark_start:.2f} s)"


def _sound(corpus: Corpus, item: Item) -> dict[str, Any]:
    samples = corpus.samples(corpus[item.clip], item.start, item.end - item.start)
    file = io.BytesIO()
    soundfile.write(file, samples, audio.SAMPLE_RATE, format="WAV", subtype="PCM_16")
    data = base64.b64encode(file.getvalue()).decode()
    return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}


def _shown(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages for people: sound as its length."""
    shown = json.loads(json.dumps(messages))
    for part in shown[1]["content"]:
        if part["type"] == "input_audio":
            part["input_audio"]["data"] = f"({_seconds(part):.1f} s of sound)"
    return shown


def _seconds(part: dict[str, Any]) -> float:
    return len(part["input_audio"]["data"]) * 0.75 / (2 * audio.SAMPLE_RATE)


def _tokens(messages: list[dict[str, Any]]) -> int:
    """About how many tokens messages are."""
    parts = [{"type": "text", "text": messages[0]["content"]}, *messages[1]["content"]]
    text = sum(len(part["text"]) for part in parts if part["type"] == "text")
    return round(text / CHARACTERS_A_TOKEN + SOUND_TOKENS * sum(_seconds(p) for p in parts if p["type"] != "text"))


def _cache_file(cache: Path, to: Endpoint, messages: list[dict[str, Any]]) -> Path:
    return cache / f"{artifacts.fingerprint([to.url, to.model, messages])}.json"


def _ask(to: Endpoint, messages: list[dict[str, Any]], cache: Path) -> dict[str, Any]:
    """The JSON object that the model answers with; from the cache if it was asked before."""
    path = _cache_file(cache, to, messages)
    if path.is_file():
        return artifacts.read_json(path)
    text = _post(to, {"model": to.model, "messages": messages, "temperature": 0})
    answer = _parsed(text)
    if answer is None:
        raise FreudError(f"{to.model}: expected a JSON object, got {_short(text)}; try another model")
    cache.mkdir(parents=True, exist_ok=True)
    artifacts.write_json(path, answer)
    return answer


def _post(to: Endpoint, body: dict[str, Any]) -> str:
    """The text of the answer. Waits and tries again where the server is busy, slow or failing."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {to.key}"} if to.key else {})
    request = urllib.request.Request(f"{to.url}/chat/completions", json.dumps(body).encode(), headers)
    reason = ""
    for attempt in range(ATTEMPTS):
        wait = 2.0**attempt
        try:
            with urllib.request.urlopen(request, timeout=to.timeout) as response:
                answer = json.loads(response.read(10_000_000))
                return str(answer["choices"][0]["message"]["content"])
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code} {error.reason}"
            if error.code != 429 and error.code < 500:
                raise FreudError(f"{to.url}: {reason}; check the URL, the model and the key") from None
            wait = _retry_after(error.headers.get("Retry-After"), wait)
        except (json.JSONDecodeError, KeyError, IndexError, TypeError, UnicodeDecodeError):
            raise FreudError(f"{to.url}: its answer is not that of a chat endpoint; check {URL}") from None
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            reason = str(getattr(error, "reason", error)) or "no answer"
        if attempt + 1 < ATTEMPTS:
            _sleep(wait)
    raise FreudError(f"{to.url}: no answer after {ATTEMPTS} attempts ({reason}); try again later")


def _sleep(seconds: float) -> None:
    time.sleep(seconds)


def _retry_after(header: str | None, otherwise: float) -> float:
    """Seconds to wait: what the server asks for, at most a minute."""
    return min(float(header), 60.0) if header and re.fullmatch(r"\d+(\.\d+)?", header) else otherwise


def _parsed(text: str) -> dict[str, Any] | None:
    """The first JSON object in a text that may have a fence or talk around it."""
    start = text.find("{")
    while start >= 0:
        try:
            value, _ = json.JSONDecoder().raw_decode(text, start)
        except json.JSONDecodeError:
            start = text.find("{", start + 1)
            continue
        return value if isinstance(value, dict) else None
    return None


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return repr(text if len(text) <= 80 else text[:79] + "…")
