"""The parts of ``gpu.py``: each module has a function ``run`` that checks or measures one thing on a ``Bench``."""
