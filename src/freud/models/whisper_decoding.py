"""From encoder frames to tokens: greedy, sampled or by beams, many rows as one batch with cached keys and values.

Rows are decoded side by side and never look at each other. Greedy decoding gives the tokens of openai-whisper and of
transformers' generate (`tests/models/test_models_transcribe.py`). With a temperature every row draws with the same
random numbers, so that rows differ only by what they hear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from freud.errors import FreudError
from freud.models.whisper_layers import Cache, Decoder
from freud.models.whisper_tokens import Steering


@dataclass(frozen=True)
class Search:
    """How to look for the most probable text.

    Attributes:
        max_new_tokens: at most so many tokens; None for as many as the decoder can hold.
        num_beams: width of a beam search; 1 takes the most probable token each time; None for the checkpoint's own.
        temperature: draw from probabilities^(1 / temperature) instead; 0 is deterministic.
        seed: of the draw.
    """

    max_new_tokens: int | None = None
    num_beams: int | None = None
    temperature: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_new_tokens is not None and self.max_new_tokens < 1:
            raise FreudError(f"max_new_tokens {self.max_new_tokens}: expected at least 1")
        if self.num_beams is not None and self.num_beams < 1:
            raise FreudError(f"num_beams {self.num_beams}: expected at least 1")
        if not 0 <= self.temperature <= 10:  # also false for NaN
            raise FreudError(f"temperature {self.temperature}: expected a number from 0 to 10")
        if self.temperature and (self.num_beams or 1) > 1:
            raise FreudError("give a temperature or several beams, not both")


GREEDY = Search()


@dataclass(frozen=True)
class Decoded:
    """Tokens of one row, without prompt and end, and whether the end was found before the limit."""

    tokens: tuple[int, ...]
    ended: bool


@torch.inference_mode()
def decode(
    decoder: Decoder,
    encoded: Tensor,
    prompt: Sequence[int],
    steering: Steering,
    search: Search = GREEDY,
    cache: Cache | None = None,
    *,
    alike: bool = False,
) -> list[Decoded]:
    """The text of each row.

    Args:
        decoder: the decoder.
        encoded: [B, T, width], the encoder's output.
        prompt: tokens that every row starts with.
        steering: which tokens end a text or never occur in one.
        search: greedy if not given.
        cache: an empty one to fill; its `cross` part is then of use to `score`.
        alike: rows likely hear the same: when greedy, the first row's text is checked for all others in one pass. Those
            that would go on otherwise are decoded from there, and what the first row says later is tried where it may
            fit. The texts are the same, sooner.
    """
    limit = search.max_new_tokens or steering.max_length
    limit = min(limit, decoder.embed_positions.num_embeddings - len(prompt))
    cache = cache if cache is not None else Cache()
    beams = 1 if search.temperature else search.num_beams or steering.num_beams
    if beams > 1:
        return _beams(decoder, encoded, prompt, steering, beams, limit, cache)
    given = torch.tensor(prompt, device=encoded.device).expand(len(encoded), -1)
    if alike and len(encoded) > 1 and not search.temperature:
        return _after_the_first(decoder, encoded, given, steering, search, limit, cache)
    return _one_by_one(decoder, encoded, given, steering, search, limit, cache)


def _after_the_first(
    decoder: Decoder, encoded: Tensor, given: Tensor, steering: Steering, search: Search, limit: int, cache: Cache
) -> list[Decoded]:
    """Greedy texts of rows that likely hear what the first row hears; see `decode`."""
    own, others = cache.split(1)
    (first,) = _one_by_one(decoder, encoded[:1], given[:1], steering, search, limit, own)
    wanted = torch.tensor([*first.tokens, *([steering.end] if first.ended else [])], device=encoded.device)
    read = torch.cat([given[1:], wanted[:-1].expand(len(encoded) - 1, -1)], 1)
    logits = decoder.logits(
        decoder(read, encoded[1:], others)[:, given.shape[1] - 1 :]
    ).float()  # [rows but the first, wanted, vocabulary]
    _suppressed(logits[:, 0], steering, first=True)
    said = _suppressed(logits, steering, first=False).argmax(-1)
    agreed = (said == wanted).long().cumprod(1).sum(1)  # tokens before the first that differs
    found = [first]
    for row, same in enumerate(agreed.tolist()):
        if same == len(wanted):
            found.append(first)
            continue
        text = [*first.tokens[:same], int(said[row, same])]
        rest = others.cut(torch.tensor([row], device=encoded.device), given.shape[1] + same)
        heard = encoded[row + 1 : row + 2]
        found.append(_along(decoder, heard, list(first.tokens), text, steering, limit, rest))
    cache.take_audio(own, others)
    return found


def _along(
    decoder: Decoder, encoded: Tensor, draft: list[int], text: list[int], steering: Steering, limit: int, cache: Cache
) -> Decoded:
    """The greedy text of one row that begins with `text`, all but the last token of which is in the cache.

    Where two tokens in a row stand in the draft, what follows there is read with the latest token in one pass, and kept
    as far as the row says the same (speculative decoding, Leviathan et al. 2023, with a text for a draft model).
    """
    before = cache.length + 1 - len(text)
    while text[-1] != steering.end and len(text) < limit:
        guess = _what_follows(draft, text)[: limit - len(text) - 1]
        read = torch.tensor([[text[-1], *guess]], device=encoded.device)
        logits = decoder.logits(decoder(read, encoded, cache)[0]).float()
        said = _suppressed(logits, steering, first=False).argmax(-1).tolist()
        right = next((i for i, token in enumerate(guess) if said[i] != token), len(guess))
        text += said[: right + 1]
        cache.forget(before + len(text) - 1)
    return _until_end(text, steering.end)


def _what_follows(draft: list[int], text: list[int]) -> list[int]:
    """The draft after the last two tokens of `text`, where it has them, at the place nearest to the end of `text`."""
    places = [i for i in range(2, len(draft)) if draft[i - 2 : i] == text[-2:]]
    return draft[min(places, key=lambda i: abs(i - len(text))) :] if places else []


def _one_by_one(
    decoder: Decoder,
    encoded: Tensor,
    latest: Tensor,
    steering: Steering,
    search: Search,
    limit: int,
    cache: Cache,
) -> list[Decoded]:
    """Token after token, from the prompt `latest` [rows, tokens]."""
    rows, device = len(encoded), encoded.device
    generator = torch.Generator().manual_seed(search.seed)
    ended = torch.zeros(rows, dtype=torch.bool, device=device)
    chosen: list[Tensor] = []
    while len(chosen) < limit and not bool(ended.all()):
        scores = _scores(decoder, latest, encoded, cache, steering, first=not chosen)
        if search.temperature:  # Gumbel-max: the largest of log p / t + g is a draw from p^(1/t)
            gumbel = -torch.empty(scores.shape[-1]).exponential_(generator=generator).log()
            scores = scores / search.temperature + gumbel.to(device)
        following = scores.argmax(-1).masked_fill(ended, steering.end)
        ended |= following == steering.end
        chosen.append(following)
        latest = following[:, None]
    found = torch.stack(chosen, 1).tolist() if chosen else [[] for _ in range(rows)]
    return [_until_end(row, steering.end) for row in found]


def _beams(
    decoder: Decoder,
    encoded: Tensor,
    prompt: Sequence[int],
    steering: Steering,
    beams: int,
    limit: int,
    cache: Cache,
) -> list[Decoded]:
    """Beam search that ranks finished texts by mean log-probability a token, and stops when no running one can win."""
    rows, device, end = len(encoded), encoded.device, steering.end
    latest = torch.tensor(prompt, device=device).expand(rows * beams, -1)
    totals = torch.full((rows, beams), -torch.inf, device=device)
    totals[:, 0] = 0.0  # all beams are the same yet
    texts: list[list[list[int]]] = [[[] for _ in range(beams)] for _ in range(rows)]
    finished: list[list[tuple[float, list[int]]]] = [[] for _ in range(rows)]
    done = [False] * rows
    for length in range(1, limit + 1):
        raw = decoder.logits(decoder(latest, encoded, cache)[:, -1]).float().log_softmax(-1)
        scores = _suppressed(raw, steering, first=length == 1).unflatten(0, (rows, beams)) + totals[..., None]
        vocabulary = scores.shape[-1]
        best, flat = scores.flatten(1).topk(2 * beams)
        parents, tokens = (flat // vocabulary).tolist(), (flat % vocabulary).tolist()
        kept_from: list[int] = []
        kept_tokens: list[int] = []
        for row in range(rows):
            running: list[tuple[float, int, int]] = []
            values = best[row].tolist()
            for rank, (value, parent, token) in enumerate(zip(values, parents[row], tokens[row], strict=True)):
                stops = token == end or length == limit
                if stops and rank < beams and not done[row] and value > -torch.inf:
                    finished[row].append((value / length, [*texts[row][parent], token]))
                if token != end and len(running) < beams:
                    running.append((value, parent, token))
            finished[row] = sorted(finished[row], key=lambda item: -item[0])[:beams]
            full = len(finished[row]) == beams
            done[row] = done[row] or (full and running[0][0] / length <= finished[row][-1][0])
            texts[row] = [[*texts[row][parent], token] for _, parent, token in running]
            totals[row] = torch.tensor([value for value, _, _ in running], device=device)
            kept_from += [row * beams + parent for _, parent, _ in running]
            kept_tokens += [token for _, _, token in running]
        if all(done):
            break
        cache.select(torch.tensor(kept_from, device=device))
        latest = torch.tensor(kept_tokens, device=device)[:, None]
    return [_until_end(found[0][1] if found else [], end) for found in finished]


@torch.inference_mode()
def score(
    decoder: Decoder, encoded: Tensor, prompt: Sequence[int], text: Decoded, steering: Steering, cache: Cache
) -> Tensor:
    """How probable a given text is to each row: [B, tokens, and one more for the end if it was found] logarithms.

    Args:
        decoder: the decoder.
        encoded: [B, T, width].
        prompt: tokens before the text.
        text: as from `decode`.
        steering: as given to `decode`; probabilities are among the tokens that it allows.
        cache: one that `decode` has filled on the same rows, or an empty one.
    """
    wanted = [*text.tokens, *([steering.end] if text.ended else [])]
    if not wanted:
        return encoded.new_zeros(len(encoded), 0)
    given = torch.tensor([*prompt, *wanted[:-1]], device=encoded.device).expand(len(encoded), -1)
    x = decoder(given, encoded, cache.only_audio())[:, len(prompt) - 1 :]
    logits = decoder.logits(x).float()  # [B, wanted, vocabulary]
    logits[:, 0] = _suppressed(logits[:, 0], steering, first=True)
    logits = _suppressed(logits, steering, first=False).log_softmax(-1)
    index = torch.tensor(wanted, device=logits.device).expand(len(logits), -1)
    return logits.gather(-1, index[..., None])[..., 0]


def _scores(
    decoder: Decoder, latest: Tensor, encoded: Tensor, cache: Cache, steering: Steering, *, first: bool
) -> Tensor:
    """Logits [rows, vocabulary] of the token that follows, in float32."""
    logits = decoder.logits(decoder(latest, encoded, cache)[:, -1]).float()
    return _suppressed(logits, steering, first=first)


def _suppressed(scores: Tensor, steering: Steering, *, first: bool) -> Tensor:
    """Scores [..., vocabulary], -inf at the tokens that never occur (or, with `first`, never begin a text).

    Where several tokens end a text, the most probable of them stands for all, under the name of the first.
    """
    for tokens in (steering.suppress, steering.suppress_first if first else ()):
        if tokens:
            scores[..., list(tokens)] = -torch.inf
    if len(steering.ends) > 1:
        ends = scores[..., list(steering.ends)].amax(-1)
        scores[..., list(steering.ends)] = -torch.inf
        scores[..., steering.end] = ends
    return scores


def _until_end(tokens: list[int], end: int) -> Decoded:
    ended = end in tokens
    return Decoded(tuple(tokens[: tokens.index(end)] if ended else tokens), ended)
