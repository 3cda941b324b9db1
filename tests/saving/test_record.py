"""What ``argus info`` says of a head's record, as arenas write them and as models that ship state them."""

from __future__ import annotations

from argus_core.saving.record import record_lines
from argus_core.tasks import Calibration

ROW = {
    "protocol": "miou-1",
    "primary": "mIoU",
    "metrics": {"aAcc": 0.88672, "mIoU": 0.55937, "IoU/Sky": 0.9, "dice": None, "images": 101},
    "data": {"spec": "images:camvid", "val": {"split": "val", "images": 101, "sha256": "1"}},
}


def test_a_run_tells_scores_with_data_and_protocol_the_primary_one_first():
    data = {"spec": "images:camvid", "train": {"split": "train", "images": 184}, "val": {}}
    again = {"protocol": "city-1", "primary": "mIoU", "metrics": {"mIoU": 0.5}, "data": None}
    assert record_lines({"scores": [ROW, again], "data": data, "tokens": {}}, "unknown terms") == [
        "    scores    mIoU 0.559, aAcc 0.887, images 101 on images:camvid val, 101 images (miou-1)",
        "              mIoU 0.5 (city-1)",
        "    data      images:camvid train, 184 images",
        "    licence   unknown terms",
    ]


def test_a_model_that_ships_states_what_it_likes():
    record = {
        "scores": {"top-1": 0.835, "nyuv2 val": {"AbsRel": 0.25}},
        "data": "NYU Depth V2",
        "limits": ["indoor", "up to 10 m"],
    }
    assert record_lines(record, "MIT License") == [
        "    scores    top-1 0.835",
        "              AbsRel 0.25 on nyuv2 val",
        "    data      NYU Depth V2",
        "    licence   MIT License",
        "    limits    indoor",
        "              up to 10 m",
    ]
    assert record_lines({"scores": "AP 0.3", "limits": "indoor"}, "x")[0::3] == [
        "    scores    AP 0.3",
        "    limits    indoor",
    ]


def test_how_far_confidences_are_from_hit_rates_is_told():
    ece = {"before": 0.1234, "after": 0.0456}
    for applied, said in ((None, "0.123"), ({"temperature": 2.0}, "0.123, as trained 0.0456 calibrated")):
        row = ROW | {"calibration": {"applied": applied, "ece": ece}}
        assert record_lines({"scores": [row]}, "x")[0].endswith(f"(miou-1); calibration error {said}")
    assert (
        record_lines({}, "x", Calibration(1.5, -0.25))[1]
        == "              confidences with temperature 1.50, shift -0.25"
    )


def test_what_nobody_measured_is_said():
    assert record_lines({}, "x")[:2] == ["    scores    not measured", "    data      not stated"]
