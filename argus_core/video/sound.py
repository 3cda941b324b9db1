"""The sound of a film beside other pictures: copied where an MP4 file may hold it, else converted to AAC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from argus_core.video.source import is_stored, library, open_source, start_of
from argus_core.video.times import Clock, ahead_of, seconds

COPIED = frozenset({"aac", "mp3", "mp3float", "ac3", "eac3", "alac", "flac", "opus"})
"""Decoders of the sound that players and browsers accept in an MP4 file as it is."""
RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
"""Samples per second that AAC may have here; others become the next higher one, or the highest."""
FRAME = 1024
"""Samples in a packet of AAC."""
GAP = 0.1
"""Seconds of missing sound that are kept as silence."""
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
"""Where the channels of converted sound are, by their number; others become stereo."""


class Sound:
    """The sound of the film at ``address``, packet by packet, for the streams that it adds to ``output``.

    Streams and webcams, which cannot be read twice, have none. Raises no errors: what cannot be read is left out.
    """

    def __init__(self, address: str | None, output: Any) -> None:
        self._av, self._open = library(), ExitStack()
        self.tracks: dict[int, Track] = {}
        self._packets = self._start(address, output) if address and is_stored(address) else iter(())
        self._next: Any = None

    def __str__(self) -> str:
        """In a few words, such as ``with sound (vorbis converted to AAC)``."""
        converted = sorted({track.codec for track in self.tracks.values() if isinstance(track, Converted)})
        note = f" ({', '.join(converted)} converted to AAC)" if converted else ""
        return f"with sound{note}" if self.tracks else "without sound"

    def until(self, time: float | None = None) -> Iterator[Any]:
        """The packets before a time in seconds, to be written; without a time all that are left."""
        while self._next is not None or self._advance():
            track, packet = self._next
            if time is not None and packet.pts * packet.time_base >= time:
                return
            self._next = None
            yield from track.written(packet)

    def rest(self) -> Iterator[Any]:
        """What encoders still hold."""
        for track in self.tracks.values():
            yield from track.written(None)

    def close(self) -> None:
        """Close the film."""
        self._packets = iter(())
        self._open.close()

    def _start(self, address: str, output: Any) -> Iterator[Any]:
        try:
            container = self._open.enter_context(open_source(address))
            for stream in container.streams.audio:
                if stream.codec_context is not None:
                    self.tracks[stream.index] = make_track(stream, output, container)
            return container.demux([stream for stream in container.streams.audio if stream.index in self.tracks])
        except (self._av.FFmpegError, OSError, ValueError):
            return iter(())

    def _advance(self) -> bool:
        """Read the next packet, with its time from the start; returns whether there is one."""
        try:
            for packet in self._packets if self.tracks else ():
                if packet.size:
                    track = self.tracks[packet.stream_index]
                    self._next = track, track.timed(packet)
                    return True
        except (self._av.FFmpegError, OSError, ValueError):  # the pictures have their own message of this
            pass
        return False


@dataclass
class Track:
    """A stream of sound that is copied, ``stream`` that of the new file."""

    stream: Any
    codec: str
    clock: Clock

    def timed(self, packet: Any) -> Any:
        """The packet with its time from the start in place of its time stamp."""
        time = self.clock.read(seconds(packet.pts, packet.time_base))
        packet.pts = packet.dts = round(time / packet.time_base)
        return packet

    def written(self, packet: Any) -> Iterator[Any]:
        """What is written for a packet of the film; for None, what comes after the last."""
        if packet is not None:
            packet.stream = self.stream
            yield packet


@dataclass
class Converted(Track):
    """A stream of sound that is decoded, and encoded as AAC; ``samples`` are those before what comes next."""

    resampler: Any
    rate: int
    errors: type[Exception]
    samples: int | None = None

    def written(self, packet: Any) -> Iterator[Any]:
        """The packets of the encoder that are ready; what cannot be decoded is left out."""
        try:
            frames = [None] if packet is None else packet.decode()
        except self.errors:
            return
        for frame in frames:
            if frame is not None:
                self._keep_pace(frame)
            for sound in self.resampler.resample(frame):
                sound.pts, sound.time_base = self.samples, Fraction(1, self.rate)
                self.samples += sound.samples
                yield from self.stream.encode(sound)
        if packet is None:
            yield from self.stream.encode(None)

    def _keep_pace(self, frame: Any) -> None:
        """Count the samples that are missing before a frame: small differences are those of rounding and buffers."""
        time = seconds(frame.pts, frame.time_base)
        due = (self.samples or 0) if time is None else round(time * self.rate)
        if self.samples is None or due - self.samples > GAP * self.rate:
            self.samples = due


def make_track(stream: Any, output: Any, container: Any) -> Track:
    """A track of the new file for a stream of sound of a film."""
    codec, rate = stream.codec_context, stream.codec_context.sample_rate or RATES[-1]
    tick = stream.time_base or Fraction(1, rate)
    clock = Clock(start_of(container), Fraction(codec.frame_size or FRAME, rate), ahead_of(container), tick)
    if codec.name in COPIED:
        with suppress(ValueError):  # PyAV before 15 copies no MP3
            return Track(_described(output.add_stream_from_template(stream), stream), codec.name, clock)
    rate = next((one for one in RATES if one >= rate), RATES[-1])
    layout = LAYOUTS.get(codec.channels, "stereo")
    new = _described(output.add_stream("aac", rate=rate, layout=layout), stream)
    av = library()
    resampler = av.AudioResampler("fltp", layout, rate, frame_size=FRAME)
    return Converted(new, codec.name, clock, resampler, rate, av.FFmpegError)


def _described(new: Any, stream: Any) -> Any:
    """The new stream with the language of the other."""
    if language := stream.metadata.get("language"):
        new.metadata["language"] = language
    return new
