"""Write the trained model as a Hugging Face folder: float16 weights, tokenizer, configurations.

    python recipes/nano/export.py WORK src/freud/bundled/nano

After more training of another kind, a mean of the weights before and after it is often better at both (Wortsman et al.
2022, arXiv 2203.05482; Ilharco et al. 2022, arXiv 2208.05592): --blend FOLDER --share 0.6 takes six tenths of the new.
"""

import argparse
import json
from pathlib import Path

from model import build_processor, load_start
from safetensors.torch import save_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="the folder for data and checkpoints")
    parser.add_argument("out", type=Path)
    parser.add_argument("--blend", type=Path, help="a model folder, the weights before")
    parser.add_argument("--share", type=float, default=0.6, help="of the new weights")
    args = parser.parse_args()
    model = load_start(args.work / "checkpoint.pt")
    if args.blend:
        before = dict(load_start(args.blend).named_parameters())
        for name, parameter in model.named_parameters():
            parameter.data = before[name].data.lerp(parameter.data, args.share)
    model.save_pretrained(args.out)
    processor = build_processor()
    processor.save_pretrained(args.out)
    processor.feature_extractor.save_pretrained(args.out)  # where transformers before 5 looks
    weights = {name: p.half().contiguous() for name, p in model.named_parameters()}
    save_file(weights, args.out / "model.safetensors", metadata={"format": "pt"})
    (args.out / "model.safetensors").chmod(0o644)
    path = args.out / "config.json"
    config = json.loads(path.read_text()) | {"dtype": "float32"}  # stored in half, run in full precision
    path.write_text(json.dumps(config, indent=2) + "\n")
    print(f"{(args.out / 'model.safetensors').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
