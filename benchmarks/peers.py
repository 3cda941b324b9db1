"""Four models of one task each, as a deployment without Argus would run them; random weights, nothing is fetched."""

from __future__ import annotations

from dataclasses import dataclass

import timm
import torch
from torch import nn
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    RTDetrConfig,
    RTDetrForObjectDetection,
    SegformerConfig,
    SegformerForSemanticSegmentation,
)


@dataclass(frozen=True)
class Peer:
    """A network and the side of its square input images, in pixels."""

    network: nn.Module
    side: int

    @torch.inference_mode()
    def __call__(self, batch: int = 1) -> None:
        """One forward pass; the output is not decoded, which favours the peer."""
        device = next(self.network.parameters()).device
        self.network(torch.rand(batch, 3, self.side, self.side, device=device))

    @property
    def parameters(self) -> float:
        """Parameters in millions."""
        return sum(p.numel() for p in self.network.parameters()) / 1e6


def build_peers(device: str = "cpu") -> dict[str, Peer]:
    """The models of the published comparison, with RT-DETR in place of its detector, whose licence differs."""
    peers = {
        "ConvNeXt-Base": Peer(timm.create_model("convnext_base"), 224),
        "SegFormer-B3": Peer(segformer_b3(), 512),
        "Depth-Anything-V2-Base": Peer(depth_anything_v2_base(), 518),
        "RT-DETR R50": Peer(RTDetrForObjectDetection(RTDetrConfig(num_labels=80)), 640),
    }
    for peer in peers.values():
        peer.network.to(device).eval()
    return peers


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
