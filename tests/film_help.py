"""Small films with sound, and what is in a film, for the tests of films."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

av = pytest.importorskip("av")
MS = Fraction(1, 1000)


def picture(number, size=(48, 64)):
    """A picture whose brightness tells its number: reddish, with a white bar that moves."""
    pixels = np.full((*size, 3), (180, 60, 40), np.uint8)
    pixels[:, : 1 + number * 3 % size[1]] = 235
    return pixels


def tone(rate, samples, start, pitch=440):
    """(1, samples) of a sine, as 16-bit numbers."""
    return (9000 * np.sin(2 * np.pi * pitch * (np.arange(samples) + start) / rate)).astype(np.int16)[None]


def make_film(path, times=(), size=(48, 64), sounds=(), codec="libx264", rate=25, pixels="yuv420p", seconds=None):
    """A film of ``picture`` at these times in seconds, by default 20 at 25 a second.

    ``sounds`` are pairs of codec and language, for ``seconds`` (as long as the pictures).
    """
    times = list(times) or [Fraction(number, rate) for number in range(20)]
    end = seconds if seconds is not None else float(times[-1]) + 1 / rate
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *size, pixels
        stream.codec_context.time_base = MS
        tracks = [container.add_stream(name, rate=48000, layout="mono") for name, _ in sounds]
        for track, (_, language) in zip(tracks, sounds, strict=True):
            track.metadata["language"] = language
        packets = [packet for number, track in enumerate(tracks) for packet in _sound(track, end, 440 * (number + 1))]
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(number, size), format="rgb24")
            frame.pts, frame.time_base = round(time / MS), MS
            packets += stream.encode(frame.reformat(format=pixels))
        packets += stream.encode(None)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def _sound(track, end, pitch):
    for start in range(0, round(end * 48000), 1024):
        frame = av.AudioFrame.from_ndarray(tone(48000, 1024, start, pitch), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        yield from track.encode(frame)
    yield from track.encode(None)


@dataclass
class Content:
    """What a film holds: times and pictures of its frames, and of each sound the codec, language and samples."""

    times: list
    images: list
    sounds: list
    codec: str
    pixels: str
    size: tuple
    shape: object
    seconds: float


def content(path):
    """What PyAV finds in a film."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [
            (frame.time, frame.to_ndarray(format="rgb24", dst_colorspace="ITU601"))
            for frame in container.decode(stream)
        ]
        about = stream.codec_context
        codec = about.name
        shape = stream.sample_aspect_ratio or about.sample_aspect_ratio
        size, pixels, sounds = (about.height, about.width), about.pix_fmt, len(container.streams.audio)
        seconds = container.duration / 1e6
    heard = [samples(path, number) for number in range(sounds)]
    return Content(
        [time for time, _ in frames], [image for _, image in frames], heard, codec, pixels, size, shape, seconds
    )


def samples(path, number):
    """The codec, the language, the time of the start and the samples of a sound."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[number]
        frames = list(container.decode(stream))
        sound = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
        return stream.codec_context.name, stream.metadata.get("language"), frames[0].time, sound
