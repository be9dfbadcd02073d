"""``python -m flowvae``: the command ``flowvae``, also under ``torchrun -m``."""

import sys

from flowvae.cli import main

sys.exit(main())
