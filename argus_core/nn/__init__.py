"""Layers, losses and numerics that heads of several tasks share."""

from argus_core.nn.cells import cell_counts, cell_means
from argus_core.nn.class_text import ClassText
from argus_core.nn.closed_form import (
    CELL_PENALTY,
    Moments,
    Rule,
    class_logits,
    discriminant,
    find_penalty,
    residual_variance,
    ridge,
)
from argus_core.nn.cofiber import Mode, decompose, synthesize, upsample2
from argus_core.nn.depth import (
    BinLogits,
    LogDepth,
    SigLoss,
    SILog,
    bin_shares,
    bin_spread,
    canvas_depth,
    decode_bins,
    share_logits,
)
from argus_core.nn.dpt import Decoder, four_layers
from argus_core.nn.masked_norm import MaskedBatchNorm2d
from argus_core.nn.matching import Refine, soft_argmax
from argus_core.nn.neighbours import nearest
from argus_core.nn.numerics import batch_total, computes_bf16, full_precision, total_over_processes, without_tf32
from argus_core.nn.planes import Plane, enlarge, merge_passes, read_cells
from argus_core.nn.totals import total_over_batches

__all__ = [
    "CELL_PENALTY",
    "BinLogits",
    "ClassText",
    "Decoder",
    "LogDepth",
    "MaskedBatchNorm2d",
    "Mode",
    "Moments",
    "Plane",
    "Refine",
    "Rule",
    "SILog",
    "SigLoss",
    "batch_total",
    "bin_shares",
    "bin_spread",
    "canvas_depth",
    "cell_counts",
    "cell_means",
    "class_logits",
    "computes_bf16",
    "decode_bins",
    "decompose",
    "discriminant",
    "enlarge",
    "find_penalty",
    "four_layers",
    "full_precision",
    "merge_passes",
    "nearest",
    "read_cells",
    "residual_variance",
    "ridge",
    "share_logits",
    "soft_argmax",
    "synthesize",
    "total_over_batches",
    "total_over_processes",
    "upsample2",
    "without_tf32",
]
