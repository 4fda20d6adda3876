"""What can be downloaded: one table of corpora, their parts, and the addresses, sizes and checksums of their files.

Checksums are those that the publishers or tensorflow-datasets, torchaudio and soundata have published; where none is
known it is None, and the download says so. Nothing else in the package has an address of a corpus.
"""

from __future__ import annotations

from dataclasses import dataclass

from freud.errors import UnknownNameError


@dataclass(frozen=True)
class Remote:
    """A file to fetch."""

    url: str
    size: int | None = None
    """In bytes, where it is known."""
    checksum: str | None = None
    """ALGORITHM:DIGITS, where it is known."""

    @property
    def name(self) -> str:
        """The file's name: the last part of the address."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class Part:
    """What is fetched together: the volumes of one archive, or files that are kept as they are."""

    files: tuple[Remote, ...]
    unpacked: int = 0
    """About how many bytes it takes on disk; 0: about as many as it is large."""
    into: str = "."
    """The folder below the output folder."""
    note: str = ""


@dataclass(frozen=True)
class Source:
    """A corpus that can be downloaded."""

    title: str
    license: str
    home: str
    parts: dict[str, Part]
    default: tuple[str, ...]
    """The parts that are fetched if none are named; with none, the user has to choose."""
    after: str = ""
    """What is left for the user to do."""


_GB = 1_000_000_000
_SLR = "https://www.openslr.org/resources"
_ZENODO = "https://zenodo.org/records/4060432/files"


def _librispeech(name: str, size: int, sha256: str) -> Part:
    return Part((Remote(f"{_SLR}/12/{name}.tar.gz", size, f"sha256:{sha256}"),), unpacked=round(1.05 * size))


def _fsd50k(name: str, *files: tuple[str, str]) -> Part:
    return Part(tuple(Remote(f"{_ZENODO}/FSD50K.{name}.{end}", None, f"md5:{md5}") for end, md5 in files))


def _audioset(name: str) -> Part:
    return Part((Remote(f"https://storage.googleapis.com/us_audioset/youtube_corpus/v1/csv/{name}.csv"),))


SOURCES: dict[str, Source] = {
    "librispeech": Source(
        "LibriSpeech: 1000 hours of read English, 2484 speakers",
        "CC BY 4.0",
        "https://www.openslr.org/12",
        {
            "dev-clean": _librispeech(
                "dev-clean", 337926286, "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3"
            ),
            "dev-other": _librispeech(
                "dev-other", 314305928, "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365"
            ),
            "test-clean": _librispeech(
                "test-clean", 346663984, "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23"
            ),
            "test-other": _librispeech(
                "test-other", 328757843, "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29"
            ),
            "train-clean-100": _librispeech(
                "train-clean-100", 6387309499, "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2"
            ),
            "train-clean-360": _librispeech(
                "train-clean-360", 23049477885, "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf"
            ),
            "train-other-500": _librispeech(
                "train-other-500", 30593501606, "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2"
            ),
            "alignments": Part(
                (Remote("https://zenodo.org/records/2619474/files/librispeech_alignments.zip"),),
                unpacked=5 * _GB,
                into="LibriSpeech/alignments",
                note="words and phones of all parts, TextGrids by the Montreal Forced Aligner (Lugosch et al. 2019)",
            ),
        },
        default=(),
    ),
    "ljspeech": Source(
        "LJSpeech: 24 hours of one reader",
        "public domain",
        "https://keithito.com/LJ-Speech-Dataset/",
        {
            "all": Part(
                (
                    Remote(
                        "https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2",
                        2748572632,
                        "sha256:be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5",
                    ),
                ),
                unpacked=4 * _GB,
            )
        },
        default=("all",),
    ),
    "speech-commands": Source(
        "Speech Commands 0.02: 105 829 one-second words",
        "CC BY 4.0",
        "https://arxiv.org/abs/1804.03209",
        {
            "all": Part(
                (
                    Remote(
                        "https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
                        2428923189,
                        "sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
                    ),
                ),
                unpacked=4 * _GB,
                into="speech_commands",
            ),
            "test": Part(
                (
                    Remote(
                        "https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_test_set_v0.02.tar.gz",
                        112563277,
                        "sha256:cc2a00c1147c2254e9be3fa0f779d8c17421dc349b86366567a8edfa9acd51df",
                    ),
                ),
                into="speech_commands_test",
            ),
        },
        default=("all",),
    ),
    "esc50": Source(
        "ESC-50: 2000 environmental sounds in 50 classes",
        "CC BY-NC 3.0 (ESC-10: CC BY 3.0)",
        "https://github.com/karolpiczak/ESC-50",
        {"all": Part((Remote("https://github.com/karolpiczak/ESC-50/archive/refs/heads/master.zip"),), unpacked=_GB)},
        default=("all",),
    ),
    "audioset": Source(
        "AudioSet: tables of segments and class names; the recordings are not redistributed",
        "CC BY 4.0 (tables); the recordings are their owners'",
        "https://research.google.com/audioset/download.html",
        {
            "balanced": _audioset("balanced_train_segments"),
            "eval": _audioset("eval_segments"),
            "unbalanced": _audioset("unbalanced_train_segments"),
            "names": _audioset("class_labels_indices"),
        },
        default=("balanced", "eval", "names"),
        after="put the recordings you have into this folder, named by their YTID",
    ),
    "musan": Source(
        "MUSAN: 109 hours of music, noise and speech",
        "per file: public domain or Creative Commons",
        "https://www.openslr.org/17",
        {
            "all": Part(
                (Remote(f"{_SLR}/17/musan.tar.gz", 11086114085, "md5:0c472d4fc0c5141eca47ad1ffeb2a7df"),),
                unpacked=12 * _GB,
            )
        },
        default=("all",),
    ),
    "fsd50k": Source(
        "FSD50K: 51 197 sound events in 200 classes, 108 hours",
        "CC BY 4.0; each clip has its own: CC0, CC BY, CC BY-NC or CC Sampling+",
        "https://zenodo.org/records/4060432",
        {
            "dev": _fsd50k(
                "dev_audio",
                ("z01", "faa7cf4cc076fc34a44a479a5ed862a3"),
                ("z02", "8f9b66153e68571164fb1315d00bc7bc"),
                ("z03", "1196ef47d267a993d30fa98af54b7159"),
                ("z04", "d088ac4e11ba53daf9f7574c11cccac9"),
                ("z05", "81356521aa159accd3c35de22da28c7f"),
                ("zip", "c480d119b8f7a7e32fdb58f3ea4d6c5a"),
            ),
            "eval": _fsd50k(
                "eval_audio", ("z01", "3090670eaeecc013ca1ff84fe4442aeb"), ("zip", "6fa47636c3a3ad5c7dfeba99f2637982")
            ),
            "ground-truth": _fsd50k("ground_truth", ("zip", "ca27382c195e37d2269c4c866dd73485")),
            "metadata": _fsd50k("metadata", ("zip", "b9ea0c829a411c1d42adb9da539ed237")),
        },
        default=("dev", "eval", "ground-truth", "metadata"),
    ),
}

BY_HAND = {
    "common-voice": "Mozilla gives it out after a registration, at https://commonvoice.mozilla.org/datasets; unpack it",
    "timit": "the LDC licenses it, at https://catalog.ldc.upenn.edu/LDC93S1",
}
"""Corpora that have no address to fetch them from, and where they are to be had."""


def find(name: str) -> Source:
    """A corpus by its name.

    Raises:
        UnknownNameError: there is none of that name, or it cannot be fetched; the message says where it is to be had.
    """
    if name in BY_HAND:
        raise UnknownNameError(f"{name}: {BY_HAND[name]} and run `freud corpus import FOLDER`")
    if name not in SOURCES:
        raise UnknownNameError(f"no corpus {name!r} to download: there are {', '.join(SOURCES)}")
    return SOURCES[name]
