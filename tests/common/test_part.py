"""Parts of a cache: every shard belongs to one, and each part gets to all."""

from __future__ import annotations

import pytest

from argus_core.common.part import Part, find_part, parse_part
from argus_core.errors import ArgusError


@pytest.mark.parametrize("of", [1, 2, 3, 8, 40])
def test_parts_share_all_shards_and_each_helps_with_the_rest(of):
    parts, shards = [Part(number, of) for number in range(1, of + 1)], list(range(23))
    assert sorted(shard for part in parts for shard in shards if part.holds(shard)) == shards
    for part in parts:
        order = part.sort(shards)
        own = sum(map(part.holds, shards))
        assert sorted(order) == shards and all(map(part.holds, order[:own]))
        assert order[:own] == sorted(order[:own])


@pytest.mark.parametrize("text", ["0/8", "9/8", "1/0", "2", "a/b", "-1/3", "1/2/3", "1.5/2", ""])
def test_a_part_that_does_not_exist_is_refused(text):
    with pytest.raises(ArgusError, match="part"):
        parse_part(text)


ARRAY = {"SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "10", "SLURM_ARRAY_TASK_STEP": "5"}
RANKS = {"RANK": "1", "WORLD_SIZE": "3"}


@pytest.mark.parametrize(
    ("environment", "expected", "source"),
    [
        ({}, Part(), ""),
        ({"RANK": "1"}, Part(), ""),
        (RANKS, Part(2, 3), "RANK and WORLD_SIZE"),
        ({**ARRAY, "SLURM_ARRAY_TASK_ID": "10"}, Part(1, 4), "SLURM_ARRAY_TASK_ID"),
        ({**ARRAY, "SLURM_ARRAY_TASK_ID": "25"}, Part(4, 4), "SLURM_ARRAY_TASK_ID"),
        ({**RANKS, **ARRAY, "SLURM_ARRAY_TASK_ID": "20"}, Part(3, 4), "SLURM_ARRAY_TASK_ID"),
        ({"SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_ID": "7"}, Part(2, 3), "SLURM_ARRAY_TASK_ID"),
    ],
)
def test_an_array_of_slurm_or_a_rank_is_a_part(environment, expected, source):
    assert find_part(None, environment) == (expected, source)
    assert find_part("2/5", environment) == (Part(2, 5), "--part")


@pytest.mark.parametrize(
    "environment",
    [
        {"RANK": "3", "WORLD_SIZE": "3"},
        {"RANK": "-1", "WORLD_SIZE": "3"},
        {"RANK": "x", "WORLD_SIZE": "3"},
        {"RANK": "0", "WORLD_SIZE": ""},
        {**ARRAY, "SLURM_ARRAY_TASK_ID": "9"},
        {**ARRAY, "SLURM_ARRAY_TASK_ID": "two"},
        {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "0"},
        {**ARRAY, "SLURM_ARRAY_TASK_ID": "10", "SLURM_ARRAY_TASK_STEP": "0"},
    ],
)
def test_nonsense_in_the_environment_is_refused(environment):
    name = "SLURM_ARRAY_TASK" if "SLURM_ARRAY_TASK_ID" in environment else "RANK|WORLD_SIZE"
    with pytest.raises(ArgusError, match=rf"({name}).*--part"):
        find_part(None, environment)
