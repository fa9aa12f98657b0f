"""What is optional: which modules each extra brings, what they are for, and what installs them. Imports none of them."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass


@dataclass(frozen=True)
class Extra:
    """`modules` are there when it is installed; `brings` says what for."""

    name: str
    modules: tuple[str, ...]
    brings: str

    @property
    def command(self) -> str:
        return f"pip install 'handful[{self.name}]'"

    @property
    def missing(self) -> str:
        """The first of its modules that is not installed, or ""."""
        return next((name for name in self.modules if importlib.util.find_spec(name) is None), "")


_TORCH = ("torch", "torchvision", "torchaudio")
_ALL = (
    Extra("learn", ("onnx", "onnxscript", "sklearn"), "training without gradients, most exports, wrong labels found"),
    Extra("torch", _TORCH, "pretrained networks turned into ONNX, fine-tuning, training from scratch"),
    Extra("timm", (*_TORCH, "timm"), "every backbone of timm as timm/NAME"),
    Extra("yolo", (*_TORCH, "ultralytics"), "YOLO11's classifiers (AGPL-3.0)"),
    Extra("ast", (*_TORCH, "transformers"), "the Audio Spectrogram Transformer"),
    Extra("openvino", ("openvino",), "export for Intel's processors"),
    Extra("phone", ("pillow_heif", "av"), "what telephones record: HEIC photos, M4A, AAC, MP4 and WebM sound"),
    Extra("tune", ("onnx", "sklearn", "optuna"), "handful tune"),
    Extra("listen", ("sounddevice",), "handful listen at a microphone"),
    Extra("postgres", ("psycopg",), "the studio's index in PostgreSQL"),
    Extra("parquet", ("pyarrow",), "labels tables in Parquet"),
)
EXTRAS = {extra.name: extra for extra in _ALL}
