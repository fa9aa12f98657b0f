"""fastai as its documentation teaches it, for benchmarks/peers.py, which runs this in an environment of fastai's own.

    python fastai_fine_tune.py TRAIN TEST WEIGHTS SEED BATCH -> JSON

`Resize(224)`, the default augmentation, `vision_learner` and `fine_tune(5)`, one thread. All training photos are trained on: none
are held out, as handful's shipped model is fitted on all of them too. torchvision finds the weights in its cache, as after a
download. `cpu_seconds` is what the process has used from its start until it is trained, `fine_tune_cpu_seconds` its one call of
that name; the test photos are answered after that.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import torch
from fastai.vision.all import (
    CategoryBlock,
    DataBlock,
    ImageBlock,
    IndexSplitter,
    Resize,
    aug_transforms,
    get_image_files,
    parent_label,
    set_seed,
    vision_learner,
)
from safetensors.torch import load_file
from torchvision.models import SqueezeNet1_0_Weights, squeezenet1_0


def main(train: str, test: str, weights: str, seed: int, batch: int) -> None:
    torch.set_num_threads(1)
    set_seed(seed)
    photos = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_items=get_image_files,
        splitter=IndexSplitter([]),
        get_y=parent_label,
        item_tfms=Resize(224),
        batch_tfms=aug_transforms(),
    ).dataloaders(Path(train), bs=batch, num_workers=0, device=torch.device("cpu"))
    with tempfile.TemporaryDirectory() as home:
        os.environ["TORCH_HOME"] = home
        published = Path(home) / "hub" / "checkpoints" / Path(SqueezeNet1_0_Weights.DEFAULT.url).name
        published.parent.mkdir(parents=True)
        torch.save({name: value.float() for name, value in load_file(weights).items()}, published)
        learner = vision_learner(photos, squeezenet1_0)
    start = time.process_time()
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(5)
    end = time.process_time()
    files = sorted(get_image_files(Path(test)))
    with learner.no_bar():
        probabilities, _ = learner.get_preds(dl=photos.test_dl(files))
    found = [photos.vocab[number] for number in probabilities.argmax(1)]
    answers = {file.relative_to(test).as_posix(): label for file, label in zip(files, found, strict=True)}
    print(json.dumps({"cpu_seconds": end, "fine_tune_cpu_seconds": end - start, "answers": answers}))


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:]))
