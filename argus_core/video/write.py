"""Films of pictures with times, beside the sound of the film that they were made of."""

from __future__ import annotations

import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from argus_core.errors import ArgusError
from argus_core.image.array import RGB
from argus_core.video.sound import Sound
from argus_core.video.source import RATE, library

ENCODERS = {
    "libx264": {"crf": "20", "preset": "veryfast", "bf": "0"},
    "libopenh264": {"b": "8M", "rc_mode": "quality"},
    "mpeg4": {"qmin": "2", "qmax": "6"},
}
"""Encoders by name with their options, the first that PyAV has is used; all but the last write H.264.

Frames are written in the order in which they are shown, or else the length that the file states is wrong if they have
different durations.
"""
TICK = Fraction(1, 60_000)
"""Seconds; MPEG-4 has no finer ones, and the frames of all usual rates are whole numbers of it."""
MP4 = {"movflags": "+faststart", "movie_timescale": str(TICK.denominator)}
"""Options of the container: its index comes first, and streams start where they should to a tick."""
SEEK = 60
"""Frames from one that players may jump to, to the next."""
BT709 = 1
"""FFmpeg's number for the colours of HD television, which players expect."""


def encoder() -> str:
    """The name of the encoder that films are written with; raises ArgusError if there is none."""
    av = library()
    for name in ENCODERS:
        try:
            av.codec.Codec(name, "w")
        except ValueError:
            continue
        return name
    raise ArgusError(f"this PyAV writes no films, as it has none of {', '.join(ENCODERS)}; --no-pictures does without")


class FilmWriter:
    """Writes RGB pictures (h, w, 3) of one even size with times in seconds as an MP4 file.

    ``sound_of`` is the film whose sound it gets. Until it is closed, the file has another name, beside its own. Raises
    ArgusError if it cannot be written.
    """

    def __init__(self, part: Path, rate: Fraction = RATE, sound_of: str | None = None) -> None:
        self.part, self.frames, self.seconds = part, 0, 0.0
        self._av, self._rate, self._sound_of = library(), rate, sound_of
        self._last, self._step = -1, round(1 / rate / TICK)
        self._file: Any = None
        self._sound: Sound | None = None
        self.sound = ""

    def write(self, picture: RGB, time: float) -> None:
        """Add a picture; times rise, by at least a sixty-thousandth of a second."""
        pts = max(round(time / TICK), self._last + 1)
        try:
            if self._file is None:
                self._open(picture)
            frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
            frame.pts, frame.time_base = pts, TICK
            self._file.mux(self._pictures.encode(frame))
            self._mux_sound(time)
        except self._av.FFmpegError as error:
            raise self._fault(error) from error
        self._last, self.frames, self.seconds = pts, self.frames + 1, float((pts + self._step) * TICK)

    def close(self, path: Path, whole: bool = True) -> None:
        """Finish the file and move it to ``path``; only a ``whole`` film keeps sound after its last picture.

        There must be a picture.
        """
        assert self._sound is not None
        try:
            self._file.mux(self._pictures.encode(None))
            self._mux_sound(None if whole else self.seconds)
            self._file.mux(list(self._sound.rest()))
            self.sound = str(self._sound)
            self._file.close()
            self._sound.close()
        except self._av.FFmpegError as error:
            raise self._fault(error) from error
        os.replace(self.part, path)

    def discard(self) -> None:
        """Remove what was written."""
        if self._file is not None:
            with suppress(self._av.FFmpegError):
                self._file.close()
        if self._sound is not None:
            self._sound.close()
        self.part.unlink(missing_ok=True)

    def _open(self, picture: RGB) -> None:
        """Begin the file; sound that it cannot hold after all is left out."""
        for address in dict.fromkeys((self._sound_of, None)):
            self._file = self._av.open(str(self.part), "w", format="mp4", options=dict(MP4))
            self._pictures = self._add_pictures(picture)
            self._sound = Sound(address, self._file)
            try:
                return self._file.start_encoding()
            except (ValueError, self._av.error.LookupError):
                if address is None:
                    raise
                self._sound.close()

    def _add_pictures(self, picture: RGB) -> Any:
        name = encoder()
        stream = self._file.add_stream(name, rate=self._rate, options=dict(ENCODERS[name]))
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt, stream.gop_size = "yuv420p", SEEK
        codec = stream.codec_context
        codec.time_base, codec.color_range = TICK, 1  # of television, 16 to 235
        codec.colorspace = codec.color_primaries = codec.color_trc = BT709
        return stream

    def _mux_sound(self, time: float | None) -> None:
        for packet in self._sound.until(time) if self._sound is not None else ():
            try:
                self._file.mux(packet)
            except ValueError:  # damaged sound
                continue

    def _fault(self, error: Exception) -> ArgusError:
        reason = getattr(error, "strerror", None) or str(error)
        return ArgusError(f"{self.part} cannot be written: {reason}")
