"""Synthesized sounds that are not speech: sound classes for the demo corpus, noise for augmentation."""

import numpy as np

SAMPLE_RATE = 16_000


def _time(seconds: float) -> np.ndarray:
    return np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _sweep(frequency: np.ndarray) -> np.ndarray:
    """A sine whose instantaneous frequency in Hz is given for each sample."""
    return np.sin(2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE)


def colored_noise(rng: np.random.Generator, samples: int, exponent: float) -> np.ndarray:
    """Noise of unit RMS with power falling as 1 / f ** exponent: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequency = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
    spectrum /= np.maximum(frequency, 20.0) ** (exponent / 2)
    noise = np.fft.irfft(spectrum, samples)
    return noise / np.sqrt(np.mean(noise**2) + 1e-12)


def siren(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A pitch that wails up and down."""
    low, high, rate = rng.uniform(400, 600), rng.uniform(900, 1500), rng.uniform(0.4, 1.2)
    t = _time(seconds)
    wail = 0.5 - 0.5 * np.cos(2 * np.pi * rate * t)
    sine = _sweep(low + (high - low) * wail)
    return sine + 0.3 * sine**3


def clicks(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Short decaying impulses at an even pace."""
    out = np.zeros(int(seconds * SAMPLE_RATE))
    period, tau = rng.uniform(0.12, 0.35), rng.uniform(0.001, 0.003)
    kernel = np.exp(-_time(0.02) / tau) * np.sin(2 * np.pi * rng.uniform(1500, 4000) * _time(0.02))
    for start in np.arange(0.1, seconds - 0.05, period):
        i = int(start * SAMPLE_RATE)
        out[i : i + len(kernel)] += kernel
    return out


def noise_bursts(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Noise switched on and off."""
    noise = colored_noise(rng, int(seconds * SAMPLE_RATE), rng.uniform(0, 1))
    period, on = rng.uniform(0.3, 0.8), rng.uniform(0.3, 0.6)
    return noise * ((_time(seconds) / period) % 1 < on) * 0.3


def tones(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A few steady notes, one after another."""
    t = _time(seconds)
    notes = rng.uniform(200, 2000, size=4)
    step = np.minimum((t / seconds * 4).astype(int), 3)
    envelope = np.minimum(1, 12 * ((t / seconds * 4) % 1)) * np.minimum(1, 12 * (1 - (t / seconds * 4) % 1))
    return _sweep(notes[step]) * envelope


def chirps(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Quick upward sweeps, as of a bird."""
    t = _time(seconds)
    period, low = rng.uniform(0.2, 0.5), rng.uniform(1500, 2500)
    phase = (t / period) % 1
    active = phase < 0.5
    return _sweep(low + 3000 * phase) * active * np.sin(2 * np.pi * np.minimum(phase, 0.5)) ** 2


def hum(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Mains hum: a low note and its harmonics, with a little noise."""
    t, base = _time(seconds), rng.choice([50.0, 60.0, 100.0, 120.0])
    out = sum(np.sin(2 * np.pi * base * k * t + rng.uniform(0, 6)) / k for k in range(1, 9))
    return out + 0.02 * rng.standard_normal(len(t))


SOUNDS = {
    "siren": siren,
    "clicks": clicks,
    "noise bursts": noise_bursts,
    "tones": tones,
    "chirps": chirps,
    "hum": hum,
}


def sound(name: str, rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A sound of a class as float32, peak at a random level, with 10 ms fades."""
    wave = SOUNDS[name](rng, seconds)
    fade = np.minimum(1, np.arange(len(wave)) / 160)
    wave = wave * fade * fade[::-1]
    return (wave / np.abs(wave).max() * rng.uniform(0.2, 0.7)).astype(np.float32)
