"""`python -m lorabook` is the `lorabook` command."""

import sys

from lorabook.cli import main

sys.exit(main())
