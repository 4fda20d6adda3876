"""Does scaling a phonetic latent change the transcript where that phone is, and only there? Prints a table.

    python recipes/nano/causal.py [--factor -1]

For each phone the latent of the bundled SAE is chosen by its best F1 on the frames of the demo clips of split "train".
The clips it is tried on are the first ten of split "test", by name, that contain the phone: chosen before looking. The
edit keeps the reconstruction error, x + (factor - 1) f W_dec on valid frames. A clip counts when at least one word of
the transcript changes and every changed word contains the phone. The control scales a random latent of about the same
density that does not detect the phone. The counting is `freud.editing.causal`.
"""

import argparse
from pathlib import Path

import freud
from freud import discovery
from freud.editing import bundled_sae
from freud.editing.causal import detectors, word_effects, words_with

CLIPS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factor", type=float, default=-1.0)
    parser.add_argument("--phones", type=int, default=8, help="how many phones, those best detected first")
    parser.add_argument("--sae", type=Path, default=bundled_sae())
    arguments = parser.parse_args()
    model, sae = freud.models.load("nano"), freud.saes.load(arguments.sae)
    corpus = freud.corpus.read(discovery.demo_folder())
    spoken = [clip for clip in corpus if clip.transcript]
    choosing = [clip for clip in spoken if clip.split == "train"]
    print("phone  latent    F1  clips  changed  only there   control: changed  only there")
    for each in detectors(model, sae, corpus, choosing, "phones", ignore=["pau"])[: arguments.phones]:
        clips = [c for c in spoken if c.split == "test" and words_with(corpus, c, "phones", each.label)][:CLIPS]
        features = [sae[each.latent], sae[each.control]]
        found, control = word_effects(model, corpus, clips, "phones", each.label, features, arguments.factor)
        print(
            f"{each.label:<6} {each.latent:>6} {each.f1:>5.2f} {found.clips:>6} {found.changed:>8} "
            f"{found.only_there:>11} {control.changed:>18} {control.only_there:>11}",
            flush=True,
        )


if __name__ == "__main__":
    main()
