"""Does ablating a phone-selective latent make a speech encoder deaf to that phone, and to that phone only?

    python recipes/phones/ablate.py MODEL SPEECH UNLABELED WORK [--site encoder.blocks.3] [--phones 8]

MODEL is an encoder (Whisper base's was used), SPEECH a folder of clips with a tier `phones`, UNLABELED a folder of
other speech, on which the SAE is trained. Everything written goes to WORK; a second run resumes. Of SPEECH every second
clip serves to train a linear phone probe on the encoder's final output and to choose, for each phone, the latent with
the best F1; the others are edited. Printed: recall of the probe on the phone, its change when the latent is ablated
(error kept), the mean change over all other phones, and the same two for a random latent of about the same density.
"""

import argparse
from pathlib import Path

import torch

import freud
from freud.corpus import Corpus
from freud.editing import Probe, train_probe
from freud.editing.causal import Detector, RecallEffect, detectors, labeled_frames, recall_effects
from freud.editing.probe import SITE as OUTPUT
from freud.editing.run import Variant
from freud.models import AudioModel
from freud.saes import Options, TopK

SILENCE = ("sil", "sp", "spn", "pau", "SIL", "")
ARCHITECTURE = TopK(k=16, expansion=4)
OPTIONS = Options(steps=300, batch_size=1024)
FEWEST = 100  # frames of a phone among those that latents are chosen on


def train(model: AudioModel, unlabeled: Path, site: str, work: Path) -> freud.saes.SAE:
    """An SAE of speech that is neither probed nor edited."""
    corpus = freud.corpus.import_corpus(unlabeled, work / "corpus")
    frames = freud.collect(model, corpus, [site], work / "activations")
    return freud.train(frames[site], ARCHITECTURE, work / "sae", options=OPTIONS)


def phone_probe(model: AudioModel, corpus: Corpus, clips: list, work: Path) -> Probe:
    """A probe of the phones on the encoder's final output, trained once."""
    path = work / "probe.safetensors"
    if not path.is_file():
        parts = [labeled_frames(model, corpus, clip, OUTPUT, "phones") for clip in clips]
        frames, labels = torch.cat([x for x, _ in parts]), [label for _, each in parts for label in each]
        kept = [number for number, label in enumerate(labels) if label]
        train_probe(model, frames[kept], [labels[number] for number in kept]).save(path)
    return Probe.load(path)


def table(
    model: AudioModel, sae: freud.saes.SAE, corpus: Corpus, work: Path, phones: int
) -> list[tuple[Detector, RecallEffect, RecallEffect]]:
    """For the phones detected best: the detector, its effect, and that of its control."""
    choosing, editing = corpus.clips[::2], corpus.clips[1::2]
    probe = phone_probe(model, corpus, choosing, work)
    found = detectors(model, sae, corpus, choosing, "phones", ignore=SILENCE, fewest=FEWEST)[:phones]
    edits = {}
    for each in found:
        edits[each.label] = (each.label, Variant([sae[each.latent].ablate()]))
        edits[f"{each.label} control"] = (each.label, Variant([sae[each.control].ablate()]))
    effects = recall_effects(model, probe, corpus, editing, "phones", edits)
    return [(each, effects[each.label], effects[f"{each.label} control"]) for each in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("speech", type=Path)
    parser.add_argument("unlabeled", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--site", default="encoder.blocks.3")
    parser.add_argument("--phones", type=int, default=8)
    arguments = parser.parse_args()
    model = freud.models.load(arguments.model)
    sae = train(model, arguments.unlabeled, arguments.site, arguments.work)
    corpus = freud.corpus.import_corpus(arguments.speech, arguments.work / "speech")
    print("phone  latent    F1  frames  recall  change  others   control: change  others")
    for each, own, control in table(model, sae, corpus, arguments.work, arguments.phones):
        print(
            f"{each.label:<6} {each.latent:>6} {each.f1:>5.2f} {own.frames:>7} {own.before:>7.3f} {own.change:>+7.3f} "
            f"{own.others:>+7.3f} {control.change:>+17.3f} {control.others:>+7.3f}"
        )


if __name__ == "__main__":
    main()
