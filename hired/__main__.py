"""`python -m hired …`."""

import sys

from hired.cli import main

sys.exit(main())
