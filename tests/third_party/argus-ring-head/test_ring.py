from argus_core.testing import head_suite

test_head = head_suite("detect.ring")
