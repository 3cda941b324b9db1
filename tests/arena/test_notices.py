"""A run says what beside it would not share its backbone pass."""

from __future__ import annotations

import json

from argus_arena.training.notices import canvas_notices


def described(head, height, backbone="a"):
    tokens = {"canvas": {"height": height, "width": 64, "fit": "letterbox"}, "backbone": {"sha256": backbone}}
    return {"config": {"heads": {"x": {"head": head}}}, "record": {"tokens": tokens}}


def beside(root, **runs):
    for name, run in runs.items():
        (root / name).mkdir(parents=True)
        (root / name / "run.json").write_text(run if isinstance(run, str) else json.dumps(run))


def notices(root, head, height):
    run = described(head, height)
    return canvas_notices(root / "mine", {head.partition(".")[0]}, run["record"]["tokens"])


def test_another_task_on_another_canvas_is_named_with_both_canvases(tmp_path):
    beside(tmp_path, mine=described("detect.fcos", 64), seg=described("segment.linear", 32))
    (line,) = notices(tmp_path, "detect.fcos", 64)
    assert f"segment in {tmp_path / 'seg'} is on 32x64 letterbox, this run on 64x64 letterbox" in line
    assert notices(tmp_path, "detect.fcos", 32) == []


def test_the_same_task_another_backbone_rubbish_and_tasks_that_are_there_too_say_nothing(tmp_path):
    beside(
        tmp_path,
        same=described("detect.fcos", 32),
        other=described("depth.linear", 32, "b"),
        torn="{",
        old=json.dumps({"config": {}}),
        seg32=described("segment.linear", 32),
        seg64=described("segment.linear", 64),
    )
    assert notices(tmp_path, "detect.fcos", 64) == []
    assert notices(tmp_path / "nothing", "detect.fcos", 64) == []


def test_the_same_canvas_by_other_tiles_is_another_canvas(tmp_path):
    other = described("segment.linear", 64)
    other["record"]["tokens"]["canvas"]["tiles"] = {"height": 32, "width": 32, "overlap": 0.25}
    beside(tmp_path, seg=other)
    (line,) = notices(tmp_path, "detect.fcos", 64)
    assert "is on 64x64 letterbox, tiles of 32x32, overlap 0.25, this run on 64x64 letterbox" in line
