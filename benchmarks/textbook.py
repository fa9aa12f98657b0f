"""What most tutorials do, to compare with: python benchmarks/textbook.py TRAIN WEIGHTS [TEST] -> JSON.

The same network and weights as handful gets; frozen, a new last layer, Adam 1e-4, batch 8, 10 epochs, fresh augmentation in
each epoch, validation on a held-out fifth after every epoch; with TEST that is scored once at the end.
"""

from __future__ import annotations

import json
import sys

import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, models, transforms


def main(train: str, weights: str, test: str | None = None) -> None:
    torch.manual_seed(0)
    normalise = transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    changed = [transforms.RandomHorizontalFlip(), transforms.RandomRotation(15), transforms.ColorJitter(0.2, 0.2, 0.2)]
    resize, tensor = transforms.Resize((224, 224)), transforms.ToTensor()
    augmented = datasets.ImageFolder(train, transforms.Compose([resize, *changed, tensor, normalise]))
    plain = datasets.ImageFolder(train, transforms.Compose([resize, tensor, normalise]))
    order = torch.randperm(len(plain)).tolist()
    fifth = len(order) // 5
    batches = DataLoader(Subset(augmented, order[fifth:]), batch_size=8, shuffle=True)
    validation = DataLoader(Subset(plain, order[:fifth]), batch_size=8)

    network = models.squeezenet1_0()
    network.load_state_dict({name: value.float() for name, value in load_file(weights).items()})
    network.requires_grad_(False)
    network.classifier[1] = nn.Conv2d(512, len(plain.classes), 1)
    optimizer = torch.optim.Adam(network.classifier.parameters(), lr=1e-4, weight_decay=1e-4)
    loss = nn.CrossEntropyLoss()

    def accuracy(loader: DataLoader) -> float:
        network.eval()
        with torch.no_grad():
            hits = [(network(x).argmax(1) == y).float() for x, y in loader]
        return float(torch.cat(hits).mean())

    history = []
    for _ in range(10):
        network.train()
        for x, y in batches:
            optimizer.zero_grad()
            loss(network(x), y).backward()
            optimizer.step()
        history.append(accuracy(validation))
    result = {"validation": history[-1]}
    if test:
        held_out = datasets.ImageFolder(test, transforms.Compose([resize, tensor, normalise]))
        result["test"] = accuracy(DataLoader(held_out, batch_size=8))
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
