"""A small ray caster in numpy: camera, solids, textures, worlds and their pictures.

World axes are x right, y down, z forward, in metres; the ground is y = 0. Pixel values come from additions,
multiplications, divisions and square roots only, which round alike on every machine.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
