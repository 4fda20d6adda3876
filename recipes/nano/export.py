"""Write the trained model as a Hugging Face folder: float16 weights, tokenizer, configurations.

    python recipes/nano/export.py WORK src/freud/bundled/nano
"""

import argparse
import json
from pathlib import Path

import torch
from model import build_model, build_processor
from safetensors.torch import save_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="the folder for data and checkpoints")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    checkpoint = torch.load(args.work / "checkpoint.pt", weights_only=True)
    model = build_model()
    model.load_state_dict(checkpoint["average"], strict=False)  # the output layer is the embedding
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
    print(f"step {checkpoint['step']}: {(args.out / 'model.safetensors').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
