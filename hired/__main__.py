"""`python -m hired …`."""

import os
import sys

from hired.cli import main

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # see hired/threads.py; torch is not there yet
sys.exit(main())
