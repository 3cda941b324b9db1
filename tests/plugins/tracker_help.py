"""Trackers in a process of their own: ``play FOLDER EVENTS`` tells them a run, ``read FOLDER`` prints what they hold.

MLflow and W&B start threads, warn and keep global state, so they stay out of the process that runs the tests.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from pathlib import Path

from argus_board import mlflow_runs, wandb_runs


def play(run, events):
    """Tell both trackers a run's events as the arena does: lines of the log to the log first."""
    for event, values in events:
        if event == "kill":
            os._exit(9)
        if event == "fail":
            sys.exit(1)
        if event == "arena_logged":
            with (run / "log.jsonl").open("a") as stream:
                stream.write(json.dumps(values["record"]) + "\n")
        for tracker in (mlflow_runs, wandb_runs):
            getattr(tracker, event)(run=run, **values)


def read_mlflow(run):
    """{head: what MLflow's own client says of its run}."""
    from mlflow import MlflowClient
    from mlflow.artifacts import load_dict

    client = MlflowClient()
    found = {}
    for head, held in json.loads((run / "mlflow.json").read_text()).items():
        one = client.get_run(held["run"])
        artifacts = [each.path for each in client.list_artifacts(held["run"])]
        found[head] = {
            "status": one.info.status,
            "name": one.info.run_name,
            "tags": {k: v for k, v in one.data.tags.items() if not k.startswith("mlflow.")},
            "notes": one.data.tags.get("mlflow.note.content"),
            "params": one.data.params,
            "curves": {
                key: [(m.step, m.value) for m in client.get_metric_history(held["run"], key)]
                for key in one.data.metrics
            },
            "row": load_dict(f"{one.info.artifact_uri}/result_row.json") if "result_row.json" in artifacts else None,
        }
    return found


def history(client, run, key):
    return [(point.step, point.value) for point in client.get_metric_history(run, key)]


def read_wandb(run):
    """{head: what W&B's files hold of its run}, over all files of one run, in order of time."""
    found = {}
    for file in sorted((run / "wandb").glob("offline-run-*/*.wandb")):
        for record in records(file.read_bytes()):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                new = {"id": record.run.run_id, "curves": {}, "exit": []}
                head = found.setdefault(record.run.display_name, new)
                assert head["id"] == record.run.run_id
                head |= {"group": record.run.run_group, "notes": record.run.notes}
                head["config"] = {item.key: json.loads(item.value_json) for item in record.run.config.update}
            elif kind == "history":
                for item in record.history.item:
                    key = ".".join(item.nested_key) or item.key
                    if not key.startswith("_"):
                        point = (record.history.step.num, json.loads(item.value_json))
                        head["curves"].setdefault(key, []).append(point)
            elif kind == "summary":
                updates = {".".join(i.nested_key) or i.key: json.loads(i.value_json) for i in record.summary.update}
                head.setdefault("summary", {}).update(updates)
            elif kind == "exit":
                head["exit"].append(record.exit.exit_code)
    return found


def records(data):
    """The messages of a ``.wandb`` file: 7 bytes of header, then LevelDB's log format in blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    at, whole = 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole message, or the last part of one
            yield Record.FromString(whole)
            whole = b""


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    if sys.argv[1] == "play":
        play(folder, json.loads(Path(sys.argv[3]).read_text()))
    else:
        print("---\n" + json.dumps({"mlflow": read_mlflow(folder), "wandb": read_wandb(folder)}))
