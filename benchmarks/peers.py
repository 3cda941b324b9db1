"""Four models of one task each, as a deployment without Argus would run them; random weights, nothing is fetched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from torch import Tensor, nn
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    DPTImageProcessor,
    RTDetrConfig,
    RTDetrForObjectDetection,
    RTDetrImageProcessor,
    SegformerConfig,
    SegformerForSemanticSegmentation,
    SegformerImageProcessor,
)

Size = tuple[int, int]


@dataclass(frozen=True)
class Peer:
    """A network, the side of its square input images in pixels, and what its library does before and after it.

    ``prepare`` makes an input (1, 3, side, side) of a picture, ``answer`` results in image pixels of an output and the
    picture's height and width.
    """

    network: nn.Module
    side: int
    prepare: Callable[[Image.Image], Tensor]
    answer: Callable[[Any, Size], object]

    @torch.inference_mode()
    def __call__(self, batch: int = 1) -> None:
        """One forward pass; the output is not decoded, which favours the peer."""
        self.network(torch.rand(batch, 3, self.side, self.side, device=self.device))

    @torch.inference_mode()
    def perceive(self, picture: Image.Image) -> object:
        """From an RGB picture to results in its pixels."""
        output = self.network(self.prepare(picture).to(self.device))
        return self.answer(output, (picture.height, picture.width))

    @property
    def device(self) -> torch.device:
        """That of the weights."""
        return next(self.network.parameters()).device

    @property
    def parameters(self) -> float:
        """Parameters in millions."""
        return sum(p.numel() for p in self.network.parameters()) / 1e6


def build_peers(device: str = "cpu") -> dict[str, Peer]:
    """The models of the published comparison, with RT-DETR in place of its detector, whose licence differs."""
    peers = {
        "ConvNeXt-Base": classifier(),
        "SegFormer-B3": segmenter(),
        "Depth-Anything-V2-Base": depth_model(),
        "RT-DETR R50": detector(),
    }
    for peer in peers.values():
        peer.network.to(device).eval()
    return peers


def processed(processor: Any) -> Callable[[Image.Image], Tensor]:
    """The inputs that an image processor of transformers makes."""
    return lambda picture: processor(picture, return_tensors="pt")["pixel_values"]


def classifier() -> Peer:
    """Probabilities of 1,000 classes, with timm's transform."""
    network = timm.create_model("convnext_base")
    transform = create_transform(**resolve_model_data_config(network))
    return Peer(
        network, 224, lambda picture: transform(picture)[None], lambda logits, size: logits.softmax(dim=1).cpu()
    )


def segmenter() -> Peer:
    """The class of every pixel."""
    processor = SegformerImageProcessor()
    finish = processor.post_process_semantic_segmentation
    return Peer(segformer_b3(), 512, processed(processor), lambda output, size: finish(output, [size])[0].cpu())


def depth_model() -> Peer:
    """The depth of every pixel; the side is that of the published model."""
    processor = DPTImageProcessor(size={"height": 518, "width": 518}, ensure_multiple_of=14)
    finish = processor.post_process_depth_estimation
    return Peer(
        depth_anything_v2_base(),
        518,
        processed(processor),
        lambda output, size: finish(output, [size])[0]["predicted_depth"].cpu(),
    )


def detector() -> Peer:
    """Boxes of 80 classes that score at least 0.3."""
    processor = RTDetrImageProcessor()

    def finish(output: Any, size: Size) -> object:
        found = processor.post_process_object_detection(output, threshold=0.3, target_sizes=[size])[0]
        return {name: values.cpu() for name, values in found.items()}

    return Peer(RTDetrForObjectDetection(RTDetrConfig(num_labels=80)), 640, processed(processor), finish)


def segformer_b3() -> nn.Module:
    """47.3 M parameters for 150 classes (Xie 2021)."""
    config = SegformerConfig(
        depths=[3, 4, 18, 3], hidden_sizes=[64, 128, 320, 512], decoder_hidden_size=768, num_labels=150
    )
    return SegformerForSemanticSegmentation(config)


def depth_anything_v2_base() -> nn.Module:
    """97.5 M parameters (Yang 2024)."""
    backbone = Dinov2Config(
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        image_size=518,
        patch_size=14,
        out_indices=[3, 6, 9, 12],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=768,
        neck_hidden_sizes=[96, 192, 384, 768],
        fusion_hidden_size=128,
    )
    return DepthAnythingForDepthEstimation(config)
