"""``python -m seatrial.runtime``: the command line without its launcher."""

from __future__ import annotations

import sys

from seatrial.runtime.cli.main import main

sys.exit(main())
