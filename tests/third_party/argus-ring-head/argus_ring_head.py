from torch import nn

from argus_core.detection import DenseHead, DenseOutput, Level


class Ring(DenseHead):
    """One convolution to ``width`` channels and one to scores, distances and centre-ness at a single level."""

    def __init__(self, info, task, *, width: int = 64) -> None:
        super().__init__(info, task)
        self.strides = (info.strides[-1],)
        self.stem = nn.Sequential(nn.Conv2d(info.channels[-1], width, 3, padding=1), nn.GELU())
        self.answer = nn.Conv2d(width, len(task.classes) + 5, 1)
        nn.init.constant_(self.answer.bias[: len(task.classes)], -4.6)

    def forward(self, features):
        maps = self.answer(self.stem(features.map)).float()
        cls, ltrb, quality = maps.split([len(self.task.classes), 4, 1], dim=1)
        level = Level(cls, self.strides[0] * ltrb.clamp(-8, 8).exp(), quality)
        return DenseOutput((level,), self.strides, features.extent)
