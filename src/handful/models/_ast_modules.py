"""transformers' Audio Spectrogram Transformer in a module that answers with logits; imported only when it is built."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class _Embedding(nn.Module):
    """From a spectrogram [N, 1, 1024, 128] to the normalised mean of the two class tokens, [N, 768]."""

    def __init__(self, transformer: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.transformer, self.norm = transformer, norm

    def forward(self, x: Any) -> Any:
        return self.norm(self.transformer(torch.squeeze(x, 1)).pooler_output)


class Transformer(nn.Module):
    """Parts and names are those of `ASTForAudioClassification`, whose published tensors go in."""

    def __init__(self, theirs: Any, classes: int, layers: int) -> None:
        super().__init__()
        config = theirs.ASTConfig(num_labels=classes, num_hidden_layers=layers)
        whole = theirs.ASTForAudioClassification(config)
        self.audio_spectrogram_transformer = whole.audio_spectrogram_transformer
        self.classifier = whole.classifier

    def body(self) -> nn.Module:
        return _Embedding(self.audio_spectrogram_transformer, self.classifier.layernorm)

    def forward(self, x: Any) -> Any:
        return self.classifier(self.audio_spectrogram_transformer(torch.squeeze(x, 1)).pooler_output)
